"""count on the GPU; see csrc/cuda/count.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdissect.kernels.cuda.launching import blocks, launch, on_device
from fastdissect.kernels.cuda.tables import cell_arrays, kept_on_device, room, tables
from fastdissect.types import Planes, SparseActivations, Upsampling

__all__ = ["count"]

THREADS = 128
BLOCKS = 8192  # a launch, about: a few waves of a large card


def count(
    cells: SparseActivations,
    cursor: Any,
    first_image: int,
    thresholds: Any,
    upsampling: Upsampling,
    planes: Planes,
    category: Any,
    present: Any,
    intersection: Any,
    unit_area: Any,
    mask_area: Any,
) -> None:
    """See protocol.Backend.count. The sums and cursors may lie on either side; on the device nothing is waited for."""
    units = cells.shape[1]
    if not (units and planes.images and len(cells.images)):
        return
    written = cursor, intersection, unit_area, mask_area
    on_card = tuple(on_device(a, np.int64) for a in written)
    if not all(a.flags.c_contiguous and a.dtype == np.int64 for a in on_card):
        raise ValueError("expected contiguous int64 sums and cursors: they are changed in place")
    arrays = cell_arrays(cells)
    concepts, categories = intersection.shape[1], unit_area.shape[1]
    plane_arrays = kept_on_device("planes", planes, 1, lambda: _upload(planes))
    row_words = planes.words.shape[1]
    pitch, rows = upsampling.cells[1] + 2 * upsampling.ring, upsampling.cells[0] + 2 * upsampling.ring
    pieces = (THREADS // 32 * pitch * 4, row_words * 8, categories * 4, rows * pitch * 4)
    chunks = min(planes.images, blocks(BLOCKS, units))
    at = room(32, pieces, (units, chunks))
    lines_place, mask_place, under_place, map_place = at.places
    launch(
        "count",
        f"fd_count_{'large' if at.scratch_bytes else 'records'}_{cells.kind}",
        at.blocks,
        THREADS,
        (
            tables(upsampling),
            *arrays,
            arrays[3].dtype.itemsize == 4,
            on_card[0],
            first_image,
            on_device(thresholds, np.float32),
            units,
            *plane_arrays,
            planes.images,
            row_words,
            on_device(category, np.int64),
            0 if present is None else on_device(present, np.bool_),
            concepts,
            categories,
            *on_card[1:],
            at.scratch,
            at.scratch_bytes,
            map_place,
            lines_place,
            mask_place,
            under_place,
        ),
        at.shared,
    )
    limit = first_image + planes.images
    arguments = arrays[0], arrays[1], units, limit, on_card[0]
    launch("count", "fd_count_advance", (blocks(units, 256),), 256, arguments)
    for host, device in zip(written, on_card, strict=True):
        if host is not device:
            host[...] = device.get()  # NumPy sums: their owner reads them as soon as this returns


def _upload(planes: Planes) -> tuple[Any, ...]:
    """The last block of images stays on the device, for the other layers that count it."""
    return (
        on_device(planes.plane_start, np.int64),
        on_device(planes.concept, np.int32),
        on_device(planes.word_row, np.int64),
        on_device(planes.words, np.uint64),
    )
