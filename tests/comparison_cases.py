"""Planted layers and runs for the tests of comparing: random counts, dense maps made sparse."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.conventions import profile
from fastdissect.layer import LayerDissection
from fastdissect.results import Dissection
from fastdissect.types import Concepts, Counts, SparseActivations
from fastdissect.upsampling import make_upsampling

CATEGORIES = ("color", "object", "part")
CONCEPTS = Concepts(
    np.arange(1, 10),
    ("red", "blue", "cat", "dog", "door", "tree", "wheel", "leg", "same name"),
    np.array([0, 0, 1, 1, 1, 1, 2, 2, 2]),
    CATEGORIES,
)
AREA = 100_000  # of every concept and every unit


def random_counts(seed: int, units: int, concepts: Concepts = CONCEPTS) -> Counts:
    """Scores around the cut, with ties, units without overlap, and categories without any."""
    rng = np.random.default_rng(seed)
    shared = rng.choice([0, 0, 0, 5_000, 7_692, 7_693, 9_000, 30_000], (units, len(concepts)))
    shared[rng.random(units) < 0.2] = 0
    areas = np.full((units, len(concepts.categories)), AREA, np.int64)
    return Counts(shared.astype(np.int64), areas, np.full(len(concepts), AREA), np.full(units, AREA))


def layer(
    name: str = "conv",
    units: int = 12,
    seed: int = 0,
    *,
    maps: NDArray[np.float32] | None = None,
    thresholds: NDArray[np.float32] | None = None,
    images: int = 6,
    concepts: Concepts = CONCEPTS,
    seen: int = 10_000,
    mask: tuple[int, int] = (16, 16),
    **conventions: Any,
) -> LayerDissection:
    """A layer with random counts; with `maps` [images, units, height, width] it has their cells above threshold."""
    activations = None
    shape = (images, units, 3, 3)
    if maps is not None:
        shape = maps.shape  # type: ignore[assignment]
        units = shape[1]
        if thresholds is None:
            thresholds = np.quantile(maps, 0.8, axis=(0, 2, 3)).astype(np.float32)
        activations = sparse(maps, thresholds)
    return LayerDissection(
        name=name,
        profile=profile(**conventions),
        concepts=concepts,
        shape=shape,
        thresholds=np.zeros(units, np.float32) if thresholds is None else thresholds,
        seen=np.full(units, seen),
        counts=random_counts(seed, units, concepts),
        upsampling=make_upsampling("half-pixel", shape[2:], mask),
        activations=activations,
    )


def sparse(maps: NDArray[np.float32], thresholds: NDArray[np.float32]) -> SparseActivations:
    """The cells above threshold and, as a run keeps them too, some that are not."""
    images, units, height, width = maps.shape
    starts, images_of, cells_start = [0], [], [0]
    cells: list[int] = []
    values: list[np.float32] = []
    for k in range(units):
        for n in range(images):
            flat = maps[n, k].ravel()
            above = flat > thresholds[k]
            kept = np.flatnonzero(above | (np.roll(above, 1) & (np.arange(flat.size) % 2 == 0)))
            if len(kept):
                images_of.append(n)
                cells += kept.tolist()
                values += flat[kept].tolist()
                cells_start.append(len(cells))
        starts.append(len(images_of))
    return SparseActivations(
        (images, units, height, width),
        "float32",
        np.array(starts),
        np.array(images_of, np.uint32),
        np.array(cells_start),
        np.array(cells, np.uint16),
        np.array(values, np.float32),
    )


def run(*layers: LayerDissection, **record: Any) -> Dissection:
    """A run over images 0.jpg, 1.jpg, ...; `record` goes into run.json."""
    names = record.pop("names", None) or tuple(f"{i}.jpg" for i in range(layers[0].shape[0]))
    kept = {"model": "net", "data": "planted", "key": {"data set": "d" * 32}} | record
    return Dissection({a.name: a for a in layers}, layers[0].profile, layers[0].concepts, names, kept)


def permuted(one: LayerDissection, order: Sequence[int]) -> LayerDissection:
    """The same layer with its units in another order: unit i is unit order[i] of the first."""
    cells, rows = one.activations, np.asarray(order)
    assert cells is not None
    records = [np.arange(cells.unit_start[k], cells.unit_start[k + 1]) for k in rows]
    chosen = np.concatenate(records)
    spans = [np.arange(cells.cell_start[r], cells.cell_start[r + 1]) for r in chosen]
    at = np.concatenate(spans)
    moved = SparseActivations(
        cells.shape,
        cells.kind,
        np.cumsum([0, *map(len, records)]),
        cells.images[chosen],
        np.cumsum([0, *map(len, spans)]),
        cells.cells[at],
        cells.values[at],
    )
    c = one.counts
    counts = Counts(c.intersection[rows], c.unit_area[rows], c.concept_area, c.mask_area[rows])
    return dataclasses.replace(
        one, thresholds=one.thresholds[rows], seen=one.seen[rows], counts=counts, activations=moved
    )
