"""count in Numba: retained cells -> mask words -> AND with the label planes -> population count.

With lerp tables a pixel lies between its corners (fastdissect/upsampling.py), so a run of pixels between two
cells above is above, between two cells that are not it is not, and only the other runs are computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdissect.kernels.jit_numbers import (
    CODE,
    ZERO,
    Array,
    bits,
    fixed,
    kernel,
    popcount,
    row_column,
    share,
    widen,
)
from fastdissect.types import AxisTable, Planes, SparseActivations, Upsampling

__all__ = ["axes", "count"]

ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE, NONE = np.uint64(1), np.uint64(0)


@kernel
def put_bits(mask: Array, at: int, word: Any, n: int) -> None:
    """Set the n (1 to 64) low bits of `word` at bit `at`."""
    if n < 64:
        word &= (ONE << np.uint64(n)) - ONE
    shift = at & 63
    mask[at >> 6] |= word << np.uint64(shift)
    if shift + n > 64:
        mask[(at >> 6) + 1] |= word >> np.uint64(64 - shift)


@kernel
def put_ones(mask: Array, at: int, n: int) -> None:
    while n > 0:
        put_bits(mask, at, ONES, min(n, 64))
        at += 64
        n -= 64


@kernel
def lerp_mask(
    x: Array, rows: Any, row_first: Array, columns: Any, column_first: Array, threshold: Any, top: int, bottom: int,
    left: int, right: int, rows_above: Array, row: Array, mask: Array,
) -> None:  # fmt: skip
    """Cells above lie in rows top ... bottom, columns left ... right."""
    row_start, row_weights, _, height = rows
    column_start, column_weights, _, width = columns
    left, stop = max(left - 1, 0), min(right + 1, width - 1)
    for y in range(row_first[max(top - 1, 0)], row_first[bottom + 1]):
        upper = np.int64(row_start[y])
        lower = min(upper + 1, height - 1)
        if not (rows_above[upper] or rows_above[lower]):
            continue
        weight = row_weights[y, 1]
        for c in range(left, stop + 1):
            first = x[upper * width + c]
            row[c] = first + (x[lower * width + c] - first) * weight
        row[stop + 1] = row[stop]  # the last cell's second tap is itself
        here = row[left] > threshold
        line = y * len(column_start)
        for c in range(left, right + 1):
            following = row[c + 1] > threshold
            begin, end = np.int64(column_first[c]), np.int64(column_first[c + 1])
            if here and following:
                put_ones(mask, line + begin, end - begin)
            elif here or following:
                first, difference = row[c], row[c + 1] - row[c]
                for p in range(begin, end):
                    if first + difference * column_weights[p, 1] > threshold:
                        mask[(line + p) >> 6] |= ONE << np.uint64((line + p) & 63)
            here = following


@kernel
def clipped(start: Any, tap: int, cells: int) -> Any:
    return min(np.int64(start) + tap, cells - 1)


@kernel
def blend(
    start: Array, weights: Array, lerp: bool, cells: int, pixel: int, x: Array, at: int, stride: int
) -> Any:
    """One pixel from its taps."""
    first = x[at + clipped(start[pixel], 0, cells) * stride]
    if lerp:
        second = x[at + clipped(start[pixel], 1, cells) * stride]
        return first + (second - first) * weights[pixel, 1]
    total = first * weights[pixel, 0]
    for tap in range(1, weights.shape[1]):
        total += x[at + clipped(start[pixel], tap, cells) * stride] * weights[pixel, tap]
    return total


@kernel
def taps_mask(x: Array, rows: Any, columns: Any, threshold: Any, row: Array, mask: Array) -> None:
    """Tables of any taps: a pixel none of whose taps' cells is above is not above."""
    row_start, row_weights, row_lerp, height = rows
    column_start, column_weights, column_lerp, width = columns
    for y in range(len(row_start)):
        for c in range(width):
            row[c] = blend(row_start, row_weights, row_lerp, height, y, x, c, width)
        for p in range(len(column_start)):
            if not blend(column_start, column_weights, column_lerp, width, p, row, 0, 1) > threshold:
                continue
            touched = False
            for i in range(row_weights.shape[1]):
                line = clipped(row_start[y], i, height) * width
                for j in range(column_weights.shape[1]):
                    touched |= x[line + clipped(column_start[p], j, width)] > threshold
            if touched:
                put_bits(mask, y * len(column_start) + p, ONE, 1)


@kernel
def count_units(
    unit_start: Array, images: Array, cell_start: Array, cells: Array, values: Array, code: int, map_width: int,
    cursor: Array, first_image: int, thresholds: Array, rows: Any, row_first: Array, columns: Any,
    column_first: Array, ring: bool, plane_start: Array, concept: Array, word_row: Array, words: Array,
    category: Array, has_present: bool, present: Array, intersection: Array, unit_area: Array, mask_area: Array,
    first: int, last: int,
) -> None:  # fmt: skip
    height, width = rows[3], columns[3]
    pixels = len(columns[0])
    lerp = rows[2] and columns[2]
    border = 1 if ring else 0
    x, row = np.empty(height * width, np.float32), np.empty(width + 2, np.float32)
    rows_above = np.zeros(height, np.bool_)
    mask = np.zeros(words.shape[1] + 1, np.uint64)
    under = np.zeros(unit_area.shape[1], np.bool_)
    for unit in range(first, last):
        threshold = thresholds[unit]
        around = ring and threshold < ZERO
        x[:] = threshold  # absent cells read as the threshold
        if ring:
            for y in range(height):
                x[y * width] = x[y * width + width - 1] = ZERO
            for c in range(width):
                x[c] = x[(height - 1) * width + c] = ZERO
        r = cursor[unit]
        while r < unit_start[unit + 1]:
            image = np.int64(images[r]) - first_image
            if image >= len(plane_start) - 1:
                break
            top, bottom, left, right = height, -1, width, -1
            for j in range(cell_start[r], cell_start[r + 1]):
                y, c = row_column(cells[j], map_width)
                y, c, v = y + border, c + border, widen(values[j], code)
                x[y * width + c] = v
                if v > threshold:
                    rows_above[y] = True
                    top, bottom, left, right = min(top, y), max(bottom, y), min(left, c), max(right, c)
            if around:
                top, bottom, left, right = 0, height - 1, 0, width - 1
                rows_above[:] = True
            if bottom >= 0:
                begin, end = 0, len(rows[0])
                if lerp:
                    begin, end = int(row_first[max(top - 1, 0)]), int(row_first[bottom + 1])
                    lerp_mask(
                        x, rows, row_first, columns, column_first, threshold, top, bottom, left, right, rows_above,
                        row, mask,
                    )  # fmt: skip
                else:
                    taps_mask(x, rows, columns, threshold, row, mask)
                begin, end = begin * pixels // 64, (end * pixels + 63) // 64
                area = 0
                for i in range(begin, end):
                    area += popcount(mask[i])
                mask_area[unit] += area
                if area:
                    under[:] = False
                    for p in range(plane_start[image], plane_start[image + 1]):
                        shared = area
                        if word_row[p] >= 0:
                            shared = 0
                            plane = words[word_row[p]]
                            for i in range(begin, end):
                                shared += popcount(mask[i] & plane[i])
                        intersection[unit, concept[p]] += shared
                        if shared:
                            under[category[concept[p]]] = True
                    for q in range(len(under)):
                        if present[image, q] if has_present else under[q]:
                            unit_area[unit, q] += area
                mask[begin:end] = NONE
            for j in range(cell_start[r], cell_start[r + 1]):
                y, c = row_column(cells[j], map_width)
                x[(y + border) * width + c + border] = threshold
            rows_above[:] = False
            r += 1
        cursor[unit] = r


def axes(upsampling: Upsampling) -> tuple[tuple[Array, Array, bool, int], tuple[Array, Array, bool, int]]:
    """(start, weights, lerp, cells) of rows and columns; with a ring they count its cells too."""

    def axis(table: AxisTable, cells: int) -> tuple[Array, Array, bool, int]:
        return fixed(table.start), fixed(table.weights), bool(table.lerp), int(cells) + 2 * upsampling.ring

    return axis(upsampling.rows, upsampling.cells[0]), axis(upsampling.columns, upsampling.cells[1])


def _first_pixels(start: Array, cells: int) -> Array:
    """The first pixel whose start is at or past each cell, [cells + 1]."""
    return fixed(np.searchsorted(start, np.arange(cells + 1)).astype(np.int32))


def count(
    cells: SparseActivations, cursor: Array, first_image: int, thresholds: Array, upsampling: Upsampling,
    planes: Planes, category: Array, present: Array | None, intersection: Array, unit_area: Array,
    mask_area: Array, threads: int,
) -> None:  # fmt: skip
    rows, columns = axes(upsampling)
    shown = np.zeros((0, 0), np.bool_) if present is None else present
    inputs = (
        *(fixed(a) for a in (cells.unit_start, cells.images, cells.cell_start, cells.cells)),
        bits(cells.values), CODE[cells.kind], cells.shape[3], cursor, int(first_image), fixed(thresholds),
        rows, _first_pixels(rows[0], rows[3]), columns, _first_pixels(columns[0], columns[3]), upsampling.ring,
        *(fixed(a) for a in (planes.plane_start, planes.concept, planes.word_row, planes.words, category)),
        present is not None, fixed(shown), intersection, unit_area, mask_area,
    )  # fmt: skip
    share(threads, len(thresholds), lambda first, last, _: count_units(*inputs, first, last))
