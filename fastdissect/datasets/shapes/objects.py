"""Things and their parts, as outlines in a frame of their own: x and y from -1 to 1, y down.

    house   roof, wall, door in the wall, window in the wall        car    body, window in the body, wheel
    tree    crown, trunk        face   eye, pupil in the eye, mouth        flower   petal, stem

disk, square, triangle, star and ring have no parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["OUTLINES", "Piece"]

Frame = NDArray[np.floating[Any]]  # float32 throughout
Outline = Callable[[Frame, Frame], NDArray[np.bool_]]


class Piece(NamedTuple):
    """A piece of a thing, painted over the pieces before it."""

    outline: Outline
    part: str | None = None  # its label; None for what has no name
    nested: bool = False  # lies in another part, whose label stays in the first channel
    paint: str = "main"  # "main" and "second" are drawn for each thing; a colour's name is fixed
    materials: tuple[str, ...] = ()  # one of these, labelled; () for a surface without material


def _ellipse(cx: float, cy: float, rx: float, ry: float) -> Outline:
    return lambda x, y: (
        np.square((x - np.float32(cx)) / np.float32(rx)) + np.square((y - np.float32(cy)) / np.float32(ry))
        <= np.float32(1)
    )


def _rectangle(left: float, top: float, right: float, bottom: float) -> Outline:
    return lambda x, y: (
        (x >= np.float32(left))
        & (x <= np.float32(right))
        & (y >= np.float32(top))
        & (y <= np.float32(bottom))
    )


def _wedge(top: float, bottom: float, slope: float, start: float = 0.0) -> Outline:
    """A triangle or trapezium that widens downwards: |x| <= start + slope (y - top)."""
    return lambda x, y: (
        (y >= np.float32(top))
        & (y <= np.float32(bottom))
        & (np.abs(x) <= np.float32(start) + np.float32(slope) * (y - np.float32(top)))
    )


def _any(*outlines: Outline) -> Outline:
    def union(x: Frame, y: Frame) -> NDArray[np.bool_]:
        found = outlines[0](x, y)
        for outline in outlines[1:]:
            found = found | outline(x, y)
        return found

    return union


def _ring(x: Frame, y: Frame) -> NDArray[np.bool_]:
    square = np.square(x) + np.square(y)
    return (square <= np.float32(1)) & (square >= np.float32(0.3))


def _star(x: Frame, y: Frame) -> NDArray[np.bool_]:
    # A pentagram: its points lie inside at least four of the five lines through its edges.
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.uint8)
    for i in range(5):
        angle = math.pi / 2 + 2 * math.pi * i / 5
        normal = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        inside += normal[0] * x + normal[1] * y <= np.float32(math.cos(2 * math.pi / 5))
    return inside >= 4


def _mouth(x: Frame, y: Frame) -> NDArray[np.bool_]:
    bow = np.float32(0.62) - np.float32(0.9) * np.square(x)
    return (np.abs(x) <= np.float32(0.52)) & (np.abs(y - bow) <= np.float32(0.11))


_PLAIN = ("painted", "metal", "wood", "brick", "fabric")

_petals = _any(
    *(
        _ellipse(
            0.42 * math.sin(2 * math.pi * i / 5), -0.3 - 0.42 * math.cos(2 * math.pi * i / 5), 0.27, 0.27
        )
        for i in range(5)
    )
)

OUTLINES: dict[str, tuple[Piece, ...]] = {
    "disk": (Piece(_ellipse(0, 0, 1, 1), materials=_PLAIN),),
    "square": (Piece(_rectangle(-0.8, -0.8, 0.8, 0.8), materials=_PLAIN),),
    "triangle": (Piece(_wedge(-1, 0.7, 0.55), materials=_PLAIN),),
    "star": (Piece(_star, materials=_PLAIN),),
    "ring": (Piece(_ring, materials=_PLAIN),),
    "house": (
        Piece(_rectangle(-0.75, -0.15, 0.75, 0.9), "wall", materials=("brick", "wood", "painted")),
        Piece(_wedge(-0.95, -0.15, 1.2), "roof", paint="second", materials=("painted", "metal")),
        Piece(_rectangle(-0.5, 0.25, -0.12, 0.9), "door", nested=True, paint="second", materials=("wood",)),
        Piece(_rectangle(0.1, 0.1, 0.55, 0.52), "window", nested=True, paint="white"),
    ),
    "car": (
        Piece(
            _any(_rectangle(-1, -0.08, 1, 0.45), _wedge(-0.55, -0.08, 0.5, 0.42)),
            "body",
            materials=("metal", "painted"),
        ),
        Piece(
            _any(_rectangle(-0.42, -0.43, -0.05, -0.08), _rectangle(0.05, -0.43, 0.42, -0.08)),
            "window",
            nested=True,
            paint="white",
        ),
        Piece(
            _any(_ellipse(-0.55, 0.45, 0.29, 0.29), _ellipse(0.55, 0.45, 0.29, 0.29)), "wheel", paint="black"
        ),
    ),
    "tree": (
        Piece(_rectangle(-0.15, 0.2, 0.15, 1), "trunk", materials=("wood",)),
        Piece(
            _any(_ellipse(0, -0.5, 0.5, 0.5), _ellipse(-0.4, 0, 0.42, 0.4), _ellipse(0.4, 0, 0.42, 0.4)),
            "crown",
            paint="green",
        ),
    ),
    "face": (
        Piece(_ellipse(0, 0, 0.92, 1)),
        Piece(
            _any(_ellipse(-0.38, -0.22, 0.25, 0.2), _ellipse(0.38, -0.22, 0.25, 0.2)), "eye", paint="white"
        ),
        Piece(
            _any(_ellipse(-0.38, -0.22, 0.12, 0.15), _ellipse(0.38, -0.22, 0.12, 0.15)),
            "pupil",
            nested=True,
            paint="black",
        ),
        Piece(_mouth, "mouth", paint="red"),
    ),
    "flower": (
        Piece(_rectangle(-0.08, 0, 0.08, 1), "stem", paint="green"),
        Piece(_petals, "petal"),
        Piece(_ellipse(0, -0.3, 0.24, 0.24), paint="second"),
    ),
}
