"""Layers for the tests of the chance level: any activations and label masks, counted as a run counts them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from kernel_cases import pack_loop
from numpy.typing import NDArray

from fastdissect.conventions import profile
from fastdissect.counting import Counter, concept_area
from fastdissect.kernels import backend
from fastdissect.kernels.keys import keys, widen
from fastdissect.layer import LayerDissection
from fastdissect.packing import slice_planes
from fastdissect.types import ActivationView, Concepts, Kind, Planes
from fastdissect.upsampling import make_upsampling


def planes_from(labels: NDArray[np.bool_]) -> Planes:
    """bool [images, concepts, height, width] -> planes; empty ones are left out, full ones have no words."""
    n, concepts, h, w = labels.shape
    flat = labels.reshape(n, concepts, h * w)
    image, concept = np.nonzero(flat.any(2))
    masks = flat[image, concept]
    full = masks.all(1)
    return Planes(
        (h, w),
        np.searchsorted(image, np.arange(n + 1)).astype(np.int64),
        concept.astype(np.int32),
        masks.sum(1).astype(np.int64),
        np.where(full, -1, np.cumsum(~full) - 1).astype(np.int64),
        pack_loop(masks[~full]),
    )


def concepts_of(count: int, categories: int = 2) -> Concepts:
    return Concepts(
        np.arange(1, count + 1) * 3,
        tuple(f"concept {c}" for c in range(count)),
        np.arange(count) % categories,
        tuple(f"category {q}" for q in range(categories)),
    )


def layer_of(
    x: NDArray[Any],
    labels: NDArray[np.bool_],
    *,
    top: float = 0.1,
    mode: str = "half-pixel",
    kind: Kind = "float32",
    categories: int = 2,
    **items: Any,
) -> tuple[LayerDissection, Planes]:
    """x [images, units, h, w] of the kind, labels bool [images, concepts, H, W]; `top`: the share of cells above."""
    n, k, h, w = x.shape
    planes, concepts = planes_from(labels), concepts_of(labels.shape[1], categories)
    convention = profile("netdissect", quantile=Fraction(top).limit_denominator(1000), **items)
    table = make_upsampling(mode, (h, w), planes.size)
    flat = np.sort(widen(x, kind).transpose(1, 0, 2, 3).reshape(k, -1), axis=1)
    thresholds = flat[:, flat.shape[1] - 1 - int(top * flat.shape[1])].copy()
    found = backend().sift(ActivationView(x, kind), keys(thresholds), table.reach, table.ring, True, 1)
    counter = Counter(thresholds, table, concepts, convention)
    counter.add(found.cells, lambda first, last: slice_planes(planes, first, last))
    layer = LayerDissection(
        name="layer",
        profile=convention,
        concepts=concepts,
        shape=(n, k, h, w),
        thresholds=thresholds,
        seen=np.full(k, n * h * w),
        counts=counter.counts(concept_area(planes, len(concepts))),
        upsampling=table,
        activations=found.cells,
    )
    return layer, planes


def boxes(rng: np.random.Generator, images: int, concepts: int, side: int, share: float = 0.5) -> Any:
    """Label masks: a box of random size and place where an image shows a concept."""
    labels = np.zeros((images, concepts, side, side), bool)
    for n, c in np.argwhere(rng.random((images, concepts)) < share):
        y, x = rng.integers(0, side - 2, 2)
        labels[n, c, y : y + rng.integers(2, side // 2 + 1), x : x + rng.integers(2, side // 2 + 1)] = True
    return labels


def planted(images: int = 60, concepts: int = 6, blind: int = 6, side: int = 16, seed: int = 0) -> Any:
    """(layer, planes, labels): unit c fires on concept c; `blind` more units fire anywhere.

    Half of the cells of a planted unit's map are on its concept, with noise that decides between them.
    """
    rng = np.random.default_rng(seed)
    labels = boxes(rng, images, concepts, side)
    cells = labels.reshape(images, concepts, side // 2, 2, side // 2, 2).mean((3, 5))
    noise = rng.random((images, concepts + blind, side // 2, side // 2))
    x = noise.astype(np.float32)
    x[:, :concepts] += 2 * cells
    return *layer_of(x, labels, top=0.05), labels
