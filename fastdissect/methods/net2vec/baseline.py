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
from fastdissect.methods.net2vec.image_scores import EPSILON
from fastdissect.methods.net2vec.problem import Problem
from fastdissect.packing import slice_planes
from fastdissect.types import Concepts, Planes

__all__ = ["SingleFilters", "single_filters"]


class SingleFilters(NamedTuple):
    train: NDArray[np.float64]  # [units, concepts], IoU_set
    val: NDArray[np.float64]  # [units, concepts], NaN: no images
    best: NDArray[np.int64]  # [concepts], the best unit on train, the lowest number where several are


def single_filters(problem: Problem) -> SingleFilters:
    """Score every unit as a mask of every concept: M_k = up(Z_k) > 0.5, over the images that show the concept.

    IoU_set is a ratio of sums, so counts of pixels suffice: exact, and every unit is tried. These are higher than a
    dissection's IoU, which also has images that do not show the concept.

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.1 (METHODS 3.4).
    """
    train, val = (_iou(problem, shown) for shown in (problem.targets.train, problem.targets.val))
    images = problem.targets.counts(False)
    best = train.argmax(0) if len(train) else np.zeros(train.shape[1], np.int64)
    return SingleFilters(train, np.where(images > 0, val, np.nan), best)


def _iou(problem: Problem, shown: ConceptImages) -> NDArray[np.float64]:
    planes = _planes(problem, shown)
    shared = _counted(problem, planes)
    # whole planes in place of the concept's: the mask's pixels in the images that show it
    whole = dataclasses.replace(planes, word_row=np.full(len(planes.word_row), -1, np.int64))
    area = _counted(problem, whole)
    pixels = np.zeros(len(problem), np.int64)
    np.add.at(pixels, planes.concept, planes.pixels)
    return shared / (area + pixels - shared + EPSILON)


def _counted(problem: Problem, planes: Planes) -> NDArray[np.int64]:
    """Pixels of up(Z_k) > 0.5 under the planes of each concept, int64 [units, concepts]."""
    layer = problem.layer
    assert layer.activations is not None
    cells = cells_on_host(layer.activations)
    unit = np.repeat(np.arange(layer.units_count), np.diff(cells.unit_start))
    above = np.repeat(np.asarray(layer.thresholds)[unit], np.diff(cells.cell_start))
    # what is not retained reads as 0.5, which is not above it; all neighbours of an active cell are retained
    active = (widen(cells.values, cells.kind) > above).astype(np.float32)
    binary = dataclasses.replace(cells, kind="float32", values=active)
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
