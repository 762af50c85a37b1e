"""Cells of a set of the `datasets` library: images as their files' bytes, masks as label maps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastdissect.datasets.decoding import decode_label_map, image_size
from fastdissect.datasets.files import read_file
from fastdissect.errors import DataError
from fastdissect.types import Array

__all__ = ["bytes_of", "image_titles", "maps_of", "outside_paths"]


def image_titles(rows: Any, image: str) -> list[str]:
    """The images' own file names where they are all there and differ, else row numbers with the names behind them."""
    found: list[str] = []
    for batch in rows.with_format("arrow").iter(batch_size=1000):
        for chunk in batch.column(image).chunks:
            found += [Path(path or "").name for path in chunk.field("path").to_pylist()]
    if all(found) and len(set(found)) == len(found):
        return found
    return [f"{row:08d}{'-' if title else ''}{title}" for row, title in enumerate(found)]


def outside_paths(rows: Any, image: str) -> dict[int, str]:
    """Files of images that the table only names: {row: path}."""
    found: dict[int, str] = {}
    row = 0
    for batch in rows.with_format("arrow").iter(batch_size=1000):
        for chunk in batch.column(image).chunks:
            without = chunk.field("bytes").is_null().to_numpy(zero_copy_only=False)
            paths = chunk.field("path").filter(without).to_pylist() if without.any() else []
            rows_without = (np.flatnonzero(without) + row).tolist()
            found |= {at: path for at, path in zip(rows_without, paths, strict=True) if path}
            row += len(chunk)
    return found


def bytes_of(cell: Any, what: str) -> bytes:
    if cell is None or (cell["bytes"] is None and not cell["path"]):
        raise DataError(f"{what} is empty in its table; expected a picture in each row. Leave the row out.")
    data: bytes | None = cell["bytes"]
    return read_file(cell["path"], what) if data is None else data


def maps_of(cell: Any, what: str, max_pixels: int) -> list[Array]:
    """The label maps of one cell: none, one, or a list of them."""
    if cell is None or not len(cell):
        return []
    if isinstance(cell, dict):
        return [_decoded(bytes_of(cell, what), what, max_pixels)]
    if isinstance(cell[0], dict):
        return [own for item in cell for own in maps_of(item, what, max_pixels)]
    found = np.asarray(cell)
    if found.ndim not in (2, 3) or found.dtype.kind not in "uib":
        raise DataError(
            f"{what} is {found.dtype} {list(found.shape)}; expected integers [H, W] or [n, H, W]."
        )
    return list(found) if found.ndim == 3 else [found]


def _decoded(data: bytes, what: str, max_pixels: int) -> Array:
    """PNG, or the TIFF that the library itself writes of pictures with a palette or 16 bits."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return decode_label_map(data, what, max_pixels=max_pixels)
    image_size(data, what, max_pixels=max_pixels)  # before anything is decoded
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            mode, found = image.mode, np.array(image)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError) as error:
        raise DataError(f"{what} is truncated or damaged ({error}). Restore it.") from error
    if mode not in ("1", "L", "P", "I") and not mode.startswith("I;16"):
        raise DataError(
            f"{what} is a TIFF of pixel mode {mode}; expected grey of 8, 16 or 32 bits, or a palette."
        )
    return found
