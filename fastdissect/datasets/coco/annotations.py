"""A COCO annotation file: its annotations stay in the file, found by image when an image is read.

    {"images": [...], "categories": [...], "annotations": [{"id", "image_id", ...}, ...], ...}

The file is parsed once, when the set is opened; what stays in memory is where each annotation's text lies, 20 bytes
each, and a checksum, so that the bytes that are read later are the bytes that were hashed.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.coco.json_parts import parse_json, read_parts
from fastdissect.datasets.files import digest, read_file
from fastdissect.errors import DataError

__all__ = ["Annotations", "Document", "read_document", "whole_number", "whole_numbers"]

Inspect = Callable[[dict[str, Any]], bool]
"""Looks at an annotation: whether it is kept. It raises KeyError where a field is missing."""


class Annotations:
    """Where each image's annotations lie in the file. Small to pickle, and safe to fork."""

    def __init__(
        self, path: Path, first: NDArray[np.int64], places: NDArray[np.int64], checks: NDArray[np.uint32]
    ) -> None:
        self.path = path
        self._first = first  # [images + 1]: annotations of image i are first[i] ... first[i + 1] - 1
        self._places = places  # [annotations, 2]: start and length of its text
        self._checks = checks  # [annotations]: crc32 of its text

    def count(self, image: int) -> int:
        """How many annotations an image has."""
        return int(self._first[image + 1] - self._first[image])

    def read(self, image: int) -> list[dict[str, Any]]:
        """An image's annotations, in the file's order.

        Raises:
            DataError: the file is gone, or is not the one that was opened.
        """
        found: list[dict[str, Any]] = []
        if not self.count(image):
            return found
        try:
            with self.path.open("rb") as file:
                for row in range(int(self._first[image]), int(self._first[image + 1])):
                    start, length = self._places[row].tolist()
                    file.seek(start)
                    data = file.read(length)
                    if zlib.crc32(data) != self._checks[row]:
                        raise DataError(
                            f"{self.path} has changed since it was opened. Open the data set again."
                        )
                    found.append(parse_json(data, f"{self.path.name}, byte {start}"))
        except OSError as error:
            raise DataError(f"{self.path} cannot be read ({error.strerror or error}). Restore it.") from error
        return found


class Document:
    """An annotation file, parsed.

    Attributes:
        path: the file.
        digest: of its bytes.
        parts: its keys but the annotations.
    """

    def __init__(self, path: Path, inspect: Inspect) -> None:
        self.path = path
        self._inspect = inspect
        self._image_ids, self._checks = array("q"), array("L")
        self._starts, self._lengths = array("q"), array("q")
        self._data = read_file(path, f"the annotation file {path.name}")
        self.digest = digest(self._data)
        self._number = 0
        self.parts = read_parts(self._data, str(path), {"annotations": self._receive})
        del self._data
        for key in ("images", "annotations"):
            if key not in self.parts:
                raise DataError(f"{path} has no list {key!r}; expected one of COCO's annotation files.")

    def _receive(self, annotation: Any, start: int, end: int) -> None:
        number, self._number = self._number, self._number + 1
        if not isinstance(annotation, dict):
            raise DataError(
                f"{self.path}: annotation number {number} is {annotation!r:.60}; expected an object."
            )
        try:
            image, kept = whole_number(annotation, "image_id", self.path), self._inspect(annotation)
        except KeyError as error:
            raise DataError(
                f"{self.path}: annotation number {number} ({str(annotation)[:60]}...) has no {error}. Restore the file."
            ) from None
        if kept:
            self._image_ids.append(image)
            self._starts.append(start)
            self._lengths.append(end - start)
            self._checks.append(zlib.crc32(self._data[start:end]))

    def by_image(self, ids: NDArray[np.int64]) -> Annotations:
        """Group the annotations by image.

        Args:
            ids: int64 [images], the images' ids, in the set's order.

        Raises:
            DataError: an annotation of an image that is not listed.
        """
        wanted = np.array(self._image_ids, np.int64)
        order = np.argsort(ids)
        at = np.searchsorted(ids[order], wanted)
        row = order[np.minimum(at, len(ids) - 1)]
        unknown = ids[row] != wanted
        if unknown.any():
            raise DataError(
                f"{self.path}: {int(unknown.sum())} annotations are of images that are not listed, such as image_id "
                f"{int(wanted[unknown][0])}. Restore the file, or remove them."
            )
        sorting = np.argsort(row, kind="stable")
        first = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(ids)))]).astype(np.int64)
        places = np.stack([np.array(self._starts, np.int64), np.array(self._lengths, np.int64)], axis=1)
        checks = np.array(self._checks).astype(np.uint32)
        return Annotations(self.path, first, places[sorting], checks[sorting])


def read_document(path: Path, inspect: Inspect) -> Document:
    """Parse an annotation file; `inspect` sees every annotation once.

    Raises:
        DataError: missing, no JSON, or without its lists.
    """
    return Document(path, inspect)


def whole_number(entry: dict[str, Any], key: str, path: Path) -> int:
    """A field that is a whole number of 64 bits.

    Raises:
        DataError: it is something else.
        KeyError: there is none.
    """
    value = entry[key]
    if type(value) is not int or not -1 << 63 <= value < 1 << 63:
        raise DataError(
            f"{path}: the {key} of {str(entry)[:60]}... is {value!r:.30}; expected a whole number."
        )
    return value


def whole_numbers(values: list[Any], what: str) -> NDArray[np.int64]:
    """Ids -> int64, each a whole number that comes once.

    Raises:
        DataError: one is no whole number, or comes twice.
    """
    for value in values:
        if type(value) is not int or not -1 << 63 <= value < 1 << 63:
            raise DataError(f"{what}: the id {value!r:.30} is no whole number of 64 bits. Correct the file.")
    ids = np.array(values, np.int64)
    in_order = np.sort(ids)
    twice = in_order[1:][in_order[1:] == in_order[:-1]]
    if twice.size:
        raise DataError(f"{what}: the id {int(twice[0])} comes twice. Ids must be unique; remove one entry.")
    return ids
