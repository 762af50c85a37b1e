"""Outlines -> masks, by COCO's own rasteriser, so that the bits are those that COCO's tools show.

Source: the mask API of COCO (pycocotools); it oversamples an outline five times and fills it column by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.regions.overlapping import BoxedMask
from fastdissect.datasets.regions.run_lengths import decode_run_lengths, read_counts
from fastdissect.errors import DataError
from fastdissect.extras import need_extra

__all__ = ["OUTSIDE", "fill_polygons"]

OUTSIDE = 0.05
"""How far a point may lie outside the image, as a fraction of that side (a pixel at least): it is clipped, as COCO
does. Published outlines leave the image by rounding, and by an annotator's hand; one that leaves it further belongs
to another image or size."""


def _mask_api() -> Any:
    return need_extra("pycocotools.mask", "coco", "fills COCO's polygons")


def fill_polygons(polygons: Sequence[Any], size: tuple[int, int], what: str) -> BoxedMask:
    """Fill outlines; the mask is their union.

    Args:
        polygons: each [x0, y0, x1, y1, ...]: at least three points, in pixels; (0, 0) is the corner of the first pixel.
        size: height and width of the image.
        what: names the region in errors.

    Returns:
        The mask; empty where an outline is too thin to hold a pixel, as COCO has some.

    Raises:
        DataError: no outline, an odd or too small number of coordinates, one that is not finite or far outside.
        BackendError: pycocotools is not installed.

    Example:
        >>> mask = fill_polygons([[1, 0, 3, 0, 3, 2, 1, 2]], (3, 4), "a box")  # doctest: +SKIP
        >>> mask.whole((3, 4)).astype(int)  # doctest: +SKIP
        array([[0, 1, 1, 0],
               [0, 1, 1, 0],
               [0, 0, 0, 0]])
    """
    if not polygons:
        raise DataError(f"{what} has no outline; expected at least one. Remove the entry or restore it.")
    outlines = [_outline(polygon, size, what) for polygon in polygons]
    api = _mask_api()
    runs = api.frPyObjects(outlines, size[0], size[1])
    merged = runs[0] if len(runs) == 1 else api.merge(runs)
    return decode_run_lengths(read_counts(merged["counts"].decode("ascii"), what), size, what)


def _outline(polygon: Any, size: tuple[int, int], what: str) -> NDArray[np.float64]:
    # What reaches the rasteriser is finite and near the image: it trusts its input and allocates by it.
    try:
        points = np.array(polygon)
    except ValueError:
        points = np.zeros((0, 0))
    if points.ndim != 1 or points.dtype.kind not in "iuf" or points.size < 6 or points.size % 2:
        raise DataError(
            f"{what}: expected an outline as a flat list x0, y0, x1, y1, ... of at least three points, got "
            f"{str(polygon)[:60]}. Correct or remove the entry."
        )
    points = points.astype(np.float64)
    for axis, side in (("y", size[0]), ("x", size[1])):
        along = points[axis == "y" :: 2]
        slack = max(1.0, OUTSIDE * side)
        wrong = ~((along >= -slack) & (along <= side + slack))  # NaN is wrong too
        if wrong.any():
            raise DataError(
                f"{what}: its outline has a point with {axis} = {along[wrong][0]:g}, outside its image of {size[0]} x "
                f"{size[1]} (height x width). Is it the outline of another image, or of another size?"
            )
    return points
