"""`folder:PATH` without masks, labels or any other table: images alone, and their folders' names as classes.

PATH/any/where/photo.jpg     or     PATH/images/any/where/photo.jpg
PATH/superclass/class/photo.jpg     classes, where every image lies in a folder
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets import Dataset, open_dataset
from fastdissect.datasets.decoding import decode_image
from fastdissect.datasets.files import digest, read_file
from fastdissect.datasets.folder_tables import list_files
from fastdissect.errors import DataError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["ImageFolder", "open_images"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")


def open_images(data: str | Dataset) -> Dataset:
    """Open a data set by its name, as `open_dataset`; a `folder:` without labels.csv is images alone.

    Raises:
        SettingError, DataError: as `open_dataset`, or a folder without an image.
    """
    if isinstance(data, str) and data.startswith("folder:"):
        named = data.removeprefix("folder:")
        path = Path(named).expanduser()
        if named and not path.is_dir():
            got = "a file" if path.exists() else "nothing"
            raise DataError(
                f"{path.absolute()}: expected a folder of images; there is {got}; correct the path"
            )
        if named and not (path / "labels.csv").exists():
            return ImageFolder(path)
    return open_dataset(data)


class ImageFolder(Dataset):
    """The images below a folder, sorted by their paths; no image has a label.

    Attributes:
        classes, superclasses: names of the folders that images lie in, and of those around them; (): not all of them do.

    Raises:
        DataError: there is no image; damaged files show when they are read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.root = self.path / "images" if (self.path / "images").is_dir() else self.path
        self.name = f"folder:{self.path}"
        self.concepts = Concepts(np.zeros(0, np.int64), (), np.zeros(0, np.int64), ())
        self._images = [name for name in list_files(self.root) if name.lower().endswith(_SUFFIXES)]
        if not self._images:
            raise DataError(
                f"{self.root}: expected at least one image ({', '.join(_SUFFIXES)}); got none; choose another folder"
            )
        folders = [PurePosixPath(name).parent.parts for name in self._images]
        last = sorted({own[-1] for own in folders if own})
        if len({own for own in folders if own}) > len(last):  # two folders of one name are two classes
            self._class = ["/".join(own) for own in folders]
        else:
            self._class = [own[-1] if own else "" for own in folders]
        self._superclass = [own[-2] if len(own) > 1 else "" for own in folders]
        self.classes = _names(self._class)
        self.superclasses = _names(self._superclass)

    def __len__(self) -> int:
        return len(self._images)

    def image_name(self, index: int) -> str:
        return self._images[index]

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        what = f"image {self._images[index]!r}"
        data = read_file(self.root / self._images[index], what)
        return decode_image(data, what), digest(data)

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        del index
        return ()

    def files(self, index: int) -> tuple[Path, ...]:
        return (self.root / self._images[index],)

    def fingerprint(self) -> str:
        return digest("\0".join(("images alone", *self._images)).encode(errors="surrogateescape"))

    def target(self, index: int) -> int:
        """The image's class, a number in `classes`."""
        return self.classes.index(self._class[index])

    def superclass(self, index: int) -> int:
        """A number in `superclasses`."""
        return self.superclasses.index(self._superclass[index])


def _names(of_images: list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(of_images))) if all(of_images) else ()
