"""The Numba backend: the C++ kernels' twins, for machines without a compiled core.

    jit_numbers.py    keys, exact widening of 16-bit floats, strided reads, threads
    jit_sift.py       sift                       jit_filter.py   filter, histogram
    jit_sift_codes.py sift_codes
    jit_prune.py      prune, join                jit_select.py   select, select_pixels
    jit_pack.py       pack                       jit_count.py    count
    jit_permuted.py   count_permuted             jit_masks.py    descend_masks, predict_masks

Kernels are compiled at their first call and kept in Numba's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels import (
    jit_count,
    jit_filter,
    jit_masks,
    jit_pack,
    jit_permuted,
    jit_prune,
    jit_select,
    jit_sift,
    jit_sift_codes,
)
from fastdissect.kernels.concept_masks import ActiveCells, ConceptImages, Descent, Rule
from fastdissect.kernels.keys import widen
from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.kernels.protocol import Fault, PackedLabels, Sifted, Values
from fastdissect.kernels.unit_blocks import codes_fault
from fastdissect.kernels.views import CodesView
from fastdissect.types import ActivationView, Kind, Planes, SparseActivations, Upsampling

__all__ = ["Jit"]


class Jit:
    name = "numba"

    def sift(
        self,
        view: ActivationView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifted:
        cells, means, maxima, missing, fault = jit_sift.sift(view, bounds, reach, ring, omit, threads)
        return Sifted(cells, means, maxima, missing, _fault(view, fault))

    def sift_codes(
        self,
        view: CodesView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifted:
        cells, means, maxima, missing, number = jit_sift_codes.sift_codes(
            view, bounds, reach, ring, omit, threads
        )
        fault = None if number == jit_sift.NO_FAULT else codes_fault(view, number)
        return Sifted(cells, means, maxima, missing, fault)

    def filter(self, view: ActivationView, bounds: NDArray[np.uint32], omit: bool, threads: int) -> Values:
        start, values, missing, fault = jit_filter.filter_values(view, bounds, threads)
        return Values(start, values, missing, None if omit else _fault(view, fault))

    def prune(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        threads: int,
    ) -> SparseActivations:
        return jit_prune.prune(parts, bounds, reach, ring, threads)

    def join(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        return jit_prune.join(starts, values, kind, bounds, threads)

    def select(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        threads: int,
    ) -> NDArray[np.uint32]:
        return jit_select.select(starts, values, kind, bounds, ranks, threads)

    def raise_bounds(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        rank: int,
        threads: int,
    ) -> NDArray[np.uint32]:
        return jit_select.raise_bounds(starts, values, kind, bounds, rank, threads)

    def select_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        return jit_select.select_pixels(parts, bounds, ranks, upsampling, threads)

    def raise_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        rank: int,
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        return jit_select.raise_pixels(parts, bounds, rank, upsampling, threads)

    def histogram(
        self,
        view: ActivationView,
        shift: int,
        prefix: NDArray[np.uint32] | None,
        bins: NDArray[np.int64],
        omit: bool,
        threads: int,
    ) -> tuple[NDArray[np.int64], Fault | None]:
        missing, fault = jit_filter.histogram(view, shift, prefix, bins, threads)
        return missing, None if omit else _fault(view, fault)

    def pack(self, labels: NDArray[Any], columns: NDArray[np.int32], once: bool) -> PackedLabels:
        return jit_pack.pack(labels, columns, once)

    def count(
        self,
        cells: SparseActivations,
        cursor: NDArray[np.int64],
        first_image: int,
        thresholds: NDArray[np.float32],
        upsampling: Upsampling,
        planes: Planes,
        category: NDArray[np.int64],
        present: NDArray[np.bool_] | None,
        intersection: NDArray[np.int64],
        unit_area: NDArray[np.int64],
        mask_area: NDArray[np.int64],
        threads: int,
    ) -> None:
        jit_count.count(
            cells,
            cursor,
            first_image,
            thresholds,
            upsampling,
            planes,
            category,
            present,
            intersection,
            unit_area,
            mask_area,
            threads,
        )

    def count_permuted(
        self,
        masks: MaskRanges,
        planes: Planes,
        permutations: NDArray[np.int64],
        category: NDArray[np.int64],
        present: NDArray[np.bool_] | None,
        intersection: NDArray[np.int64],
        unit_area: NDArray[np.int64],
        threads: int,
    ) -> None:
        jit_permuted.count_permuted(
            masks, planes, permutations, category, present, intersection, unit_area, threads
        )

    def descend_masks(
        self,
        cells: ActiveCells,
        shown: ConceptImages,
        upsampling: Upsampling,
        state: Descent,
        rule: Rule,
        order: NDArray[np.int64],
        threads: int,
    ) -> None:
        jit_masks.descend_masks(cells, shown, upsampling, state, rule, order, threads)

    def predict_masks(
        self,
        cells: ActiveCells,
        shown: ConceptImages,
        upsampling: Upsampling,
        concept: NDArray[np.int64],
        start: NDArray[np.int64],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        area: NDArray[np.int64],
        shared: NDArray[np.int64],
        threads: int,
    ) -> None:
        jit_masks.predict_masks(
            cells, shown, upsampling, concept, start, weights, bias, area, shared, threads
        )


def _fault(view: ActivationView, number: int) -> Fault | None:
    if number == jit_sift.NO_FAULT:
        return None
    _, k, h, w = view.data.shape
    image, rest = divmod(int(number), k * h * w)
    unit, cell = divmod(rest, h * w)
    value = view.data[image, unit, cell // w, cell % w]
    return Fault(image, unit, cell, float(widen(value.reshape(1), view.kind)[0]))
