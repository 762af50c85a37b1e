"""Materials and textures: what a surface is painted with.

A fill gets the surface's coordinates (in units of the image's side, turned with the object) and two colours, and
returns a colour and a brightness for each pixel. Periods are fractions of the image, so that pictures of any size
look alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.shapes.canvas import Colour, Shade
from fastdissect.datasets.shapes.draws import Draws
from fastdissect.datasets.shapes.vocabulary import COLORS, MATERIALS, TEXTURES

__all__ = ["fill_material", "fill_texture"]

Coordinates = NDArray[np.floating[Any]]  # float32 throughout
Fill = tuple[Colour, Shade]

_TURN = np.float32(2 * math.pi)
_BROWN, _GREY, _WHITE = (COLORS.index(name) for name in ("brown", "grey", "white"))


def _fraction(values: Coordinates) -> Coordinates:
    return values - np.floor(values)


def _two(pattern: NDArray[np.bool_], first: int, second: int) -> NDArray[np.uint8]:
    return np.where(pattern, np.uint8(first), np.uint8(second))


# Materials. All but brick keep one colour and differ in brightness.


def _painted(_x: Coordinates, _y: Coordinates, colour: int, draws: Draws) -> Fill:
    return colour, draws.uniform(0.92, 1.05)


def _metal(x: Coordinates, y: Coordinates, colour: int, draws: Draws) -> Fill:
    band = _fraction((x + np.float32(0.6) * y) / np.float32(draws.uniform(0.16, 0.26)))
    return colour, np.float32(0.68) + np.float32(0.62) * np.square(2 * np.abs(band - np.float32(0.5)))


def _wood(x: Coordinates, y: Coordinates, _colour: int, draws: Draws) -> Fill:
    bend = np.float32(0.35) * np.sin(_TURN * x * np.float32(draws.uniform(2, 4)))
    grain = np.sin(_TURN * (y / np.float32(draws.uniform(0.035, 0.05)) + bend))
    return _BROWN, 1 + np.float32(0.24) * grain


def _brick(x: Coordinates, y: Coordinates, colour: int, draws: Draws) -> Fill:
    height = np.float32(draws.uniform(0.05, 0.07))
    course = np.floor(y / height)
    along = _fraction(x / (2 * height) + np.float32(0.5) * _fraction(course / 2) * 2)
    mortar = (_fraction(y / height) < np.float32(0.24)) | (along < np.float32(0.12))
    return _two(mortar, _GREY if colour == _WHITE else _WHITE, colour), 1.0


def _fabric(x: Coordinates, y: Coordinates, colour: int, draws: Draws) -> Fill:
    thread = np.float32(draws.uniform(0.017, 0.023))
    over = _fraction((np.floor(x / thread) + np.floor(y / thread)) / 2) < np.float32(0.25)
    return colour, np.where(over, np.float32(1.18), np.float32(0.8))


_MATERIALS: dict[str, Callable[[Coordinates, Coordinates, int, Draws], Fill]] = dict(
    zip(MATERIALS, (_painted, _metal, _wood, _brick, _fabric), strict=True)
)


def fill_material(name: str, x: Coordinates, y: Coordinates, colour: int, draws: Draws) -> Fill:
    """Fill a surface with a material. Wood is brown whatever colour is asked."""
    return _MATERIALS[name](x, y, colour, draws)


# Textures. All have two colours at full brightness.


def _striped(x: Coordinates, _y: Coordinates, p: np.float32) -> NDArray[np.bool_]:
    return _fraction(x / p) < np.float32(0.5)


def _dotted(x: Coordinates, y: Coordinates, p: np.float32) -> NDArray[np.bool_]:
    across, down = _fraction(x / p) - np.float32(0.5), _fraction(y / p) - np.float32(0.5)
    inside: NDArray[np.bool_] = across * across + down * down < np.float32(0.09)
    return inside


def _chequered(x: Coordinates, y: Coordinates, p: np.float32) -> NDArray[np.bool_]:
    return (_fraction(x / p) < np.float32(0.5)) ^ (_fraction(y / p) < np.float32(0.5))


def _zigzagged(x: Coordinates, y: Coordinates, p: np.float32) -> NDArray[np.bool_]:
    wave = np.abs(_fraction(x / (2 * p)) - np.float32(0.5)) * np.float32(1.8)
    return _fraction(y / p + wave) < np.float32(0.5)


def _grid(x: Coordinates, y: Coordinates, p: np.float32) -> NDArray[np.bool_]:
    return (_fraction(x / p) < np.float32(0.22)) | (_fraction(y / p) < np.float32(0.22))


def _marbled(x: Coordinates, y: Coordinates, p: np.float32) -> NDArray[np.bool_]:
    bend = np.sin(_TURN * (x + np.float32(0.4) * y) / (4 * p)) + np.float32(0.6) * np.sin(
        _TURN * y / (3 * p) + x
    )
    return _fraction(y / (2 * p) + np.float32(0.7) * bend) < np.float32(0.35)


_TEXTURES = dict(zip(TEXTURES, (_striped, _dotted, _chequered, _zigzagged, _grid, _marbled), strict=True))


def fill_texture(
    name: str, x: Coordinates, y: Coordinates, colours: tuple[int, int], period: float, draws: Draws
) -> Fill:
    """Fill a surface with a texture in two colours; `period` is a fraction of the image's side."""
    shift = np.float32(draws.uniform()), np.float32(draws.uniform())
    pattern = _TEXTURES[name](x + shift[0], y + shift[1], np.float32(period))
    return _two(pattern, *colours), 1.0
