"""The kernels of Net2Vec in NumPy: what `descend_masks` and `predict_masks` mean, to the bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.concept_masks import ActiveCells, ConceptImages, Descent, MapTables, Rule, map_tables
from fastdissect.types import Upsampling

__all__ = ["descend_masks", "exp_minus_abs", "predict_masks"]

Floats = NDArray[np.float32]
_F = np.float32
_MAGIC = _F(12582912.0)  # 1.5 * 2**23: adding it rounds to a whole number, in the low bits
_POWER = [
    _F(c)
    for c in (
        *(0.0013264726148918271, 0.009671512991189957, 0.05550733581185341, 0.24022242426872253),
        *(0.6931470036506653, 1.0),
    )
]
_LANES = 16


def exp_minus_abs(x: Floats) -> Floats:
    """exp(-|x|), from 1 down to 2**-125, with a relative error below 2e-7: 2**(n + f), a polynomial for 2**f."""
    t = np.maximum(-np.abs(x) * _F(1.44269502), _F(-125))
    whole = t + _MAGIC
    f = t - (whole - _MAGIC)
    p = np.full_like(f, _POWER[0])
    for coefficient in _POWER[1:]:
        p = p * f + coefficient
    shifted = whole.view(np.uint32) << np.uint32(23)
    found: Floats = (p.view(np.uint32) + shifted).view(np.float32)
    return found


def descend_masks(
    cells: ActiveCells,
    shown: ConceptImages,
    upsampling: Upsampling,
    state: Descent,
    rule: Rule,
    order: NDArray[np.int64],
) -> None:
    tables = map_tables(upsampling)
    for task in order:
        c = state.concept[task]
        first, last = shown.concept_start[c], shown.concept_start[c + 1]
        for begin in range(first, last, rule.batch):
            end = min(begin + rule.batch, last)
            inside, outside = -(state.inside[task] / _F(end - begin)), state.outside[task] / _F(end - begin)
            gradient, bias_gradient = np.zeros(len(state.kept[task]), np.float32), _F(0)
            for pair in range(begin, end):
                unit, at = _active(cells, shown.image[pair], state.kept[task], tables)
                if not (len(unit) or rule.bias):
                    continue
                z = _map(unit, at, state.weights[task], state.bias[task] if rule.bias else _F(0), tables)
                s = _spread(z, tables)
                label = _label(shown, pair, s.shape)
                g = np.where(label, inside, outside) * _slope(s, label, rule.cross_entropy)
                d = _gather(g, tables).reshape(-1)
                np.add.at(gradient, unit, d[at])
                if rule.bias:
                    bias_gradient = np.cumsum(np.append(bias_gradient, d), dtype=np.float32)[-1]
            _step(state, task, gradient, bias_gradient, rule)


def predict_masks(
    cells: ActiveCells,
    shown: ConceptImages,
    upsampling: Upsampling,
    concept: NDArray[np.int64],
    start: NDArray[np.int64],
    weights: Floats,
    bias: Floats | None,
    area: NDArray[np.int64],
    shared: NDArray[np.int64],
) -> None:
    tables = map_tables(upsampling)
    kept = np.ones(cells.shape[1], np.bool_)
    for task, c in enumerate(concept):
        for i in range(start[task + 1] - start[task]):
            pair = shown.concept_start[c] + i
            unit, at = _active(cells, shown.image[pair], kept, tables)
            z = _map(unit, at, weights[task], _F(0) if bias is None else bias[task], tables)
            mask = _spread(z, tables) > 0
            area[start[task] + i] = np.count_nonzero(mask)
            shared[start[task] + i] = np.count_nonzero(mask & _label(shown, pair, mask.shape))


def _step(state: Descent, task: int, gradient: Floats, bias_gradient: np.float32, rule: Rule) -> None:
    rate, momentum, l1, l2 = (_F(x) for x in (rule.rate, rule.momentum, rule.l1, rule.l2))
    own = state.kept[task]
    w, v = state.weights[task][own], state.velocity[task][own]
    v = momentum * v + (gradient[own] + (l1 * np.sign(w) + l2 * w))
    w = w - rate * v
    state.velocity[task, own] = v
    state.weights[task, own] = np.where(w < 0, _F(0), w) if rule.positive else w
    if rule.bias:
        state.bias_velocity[task] = momentum * state.bias_velocity[task] + bias_gradient
        state.bias[task] -= rate * state.bias_velocity[task]


def _active(
    cells: ActiveCells, image: np.int64, kept: NDArray[np.bool_], tables: MapTables
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Units and cells of the padded map, in their order."""
    own = slice(cells.image_start[image], cells.image_start[image + 1])
    unit = cells.unit[own]
    row, column = np.divmod(cells.cell[own].astype(np.int64), cells.shape[3])
    return unit[kept[unit]], (row * tables.cells[1] + column)[kept[unit]]


def _map(
    unit: NDArray[np.int32], at: NDArray[np.int64], weights: Floats, bias: np.float32, tables: MapTables
) -> Floats:
    z = np.full(tables.cells[0] * tables.cells[1], bias, np.float32)
    np.add.at(z, at, weights[unit])
    return z.reshape(tables.cells)


def _spread(z: Floats, tables: MapTables) -> Floats:
    """[h, w] -> [H, W]: along x first."""
    at, fraction = tables.column_start, tables.column_fraction
    rows = z[:, at] + (z[:, at + 1] - z[:, at]) * fraction
    at, part = tables.row_start, tables.row_fraction[:, None]
    spread: Floats = rows[at] + (rows[at + 1] - rows[at]) * part
    return spread


def _slope(s: Floats, label: NDArray[np.bool_], cross_entropy: bool) -> Floats:
    e = exp_minus_abs(s)
    whole = _F(1) + e
    if not cross_entropy:
        return np.asarray(e / (whole * whole), np.float32)
    high = np.signbit(s) == label  # -s on the concept, s beside it, is not negative
    return np.asarray(np.where(high, _F(1), e) / whole, np.float32)


def _gather(g: Floats, tables: MapTables) -> Floats:
    """The adjoint of `_spread`, [H, W] -> [h, w]: band by band, then 16 lanes of columns."""
    height, width = tables.cells
    padded = -(-g.shape[1] // _LANES) * _LANES
    sums = np.zeros((height, padded), np.float32)
    for r in range(height - 1):
        total = weighted = np.zeros(g.shape[1], np.float32)
        for y in np.flatnonzero(tables.row_start == r):
            total = total + g[y]
            weighted = weighted + g[y] * tables.row_fraction[y]
        sums[r, : g.shape[1]] += total - weighted
        sums[r + 1, : g.shape[1]] += weighted
    hats = np.zeros((width, padded), np.float32)
    x = np.arange(g.shape[1])
    hats[tables.column_start, x] = _F(1) - tables.column_fraction
    hats[tables.column_start + 1, x] = tables.column_fraction
    terms = (sums[:, None] * hats).reshape(height, width, -1, _LANES)
    lanes = np.zeros((height, width, _LANES), np.float32)
    for b in range(terms.shape[2]):
        lanes = lanes + terms[:, :, b]
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
    return lanes[..., 0]


def _label(shown: ConceptImages, pair: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if shown.row[pair] < 0:
        return np.ones(shape, np.bool_)
    words = shown.words[shown.row[pair]].astype("<u8").view(np.uint8)
    bits = np.unpackbits(words, count=shape[0] * shape[1], bitorder="little")
    return bits.astype(np.bool_).reshape(shape)
