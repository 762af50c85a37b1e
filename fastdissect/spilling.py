"""Sparse activations on disk: parts that do not fit the memory, mapped from plain files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.kernels import get_num_threads
from fastdissect.kernels.selection import host_backend
from fastdissect.streams import Stream
from fastdissect.types import Kind, SparseActivations

__all__ = ["PART", "empty_cells", "join_on_disk", "open_part", "write_part"]

PART = ("unit_start", "images", "cell_start", "cells", "values")
UNITS = 64  # joined at a time


def empty_cells(shape: tuple[int, int, int, int], kind: Kind) -> SparseActivations:
    """No cells of a layer of this shape (images, units, height, width)."""
    return SparseActivations(
        shape,
        kind,
        unit_start=np.zeros(shape[1] + 1, np.int64),
        images=np.zeros(0, np.uint32),
        cell_start=np.zeros(1, np.int64),
        cells=np.zeros(0, np.uint16 if shape[2] * shape[3] <= 65536 else np.uint32),
        values=np.zeros(0, {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}[kind]),
    )


def write_part(part: SparseActivations, folder: Path) -> SparseActivations:
    """Write a part's arrays as FOLDER/<field>.raw and return it mapped from there."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in PART:
        array = getattr(part, field)
        stream = Stream(folder / f"{field}.raw", array.dtype)
        stream.append(array)
        stream.sync()
        stream.close()
    return open_part(folder, part)


def open_part(folder: Path, like: SparseActivations) -> SparseActivations:
    """Map a part that `write_part` wrote; `like` gives shape, kind and dtypes.

    Raises:
        OutputError: a file is missing, or its length does not fit the others.
    """
    arrays = {}
    for field in PART:
        dtype, path = getattr(like, field).dtype, folder / f"{field}.raw"
        try:
            empty = path.stat().st_size == 0
            arrays[field] = np.zeros(0, dtype) if empty else np.asarray(np.memmap(path, dtype, "r"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{path} of an unfinished run cannot be read ({error}); use --fresh") from error
    part = SparseActivations(like.shape, like.kind, **arrays)
    lengths = {name: len(array) for name, array in arrays.items()}
    if (
        lengths["unit_start"] != like.shape[1] + 1
        or lengths["images"] != part.unit_start[-1]
        or lengths["cell_start"] != lengths["images"] + 1
        or not (lengths["cells"] == lengths["values"] == part.cell_start[-1])
    ):
        raise OutputError(
            f"{folder}: the files of an unfinished run were cut ({lengths}); begin with --fresh"
        )
    return part


def join_on_disk(
    parts: Sequence[SparseActivations], bounds: NDArray[np.uint32], reach: int, ring: bool, folder: Path
) -> SparseActivations:
    """Join parts as the `prune` kernel does, a few units at a time, into files; the result is mapped."""
    first = parts[0]
    images, units, height, width = sum(p.shape[0] for p in parts), *first.shape[1:]
    streams = {f: Stream(folder / f"joined-{f}.raw", getattr(first, f).dtype) for f in PART[1:]}
    unit_start, cell_base = [np.zeros(1, np.int64)], 0
    streams["cell_start"].append(np.zeros(1, np.int64))
    for low in range(0, units, UNITS):
        high = min(low + UNITS, units)
        piece = [
            SparseActivations(
                (p.shape[0], high - low, height, width),
                p.kind,
                p.unit_start[low : high + 1],
                p.images,
                p.cell_start,
                p.cells,
                p.values,
            )
            for p in parts
        ]
        joined = host_backend().prune(piece, bounds[low:high], reach, ring, get_num_threads())
        unit_start.append(joined.unit_start[1:] + unit_start[-1][-1])
        streams["images"].append(joined.images)
        streams["cell_start"].append(joined.cell_start[1:] + cell_base)
        cell_base += int(joined.cell_start[-1])
        streams["cells"].append(joined.cells)
        streams["values"].append(joined.values)
    mapped = {name: np.asarray(stream.close()) for name, stream in streams.items()}
    return SparseActivations((images, units, height, width), first.kind, np.concatenate(unit_start), **mapped)
