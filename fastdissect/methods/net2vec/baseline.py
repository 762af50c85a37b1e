"""The single filter that segments a concept best: chosen on train, reported on val."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.conventions import profile
from fastdissect.counting import Counter
from fastdissect.kernels.concept_masks import ConceptImages
from fastdissect.kernels.keys import widen
from fastdissect.kernels.stores import cells_on_host
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.image_scores import EPSILON
from fastdissect.methods.net2vec.problem import Problem
from fastdissect.packing import slice_planes
from fastdissect.types import Concepts, Planes, SparseActivations

__all__ = ["SingleFilters", "single_filters"]


class SingleFilters(NamedTuple):
    train: NDArray[np.float64]  # [units, concepts], IoU_set
    val: NDArray[np.float64]  # [units, concepts], NaN: no images
    best: NDArray[np.int64]  # [concepts], the best unit on train, the lowest number where several are


def single_filters(problem: Problem) -> SingleFilters:
    """Score every unit as a mask of every concept: M_k = up(Z_k) > 0.5, over the images that show the concept.

    IoU_set is a ratio of sums, so counts of pixels suffice: exact, and every unit is tried. These are higher than a
    dissection's IoU, which also has images that do not show the concept.

    Memory: 4 bytes a retained cell, and the counts of units x concepts.

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.1 (METHODS 3.4).
    """
    binary = _binary(problem.layer)
    train, val = (_iou(problem, binary, shown) for shown in (problem.targets.train, problem.targets.val))
    images = problem.targets.counts(False)
    best = train.argmax(0) if len(train) else np.zeros(train.shape[1], np.int64)
    return SingleFilters(train, np.where(images > 0, val, np.nan), best)


def _iou(problem: Problem, binary: SparseActivations, shown: ConceptImages) -> NDArray[np.float64]:
    planes = _planes(problem, shown)
    shared = _counted(problem, binary, planes)
    # whole planes in place of the concept's: the mask's pixels in the images that show it
    whole = dataclasses.replace(planes, word_row=np.full(len(planes.word_row), -1, np.int64))
    area = _counted(problem, binary, whole)
    pixels = np.zeros(len(problem), np.int64)
    np.add.at(pixels, planes.concept, planes.pixels)
    return shared / (area + pixels - shared + EPSILON)


def _binary(layer: LayerDissection) -> SparseActivations:
    """Z_k of the retained cells, 0 or 1. What is not retained reads as 0.5; all neighbours of an active cell are."""
    assert layer.activations is not None
    cells = cells_on_host(layer.activations)
    active = np.zeros(len(cells.values), np.float32)
    first = cells.cell_start[cells.unit_start]
    for unit, threshold in enumerate(np.asarray(layer.thresholds)):
        own = slice(first[unit], first[unit + 1])
        active[own] = widen(cells.values[own], cells.kind) > threshold
    return dataclasses.replace(cells, kind="float32", values=active)


def _counted(problem: Problem, binary: SparseActivations, planes: Planes) -> NDArray[np.int64]:
    """Pixels of up(Z_k) > 0.5 under the planes of each concept, int64 [units, concepts]."""
    layer = problem.layer
    names = tuple(str(i) for i in range(len(problem)))
    vocabulary = Concepts(np.arange(1, len(problem) + 1), names, np.zeros(len(problem), np.int64), ("all",))
    half = np.full(layer.units_count, 0.5, np.float32)
    counter = Counter(half, problem.upsampling, vocabulary, profile("netdissect", presence="all"))
    counter.add(binary, lambda first, last: slice_planes(planes, first, last))
    return counter.counts(np.zeros(len(problem), np.int64)).intersection


def _planes(problem: Problem, shown: ConceptImages) -> Planes:
    """The concepts' masks image by image."""
    pixels = problem.targets.train_pixels if shown is problem.targets.train else problem.targets.val_pixels
    concept = np.repeat(np.arange(len(problem), dtype=np.int32), np.diff(shown.concept_start))
    order = np.lexsort((concept, shown.image))
    start = np.searchsorted(shown.image[order], np.arange(problem.layer.shape[0] + 1))
    return Planes(
        problem.upsampling.size,
        start.astype(np.int64),
        concept[order],
        pixels[order],
        shown.row[order],
        shown.words,
    )
