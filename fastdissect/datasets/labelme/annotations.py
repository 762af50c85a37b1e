"""labelme's JSON files, read strictly: an image, and the shapes on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.datasets.files import read_file
from fastdissect.datasets.labelme.shapes import LINES, POINTS, Shape
from fastdissect.errors import DataError

__all__ = ["Annotation", "read_annotation"]

_FAR = 1e9  # pixels; also refuses NaN, infinities, and integers that no float can hold


class Annotation(NamedTuple):
    image_path: str
    size: tuple[int, int] | None  # height, width; None where the file states none
    shapes: tuple[Shape, ...]
    data: str | None  # the image in base64


def read_annotation(path: Path, file: str, *, lines: str) -> Annotation:
    """Read one of labelme's JSON files.

    Args:
        file: names it in errors.
        lines: "draw" keeps lines and points, "skip" leaves them out, "" refuses them.

    Raises:
        DataError: no JSON, or not what labelme writes; names file and shape.
    """
    data = read_file(path, f"the annotations {file}")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is no valid JSON ({error}). Restore the file.") from error
    if not isinstance(found, dict) or not isinstance(found.get("shapes"), list):
        raise DataError(
            f"{file} has no list of shapes; expected a JSON file that labelme wrote. Move it elsewhere."
        )
    sides = found.get("imageHeight"), found.get("imageWidth")
    if sides != (None, None) and not all(type(side) is int and 0 < side < 1 << 20 for side in sides):
        raise DataError(
            f"{file}: imageHeight and imageWidth are {sides[0]!r} and {sides[1]!r}; expected pixels."
        )
    texts = {name: found.get(name) or "" for name in ("imagePath", "imageData")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise DataError(f"{file}: {name} is {text!r:.40}; expected text or null.")
    shapes = []
    for number, item in enumerate(found["shapes"]):
        shape = _shape(item, f"{file}, shape {number}")
        if shape.kind in LINES and lines != "draw":
            if lines == "skip":
                continue
            raise DataError(
                f"{shape.place} is a {shape.kind}, which has no area; expected polygon, rectangle, circle or mask. "
                "The option lines=draw makes it as wide as labelme's converter does, lines=skip leaves it out."
            )
        shapes.append(shape)
    size = None if sides == (None, None) else (int(sides[0]), int(sides[1]))  # type: ignore[arg-type]
    return Annotation(texts["imagePath"], size, tuple(shapes), texts["imageData"] or None)


def _shape(item: Any, place: str) -> Shape:
    if not isinstance(item, dict) or not isinstance(item.get("label"), str) or not item["label"]:
        raise DataError(f"{place} has no label; expected an object with label, points and shape_type.")
    label, kind, points = item["label"], item.get("shape_type") or "polygon", item.get("points")
    place = f"{place} ({label!r})"
    if not isinstance(kind, str) or kind not in POINTS:
        raise DataError(f"{place} has the shape_type {kind!r:.40}; expected {', '.join(POINTS)}.")
    least, most = POINTS[kind]
    pairs = all(
        isinstance(p, list) and len(p) == 2 and all(type(v) in (int, float) and abs(v) < _FAR for v in p)
        for p in (points if isinstance(points, list) else ())
    )
    if not isinstance(points, list) or not pairs or not least <= len(points) <= most:
        many = f"{least} points" if least == most else f"at least {least} points"
        raise DataError(f"{place} is a {kind} with points {points!r:.60}; expected {many} [x, y].")
    mask = item.get("mask") if kind == "mask" else ""
    if kind == "mask" and (not isinstance(mask, str) or not mask):
        raise DataError(f"{place} is a mask without its picture; expected a PNG in base64 under mask.")
    return Shape(place, label, kind, tuple((float(x), float(y)) for x, y in points), mask or "")
