"""A contact sheet: a row an image, beside it one tile a category with its labels in colour and a legend."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.resize import resize_image, resize_labels
from fastdissect.errors import OutputError, SettingError
from fastdissect.types import Array

__all__ = ["write_overlays"]

_TILE = 176  # pixels a side
_LINE = 14
_LEGEND_LINES = 6
_GAP = 8
_MOST_PIXELS = 1 << 28  # of a sheet: 800 MB in memory
_STRIPE = 4  # of a label among others at a pixel


def write_overlays(dataset: Dataset, indices: Sequence[int], path: str | Path) -> Path:
    """Write the sheet as PNG, beside and renamed.

    Args:
        dataset: any data set.
        indices: the images to show.
        path: the file to write; an existing one is replaced.

    Returns:
        The file.

    Raises:
        OutputError: it cannot be written.
        SettingError: so many images would make it too large.
    """
    categories = dataset.concepts.categories
    names = dict(zip(dataset.concepts.numbers.tolist(), dataset.concepts.names, strict=True))
    row_height = _TILE + (_LEGEND_LINES + 1) * _LINE + _GAP
    width = (len(categories) + 1) * (_TILE + _GAP) + _GAP
    if width * row_height * len(indices) > _MOST_PIXELS:
        raise SettingError(
            f"the contact sheet of {len(indices):,} images with {len(categories):,} categories would have more than "
            f"{_MOST_PIXELS:,} pixels. Show fewer images."
        )
    sheet = Image.new("RGB", (width, row_height * len(indices) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for row, index in enumerate(indices):
        top = _GAP + row * row_height
        pixels, _ = dataset.read_image(index)
        shown = _fit(pixels)
        sheet.paste(Image.fromarray(shown), (_GAP, top))
        _text(draw, (_GAP, top + _TILE + 1), dataset.image_name(index), font)
        for category, title in enumerate(categories):
            channels = [c.labels for c in dataset.read_labels(index) if c.category == category]
            left = _GAP + (category + 1) * (_TILE + _GAP)
            tile, numbers = _overlay(shown, channels)
            sheet.paste(Image.fromarray(tile), (left, top))
            _text(draw, (left, top + _TILE + 1), title if channels else f"{title}: none", font)
            hidden = len(numbers) - _LEGEND_LINES
            for line, number in enumerate(numbers[: _LEGEND_LINES - (hidden > 0)], 1):
                y = top + _TILE + 1 + line * _LINE
                draw.rectangle((left, y + 2, left + 9, y + 11), fill=_colour(number), outline="black")
                _text(draw, (left + 14, y), names.get(number, str(number)), font)
            if hidden > 0:
                _text(
                    draw, (left + 14, top + _TILE + 1 + _LEGEND_LINES * _LINE), f"and {hidden + 1} more", font
                )
    target = Path(path).expanduser()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        sheet.save(partial, format="PNG")
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"the contact sheet {target} cannot be written: {error}.") from error
    return target


def _fit(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _TILE / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    return resize_image(pixels, size)


def _overlay(
    shown: NDArray[np.uint8], channels: Sequence[Array | int]
) -> tuple[NDArray[np.uint8], list[int]]:
    """Tint each labelled pixel, in stripes of all its labels where several channels label it, and draw each label's
    outline, so that no channel hides another. Also the labels, largest first."""
    grey = (shown.mean(axis=2, keepdims=True) * 0.45 + 110).astype(np.float32)
    tile = np.repeat(grey, 3, axis=2)
    size = tile.shape[0], tile.shape[1]
    if not channels:
        return tile.astype(np.uint8), []
    layers = np.stack([_layer(labels, size) for labels in channels])
    outlines = np.zeros(size, np.bool_)
    for number, layer in enumerate(layers):
        outlines[:-1] |= layer[:-1] != layer[1:]
        outlines[:, :-1] |= layer[:, :-1] != layer[:, 1:]
        for earlier in layers[:number]:
            layer[layer == earlier] = 0  # a label that two channels repeat is one stripe
    labelled = layers > 0
    depth = labelled.sum(axis=0)
    stripe = (np.add.outer(np.arange(size[0]), np.arange(size[1])) // _STRIPE) % np.maximum(depth, 1)
    # Of the labels at a pixel, in the order of the channels, the one whose stripe it is.
    chosen = np.where(labelled & (labelled.cumsum(axis=0) == stripe + 1), layers, 0).sum(axis=0)
    numbers, areas = np.unique(layers[labelled], return_counts=True)
    for number in numbers.tolist():
        mask = chosen == number
        tile[mask] = 0.35 * grey[mask] + 0.65 * np.array(_colour(number), dtype=np.float32)
    tile[outlines] *= 0.45
    order = sorted(zip(areas.tolist(), numbers.tolist(), strict=True), key=lambda item: (-item[0], item[1]))
    return np.clip(tile, 0, 255).astype(np.uint8), [number for _, number in order]


def _layer(labels: Array | int, size: tuple[int, int]) -> NDArray[np.int64]:
    if isinstance(labels, int):
        return np.full(size, labels, np.int64)
    return resize_labels(labels, size).astype(np.int64)


def _colour(number: int) -> tuple[int, int, int]:
    # Steps of the golden ratio keep the hues of neighbouring numbers apart.
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.85, 0.7 + 0.3 * (number % 2))
    return round(red * 255), round(green * 255), round(blue * 255)


def _text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    # Plain ASCII, on one line and no longer than a tile: names come from files of others.
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    draw.text(place, plain if len(plain) <= 27 else f"{plain[:12]}...{plain[-12:]}", fill="black", font=font)
