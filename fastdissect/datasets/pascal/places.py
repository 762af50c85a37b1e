"""Where PASCAL VOC keeps its parts, in the development kit and in what builds on it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fastdissect.datasets.listing import by_stem, find_folder, list_names, read_lines
from fastdissect.datasets.paths import escape_reason
from fastdissect.errors import DataError, SettingError, nearest

__all__ = ["jpeg_folder", "read_names", "with_files", "year_folder"]

_SUFFIXES = (".jpg", ".png")  # as published; PNG for copies made without loss


def year_folder(path: Path, needed: str) -> Path:
    """The folder of one year (VOC2012) that holds the folder `needed`: `path` itself, or the last year below it.

    Raises:
        DataError: there is none.
    """
    for home in (path, path / "VOCdevkit"):
        years = sorted(home.glob("VOC[0-9]*"), reverse=True)
        for folder in (home, *years):
            if (folder / needed).is_dir():
                return folder
    raise DataError(
        f"{path} holds no PASCAL VOC: expected a folder with {needed}/, such as VOCdevkit/VOC2012."
    )


def jpeg_folder(path: Path, images: str | None) -> Path:
    """The folder with VOC 2010's photographs, for sets that come without them.

    Args:
        path: where the annotations are; looked through, as is its parent.
        images: the folder itself, where the user names it.
    """
    if images is not None:
        return find_folder(Path(images), ["JPEGImages", "."], "VOC 2010's photographs (option images)")
    near = [
        f"{home}{place}"
        for home in ("", "../")
        for place in ("", "VOC2010/", "VOCdevkit/VOC2010/", "VOC2012/", "VOCdevkit/VOC2012/")
    ]
    return find_folder(
        path,
        [f"{place}JPEGImages" for place in near],
        "VOC 2010's photographs; name their folder with the option images",
    )


def read_names(folder: Path, split: str, path: Path) -> list[tuple[str, str]]:
    """Names of a list such as train.txt, with their places in the file.

    Raises:
        SettingError: there is no such list.
        DataError: it is empty, or a name is no file name.
    """
    there = [name[:-4] for name in list_names(folder, (".txt",))]
    if split not in there:
        raise SettingError(
            f"split {split!r} is not in {folder}; expected {', '.join(there) or 'a list such as train.txt'}"
            f"{nearest(split, there)}."
        )
    names = [
        (place, line.split()[0])
        for place, line in read_lines(folder / f"{split}.txt", f"the list {split}.txt")
    ]
    for place, name in names:
        reason = escape_reason(name)
        if reason:
            raise DataError(f"{place}: the name {name!r} is refused: {reason}.")
    if not names:
        raise DataError(f"{folder / split}.txt of {path} lists no image.")
    return names


def with_files(
    names: Iterable[tuple[str, str]], folder: Path, suffixes: tuple[str, ...] = _SUFFIXES, what: str = "image"
) -> list[str]:
    """The file of each name in a folder: its images, or masks.

    Raises:
        DataError: one is missing, or there are two of a name.
    """
    there = by_stem(list_names(folder, suffixes), folder)
    files = []
    for place, name in names:
        if name not in there:
            raise DataError(
                f"{place}: {what} {name!r} is missing: expected the file {folder / name}{suffixes[0]}."
            )
        files.append(there[name])
    return files
