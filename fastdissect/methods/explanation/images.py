"""The images to explain: files, folders, arrays and numbers of the run's own images, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets import Dataset
from fastdissect.datasets.decoding import decode_image
from fastdissect.datasets.files import read_file
from fastdissect.datasets.folder_tables import list_files
from fastdissect.errors import DataError, SettingError

__all__ = ["Picture", "open_pictures"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")


class Picture(NamedTuple):
    """One image to explain."""

    name: str
    pixels: NDArray[np.uint8]  # [height, width, 3]
    folder: str  # the name of its folder: maybe its class
    number: int | None  # of an image of the run


class _Entry(NamedTuple):
    name: str
    read: Callable[[], Picture]


def open_pictures(images: Any, dataset: Callable[[], Dataset]) -> tuple[list[str], Iterator[Picture]]:
    """Look at what was given, then read one image after the other.

    Args:
        images: one or several of: a file; a folder (its image files, those of its folders too, sorted); an array uint8
            [height, width, 3] or [height, width]; a number of an image of the run.
        dataset: opens the run's images; called if there are numbers.

    Returns:
        The images' names, and an iterator that reads them. Orientation tags are ignored, as in data sets.

    Raises:
        DataError: a file is missing or no image (when it is read), a folder holds none.
        SettingError: something else was given, or nothing, or a number that the run has not.
    """
    found: list[_Entry] = []
    for item in _several(images):
        found += list(_entries(item, len(found), dataset))
    if not found:
        raise SettingError("expected at least one image: a file, a folder, an array or a number; got none")
    return [entry.name for entry in found], (entry.read() for entry in found)


def _several(images: Any) -> Iterable[Any]:
    if isinstance(images, str | Path | int | np.integer) or (
        isinstance(images, np.ndarray) and images.ndim < 4
    ):
        return [images]
    if not isinstance(images, Iterable):
        raise SettingError(f"expected images: files, folders, arrays or numbers; got {type(images).__name__}")
    return images


def _entries(item: Any, place: int, dataset: Callable[[], Dataset]) -> Iterator[_Entry]:
    if isinstance(item, str | Path):
        if not str(item):
            raise SettingError("expected an image's file or folder; got an empty name")
        path = Path(os.path.expanduser(item))  # noqa: PTH111 (an unknown ~user stays as it is)
        if not os.path.isdir(path):  # noqa: PTH112 (a name that is too long is no folder)
            _check_file(path, str(item))
            yield _Entry(str(item), partial(_from_file, path, str(item)))
            return
        names = [name for name in list_files(path) if name.lower().endswith(_SUFFIXES)]
        if not names:
            raise DataError(f"{path} holds no image ({', '.join(_SUFFIXES)})")
        for name in names:
            yield _Entry(name, partial(_from_file, path / name, name))
    elif isinstance(item, np.ndarray):
        name = f"image {place}"
        yield _Entry(name, partial(Picture, name, _checked(item), "", None))
    elif isinstance(item, int | np.integer) and not isinstance(item, bool):
        whole, number = dataset(), int(item)
        if not 0 <= number < len(whole):
            raise SettingError(
                f"expected the number of an image of the run, 0 to {len(whole) - 1}; got {number}"
            )
        yield _Entry(whole.image_name(number), partial(_from_run, whole, number))
    else:
        raise SettingError(
            f"expected an image: a file, a folder, an array or a number; got {type(item).__name__}"
        )


def _check_file(path: Path, name: str) -> None:
    """A pipe or a device might never end."""
    if not os.path.exists(path):  # noqa: PTH110 (a name that is too long is no file)
        raise DataError(f"image {name!r} is missing: expected a file or a folder of images")
    if not path.is_file():
        raise DataError(
            f"image {name!r} is no file: expected a file or a folder of images, got a pipe or a device"
        )


def _from_file(path: Path, name: str) -> Picture:
    _check_file(path, name)
    pixels = decode_image(read_file(path, f"image {name!r}"), f"image {name!r}")
    return Picture(name, pixels, path.absolute().parent.name, None)


def _from_run(dataset: Dataset, number: int) -> Picture:
    return Picture(dataset.image_name(number), dataset.read_image(number)[0], "", number)


def _checked(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise SettingError(
            f"expected pixels uint8 [height, width, 3] or [height, width]; got {pixels.dtype} {list(pixels.shape)}"
        )
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.shape[2] != 3:
        raise SettingError(
            f"expected red, green and blue in the last dimension; got shape {list(pixels.shape)}; an alpha channel is "
            "left out by pixels[..., :3]"
        )
    return pixels
