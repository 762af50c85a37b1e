"""descend_masks and predict_masks in Numba: as csrc/cpu/net2vec.inc.hpp, a mask row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdissect.kernels.concept_masks import ActiveCells, ConceptImages, Descent, Rule, map_tables
from fastdissect.kernels.jit_numbers import Array, fixed, kernel, share
from fastdissect.types import Upsampling

__all__ = ["descend_masks", "predict_masks"]

_ZERO, _ONE = np.float32(0), np.float32(1)
_LOG2E, _LOWEST, _MAGIC = np.float32(1.44269502), np.float32(-125), np.float32(12582912)
_P5, _P4 = np.float32(0.0013264726148918271), np.float32(0.009671512991189957)
_P3, _P2, _P1 = (
    np.float32(0.05550733581185341),
    np.float32(0.24022242426872253),
    np.float32(0.6931470036506653),
)
_LANES = 16


@kernel
def exp_minus_abs(x: Any) -> Any:
    t = max(np.float32(-abs(x)) * _LOG2E, _LOWEST)
    whole = np.float32(t + _MAGIC)
    f = t - (whole - _MAGIC)
    p = _P5 * f + _P4
    p = p * f + _P3
    p = p * f + _P2
    p = p * f + _P1
    p = np.float32(p * f + _ONE)
    return np.uint32(p.view(np.uint32) + np.uint32(whole.view(np.uint32) << np.uint32(23))).view(np.float32)


@kernel
def is_negative(x: Any) -> Any:
    return np.float32(x).view(np.uint32) >> np.uint32(31) != np.uint32(0)


@kernel
def gather(
    image_start: Array, unit: Array, cell: Array, spread: int, image: int, weights: Array, kept: Array, bias: Any,
    has_bias: bool, z: Array, used: Array,
) -> bool:  # fmt: skip
    """z, and which cells matter; False: none does."""
    width = z.shape[1]
    z[:] = bias
    used[:] = has_bias
    any_cell = has_bias
    for e in range(image_start[image], image_start[image + 1]):
        if kept[unit[e]]:
            at = cell[e] * spread
            z[at // width, at % width] += weights[unit[e]]
            used[at // width, at % width] = True
            any_cell = True
    return any_cell


@kernel
def along_rows(z: Array, column_start: Array, column_fraction: Array, rows: Array) -> None:
    for r in range(z.shape[0]):
        for x in range(len(column_start)):
            c = column_start[x]
            rows[r, x] = z[r, c] + (z[r, c + 1] - z[r, c]) * column_fraction[x]


@kernel
def show(words: Array, row: int, first: int, label: Array) -> None:
    """A mask row's pixels, from pixel `first` on."""
    for x in range(len(label)):
        p = first + x
        label[x] = True if row < 0 else (words[row, p >> 6] >> np.uint64(p & 63)) & np.uint64(1) != 0


@kernel
def descend_image(
    rows: Array, row_start: Array, row_fraction: Array, words: Array, word_row: int, inside: Any, outside: Any,
    cross_entropy: bool, used: Array, hats: Array, sums: Array, bands: Array, label: Array, d: Array,
) -> None:  # fmt: skip
    """d[r, c], the derivative of the loss by the cell, for the used cells."""
    height, width = used.shape
    columns = rows.shape[1]
    sums[:] = _ZERO
    y = 0
    for r in range(height - 1):
        last = y
        while last < len(row_start) and row_start[last] == r:
            last += 1
        if used[r].any() or used[r + 1].any():
            total, weighted = bands[0], bands[1]
            bands[:] = _ZERO
            for line in range(y, last):
                fraction = row_fraction[line]
                show(words, word_row, line * columns, label)
                for x in range(columns):
                    s = rows[r, x] + (rows[r + 1, x] - rows[r, x]) * fraction
                    e = exp_minus_abs(s)
                    whole = _ONE + e
                    if cross_entropy:
                        slope = (e if is_negative(s) != label[x] else _ONE) / whole
                    else:
                        slope = e / (whole * whole)
                    g = (inside if label[x] else outside) * slope
                    total[x] += g
                    weighted[x] += g * fraction
            for x in range(columns):
                sums[r, x] += total[x] - weighted[x]
                sums[r + 1, x] += weighted[x]
        y = last
    lanes = np.zeros(_LANES, np.float32)
    for r in range(height):
        for c in range(width):
            if used[r, c]:
                lanes[:] = _ZERO
                for x in range(columns):
                    lanes[x & (_LANES - 1)] += sums[r, x] * hats[c, x]
                half = _LANES // 2
                while half:
                    for i in range(half):
                        lanes[i] += lanes[i + half]
                    half //= 2
                d[r, c] = lanes[0]


@kernel
def sign(x: Any) -> Any:
    return _ONE if x > _ZERO else (-_ONE if x < _ZERO else _ZERO)


@kernel
def descend_tasks(
    image_start: Array, unit: Array, cell: Array, spread: int, concept_start: Array, image: Array, word_row: Array,
    words: Array, row_start: Array, row_fraction: Array, column_start: Array, column_fraction: Array, hats: Array,
    height: int, concept: Array, kept: Array, inside: Array, outside: Array, weights: Array, velocity: Array,
    bias: Array, bias_velocity: Array, rate: Any, momentum: Any, batch: int, l1: Any, l2: Any, has_bias: bool,
    positive: bool, cross_entropy: bool, order: Array, first_task: int, last_task: int,
) -> None:  # fmt: skip
    width, columns, units = hats.shape[0], len(column_start), weights.shape[1]
    z, d, used = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32), np.zeros((height, width), np.bool_)  # fmt: skip
    rows, sums = np.zeros((height, columns), np.float32), np.zeros((height, columns), np.float32)
    bands, label = np.zeros((2, columns), np.float32), np.zeros(columns, np.bool_)
    gradient = np.zeros(units, np.float32)
    for i in range(first_task, last_task):
        task = order[i]
        w, v, own = weights[task], velocity[task], kept[task]
        first, last = concept_start[concept[task]], concept_start[concept[task] + 1]
        for begin in range(first, last, batch):
            end = min(begin + batch, last)
            size = np.float32(end - begin)
            within, without = -(inside[task] / size), outside[task] / size
            gradient[:] = _ZERO
            bias_gradient = _ZERO
            for pair in range(begin, end):
                n = image[pair]
                offset = bias[task] if has_bias else _ZERO
                if not gather(image_start, unit, cell, spread, n, w, own, offset, has_bias, z, used):
                    continue
                along_rows(z, column_start, column_fraction, rows)
                descend_image(
                    rows, row_start, row_fraction, words, word_row[pair], within, without, cross_entropy, used, hats,
                    sums, bands, label, d,
                )  # fmt: skip
                for e in range(image_start[n], image_start[n + 1]):
                    if own[unit[e]]:
                        at = cell[e] * spread
                        gradient[unit[e]] += d[at // width, at % width]
                if has_bias:
                    for r in range(height):
                        for c in range(width):
                            bias_gradient = np.float32(bias_gradient + d[r, c])
            for k in range(units):
                if own[k]:
                    v[k] = momentum * v[k] + (gradient[k] + (l1 * sign(w[k]) + l2 * w[k]))
                    w[k] -= rate * v[k]
                    if positive and w[k] < _ZERO:
                        w[k] = _ZERO
            if has_bias:
                bias_velocity[task] = momentum * bias_velocity[task] + bias_gradient
                bias[task] -= rate * bias_velocity[task]


@kernel
def predict_tasks(
    image_start: Array, unit: Array, cell: Array, spread: int, concept_start: Array, image: Array, word_row: Array,
    words: Array, row_start: Array, row_fraction: Array, column_start: Array, column_fraction: Array, hats: Array,
    height: int, concept: Array, start: Array, weights: Array, bias: Array, has_bias: bool, area: Array,
    shared: Array, first_task: int, last_task: int,
) -> None:  # fmt: skip
    width, columns = hats.shape[0], len(column_start)
    z, used = np.zeros((height, width), np.float32), np.zeros((height, width), np.bool_)
    rows, label = np.zeros((height, columns), np.float32), np.zeros(columns, np.bool_)
    every = np.ones(weights.shape[1], np.bool_)
    for task in range(first_task, last_task):
        for n in range(start[task], start[task + 1]):
            pair = concept_start[concept[task]] + n - start[task]
            area[n] = shared[n] = 0
            own = bias[task] if has_bias else _ZERO
            if not gather(image_start, unit, cell, spread, image[pair], weights[task], every, own, has_bias, z, used):  # fmt: skip
                continue
            along_rows(z, column_start, column_fraction, rows)
            for y in range(len(row_start)):
                r, fraction = row_start[y], row_fraction[y]
                show(words, word_row[pair], y * columns, label)
                for x in range(columns):
                    if rows[r, x] + (rows[r + 1, x] - rows[r, x]) * fraction > _ZERO:
                        area[n] += 1
                        shared[n] += label[x]


def _inputs(cells: ActiveCells, shown: ConceptImages, upsampling: Upsampling) -> tuple[Any, ...]:
    tables = map_tables(upsampling)
    (height, width), columns = tables.cells, len(tables.column_start)
    hats = np.zeros((width, columns), np.float32)
    x = np.arange(columns)
    hats[tables.column_start, x] = _ONE - tables.column_fraction
    hats[tables.column_start + 1, x] = tables.column_fraction
    spread = width if cells.shape[3] == 1 else 1
    arrays = (cells.image_start, cells.unit, cells.cell)
    pairs = (shown.concept_start, shown.image, shown.row, shown.words)
    return (
        *(fixed(a) for a in arrays), spread, *(fixed(a) for a in pairs), *(fixed(a) for a in tables[1:]), fixed(hats), height,
    )  # fmt: skip


def descend_masks(
    cells: ActiveCells, shown: ConceptImages, upsampling: Upsampling, state: Descent, rule: Rule, order: Array,
    threads: int,
) -> None:  # fmt: skip
    given = (fixed(a) for a in (state.concept, state.kept, state.inside, state.outside))
    numbers = (np.float32(x) for x in (rule.rate, rule.momentum, rule.l1, rule.l2))
    rate, momentum, l1, l2 = numbers
    inputs = (
        *_inputs(cells, shown, upsampling), *given, state.weights, state.velocity, state.bias, state.bias_velocity,
        rate, momentum, rule.batch, l1, l2, rule.bias, rule.positive, rule.cross_entropy,
    )  # fmt: skip
    dealt = [
        order[thread::threads] for thread in range(threads)
    ]  # the order is by size: everyone gets of each
    share(
        threads,
        len(dealt),
        lambda first, last, _: [descend_tasks(*inputs, fixed(own), 0, len(own)) for own in dealt[first:last]],
    )


def predict_masks(
    cells: ActiveCells, shown: ConceptImages, upsampling: Upsampling, concept: Array, start: Array, weights: Array,
    bias: Array | None, area: Array, shared: Array, threads: int,
) -> None:  # fmt: skip
    own = np.zeros(len(concept), np.float32) if bias is None else bias
    inputs = (
        *_inputs(cells, shown, upsampling), fixed(concept), fixed(start), fixed(weights), fixed(own), bias is not None,
        area, shared,
    )  # fmt: skip
    share(threads, len(concept), lambda first, last, _: predict_tasks(*inputs, first, last))
