"""An annotation's "segmentation", in any of its three forms -> a mask.

[[x0, y0, x1, y1, ...], ...]                    outlines
{"size": [height, width], "counts": [2, 1, 3]}  run lengths (crowds)
{"size": [height, width], "counts": "2112"}     run lengths as text
"""

from __future__ import annotations

from typing import Any

from fastdissect.datasets.regions.overlapping import BoxedMask
from fastdissect.datasets.regions.polygons import fill_polygons
from fastdissect.datasets.regions.run_lengths import decode_run_lengths, read_counts
from fastdissect.errors import DataError

__all__ = ["read_segmentation"]


def read_segmentation(value: Any, size: tuple[int, int], what: str) -> BoxedMask:
    """Decode one.

    Args:
        value: as parsed from JSON.
        size: height and width of the image, as the annotation file states them.
        what: names the annotation in errors.

    Returns:
        The mask. Only an outline's may be empty: COCO has outlines that are too thin to hold a pixel.

    Raises:
        DataError: no such form, of another size, corrupt, or run lengths without a pixel.

    Example:
        >>> read_segmentation({"size": [2, 3], "counts": [2, 1, 3]}, (2, 3), "a mask").left
        1
    """
    if isinstance(value, list):
        return fill_polygons(value, size, what)
    if not isinstance(value, dict) or "counts" not in value:
        raise DataError(
            f"{what}: its segmentation is {value!r:.60}; expected outlines, or run lengths with size and counts."
        )
    if value.get("size") != [*size]:
        raise DataError(
            f"{what}: its run lengths are for the size {value.get('size')}; expected [{size[0]}, {size[1]}], the "
            "height and width of its image. Restore the file."
        )
    found = decode_run_lengths(read_counts(value["counts"], what), size, what)
    if not found.mask.size:
        raise DataError(f"{what} is an empty mask; expected at least one pixel. Remove the annotation.")
    return found
