"""labelme's shapes -> masks, drawn with Pillow as labelme's own converter to Pascal VOC draws them.

    polygon     points[3...]       filled, with its outline
    rectangle   two corners        both inclusive
    circle      centre, rim        filled
    mask        two corners, and "mask": a PNG in base64 that fills the box between them, both inclusive
    line, linestrip, point         10 pixels wide; 5 pixels around a point: drawn only where that is asked for

Coordinates are pixels from the upper left one's centre, x first. A polygon (0, 0), (3, 0), (3, 1), (0, 1) has 8 pixels.
Source: github.com/wkentaro/labelme, Wada 2018, its documented shape types.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from fastdissect.datasets.decoding import decode_label_map
from fastdissect.datasets.regions.overlapping import BoxedMask
from fastdissect.errors import DataError

__all__ = ["LINES", "POINTS", "Shape", "draw_shape"]

_LINE_WIDTH, _POINT_RADIUS = 10, 5
POINTS = {  # shape type -> least and most points
    "polygon": (3, math.inf), "rectangle": (2, 2), "circle": (2, 2), "mask": (2, 2),
    "line": (2, 2), "linestrip": (2, math.inf), "point": (1, 1),
}  # fmt: skip
LINES = ("line", "linestrip", "point")  # shapes without area
_OUTSIDE = 1.0  # pixels that a point may lie beyond the image's edge: labelme itself rounds that far


class Shape(NamedTuple):
    place: str  # for messages: "a.json, shape 3 ('cat')"
    label: str
    kind: str
    points: tuple[tuple[float, float], ...]
    mask: str  # base64; "" where there is none


def draw_shape(shape: Shape, size: tuple[int, int], *, max_pixels: int) -> BoxedMask:
    """One shape's mask in an image of `size` (height, width).

    Raises:
        DataError: the shape leaves the image, or covers no pixel; a mask's picture does not fill its box.
    """
    height, width = size
    # A circle may leave the image by its rim, but not by the two points that were set.
    for x, y in shape.points:
        if not (-_OUTSIDE <= x <= width + _OUTSIDE and -_OUTSIDE <= y <= height + _OUTSIDE):
            raise DataError(
                f"{shape.place} has the point ({x:g}, {y:g}), outside its image of {height} x {width} (height x "
                "width). Is it another image's? Correct the shape."
            )
    found = _placed(shape, size, max_pixels) if shape.kind == "mask" else _drawn(shape, size)
    if not found.mask.any():
        raise DataError(f"{shape.place} covers no pixel of its image. Correct or remove it.")
    return found


def _reach(shape: Shape) -> float:
    """How far from its points a shape may draw, in pixels."""
    if shape.kind == "circle":
        return math.dist(*shape.points)
    return _LINE_WIDTH if shape.kind in LINES else 0


def _drawn(shape: Shape, size: tuple[int, int]) -> BoxedMask:
    # Moved by whole pixels and never below 0, a shape keeps its pixels: Pillow truncates coordinates.
    reach = _reach(shape) + 2
    (left, right), (top, bottom) = (
        (max(0, math.floor(min(values) - reach)), min(end, math.ceil(max(values) + reach)))
        for values, end in zip(zip(*shape.points, strict=True), (size[1], size[0]), strict=True)
    )
    canvas = Image.new("1", (max(1, right - left), max(1, bottom - top)))
    points = [(x - left, y - top) for x, y in shape.points]
    draw = ImageDraw.Draw(canvas)
    if shape.kind == "polygon":
        draw.polygon(points, fill=1, outline=1)
    elif shape.kind == "rectangle":
        (x0, y0), (x1, y1) = points
        draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), fill=1, outline=1)
    elif shape.kind in ("line", "linestrip"):
        draw.line(points, fill=1, width=_LINE_WIDTH)
    else:
        x, y = points[0]
        radius = _POINT_RADIUS if shape.kind == "point" else _reach(shape)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
    mask = np.array(canvas, dtype=np.bool_)
    return BoxedMask(top, left, mask[: size[0] - top, : size[1] - left])


def _placed(shape: Shape, size: tuple[int, int], max_pixels: int) -> BoxedMask:
    try:
        data = base64.b64decode(shape.mask, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{shape.place}: its mask is no base64 ({error}). Restore the file.") from error
    inside = decode_label_map(data, f"the mask of {shape.place}", max_pixels=max_pixels) > 0
    (x0, y0), (x1, y1) = ((int(x), int(y)) for x, y in shape.points)
    box = (y1 - y0 + 1, x1 - x0 + 1)
    if inside.shape != box or min(x0, y0) < 0 or y1 >= size[0] or x1 >= size[1]:
        raise DataError(
            f"{shape.place}: its mask is {inside.shape[0]} x {inside.shape[1]} and its box {box[0]} x {box[1]} "
            f"(height x width) from ({x0}, {y0}) on; expected the same, inside {size[0]} x {size[1]}."
        )
    return BoxedMask(y0, x0, inside)
