from __future__ import annotations

import numpy as np
import pytest

from fastdissect import scores
from fastdissect.conventions import PROFILES, profile
from fastdissect.labels import joined, label_units, passes, summarize
from fastdissect.types import Concepts, Counts


def tied_scores(seed: int, units: int = 40, concepts: int = 12, categories: int = 4):
    """Scores of very few values, so that ties are everywhere; the last category may hold no concept."""
    rng = np.random.default_rng(seed)
    table = rng.choice([0.0, 0.0, 0.0, 0.04, 0.05, 0.5], (units, concepts))
    table[:3] = 0
    numbers = np.sort(rng.choice(np.arange(1, 300), concepts, replace=False))
    category = rng.integers(0, categories - seed % 2, concepts)
    names = tuple(f"c{n}" for n in numbers)
    return table, Concepts(numbers, names, category, tuple(f"q{i}" for i in range(categories)))


def oracle(table: np.ndarray, concepts: Concepts, ties: str):
    """Per unit: ({category: (number, score)}, best category), METHODS 1.5 in dicts and loops."""
    result = []
    for row in table.tolist():
        best: dict[int, tuple[int, float]] = dict.fromkeys(range(len(concepts.categories)), (0, 0.0))
        for number, q, score in zip(concepts.numbers.tolist(), concepts.category.tolist(), row, strict=True):
            if score > best[q][1]:  # numbers rise: the first of equals stays
                best[q] = (number, score)
        top = max(score for _, score in best.values())
        tied = [q for q, (_, score) in best.items() if score == top]
        winner = max(tied) if ties == "later" else min(tied, key=lambda q: best[q][0])
        if top == 0:
            winner = len(concepts.categories) - 1 if ties == "later" else 0
        result.append((best, winner))
    return result


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["netdissect", "dissect-2020"])
def test_labels_equal_the_oracle(seed, name):
    table, concepts = tied_scores(seed)
    p = PROFILES[name]
    found = label_units(table, concepts, p)
    for k, (best, winner) in enumerate(oracle(table, concepts, p.category_ties)):
        assert found.best[k] == winner
        for q, (number, score) in best.items():
            assert found.numbers[k, q] == number
            assert found.score[k, q] == score
            column = found.column[k, q]
            assert column == -1 if number == 0 else concepts.numbers[column] == number


@pytest.mark.parametrize("seed", range(6))
def test_first_is_dissects_argmax_over_all_concepts(seed):
    table, concepts = tied_scores(seed)
    found = label_units(table, concepts, PROFILES["dissect-2020"])
    rows = np.arange(len(table))
    alive = table.max(1) > 0
    assert alive.any()
    assert (found.column[rows, found.best][alive] == table.argmax(1)[alive]).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("cut", [0.0, 0.04, 0.5, 1.0])
def test_summary_equals_the_oracle_under_both_conventions(seed, inclusive, cut):
    table, concepts = tied_scores(seed)
    p = profile("netdissect", cut=cut, cut_inclusive=inclusive)
    got = summarize(label_units(table, concepts, p), concepts.categories, cut, inclusive, seed == 0)
    own: dict[int, list[int]] = {q: [] for q in range(4)}  # A: label numbers of units that pass, by category
    best_own: dict[int, list[int]] = {q: [] for q in range(4)}  # B
    for best, winner in oracle(table, concepts, "later"):
        for q, (number, score) in best.items():
            if score > cut or (inclusive and score == cut and score > 0):
                own[q].append(number)
                if q == winner:
                    best_own[q].append(number)
    assert [(c.detectors, c.unique) for c in got.by_category] == [(len(v), len(set(v))) for v in own.values()]
    assert [(c.best_detectors, c.best_unique) for c in got.by_category] == [
        (len(v), len(set(v))) for v in best_own.values()
    ]
    assert got.unique_by_category_total == sum(len(set(v)) for v in own.values())
    assert got.detectors == sum(len(v) for v in best_own.values())
    assert got.unique_detectors == len(set().union(*best_own.values()))
    assert (got.units, got.cut, got.cut_inclusive, got.undetermined) == (40, cut, inclusive, seed == 0)
    assert [c.category for c in got.by_category] == list(concepts.categories)


def test_the_two_conventions_differ_where_a_unit_passes_twice():
    table = np.array([[0.5, 0.6]])
    concepts = Concepts(np.array([1, 2]), ("cat", "fur"), np.array([0, 1]), ("object", "texture"))
    got = summarize(label_units(table, concepts, PROFILES["netdissect"]), concepts.categories, 0.04, False)
    assert (got.unique_by_category_total, got.unique_detectors, got.detectors) == (2, 1, 1)
    assert [c.best_unique for c in got.by_category] == [0, 1]


def test_the_cut_itself_and_zero():
    score = np.array([0.0, 0.04, np.nextafter(0.04, 1)])
    assert passes(score, 0.04, False).tolist() == [False, False, True]
    assert passes(score, 0.04, True).tolist() == [False, True, True]
    assert passes(score, 0.0, True).tolist() == [False, True, True]  # no overlap is no detector


def test_a_dead_unit_has_label_0_and_the_last_category():
    table, concepts = tied_scores(0)
    found = label_units(table, concepts, PROFILES["netdissect"])
    assert (found.best[:3] == 3).all()
    assert not found.numbers[:3].any()


@pytest.mark.parametrize(("units", "concepts", "categories"), [(0, 3, 2), (4, 0, 2), (4, 0, 0)])
def test_nothing_to_label(units, concepts, categories):
    vocabulary = Concepts(
        np.arange(1, concepts + 1),
        tuple("abc"[:concepts]),
        np.zeros(concepts, np.int64),
        tuple("xy"[:categories]),
    )
    for name in ("netdissect", "dissect-2020"):
        found = label_units(np.zeros((units, concepts)), vocabulary, PROFILES[name])
        assert found.numbers.shape == (units, categories)
        assert not found.numbers.any()
        got = summarize(found, vocabulary.categories, 0.04, False)
        assert (got.units, got.detectors, got.unique_by_category_total) == (units, 0, 0)


def test_permuting_units_permutes_labels():
    table, concepts = tied_scores(3)
    order = np.random.default_rng(0).permutation(len(table))
    straight, permuted = (label_units(t, concepts, PROFILES["netdissect"]) for t in (table, table[order]))
    assert (permuted.numbers == straight.numbers[order]).all()
    assert (permuted.best == straight.best[order]).all()


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("block", [1, 25, 40 * 12, 1 << 17])
def test_scores_and_labels_of_blocks_are_those_of_the_whole(name, block, monkeypatch):
    rng, concepts = np.random.default_rng(block), tied_scores(0)[1]
    shared = rng.integers(0, 4, (40, 12))
    counts = Counts(shared, rng.integers(4, 9, (40, 4)), rng.integers(4, 9, 12), rng.integers(9, 20, 40))
    monkeypatch.setattr(scores, "_BLOCK", 1 << 30)
    whole = scores.iou(counts, concepts, PROFILES[name])
    monkeypatch.setattr(scores, "_BLOCK", block)
    blocks = list(scores.iou_blocks(counts, concepts, PROFILES[name]))
    assert [first for first, _ in blocks] == list(range(0, 40, max(1, block // 12)))
    assert np.concatenate([part for _, part in blocks]).tobytes() == whole.tobytes()
    assert scores.iou(counts, concepts, PROFILES[name]).tobytes() == whole.tobytes()
    found = joined([label_units(part, concepts, PROFILES[name]) for _, part in blocks])
    for item, expected in vars(label_units(whole, concepts, PROFILES[name])).items():
        assert getattr(found, item).dtype == expected.dtype
        assert getattr(found, item).tobytes() == expected.tobytes()
