"""Which units get pictures where not all can: the best of all, of every layer and of every label."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from report_cases import make_concepts, plant

from fastdissect.layer import LayerDissection
from fastdissect.reports.pictured import pictured_units


def _layers(seed: int, sizes: tuple[int, ...], concepts: int = 14) -> list[LayerDissection]:
    """Layers of random counts, from few values: equal scores and units without a label are everywhere."""
    rng, layers = np.random.default_rng(seed), []
    for i, size in enumerate(sizes):
        layer = plant(f"layer{i}", size, 9, make_concepts(concepts))
        shared = rng.integers(0, 5, (size, concepts)) * 100_000 * (rng.random((size, concepts)) < 0.1)
        layers.append(
            dataclasses.replace(layer, counts=dataclasses.replace(layer.counts, intersection=shared))
        )
    return layers


def _rows(layers: list[LayerDissection]) -> list[tuple[float, int, int, str]]:
    """(-IoU, layer, unit, label) of all units: sorted, the best come first."""
    return [
        (-iou, number, unit, label)
        for number, layer in enumerate(layers)
        for unit, (iou, label) in enumerate(
            zip(layer.units()["iou"].tolist(), layer.units()["label"].tolist(), strict=True)
        )
    ]


def _oracle(layers: list[LayerDissection], count: int) -> set[tuple[int, int]]:
    """The rule in lists: the r-th of all at r, of a layer at r * layers, of a label at r * labels."""
    rows = sorted(_rows(layers))
    labels = {label for *_, label in rows} - {""}
    places = []
    for at, (iou, number, unit, label) in enumerate(rows):
        layer_rank = 1 + sum(row[1] == number for row in rows[:at])
        label_rank = 1 + sum(row[3] == label for row in rows[:at])
        place = min(at + 1, layer_rank * len(layers), *([label_rank * len(labels)] if label else []))
        places.append((place, iou, number, unit))
    return {(number, unit) for _, _, number, unit in sorted(places)[:count]}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [0, 1, 7, 40, 108, 109])
def test_the_rule_in_lists_says_the_same(seed: int, count: int) -> None:
    layers = _layers(seed, (30, 1, 60, 19))
    chosen = pictured_units(layers, count)
    found = {(number, unit) for number, own in enumerate(chosen) for unit in own.tolist()}
    assert found == _oracle(layers, count)
    assert sum(len(own) for own in chosen) == count
    assert all((np.diff(own) > 0).all() for own in chosen)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_every_layer_and_every_label_have_their_third(seed: int) -> None:
    layers, count = _layers(seed, (200, 40, 8)), 90
    chosen = pictured_units(layers, count)
    third, rows = count // 3, sorted(_rows(layers))
    assert all(unit in chosen[number] for _, number, unit, _ in rows[:third])
    for number, layer in enumerate(layers):
        assert len(chosen[number]) >= min(layer.units_count, third // len(layers))
    labels = sorted({label for *_, label in rows} - {""})
    for label in labels:
        own = [(number, unit) for _, number, unit, name in rows if name == label]
        shown = sum(unit in chosen[number] for number, unit in own)
        assert shown >= min(len(own), third // len(labels))


@pytest.mark.parametrize("count", [None, 109, 110, 10**9])
def test_where_there_is_room_all_get_pictures(count: int | None) -> None:
    layers = _layers(0, (30, 0, 79))
    chosen = pictured_units(layers, count)
    assert [own.tolist() for own in chosen] == [list(range(n)) for n in (30, 0, 79)]


def test_a_vocabulary_without_categories_and_no_layers() -> None:
    assert pictured_units([], 5) == []
    layer = plant("a", 5, 4, make_concepts())
    bare = dataclasses.replace(
        layer,
        concepts=dataclasses.replace(
            layer.concepts,
            numbers=layer.concepts.numbers[:0],
            names=(),
            category=np.empty(0, int),
            categories=(),
        ),
        counts=dataclasses.replace(
            layer.counts,
            intersection=np.empty((5, 0), np.int64),
            unit_area=np.empty((5, 0), np.int64),
            concept_area=np.empty(0, np.int64),
        ),
    )
    assert pictured_units([bare], 2)[0].tolist() == [0, 1]
