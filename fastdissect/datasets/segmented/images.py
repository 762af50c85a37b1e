"""Images without labels of their own: all image files below a folder, or those of another data set."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.folder_tables import cannot_list
from fastdissect.datasets.image_files import IMAGE_SUFFIXES, ImageFiles
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import DataError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["PlainImages", "open_images"]


class PlainImages(ImageFiles):
    """All images below a folder, by sorted paths; files and folders whose name begins with a dot are left out."""

    def __init__(self, folder: str | Path, max_pixels: int = MAX_PIXELS) -> None:
        root = Path(folder).expanduser().resolve()
        if not root.is_dir():
            raise DataError(f"images is {str(folder)!r}; expected a folder of images, or a data set's name.")
        found = []
        for at, folders, files in os.walk(root, onerror=cannot_list):
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = Path(at).relative_to(root)
            found += [
                (place / name).as_posix()
                for name in files
                if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
            ]
        nothing = Concepts(np.zeros(0, np.int64), (), np.zeros(0, np.int64), ())
        super().__init__(str(root), root, sorted(found), nothing, max_pixels=max_pixels)

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        del index
        return ()


def open_images(images: str | Path | Dataset, max_pixels: int = MAX_PIXELS) -> Dataset:
    """A folder of images, a data set, or its name."""
    if isinstance(images, Dataset):
        return images
    scheme = str(images).partition(":")[0]
    if isinstance(images, Path) or Path(images).expanduser().is_dir() or not _is_scheme(scheme, str(images)):
        return PlainImages(images, max_pixels)
    from fastdissect.datasets.opening import open_dataset  # which knows this module

    return open_dataset(str(images))


def _is_scheme(scheme: str, text: str) -> bool:
    """shapes, coco:... but neither photos/holiday nor C:\\photos."""
    return (":" in text and len(scheme) > 1 and "/" not in scheme) or text.partition("?")[0] == "shapes"
