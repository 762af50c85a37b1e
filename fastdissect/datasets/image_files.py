"""What readers of sets on disk share: named image files below one folder, decoded one at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import MAX_PIXELS, decode_image, image_size
from fastdissect.datasets.files import digest, read_file
from fastdissect.datasets.index import same_aspect
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import DataError, SettingError
from fastdissect.types import Concepts

__all__ = ["IMAGE_SUFFIXES", "ImageFiles"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")

log = logging.getLogger("fastdissect")


class ImageFiles(Dataset):
    """Images as files; a subclass says where their labels are (`read_labels`, and `mask_files` where there are any).

    Args:
        name: the spec that opens the set again, with an absolute path.
        root: the folder that holds the images.
        images: their paths below `root`, with forward slashes, each once, in the set's order: the image names.
        concepts: the vocabulary.
        content: what defines the set besides the files of `files()`: digests or texts of its tables, in a fixed order.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: no image, one that is listed twice, or a label name that is no text.
        SettingError: `max_pixels` is below 1.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        images: Sequence[str],
        concepts: Concepts,
        *,
        content: Iterable[str] = (),
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if max_pixels < 1:
            raise SettingError(f"max_pixels is {max_pixels}; expected at least 1.")
        if not images:
            raise DataError(f"{name}: expected at least one image below {root}; found none.")
        if len(set(images)) < len(images):
            seen: set[str] = set()
            twice = next(image for image in images if image in seen or seen.add(image))  # type: ignore[func-returns-value]
            raise DataError(f"{name}: image {twice!r} is listed twice. Remove one.")
        _check_names(name, concepts)
        self.name, self.root, self.concepts, self.max_pixels = name, root, concepts, max_pixels
        self._images = tuple(images)
        words = [type(self).__name__, *images, "", *concepts.names, "", *content]
        numbers = concepts.numbers.astype("<i8").tobytes() + concepts.category.astype("<i8").tobytes()
        self._fingerprint = digest("\0".join(words).encode(errors="surrogateescape"), numbers)
        self._resized_said = False

    def __len__(self) -> int:
        return len(self._images)

    def image_name(self, index: int) -> str:
        return self._images[index]

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self.root / self._images[index]

    def mask_files(self, index: int) -> tuple[Path, ...]:
        """The files of an image's labels that belong to it alone; tables of the whole set are in the fingerprint."""
        del index
        return ()

    def image_data(self, index: int) -> bytes:
        """The bytes of an image's file, wherever they lie."""
        return read_file(self.image_path(index), f"image {self._images[index]!r}")

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        data = self.image_data(index)
        return decode_image(data, f"image {self._images[index]!r}", max_pixels=self.max_pixels), digest(data)

    def image_size_of(self, index: int) -> tuple[int, int]:
        """Height and width of an image, from its file's header."""
        what = f"image {self._images[index]!r}"
        return image_size(self.image_data(index), what, max_pixels=self.max_pixels)

    def image_size(self) -> tuple[int, int]:
        return self.image_size_of(0)

    def files(self, index: int) -> tuple[Path, ...]:
        return (self.image_path(index), *self.mask_files(index))

    def fingerprint(self) -> str:
        return self._fingerprint

    def check_aspect(self, mask: tuple[int, int], image: tuple[int, int], what: str) -> None:
        """See that a mask shows the whole image; one of another size is resized by nearest neighbour later, said once.

        Raises:
            DataError: its aspect is another one, or it has no pixel.
        """
        if min(mask) < 1 or not same_aspect(image, mask):
            raise DataError(
                f"{what} is {mask[0]} x {mask[1]} and its image {image[0]} x {image[1]} (height x width); expected the "
                "same aspect. Masks must show the whole image, without crop."
            )
        if mask != image and not self._resized_said:
            self._resized_said = True
            log.warning(
                "%s is %d x %d and its image %d x %d (height x width): masks are resized by nearest neighbour",
                what, *mask, *image,
            )  # fmt: skip


def _check_names(name: str, concepts: Concepts) -> None:
    for label in concepts.names:
        try:
            label.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{name}: the label name {label!r} cannot be written as UTF-8 ({error.reason}). Rename it."
            ) from error
