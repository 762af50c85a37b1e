"""`folder:PATH`, the simplest format: a folder of images, a folder of masks a category, a list of labels.

    labels.csv                        number,name,category and, optional, synonyms separated by ";"
    images/any/where/photo.jpg
    masks/<category>/any/where/photo.png       8- or 16-bit grey: the label number, 0 = unlabelled
    masks/<category>/any/where/photo.2.png     further channels, where labels overlap
    image_labels.csv                  image,label     labels of whole images (optional)
    relations.csv                     child,parent,kind: part-of or is-a (optional)

Our own format; docs/datasets.md states it in full.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import (
    MAX_PIXELS,
    decode_image,
    decode_label_map,
    image_size,
)
from fastdissect.datasets.files import digest, read_file
from fastdissect.datasets.folder_tables import (
    list_files,
    match_masks,
    read_image_labels,
    read_labels,
    read_synonyms,
)
from fastdissect.datasets.index import same_aspect
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.tables import read_table
from fastdissect.datasets.vocabulary import MAX_LABEL, read_relations
from fastdissect.errors import DataError, SettingError
from fastdissect.types import LabelChannel

__all__ = ["Folder"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")


class Folder(Dataset):
    """Images with masks beside them.

    Args:
        path: the folder with labels.csv, images/ and masks/.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: something is missing or fits nothing; damaged files show when they are read.
        SettingError: `max_pixels` is below 1.

    Example:
        >>> Folder("/data/mine").concepts.names  # doctest: +SKIP
        ('cat', 'dog', 'tail')
    """

    def __init__(self, path: str | Path, *, max_pixels: int = MAX_PIXELS) -> None:
        self.path = Path(path).expanduser().absolute()
        if max_pixels < 1:
            raise SettingError(f"max_pixels is {max_pixels}; expected at least 1.")
        if not (self.path / "images").is_dir():
            raise DataError(f"{self.path} has no folder images/; expected labels.csv, images/ and masks/.")
        self.max_pixels = max_pixels
        self.name = f"folder:{self.path}" + (f"?max_pixels={max_pixels}" if max_pixels != MAX_PIXELS else "")
        self.concepts, tables = read_labels(self.path / "labels.csv")
        self.synonyms = read_synonyms(self.path / "labels.csv")
        self._images = [n for n in list_files(self.path / "images") if n.lower().endswith(_SUFFIXES)]
        if not self._images:
            raise DataError(f"{self.path / 'images'} holds no image ({', '.join(_SUFFIXES)}).")
        self._masks = match_masks(self.path / "masks", self._images, self.concepts.categories)
        self._whole: dict[int, list[tuple[int, int]]] = {}  # image -> (category, label number)
        if (self.path / "image_labels.csv").exists():
            table = read_table(self.path / "image_labels.csv", ["image", "label"])
            self._whole = read_image_labels(table, self._images, self.concepts)
            tables.append(table)
        self.relations, more = read_relations(self.path)
        tables += more
        self._known = np.zeros(MAX_LABEL + 1, dtype=np.bool_)
        self._known[self.concepts.numbers] = True
        self._known[0] = True
        names = "\0".join((*self._images, "", *(f"{m}" for m in sorted(self._masks.items()))))
        self._fingerprint = digest(
            b"folder\0", *(digest(t.data).encode() for t in tables), names.encode(errors="surrogateescape")
        )

    def __len__(self) -> int:
        return len(self._images)

    def image_name(self, index: int) -> str:
        return self._images[index]

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        name = self._images[index]
        data = read_file(self.path / "images" / name, f"image {name!r}")
        return decode_image(data, f"image {name!r}", max_pixels=self.max_pixels), digest(data)

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        masks = self._masks.get(index, [])
        size = None
        if masks:
            name = self._images[index]
            data = read_file(self.path / "images" / name, f"image {name!r}")
            size = image_size(data, f"image {name!r}", max_pixels=self.max_pixels)
        channels = [
            LabelChannel(category, self._read_mask(index, relative, size)) for category, _, relative in masks
        ]
        channels += [LabelChannel(category, number) for category, number in self._whole.get(index, [])]
        return tuple(sorted(channels, key=lambda channel: channel.category))

    def is_labelled(self, index: int) -> bool:
        return index in self._masks or index in self._whole

    def files(self, index: int) -> tuple[Path, ...]:
        masks = [self.path / "masks" / relative for _, _, relative in self._masks.get(index, [])]
        return (self.path / "images" / self._images[index], *masks)

    def fingerprint(self) -> str:
        return self._fingerprint

    def _read_mask(
        self, index: int, relative: str, size: tuple[int, int] | None
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        what = f"mask {relative!r} of image {self._images[index]!r}"
        labels = decode_label_map(
            read_file(self.path / "masks" / relative, what), what, max_pixels=self.max_pixels
        )
        height, width = labels.shape
        if size is not None and not same_aspect(size, (height, width)):
            raise DataError(
                f"{what} is {height} x {width} and the image {size[0]} x {size[1]} (height x width); expected the "
                "same aspect. Masks must show the whole image, without crop."
            )
        known = self._known.take(labels)
        if not known.all():
            raise DataError(
                f"{what} holds label number {int(labels[~known].min())}, which is not in labels.csv. Add it there "
                "or correct the mask."
            )
        return labels
