"""Layers for the tests of Net2Vec: given active cells, label masks and a split."""

from __future__ import annotations

from typing import Any

import numpy as np
from chance_cases import concepts_of, planes_from
from numpy.typing import NDArray

from fastdissect.conventions import profile
from fastdissect.counting import Counter, concept_area
from fastdissect.kernels import backend
from fastdissect.kernels.keys import keys
from fastdissect.kernels.reference import upsample
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.interpolation import mask_upsampling
from fastdissect.packing import slice_planes
from fastdissect.types import ActivationView, Concepts, Planes
from fastdissect.upsampling import make_upsampling

Bools = NDArray[np.bool_]


def layer_of_cells(
    active: Bools, labels: Bools, *, concepts: Concepts | None = None, means: Any = None, seed: int = 0
) -> tuple[LayerDissection, Planes]:
    """active bool [images, units, h, w], labels bool [images, concepts, H, W]; every unit's threshold is 0.5."""
    n, k, h, w = active.shape
    rng = np.random.default_rng(seed)
    x = (active + 0.4 * rng.random(active.shape)).astype(np.float32)
    planes, vocabulary = planes_from(labels), concepts or concepts_of(labels.shape[1])
    convention = profile("netdissect")
    table = make_upsampling("half-pixel", (h, w), planes.size)
    thresholds = np.full(k, 0.5, np.float32)
    cells = (
        backend().sift(ActivationView(x, "float32"), keys(thresholds), table.reach, table.ring, True, 1).cells
    )
    counter = Counter(thresholds, table, vocabulary, convention)
    counter.add(cells, lambda first, last: slice_planes(planes, first, last))
    layer = LayerDissection(
        name="conv",
        profile=convention,
        concepts=vocabulary,
        shape=(n, k, h, w),
        thresholds=thresholds,
        seen=np.full(k, n * h * w),
        counts=counter.counts(concept_area(planes, len(vocabulary))),
        upsampling=table,
        activations=cells,
        means=means,
    )
    return layer, planes


def scene(
    images: int,
    side: int,
    size: int,
    units: int,
    planted: tuple[int, ...],
    seed: int = 0,
    noise: float = 0.005,
) -> tuple[Bools, Bools]:
    """One concept, a rectangle of cells a picture, dealt to the planted units in equal parts; the others are noise.

    The concept's mask is the rectangle, upsampled with the corners aligned, above 0.5.

    Returns:
        active bool [images, units, side, side], labels bool [images, 1, size, size].
    """
    rng = np.random.default_rng(seed)
    active = rng.random((images, units, side, side)) < noise
    active[:, list(planted)] = False
    objects = np.zeros((images, side, side), np.float32)
    for n in range(images):
        height, width = rng.integers(side // 4 + 1, side // 2 + 2, 2)
        y, x = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
        rows, columns = (one.reshape(-1) for one in np.mgrid[y : y + height, x : x + width])
        owner = rng.permutation(np.arange(len(rows)) % len(planted))
        active[n, np.array(planted)[owner], rows, columns] = True
        objects[n, rows, columns] = 1
    table = mask_upsampling("align-corners", make_upsampling("half-pixel", (side, side), (size, size)))
    return active, (upsample(objects, table) > 0.5)[:, None]


def random_case(
    seed: int = 0, images: int = 20, units: int = 7, concepts: int = 4, side: int = 5, size: int = 23
) -> tuple[LayerDissection, Planes, Bools]:
    """(layer, planes, train): anything anywhere."""
    rng = np.random.default_rng(seed)
    active = rng.random((images, units, side, side)) < 0.15
    labels = np.zeros((images, concepts, size, size), bool)
    for n, c in np.argwhere(rng.random((images, concepts)) < 0.7):
        y, x = rng.integers(0, size - 3, 2)
        labels[n, c, y : y + rng.integers(2, size), x : x + rng.integers(2, size)] = True
    train = rng.random(images) < 0.7
    train[:2] = True, False
    return *layer_of_cells(active, labels), train
