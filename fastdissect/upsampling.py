"""Upsampling tables: how a map of cells becomes a mask of pixels, computed once on the host in float64.

Every backend gets the same tables, so all of them do the same float32 arithmetic (DESIGN section 3):

    v = t + (b - t) * fy        vertical first, between the row above (t) and the row below (b)
    p = l + (r - l) * fx        then horizontal; every operation rounded to float32, nothing fused

Why a pixel can exceed T only if one of its corner cells does (the ground of the sparse counting): for a
weight f <= 1 - 2**-22 the rounded product rn(rn(b - t) * f) never exceeds the real b - t, because
(1 + u)**2 f < 1; so t + p <= max(t, b), and rounding is monotone. Sizes are limited to 65,536 pixels an
axis, which keeps f that far below 1. Tables with more taps (PIL's antialiasing) have no such property; for
them the rule is part of the definition: a pixel none of whose taps' cells exceeds T is not above.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from fastdissect.errors import LayerError, SettingError, nearest
from fastdissect.types import AxisTable, Upsampling

__all__ = ["MODES", "AxisField", "make_upsampling"]

MODES = ("half-pixel", "receptive-field", "half-pixel-zero", "pil")
_LIMIT = 65536


class AxisField(NamedTuple):
    """Receptive field of a layer along one axis, in input pixels (METHODS 1.3a)."""

    offset: int
    size: int
    stride: int


def make_upsampling(
    mode: str,
    cells: tuple[int, int],
    size: tuple[int, int],
    *,
    fields: tuple[AxisField, AxisField] | None = None,
    input_size: tuple[int, int] | None = None,
    layer: str = "",
) -> Upsampling:
    """Return the tables that turn a map of `cells` (height, width) into a mask of `size` (height, width).

    Args:
        mode: "half-pixel" (our default: half-pixel centres, edges held; METHODS 1.3b), "receptive-field"
            (NetDissect 2017: needs `fields` and `input_size`), "half-pixel-zero" (dissect 2020: a virtual
            ring of zero cells), "pil" (NetDissect-Lite: as half-pixel, but antialiasing when shrinking).

    Raises:
        SettingError: unknown mode, empty or huge sizes.
        LayerError: a receptive field whose step is below one mask pixel.

    >>> make_upsampling("half-pixel", (2, 2), (4, 4)).rows.weights[:, 1].tolist()
    [0.0, 0.25, 0.75, 0.0]
    """
    if mode not in MODES:
        raise SettingError(
            f"expected an upsampling mode of {', '.join(MODES)}; got {mode!r}{nearest(mode, MODES)}"
        )
    for what, sizes in (("map", cells), ("mask", size)):
        if not all(1 <= s <= _LIMIT for s in sizes):
            raise SettingError(f"expected a {what} of 1 to {_LIMIT} in height and width; got {sizes}")
    if mode == "receptive-field":
        if fields is None or input_size is None:
            raise SettingError('upsampling "receptive-field" needs the layer\'s fields and the input size')
        tables = [
            _centred(n, m, field, i, layer)
            for n, m, field, i in zip(cells, size, fields, input_size, strict=True)
        ]
    else:
        make = {"half-pixel": _half_pixel, "half-pixel-zero": _half_pixel_zero, "pil": _pil}[mode]
        tables = [make(n, m) for n, m in zip(cells, size, strict=True)]
    return Upsampling(mode, cells, size, tables[0], tables[1], ring=mode == "half-pixel-zero")


def _lerp(position: np.ndarray) -> AxisTable:
    """Two taps at floor(position) and the next cell; position >= 0, in cells."""
    start = np.floor(position)
    weight = (position - start).astype(np.float32)
    weights = np.stack([np.float32(1) - weight, weight], axis=1)
    return AxisTable(start.astype(np.int32), weights, lerp=True)


def _half_pixel(n: int, m: int) -> AxisTable:
    pixel = np.arange(m, dtype=np.float64)
    return _lerp(np.clip((pixel + 0.5) * n / m - 0.5, 0, n - 1))


def _half_pixel_zero(n: int, m: int) -> AxisTable:
    """Positions in the ringed map: cell -1 is its cell 0. Never below 0.5 nor above n + 0.5."""
    pixel = np.arange(m, dtype=np.float64)
    return _lerp(np.clip((pixel + 0.5) * n / m - 0.5 + 1, 0, n + 1))


def _centred(n: int, m: int, field: AxisField, input_size: int, layer: str) -> AxisTable:
    """Cells at the centres of their receptive fields (NetDissect 2017, METHODS 1.3a)."""
    reduction = max(1, round(Fraction(input_size, m)))
    step = field.stride // reduction
    if step < 1:
        raise LayerError(
            f"layer {layer!r}: its receptive fields step {field.stride} input pixels, less than one mask pixel "
            f"({reduction}); use upsampling='half-pixel' for it"
        )
    first = (field.size // 2 + field.offset) // reduction
    pixel = np.arange(m, dtype=np.float64)
    return _lerp(np.clip((pixel - first) / step, 0, n - 1))


def _pil(n: int, m: int) -> AxisTable:
    """Pillow's BILINEAR: a triangle as wide as the reduction; half-pixel interpolation when enlarging."""
    if n <= m:
        return _half_pixel(n, m)
    scale = n / m
    centre = (np.arange(m, dtype=np.float64) + 0.5) * scale
    start = np.maximum((centre - scale + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + scale + 0.5).astype(np.int64), n)
    taps = int((stop - start).max())
    cell = start[:, None] + np.arange(taps)
    weights = np.clip(1 - np.abs((cell - centre[:, None] + 0.5) / scale), 0, None)
    weights[cell >= stop[:, None]] = 0
    weights /= weights.sum(1, keepdims=True)
    # the last pixels' windows slide back so that all taps lie on the map
    shift = np.maximum(start + taps - n, 0)
    for i in np.flatnonzero(shift):
        weights[i] = np.roll(weights[i], shift[i])
    return AxisTable((start - shift).astype(np.int32), weights.astype(np.float32), lerp=False)
