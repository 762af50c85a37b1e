"""What readers of published label maps share: lists, folders by their known names, maps held against a vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import MAX_PIXELS, decode_image, decode_label_map
from fastdissect.datasets.files import read_file
from fastdissect.datasets.image_files import ImageFiles
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError
from fastdissect.types import Concepts

__all__ = [
    "LabelMap",
    "LabelMapFiles",
    "check_pairs",
    "decode_rgb",
    "find_folder",
    "list_names",
    "read_lines",
    "spec_name",
]

LabelMap = NDArray[np.uint8] | NDArray[np.uint16]

_PNG = b"\x89PNG\r\n\x1a\n"


class LabelMapFiles(ImageFiles):
    """Images whose labels are maps with one number a pixel, 0 = none, each in a file of its own.

    Args:
        table: where the label numbers are listed, for messages.
        The others: as `ImageFiles` has them.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        images: Sequence[str],
        concepts: Concepts,
        *,
        table: str,
        content: Iterable[str] = (),
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__(name, root, images, concepts, content=content, max_pixels=max_pixels)
        self._table = table
        self._known = np.zeros(MAX_LABEL + 1, dtype=np.bool_)
        self._known[concepts.numbers] = True
        self._known[0] = True

    def decode_map(
        self, index: int, path: Path, decode: Callable[[bytes, str], LabelMap] | None = None
    ) -> LabelMap:
        """Read and check one map of an image; `decode` turns its bytes into numbers where pixels do not hold them."""
        what = f"mask {path.name!r} of image {self.image_name(index)!r}"
        data = read_file(path, what)
        labels = decode(data, what) if decode else decode_label_map(data, what, max_pixels=self.max_pixels)
        self.check_map(index, labels, what)
        return labels

    def check_map(self, index: int, labels: LabelMap, what: str) -> None:
        """See that a map shows its whole image and holds known numbers only.

        Raises:
            DataError: another aspect, or a number that is not in the vocabulary.
        """
        height, width = labels.shape
        self.check_aspect((height, width), self.image_size_of(index), what)
        known = self._known.take(labels)
        if not known.all():
            raise DataError(
                f"{what} holds label number {int(labels[~known].min())}, which is not in {self._table}. Restore the "
                "mask, or add the label there."
            )


def check_pairs(images: Iterable[str], masks: Iterable[str], where: str) -> None:
    """See that every image has a mask and every mask an image; both are given by the name that a pair shares.

    Raises:
        DataError: some stand alone.
    """
    images = set(images)
    lonely = sorted(images ^ set(masks))
    if lonely:
        lacks = "mask" if lonely[0] in images else "image"
        raise DataError(
            f"{where}: {len(lonely)} images or masks stand alone; the first, {lonely[0]}, has no {lacks}. Restore the "
            "missing files, or read a split that has them."
        )


def decode_rgb(data: bytes, what: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a PNG whose three channels carry numbers of their own to uint8 [height, width, 3].

    Raises:
        DataError: no PNG with 8-bit RGB. Grey, palette or JPEG would be turned into colours, and so into other numbers.
    """
    if data[:8] != _PNG or data[24:26] != b"\x08\x02":
        raise DataError(
            f"{what} is no PNG with 8-bit RGB; its label numbers are coded in colours. Restore the file."
        )
    return decode_image(data, what, max_pixels=max_pixels)


def find_folder(path: Path, places: Iterable[str], expected: str) -> Path:
    """The first of `path`/place that is a folder; "." is `path` itself.

    Raises:
        DataError: none is.
    """
    places = list(places)
    for place in places:
        if (path / place).is_dir():
            return path / place
    raise DataError(f"{path} has none of the folders {', '.join(places)}; expected {expected}.")


def list_names(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Names of the files directly in a folder that end so, sorted; hidden ones are left out."""
    try:
        names = [entry.name for entry in folder.iterdir() if entry.name[0] != "."]
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror or error}).") from error
    return sorted(name for name in names if name.lower().endswith(suffixes))


def read_lines(path: Path, what: str) -> list[tuple[str, str]]:
    """Lines of a text file with their places ("train.txt, line 3"), stripped; blank ones are left out.

    Raises:
        DataError: missing, or no UTF-8.
    """
    try:
        text = read_file(path, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    lines = [
        (f"{path.name}, line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1)
    ]
    return [(place, line) for place, line in lines if line]


def spec_name(scheme: str, path: Path, max_pixels: int, **options: str | bool | None) -> str:
    """The name that opens a set again; options that are None, no, or the default of `max_pixels` are left out.

    >>> spec_name("voc", Path("/data/voc"), MAX_PIXELS, split="val", merge_sides=True, images=None)
    'voc:/data/voc?split=val,merge_sides=yes'
    """
    every = {**options, "max_pixels": str(max_pixels) if max_pixels != MAX_PIXELS else None}
    given = [f"{key}={'yes' if value is True else value}" for key, value in every.items() if value]
    return f"{scheme}:{path}" + (f"?{','.join(given)}" if given else "")
