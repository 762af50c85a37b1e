"""Columns of a set of the `datasets` library: which hold images, masks and classes, and what they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastdissect.datasets.huggingface.segments import category_field
from fastdissect.errors import SettingError, nearest

__all__ = ["check_columns", "class_column", "class_names", "described", "is_class", "item_of", "undecoded"]


def item_of(feature: Any) -> tuple[Any, int]:
    """What lists of lists hold at last, and how deep they are: List(List(Value)) -> Value, 2."""
    depth = 0
    while True:
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif type(feature).__name__ in ("Sequence", "List", "LargeList"):
            feature = feature.feature
        else:
            return feature, depth
        depth += 1


def undecoded(feature: Any, image: Any) -> Any:
    """The same feature with images as their files' bytes."""
    if type(feature).__name__ == "Image":
        return image(decode=False)
    if isinstance(feature, list):
        return [undecoded(feature[0], image)]
    if type(feature).__name__ in ("Sequence", "List", "LargeList"):
        return type(feature)(undecoded(feature.feature, image))
    return feature


def described(features: Mapping[str, Any]) -> str:
    """All columns with their types, for messages: "image (Image), label (ClassLabel)"."""
    return ", ".join(f"{name} ({_type_of(feature)})" for name, feature in features.items())


def _type_of(feature: Any) -> str:
    item, depth = item_of(feature)
    name = f"{{{', '.join(item)}}}" if isinstance(item, Mapping) else type(item).__name__
    return f"{'list of ' * depth}{name}"


def class_names(features: Mapping[str, Any], path: str) -> list[str] | None:
    """The names of a ClassLabel column; "objects.category" is one inside another. None where there is no such column.

    Raises:
        SettingError: the column holds something else.
    """
    feature = _inside(features, path)
    if feature is None:
        return None
    if not is_class(features, path):
        raise SettingError(
            f"column {path!r} is {_type_of(feature)}, which names no classes; expected a ClassLabel, of "
            f"{described(features)}."
        )
    return [str(name) for name in item_of(feature)[0].names]


def is_class(features: Mapping[str, Any], path: str) -> bool:
    """Whether a column holds classes that have names."""
    item, _ = item_of(_inside(features, path))
    return type(item).__name__ == "ClassLabel" and bool(item.names)


def _inside(features: Mapping[str, Any], path: str) -> Any:
    """The feature of a column, or of one inside another; None where there is none."""
    feature: Any = features
    for key in path.split("."):
        feature = item_of(feature)[0]
        if not isinstance(feature, Mapping) or key not in feature:
            return None
        feature = feature[key]
    return feature


def _column(features: Mapping[str, Any], name: str, what: str) -> Any:
    """The feature of a column that an option names.

    Raises:
        SettingError: there is none, or it holds boxes.
    """
    if name not in features:
        raise SettingError(
            f"there is no column {name!r} for {what}; expected one of {described(features)}{nearest(name, features, 2)}."
        )
    return features[name]


def check_columns(features: Any, image: str, masks: tuple[str, ...]) -> None:
    if type(_column(features, image, "images")).__name__ != "Image":
        raise SettingError(
            f"column {image!r} holds no images; expected one of type Image, of {described(features)}."
        )
    for name in masks:
        item, depth = item_of(_column(features, name, "masks"))
        kind = type(item).__name__
        if category_field(item) is not None:
            continue
        if isinstance(item, Mapping):
            raise SettingError(
                f"column {name!r} holds {', '.join(item)}: no segmentation with a category. Boxes are no masks: use "
                "coco: with the set's annotation files, or segmenter: to make masks."
            )
        is_integer = kind == "ClassLabel" or str(getattr(item, "dtype", "")).startswith(
            ("int", "uint", "bool")
        )
        if not (kind == "Image" or (kind == "Array2D" and is_integer) or (depth in (2, 3) and is_integer)):
            raise SettingError(
                f"column {name!r} holds no label maps; expected Image, Array2D or lists of integers, of {described(features)}."
            )


def class_column(features: Any, name: str) -> list[str]:
    _column(features, name, "classes")
    found = class_names(features, name)
    assert found is not None
    if item_of(features[name])[1] > 1:
        raise SettingError(f"column {name!r} holds lists of lists; expected a class, or a list of classes.")
    return found
