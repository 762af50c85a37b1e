"""Small inputs for every kernel: nothing is a multiple of a warp, and values tie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastdissect.kernels.keys import keys
from fastdissect.kernels.stores import copied
from fastdissect.types import ActivationView, Planes
from fastdissect.upsampling import make_upsampling

__all__ = ["cases", "result_of"]

KINDS = ("float32", "float16", "bfloat16")
IMAGES, UNITS, SIZE = 5, 37, (20, 24)  # nothing is a multiple of a warp
MAPS = ((7, 7), (9, 15), (1, 1), (33, 40))  # 1 x 1: fully connected; the last is larger than a block's share


def encoded(values: np.ndarray, kind: str) -> np.ndarray:
    """As the kind's array: float32, float16, or bfloat16's bits (cut off: any bits will do)."""
    if kind == "bfloat16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(kind)


def views(rng: np.random.Generator, few: bool) -> Iterator[tuple[str, ActivationView]]:
    """Maps with ties, zeros and negative values, of every kind, with units last and with cells last."""
    for number, (height, width) in enumerate(MAPS[:2] if few else MAPS):
        x = np.maximum(rng.standard_normal((IMAGES, UNITS, height, width)), -0.5).round(2)
        for kind in KINDS[:: 2 if few else 1]:
            data = encoded(x, kind)
            if number % 2:
                data = np.ascontiguousarray(data.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            yield f"{kind} {height}x{width}{' units last' * (number % 2)}", ActivationView(data, kind)


def planes(rng: np.random.Generator, kernels: Any) -> tuple[Planes, list[tuple[Any, ...]]]:
    """Labels of the images, packed by the host, and the arguments of each `pack`."""
    columns = np.arange(-1, 6, dtype=np.int32)
    asked = []
    for once in (True, False, True, False, True)[:IMAGES]:
        labels = rng.integers(0, 7, (2, 5, 6)).astype(np.int32 if once else np.uint16)
        asked.append((labels.repeat(4, 1).repeat(4, 2), columns, once))
    found = [kernels.pack(*arguments) for arguments in asked]
    start = np.cumsum([0, *(len(p.concept) for p in found)])
    concept, pixels, words = (np.concatenate([p[i] for p in found]) for i in range(3))
    return Planes(SIZE, start, concept, pixels, np.arange(len(concept)), words), asked


def cases(kernels: Any, few: bool = False) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """(name, kernel, arguments); what one kernel makes for another comes from `kernels`, on the host."""
    rng = np.random.default_rng(0)
    label_planes, asked = planes(rng, kernels)
    for number, arguments in enumerate(asked):
        yield f"pack {number}", "pack", arguments
    for name, view in views(rng, few):
        cells, kind = view.data.shape[2:], view.kind
        upsampling = make_upsampling("half-pixel", cells, SIZE)
        reach, cut = upsampling.reach, np.full(UNITS, 0.6, np.float32)
        low, high = keys(np.full(UNITS, 0.2, np.float32)), keys(cut)
        pieces = [ActivationView(view.data[i:j], kind) for i, j in ((0, 2), (2, IMAGES))]
        for piece in pieces:
            yield f"sift {name}", "sift", (piece, low, reach, False, False, 1)
        yield f"sift, no bound, {name}", "sift", (view, np.zeros(UNITS, np.uint32), 1, True, True, 1)
        parts = [kernels.sift(piece, low, reach, False, False, 1).cells for piece in pieces]
        yield f"prune {name}", "prune", (parts, high, reach, False, 1)
        yield f"filter {name}", "filter", (view, low, False, 1)
        starts = [part.cell_start[part.unit_start] for part in parts]
        held, ranks = [part.values for part in parts], np.tile([1, 3, 10**6], (UNITS, 1))
        yield f"join {name}", "join", (starts, held, kind, high, 1)
        yield f"select {name}", "select", (starts, held, kind, low, ranks, 1)
        yield f"raise_bounds {name}", "raise_bounds", (starts, held, kind, low, 2, 1)
        yield f"select_pixels {name}", "select_pixels", (parts, low, ranks, upsampling, 1)
        yield f"raise_pixels {name}", "raise_pixels", (parts, low, 4, upsampling, 1)
        for shift, prefix in ((16, None), (0, keys(cut) >> np.uint32(16))):
            yield (
                f"histogram {name}",
                "histogram",
                (view, shift, prefix, np.zeros((UNITS, 65536), np.int64), False, 1),
            )
        pruned = kernels.prune(parts, high, reach, False, 1)
        for present in (None, np.ones((IMAGES, 2), bool)):
            sums = [np.zeros(shape, np.int64) for shape in ((UNITS, 6), (UNITS, 2), (UNITS,))]
            cursor, category = copied(pruned.unit_start[:-1]), np.arange(6) % 2
            yield (
                f"count {name}",
                "count",
                (pruned, cursor, 0, cut, upsampling, label_planes, category, present, *sums, 1),
            )


WRITTEN = {"histogram": (3,), "count": (1, 8, 9, 10)}  # arguments that the kernel adds to, in place


def result_of(kernels: Any, kernel: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the kernel returns and what it has written; the arguments stay as they are."""
    own = list(arguments)
    for place in WRITTEN.get(kernel, ()):
        own[place] = copied(own[place])
    return getattr(kernels, kernel)(*own), *(own[place] for place in WRITTEN.get(kernel, ()))
