"""What readers of published label maps share: maps held against a vocabulary, numbers coded in colours."""

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
    "check_rgb",
    "decode_rgb",
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


def check_rgb(data: bytes, what: str) -> None:
    """See that a file is a PNG with 8-bit RGB.

    Raises:
        DataError: it is something else. Grey, palette or JPEG would give other colours or numbers.
    """
    if data[:8] != _PNG or data[24:26] != b"\x08\x02":
        raise DataError(
            f"{what} is no PNG with 8-bit RGB; its label numbers are coded in colours. Restore the file."
        )


def decode_rgb(data: bytes, what: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a PNG whose three channels carry numbers of their own to uint8 [height, width, 3].

    Raises:
        DataError: no PNG with 8-bit RGB, or damaged.
    """
    check_rgb(data, what)
    return decode_image(data, what, max_pixels=max_pixels)
