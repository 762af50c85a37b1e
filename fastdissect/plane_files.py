"""Plane folders: the packed planes of a data set on disk, mapped, not read.

words.u64     the planes' words, image after image
planes.npz    plane_start, concept, pixels, word_row, size; written last: it makes the folder whole
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.arrays_file import read_arrays, write_arrays
from fastdissect.errors import OutputError
from fastdissect.packing import no_planes, slice_planes
from fastdissect.streams import Stream
from fastdissect.types import Planes, words_for

__all__ = ["INDEX", "PlaneStore", "PlaneWriter", "index_from"]

INDEX = ("plane_start", "concept", "pixels", "word_row")


def index_from(arrays: dict[str, NDArray[Any]], size: tuple[int, int]) -> Planes:
    """Planes without their words, from the arrays of INDEX."""
    start, concept, pixels, row = (arrays[name] for name in INDEX)
    return Planes(size, start, concept, pixels, row, no_planes(size).words)


class PlaneWriter:
    """Writes a plane folder block by block; `finish` makes it whole.

    Args:
        index: go on after the images of this index, whose words are on disk already.
    """

    def __init__(self, folder: Path, size: tuple[int, int], index: Planes | None = None) -> None:
        self.folder, self.size = folder, size
        self._blocks = [no_planes(size) if index is None else index]
        rows = 0 if index is None else int(index.word_row.max(initial=-1)) + 1
        self._words = Stream(folder / "words.u64", np.uint64, (words_for(size[0] * size[1]),), rows)

    def add(self, block: Planes) -> None:
        """Append the planes of the next images."""
        row = np.where(block.word_row < 0, -1, block.word_row + self._words.rows)
        self._words.append(block.words)
        self._blocks.append(
            Planes(block.size, block.plane_start, block.concept, block.pixels, row, block.words[:0])
        )

    def index(self) -> Planes:
        """Everything but the words, of all images so far."""
        blocks = self._blocks
        starts = np.concatenate([np.zeros(1, np.int64), *(np.diff(b.plane_start) for b in blocks)]).cumsum()
        concept, pixels, row = (
            np.concatenate([getattr(b, name) for b in blocks]) for name in ("concept", "pixels", "word_row")
        )
        joined = Planes(self.size, starts, concept, pixels, row, no_planes(self.size).words)
        self._blocks = [joined]
        return joined

    def sync(self) -> None:
        self._words.sync()

    def close(self) -> None:
        self._words.close()

    def finish(self) -> PlaneStore:
        """Write the index; the folder is then whole."""
        self._words.sync()
        self._words.close()
        index = self.index()
        arrays = {name: getattr(index, name) for name in INDEX}
        write_arrays(self.folder / "planes.npz", {"size": np.array(self.size, np.int64), **arrays})
        return PlaneStore(self.folder)


class PlaneStore:
    """A whole plane folder, its words mapped into memory.

    Raises:
        OutputError: a file is missing, cut or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "planes.npz"
        arrays = read_arrays(path)
        try:
            height, width = (int(v) for v in arrays["size"])
            self.planes = index_from(arrays, (height, width))
            count, rows = words_for(height * width), int(self.planes.word_row.max(initial=-1)) + 1
            found = (folder / "words.u64").stat().st_size
            if found != rows * count * 8:
                raise OutputError(f"{folder}: expected {rows * count * 8:,} bytes of planes; got {found:,}")
            if rows:
                words = np.memmap(folder / "words.u64", np.uint64, "r", shape=(rows, count))
                self.planes = dataclasses.replace(self.planes, words=words)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                f"{path}: expected packed planes; the file is damaged ({error}); run again"
            ) from error

    def __len__(self) -> int:
        return self.planes.images

    def block(self, first: int, last: int) -> Planes:
        """Planes of images first ... last - 1; the words are a view."""
        return slice_planes(self.planes, first, last)
