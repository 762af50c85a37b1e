"""Inputs for the kernel tests: values, strides, bounds, label planes; and the comparison by bits."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastdissect.kernels.keys import keys, widen
from fastdissect.types import ActivationView, Kind, Planes, SparseActivations, Upsampling, words_for

KINDS: tuple[Kind, ...] = ("float32", "float16", "bfloat16")
HUGE = np.float32(2.0**127 * (1 - 2.0**-24))  # the last usable value; 2**127 itself is not
Array = NDArray[Any]


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal in every bit, dtype and shape; NaN equals NaN."""
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        assert a.tobytes() == b.tobytes(), f"{where}: {a} != {b}"
    elif dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b or bool(np.isnan(a) and np.isnan(b)), f"{where}: {a} != {b}"


def encode(x: Array, kind: Kind) -> Array:
    """float32 -> the kind's array (bfloat16: its bits, cut off)."""
    x = np.ascontiguousarray(x, np.float32)
    if kind == "bfloat16":
        return (x.view(np.uint32) >> 16).astype(np.uint16)
    return np.clip(x, -65504, 65504).astype(np.float16) if kind == "float16" else x


VALUES = ("normal", "relu", "ties", "constant", "zeros", "denormal", "huge", "wide")


def values(rng: np.random.Generator, shape: tuple[int, ...], flavour: str) -> NDArray[np.float32]:
    """Finite, usable float32 values [N, K, ...] of one flavour."""
    x = rng.normal(size=shape).astype(np.float32)
    if flavour == "relu":
        return np.maximum(x - 1, 0)
    if flavour == "ties":
        return np.round(x)
    if flavour == "constant":
        return np.broadcast_to(x[:1, :, :1, :1], shape).copy()
    if flavour == "zeros":
        return np.where(x > 0, np.float32(0), np.float32(-0.0))
    if flavour == "denormal":
        return x * np.float32(2.0**-140)
    if flavour == "huge":
        return np.where(rng.random(shape) < 0.5, np.copysign(HUGE, x), x)
    if flavour == "wide":
        return np.ldexp(x, rng.integers(-60, 60, shape)).astype(np.float32)
    return x


def _padded(data: Array) -> Array:
    n, k, h, w = data.shape
    base = np.zeros((n + 2, k + 3, h + 1, 2 * w + 1), data.dtype)
    view = base[1 : n + 1, 2 : k + 2, :h, 1::2][..., :w]
    view[:] = data
    return view


def _backwards(data: Array) -> Array:
    return np.ascontiguousarray(data[::-1, ::-1, ::-1, ::-1])[::-1, ::-1, ::-1, ::-1]


def _read_only(data: Array) -> Array:
    view = data.view()
    view.flags.writeable = False
    return view


LAYOUTS = {
    "nchw": np.ascontiguousarray,
    "nhwc": lambda d: np.ascontiguousarray(d.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "ntc": lambda d: np.ascontiguousarray(d.transpose(0, 3, 2, 1)).transpose(0, 3, 2, 1),
    "cnhw": lambda d: np.ascontiguousarray(d.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3),
    "sliced": _padded,
    "backwards": _backwards,
    "read-only": _read_only,
}


def view_of(data: Array, kind: Kind, layout: str = "nchw") -> ActivationView:
    """float32 [N, K, h, w] -> activations of this kind in this layout."""
    return ActivationView(LAYOUTS[layout](encode(data, kind)), kind)


def bounds_for(
    rng: np.random.Generator, view: ActivationView, quantiles: tuple[float, ...]
) -> NDArray[np.uint32]:
    """For each unit one of its own values (so that there are ties at the bound); a negative quantile: none yet."""
    x = widen(view.data, view.kind)
    bounds = np.zeros(x.shape[1], np.uint32)
    for unit, q in enumerate(rng.choice(quantiles, x.shape[1])):
        if q >= 0 and x.shape[0]:
            bounds[unit] = keys(np.sort(x[:, unit], axis=None)[[int(q * (x[:, unit].size - 1))]])[0]
    return bounds


QUANTILES = (-1.0, 0.0, 0.3, 0.8, 0.95, 1.0)


@st.composite
def activations(draw: st.DrawFn, quantiles: tuple[float, ...] = QUANTILES, largest: int = 12) -> Any:
    """(view, bounds, generator): small activations of any kind, layout and flavour."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = tuple(draw(st.integers(1, top)) for top in (4, 40, largest, largest))
    flavour = draw(st.sampled_from(VALUES))
    kind, layout = draw(st.sampled_from(KINDS)), draw(st.sampled_from(sorted(LAYOUTS)))
    view = view_of(values(rng, shape, flavour), kind, layout)
    return view, bounds_for(rng, view, quantiles), rng


def planes_of(
    rng: np.random.Generator, images: int, size: tuple[int, int], concepts: int, most: int, whole: float = 0.2
) -> Planes:
    """Random label planes; a share `whole` of them covers its image and has no words."""
    pixels = size[0] * size[1]
    counts = rng.integers(0, most + 1, images)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    concept = np.concatenate([np.sort(rng.permutation(concepts)[:n]) for n in counts] or [np.zeros(0)])
    masks = rng.random((start[-1], pixels)) < rng.random((start[-1], 1))
    covers = rng.random(start[-1]) < whole
    masks[covers] = True
    row = np.where(covers, -1, np.cumsum(~covers) - 1).astype(np.int64)
    words = pack_loop(masks[~covers])
    return Planes(size, start, concept.astype(np.int32), masks.sum(1).astype(np.int64), row, words)


def pack_loop(masks: Array) -> NDArray[np.uint64]:
    """bool [rows, pixels] -> words, bit by bit."""
    words = np.zeros((len(masks), words_for(masks.shape[1])), np.uint64)
    for row, pixel in np.argwhere(masks):
        words[row, pixel // 64] |= np.uint64(1) << np.uint64(pixel % 64)
    return words


def dense_planes(planes: Planes, image: int, concepts: int) -> NDArray[np.bool_]:
    """bool [concepts, pixels] of one image."""
    pixels = planes.size[0] * planes.size[1]
    dense = np.zeros((concepts, pixels), bool)
    for p in range(planes.plane_start[image], planes.plane_start[image + 1]):
        row = planes.word_row[p]
        for pixel in range(pixels):
            bit = row < 0 or int(planes.words[row, pixel // 64]) >> (pixel % 64) & 1
            dense[planes.concept[p], pixel] |= bool(bit)
    return dense


def grouped(cells: SparseActivations) -> tuple[Array, Array]:
    """(start, values) of a store's values by unit."""
    return cells.cell_start[cells.unit_start], cells.values


def split(view: ActivationView, *edges: int) -> list[ActivationView]:
    """The same images in several batches."""
    ends = [0, *edges, view.data.shape[0]]
    return [ActivationView(view.data[a:b], view.kind) for a, b in itertools.pairwise(ends)]


def upsample_loop(x: NDArray[np.float32], table: Upsampling) -> NDArray[np.float32]:
    """One map [h, w] -> [H, W], pixel by pixel in the stated arithmetic: vertical first, each step float32."""
    if table.ring:
        x = np.pad(x, 1)
    f = np.float32

    def mix(taps: list[Any], weights: list[Any], lerp: bool) -> Any:
        if lerp:
            return f(taps[0] + f(f(taps[1] - taps[0]) * weights[1]))
        total = f(taps[0] * weights[0])
        for tap, weight in zip(taps[1:], weights[1:], strict=True):
            total = f(total + f(tap * weight))
        return total

    def along(cells: list[Any], axis: Any) -> list[Any]:
        return [
            mix([cells[min(s + t, len(cells) - 1)] for t in range(axis.taps)], list(weights), axis.lerp)
            for s, weights in zip(axis.start.tolist(), axis.weights, strict=True)
        ]

    columns = [along(list(x[:, c]), table.rows) for c in range(x.shape[1])]
    rows = [along([column[y] for column in columns], table.columns) for y in range(table.size[0])]
    return np.array(rows, np.float32)
