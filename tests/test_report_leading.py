"""The few best of many scores: what a whole stable sort says, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdissect.reports import leading
from fastdissect.reports.leading import BestUnits, leading_concepts


def _scores(seed: int, rows: int, columns: int) -> np.ndarray:
    """Few values, so that ties are everywhere; zeros too."""
    return np.random.default_rng(seed).choice([0.0, 0.0, 0.1, 0.2, 0.2, 0.5], (rows, columns))


@given(st.integers(0, 999), st.integers(0, 9), st.integers(0, 30), st.integers(1, 12))
def test_concepts_of_a_unit(seed: int, rows: int, columns: int, count: int) -> None:
    scores = _scores(seed, rows, columns)
    row, column = leading_concepts(scores, count)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    expected = [(i, c) for i in range(rows) for c in order[i].tolist() if scores[i, c] > 0]
    assert list(zip(row.tolist(), column.tolist(), strict=True)) == expected


@pytest.mark.parametrize("most", [0, 50, 1 << 17])
@pytest.mark.parametrize("seed", range(5))
def test_units_of_a_concept_over_layers(seed: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "_MOST", most)  # candidates are sorted at once, now and then, at the end
    concepts, count = 6, 4
    layers = [_scores(seed + i, rows, concepts) for i, rows in enumerate((30, 1, 17, 40))]
    best = BestUnits(concepts, count)
    for number, scores in enumerate(layers):
        for first in range(0, len(scores), 7):
            best.add(number, first, scores[first : first + 7])
    expected = []
    for concept in range(concepts):
        rows = [
            (-scores[unit, concept], number, unit)
            for number, scores in enumerate(layers)
            for unit in range(len(scores))
            if scores[unit, concept] > 0
        ]
        expected += [(concept, number, unit, -score) for score, number, unit in sorted(rows)[:count]]
    assert best.found().tolist() == expected


def test_nothing_was_added() -> None:
    assert len(BestUnits(3, 4).found()) == 0
