"""What readers of published sets share: their lists and folders, files that belong together, options in names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import read_file
from fastdissect.errors import DataError, SettingError

__all__ = [
    "by_stem",
    "check_pairs",
    "find_folder",
    "list_names",
    "named_path",
    "read_lines",
    "spec_name",
]


def by_stem(names: Iterable[str], folder: Path) -> dict[str, str]:
    """{name without its suffix: name} of the files of a folder.

    Raises:
        DataError: two differ in their suffix alone, so that a mask could be of either.
    """
    found: dict[str, str] = {}
    for name in names:
        stem = name.rpartition(".")[0]
        if stem in found:
            raise DataError(
                f"{folder} holds {found[stem]} and {name}; expected one file of that name. Remove one."
            )
        found[stem] = name
    return found


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


def named_path(given: str | None, option: str) -> str | None:
    """An option that names a file or folder, absolute; None where it was not given.

    Raises:
        SettingError: it is empty, which would be the working folder.
    """
    if given == "":
        raise SettingError(f"the option {option} is empty; expected a path, or leave it out.")
    return str(Path(given).expanduser().absolute()) if given is not None else None


def spec_name(scheme: str, path: Path, max_pixels: int, **options: str | bool | None) -> str:
    """The name that opens a set again; options that are None, no, or the default of `max_pixels` are left out.

    >>> spec_name("voc", Path("/data/voc"), MAX_PIXELS, split="val", merge_sides=True, images=None)
    'voc:/data/voc?split=val,merge_sides=yes'
    """
    every = {**options, "max_pixels": str(max_pixels) if max_pixels != MAX_PIXELS else None}
    given = [f"{key}={'yes' if value is True else value}" for key, value in every.items() if value]
    return f"{scheme}:{path}" + (f"?{','.join(given)}" if given else "")
