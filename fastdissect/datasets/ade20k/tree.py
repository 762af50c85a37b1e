"""The folders of the full ADE20K: images, their masks, and the scenes that the folders name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple, NoReturn

from fastdissect.datasets.listing import by_stem
from fastdissect.errors import DataError, SettingError, nearest

__all__ = ["Picture", "find_tree", "list_pictures", "splits_of"]

_MASK = re.compile(r"(.+)_(seg|parts_([0-9]+))\.png")
_IMAGES = (".jpg", ".png")
_NO_SCENE = {"misc", "outliers"}  # index_ade20k.mat says "~not labeled" of these


class Picture(NamedTuple):
    image: str  # below the folder of images, with forward slashes
    scene: str  # "" where the folder names none
    levels: int  # of parts


def find_tree(path: Path) -> tuple[Path, bool]:
    """The folder with training/ and validation/, and whether the release is that of 2021.

    Raises:
        DataError: there is none.
    """
    for home in (path, *sorted(path.glob("ADE20K_20*"), reverse=True)):
        if (home / "images" / "ADE").is_dir():
            return home / "images" / "ADE", True
        if (home / "images" / "training").is_dir() or (home / "images" / "validation").is_dir():
            return home / "images", False
    raise DataError(
        f"{path} holds no ADE20K; expected images/training (2016) or images/ADE/training (2021_17_01)."
    )


def splits_of(tree: Path, split: str | None) -> list[str]:
    """The splits to read: the one that is asked for, or all.

    Raises:
        SettingError: there is no such split.
    """
    there = sorted(each.name for each in tree.iterdir() if each.is_dir() and each.name[0] != ".")
    if split is not None and split not in there:
        raise SettingError(
            f"{tree} has no split {split!r}; there are {', '.join(there)}{nearest(split, there)}."
        )
    return there if split is None else [split]


def list_pictures(tree: Path, split: str) -> list[Picture]:
    """The images of a split with their scenes and levels of parts, by path.

    The folders with a mask an instance (2021), named after their image, are not entered.

    Raises:
        DataError: an image without its mask, a mask without its image, a gap in the levels, two images of one name, a
            folder that is a link or cannot be listed.
    """
    found = []
    for folder, folders, files in os.walk(tree / split, onerror=_refuse):
        home = Path(folder)
        place = home.relative_to(tree / split).parts
        images = by_stem(
            (name for name in sorted(files) if name.lower().endswith(_IMAGES) and not _MASK.fullmatch(name)),
            home,
        )
        for name in folders:
            if (home / name).is_symlink():
                raise DataError(f"{home / name} is a link to a folder; put the files themselves there.")
        folders[:] = sorted(set(folders) - images.keys())
        levels = _levels(home, files, set(images))
        for stem, name in images.items():
            found.append(Picture("/".join((split, *place, name)), _scene(place), levels[stem]))
    return sorted(found)


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename} cannot be listed ({error.strerror}). Make it readable.") from error


def _levels(home: Path, files: list[str], images: set[str]) -> dict[str, int]:
    masks: dict[str, set[int]] = {stem: set() for stem in images}
    for name in files:
        match = _MASK.fullmatch(name)
        if match:
            if match[1] not in masks:
                raise DataError(f"{home / name} is the mask of no image; expected {match[1]}.jpg beside it.")
            masks[match[1]].add(int(match[3] or 0))
    for stem, levels in masks.items():
        if levels != set(range(len(levels))) or not levels:
            lost = min(set(range(len(levels) + 1)) - levels)
            kind = f"parts_{lost}" if lost else "seg"
            raise DataError(f"image {home / stem} lacks its mask {stem}_{kind}.png. Restore it.")
    return {stem: len(levels) - 1 for stem, levels in masks.items()}


def _scene(place: tuple[str, ...]) -> str:
    """("a", "abbey") -> "abbey", ("c", "casino", "outdoor") -> "casino/outdoor": the first is a letter, or a group."""
    return "" if _NO_SCENE.intersection(place) else "/".join(place[1:])
