"""Labels as Python holds them -> label channels.

None                                     no label
an integer c                             the whole image is of class c, counted from 0: the (c + 1)-th concept
[H, W] or [channels, H, W], PIL mask     label numbers; 0 and `ignore` are none
{"masks": [n, H, W], "labels": [n]}      a mask an object, as torchvision's detection sets give; 0 is none
{category: map, ...}                     label maps by their category
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from fastdissect.arrays import host_array
from fastdissect.datasets.mask_values import MaskValues
from fastdissect.datasets.regions.overlapping import stack_masks
from fastdissect.errors import ActivationError, DataError, SettingError
from fastdissect.types import Array, Concepts, LabelChannel

__all__ = ["label_channels", "object_channels"]

_FORMS = (
    "None, a class number, a label map [H, W] or [channels, H, W], a PIL mask, {'masks': [n, H, W], 'labels': [n]}, or "
    "{category: map}"
)


def label_channels(
    labels: Any, concepts: Concepts, values: MaskValues, what: str, size: tuple[int, int]
) -> tuple[LabelChannel, ...]:
    """One image's channels.

    Args:
        values: what the maps' values mean.
        what: names the image in errors.
        size: height and width of the image.

    Raises:
        DataError: another type, shape or dtype, or a number that the concepts lack.
    """
    if labels is None:
        return ()
    if isinstance(labels, Mapping):
        if "masks" in labels or "boxes" in labels:
            return object_channels(labels, values, what, size)
        return _by_category(labels, concepts, values, what)
    number = _class_number(labels)
    if number is not None:
        if number == -1:
            return ()
        if not 0 <= number < len(concepts):
            raise DataError(
                f"{what} is of class {number}; classes count from 0, expected 0 to {len(concepts) - 1} (or -1 for none)."
            )
        return (LabelChannel(int(concepts.category[number]), int(concepts.numbers[number])),)
    return tuple(c for m in _maps(labels, what) for c in values.channels(m, f"a label map of {what}"))


def object_channels(
    target: Mapping[Any, Any], values: MaskValues, what: str, size: tuple[int, int]
) -> tuple[LabelChannel, ...]:
    """The channels of {"masks": [n, H, W] of 0 and 1, "labels": [n] label numbers}; masks may overlap.

    Raises:
        DataError: no masks, another shape, other values, or a number that names no label.
    """
    if "masks" not in target or "labels" not in target:
        raise DataError(
            f"{what} has a target of {', '.join(map(str, target))}; expected masks [n, H, W] and labels [n]. Boxes are no "
            "masks."
        )
    masks, numbers = _array(target["masks"], what), _array(target["labels"], what)
    if (
        numbers.ndim != 1
        or not masks.ndim
        or len(masks) != len(numbers)
        or (numbers.size and numbers.dtype.kind not in "ui")
    ):
        raise DataError(
            f"{what} has masks {list(masks.shape)} and labels {numbers.dtype} {list(numbers.shape)}; expected "
            "[n, H, W] and integers [n]."
        )
    if not len(masks):
        return ()
    wrong = masks.shape[1:] != size or masks.dtype.kind not in "bui"
    if wrong or int(masks.max()) > 1 or int(masks.min()) < 0:
        bounds = f" from {masks.min()} to {masks.max()}" if masks.size and masks.dtype.kind in "buif" else ""
        raise DataError(
            f"{what} has masks {masks.dtype} {list(masks.shape)}{bounds}; expected 0 and 1 [n, {size[0]}, {size[1]}], of "
            "the image's size."
        )
    found: dict[int, list[tuple[int, Array]]] = {}
    for value, mask in zip(numbers.tolist(), masks.astype(np.bool_), strict=True):
        number, category = values.label_of(value, f"a mask of {what}")
        if number:
            found.setdefault(category, []).append((number, mask))
    return tuple(c for category in sorted(found) for c in stack_masks(found[category], size, category))


def _by_category(
    labels: Mapping[Any, Any], concepts: Concepts, values: MaskValues, what: str
) -> tuple[LabelChannel, ...]:
    channels = []
    for category in labels:
        if category not in concepts.categories:
            raise DataError(
                f"{what} has labels of {category!r}; expected the categories {', '.join(concepts.categories)}, or "
                "masks and labels."
            )
        for labels_map in _maps(labels[category], what):
            numbers = values.numbers(labels_map, f"the {category} map of {what}")
            channels.append(LabelChannel(concepts.categories.index(category), numbers))
    return tuple(sorted(channels, key=lambda channel: channel.category))


def _class_number(labels: Any) -> int | None:
    """The integer that labels are, be it an array without axes; None where they are more."""
    if isinstance(labels, (bool, np.bool_)) or getattr(labels, "ndim", 0) != 0:
        return None
    try:
        return operator.index(labels)
    except (TypeError, RuntimeError):
        return None


def _maps(labels: Any, what: str) -> list[Array]:
    found = _array(labels, what)
    if found.ndim not in (2, 3):
        raise DataError(f"{what} has labels {found.dtype} {list(found.shape)}; expected {_FORMS}.")
    return [found] if found.ndim == 2 else list(found)


def _array(labels: Any, what: str) -> Array:
    if isinstance(labels, Image.Image):
        if labels.mode not in ("1", "L", "P", "I") and not labels.mode.startswith("I;16"):
            raise DataError(
                f"{what} has a PIL mask of mode {labels.mode}; expected label numbers: 1, L, P, I or I;16. Colours are "
                "no labels."
            )
        return np.array(labels)
    if isinstance(labels, (str, bytes, list, tuple)) or not hasattr(labels, "__array__"):
        raise DataError(f"{what} has labels of type {type(labels).__name__}; expected {_FORMS}.")
    if isinstance(labels, np.ma.MaskedArray):
        raise DataError(
            f"{what} has labels with a mask of their own; expected them as plain numbers: fill(0)."
        )
    try:
        return host_array(labels)
    except (ActivationError, SettingError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what} has labels that cannot be read ({error}); expected {_FORMS}.") from error
