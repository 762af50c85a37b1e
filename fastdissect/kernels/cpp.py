"""The C++ backends, one object per instruction set: `cpp-base`, `cpp-v3` (AVX2), `cpp-v4` (AVX-512).

The arithmetic is in csrc/cpu, one kernel per file; this file only hands arrays over and gives results names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect import _core
from fastdissect.kernels.concept_masks import ActiveCells, ConceptImages, Descent, Rule, map_tables
from fastdissect.kernels.keys import widen
from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.kernels.protocol import Fault, PackedLabels, Sifted, Values
from fastdissect.kernels.unit_blocks import codes_fault
from fastdissect.kernels.views import CodesView
from fastdissect.types import ActivationView, AxisTable, Kind, Planes, SparseActivations, Upsampling

__all__ = ["Cpp", "instruction_sets"]

_NO_FAULT = 2**64 - 1
_STATE = ("concept", "kept", "inside", "outside", "weights", "velocity", "bias", "bias_velocity")


def instruction_sets() -> list[str]:
    """Names of the sets that this machine runs, best first."""
    return _core.instruction_sets()


class Cpp:
    def __init__(self, name: str) -> None:
        self.name = name

    def sift(
        self,
        view: ActivationView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifted:
        arrays, means, maxima, missing, fault = _core.sift(
            self.name, view.data, view.kind, bounds, reach, ring, omit, threads
        )
        cells = SparseActivations(_shape(view), view.kind, *arrays)
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
        images, units, height, width = view.shape
        arrays, means, maxima, missing, number = _core.sift_codes(
            np.ascontiguousarray(view.indices),
            np.ascontiguousarray(view.values),
            units,
            height,
            width,
            bounds,
            reach,
            ring,
            omit,
            threads,
        )
        cells = SparseActivations((images, units, height, width), "float32", *arrays)
        fault = None if number == _NO_FAULT else codes_fault(view, number)
        return Sifted(cells, means, maxima, missing, fault)

    def filter(self, view: ActivationView, bounds: NDArray[np.uint32], omit: bool, threads: int) -> Values:
        start, values, missing, fault = _core.filter(self.name, view.data, view.kind, bounds, omit, threads)
        return Values(start, values, missing, _fault(view, fault))

    def prune(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        threads: int,
    ) -> SparseActivations:
        _, units, height, width = parts[0].shape
        kind = parts[0].kind
        arrays = _core.prune(
            [_part(p) for p in parts],
            kind,
            _wide(parts[0]),
            units,
            height,
            width,
            bounds,
            reach,
            ring,
            threads,
        )
        return SparseActivations((sum(p.shape[0] for p in parts), units, height, width), kind, *arrays)

    def join(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        start, joined = _core.join(list(zip(starts, values, strict=True)), kind, bounds, threads)
        return start, joined

    def select(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        threads: int,
    ) -> NDArray[np.uint32]:
        return _core.select(list(zip(starts, values, strict=True)), kind, bounds, ranks, threads)

    def raise_bounds(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        rank: int,
        threads: int,
    ) -> NDArray[np.uint32]:
        return _core.raise_bounds(list(zip(starts, values, strict=True)), kind, bounds, rank, threads)

    def select_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        _, _, height, width = parts[0].shape
        return _core.select_pixels(
            self.name,
            [_part(p) for p in parts],
            parts[0].kind,
            _wide(parts[0]),
            height,
            width,
            *_axes(upsampling),
            upsampling.ring,
            bounds,
            ranks,
            threads,
        )

    def raise_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        rank: int,
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        _, _, height, width = parts[0].shape
        return _core.raise_pixels(
            self.name,
            [_part(p) for p in parts],
            parts[0].kind,
            _wide(parts[0]),
            height,
            width,
            *_axes(upsampling),
            upsampling.ring,
            bounds,
            rank,
            threads,
        )

    def histogram(
        self,
        view: ActivationView,
        shift: int,
        prefix: NDArray[np.uint32] | None,
        bins: NDArray[np.int64],
        omit: bool,
        threads: int,
    ) -> tuple[NDArray[np.int64], Fault | None]:
        missing, fault = _core.histogram(view.data, view.kind, shift, prefix, bins, threads)
        return missing, None if omit else _fault(view, fault)

    def pack(self, labels: NDArray[Any], columns: NDArray[np.int32], once: bool) -> PackedLabels:
        return PackedLabels(*_core.pack(np.ascontiguousarray(labels), columns, once))

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
        _, _, height, width = cells.shape
        _core.count(
            self.name,
            (cells.unit_start, cells.images, cells.cell_start, cells.cells, cells.values),
            cells.kind,
            height,
            width,
            cursor,
            first_image,
            thresholds,
            *_axes(upsampling),
            upsampling.ring,
            (planes.plane_start, planes.concept, planes.word_row, planes.words),
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
        _core.count_permuted(
            self.name,
            (masks.image_start, masks.unit, masks.area, masks.first_word, masks.word_start, masks.words),
            (planes.plane_start, planes.concept, planes.word_row, planes.words),
            permutations,
            category,
            present,
            intersection,
            unit_area,
            threads,
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
        _core.descend_masks(
            self.name,
            (cells.image_start, cells.unit, cells.cell),
            cells.shape[3],
            _tables(upsampling),
            (shown.concept_start, shown.image, shown.row, shown.words),
            tuple(getattr(state, name) for name in _STATE),
            (
                rule.rate,
                rule.momentum,
                rule.batch,
                rule.l1,
                rule.l2,
                rule.bias,
                rule.positive,
                rule.cross_entropy,
            ),
            order,
            threads,
        )

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
        _core.predict_masks(
            self.name,
            (cells.image_start, cells.unit, cells.cell),
            cells.shape[3],
            _tables(upsampling),
            (shown.concept_start, shown.image, shown.row, shown.words),
            concept,
            start,
            weights,
            bias,
            area,
            shared,
            threads,
        )


def _shape(view: ActivationView) -> tuple[int, int, int, int]:
    n, k, h, w = view.data.shape
    return n, k, h, w


def _wide(cells: SparseActivations) -> bool:
    return cells.cells.dtype == np.uint32


def _part(p: SparseActivations) -> tuple[Any, ...]:
    return p.shape[0], p.unit_start, p.images, p.cell_start, p.cells, p.values


def _tables(upsampling: Upsampling) -> tuple[Any, ...]:
    tables = map_tables(upsampling)
    return (*tables.cells, *tables[1:])


def _axes(upsampling: Upsampling) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    ring = 2 * upsampling.ring
    rows = _axis(upsampling.rows, upsampling.cells[0] + ring)
    return rows, _axis(upsampling.columns, upsampling.cells[1] + ring)


def _axis(table: AxisTable, cells: int) -> tuple[Any, ...]:
    """Beside the table: its fractions side by side, and the first pixel that starts at each cell."""
    first = np.searchsorted(table.start, np.arange(cells + 1)).astype(np.int32)
    fractions = np.ascontiguousarray(table.weights[:, min(1, table.taps - 1)])
    return table.start, table.weights, first, fractions, cells, table.lerp


def _fault(view: ActivationView, number: int) -> Fault | None:
    if number == _NO_FAULT:
        return None
    _, k, h, w = view.data.shape
    image, rest = divmod(number, k * h * w)
    unit, cell = divmod(rest, h * w)
    value = view.data[image, unit, cell // w, cell % w]
    return Fault(image, unit, cell, float(widen(value.reshape(1), view.kind)[0]))
