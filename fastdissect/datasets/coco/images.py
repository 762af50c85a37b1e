"""The images that an annotation file lists, and the folder they are in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.coco.annotations import whole_numbers
from fastdissect.datasets.listing import named_path
from fastdissect.datasets.paths import escape_reason
from fastdissect.errors import DataError

__all__ = ["ListedImages", "check_present", "find_folder", "read_images"]

_MAX_SIDE = 1 << 20


class ListedImages(NamedTuple):
    """The list, in its order."""

    names: list[str]
    ids: NDArray[np.int64]  # [images]
    sizes: NDArray[np.int32]  # [images, 2]: height, width


def _name(entry: dict[str, Any]) -> Any:
    """`file_name`, or where there is none (LVIS) folder and file at the end of `coco_url`."""
    if "file_name" in entry or not isinstance(entry.get("coco_url"), str):
        return entry.get("file_name")
    return "/".join(entry["coco_url"].split("/")[-2:])


def _place(path: Path, number: int, entry: Any) -> str:
    return f"{path}: image number {number} ({str(entry)[:60]})"


def read_images(listed: Any, path: Path, max_pixels: int) -> ListedImages:
    """Read the list of images.

    Raises:
        DataError: no list, an entry without id, name or size, an id twice, or a size beyond `max_pixels`.
    """
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{path}: expected a list of images that is not empty. Restore the file.")
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    for number, entry in enumerate(listed):
        fields = entry if isinstance(entry, dict) else {}
        name: Any = _name(fields)
        height: Any = fields.get("height")
        width: Any = fields.get("width")
        if not isinstance(name, str) or not name or "id" not in fields:
            raise DataError(
                f"{_place(path, number, entry)}: expected an id and a file_name (or coco_url). Restore the file."
            )
        reason = escape_reason(name)
        if reason:
            raise DataError(f"{_place(path, number, entry)}: the path {name!r} is refused: {reason}.")
        if not all(type(side) is int and 1 <= side <= _MAX_SIDE for side in (height, width)):
            raise DataError(
                f"{_place(path, number, entry)}: expected height and width in whole pixels, got {height!r} and {width!r}."
            )
        if height * width > max_pixels:
            raise DataError(
                f"{_place(path, number, entry)} has {height * width:,} pixels; the limit is {max_pixels:,}. If it is genuine, raise the "
                "data set's option max_pixels."
            )
        names.append(name)
        sizes.append((height, width))
    ids = whole_numbers([entry["id"] for entry in listed], f"{path}, images")
    return ListedImages(names, ids, np.array(sizes, np.int32))


def find_folder(annotations: Path, first: str, given: str | None) -> Path:
    """The folder of the images: the one that was given, else where COCO's users have it.

        coco/annotations/instances_val2017.json     coco/val2017, coco/images/val2017, coco, coco/images,
                                                    annotations/val2017, annotations, annotations/images

    Args:
        annotations: the annotation file.
        first: the name of the first image, which decides.
        given: the option `images`.

    Raises:
        DataError: none of them has the image.
        SettingError: `given` is empty.
    """
    given = named_path(given, "images")
    if given is not None:
        folder = Path(given)
        if not folder.is_dir():
            raise DataError(f"there is no folder of images {folder}; expected the one that holds {first}.")
        return folder
    split = annotations.stem.rpartition("_")[2]
    home, beside = annotations.parent.parent, annotations.parent
    for folder in (home / split, home / "images" / split, home, home / "images",
                   beside / split, beside, beside / "images"):  # fmt: skip
        if os.path.isfile(folder / first):  # noqa: PTH113 (Path.is_file raises where a name is too long)
            return folder
    raise DataError(
        f"the images of {annotations} were not found: {first} is neither in {home / split} nor in {beside} nor in "
        "their folders images. Say where they are with the option images=FOLDER."
    )


def check_present(folder: Path, names: list[str], what: str) -> None:
    """See that files exist, by one listing of each folder.

    Raises:
        DataError: some are missing; names the first and how many.
    """
    listed: dict[str, frozenset[str]] = {}
    missing = []
    for name in names:
        below, _, file = name.rpartition("/")
        if below not in listed:
            inside = folder / below
            listed[below] = frozenset(os.listdir(inside) if inside.is_dir() else ())  # noqa: PTH208
        if file not in listed[below]:
            missing.append(name)
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(names):,} {what} are missing in {folder}, such as {missing[0]}. Restore them, "
            "name another folder, or remove them from the annotation file."
        )
