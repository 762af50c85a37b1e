"""Segments in COCO's style in a column of the `datasets` library -> label channels.

    objects    list of {"segmentation": outlines or run lengths, "category": value, "bbox": ...}    or a dict of lists

Source: COCO's annotations (Lin et al. 2014) as sets on the hub hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastdissect.datasets.coco.segmentation import read_segmentation
from fastdissect.datasets.mask_values import MaskValues
from fastdissect.datasets.regions.overlapping import BoxedMask, stack_boxes
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["category_field", "segment_channels", "segments_of"]


def category_field(item: Any) -> str | None:
    """The field that says a segment's category; None where the items of a column are no segments."""
    if not isinstance(item, Mapping) or "segmentation" not in item:
        return None
    return next((field for field in ("category", "category_id", "label") if field in item), None)


def segments_of(cell: Any) -> list[dict[str, Any]]:
    """The segments of one row, each by itself."""
    if cell is None or isinstance(cell, list):
        return list(cell or [])
    count = len(cell["segmentation"] or [])
    return [
        {field: values[at] for field, values in cell.items() if len(values or []) == count}
        for at in range(count)
    ]


def segment_channels(
    cell: Any, values: MaskValues, size: tuple[int, int], what: str
) -> tuple[LabelChannel, ...]:
    """The channels of one row; segments may overlap, crowds are kept.

    Args:
        values: what the categories mean.
        size: height and width of the image.
        what: names the column and image in errors.

    Raises:
        DataError: no segmentation, a corrupt one, one of another size, or an unknown category.
    """
    found: dict[int, list[tuple[int, BoxedMask]]] = {}
    for at, segment in enumerate(segments_of(cell)):
        place = f"segment {at} of {what}"
        field = category_field(segment)
        value = None if field is None else segment[field]
        if type(value) is not int:
            raise DataError(f"{place} has the category {value!r}; expected a whole number.")
        number, category = values.label_of(value, place)
        if number:
            mask = read_segmentation(segment["segmentation"], size, place)
            found.setdefault(category, []).append((number, mask))
    return tuple(c for category in sorted(found) for c in stack_boxes(found[category], size, category))
