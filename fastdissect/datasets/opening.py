"""Data sets by name: "broden:PATH", "folder:PATH", "shapes", with options behind.

    broden:/data/broden1_224?split=val,max_pixels=1000000
    shapes:images=500,size=112,seed=0

Options are `key=value`, separated by commas; behind a path they follow a question mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.datasets.broden import Broden
from fastdissect.datasets.folder import Folder
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.shapes import Shapes
from fastdissect.errors import SettingError, nearest

__all__ = ["open_dataset"]


class _Reader(NamedTuple):
    make: Callable[..., Dataset]
    has_path: bool
    options: Mapping[str, type]
    form: str


_READERS = {
    "broden": _Reader(
        Broden, True, {"split": str, "index_file": str, "max_pixels": int}, "broden:PATH[?split=train|val]"
    ),
    "folder": _Reader(Folder, True, {"max_pixels": int}, "folder:PATH"),
    "shapes": _Reader(
        Shapes, False, {"images": int, "size": int, "seed": int}, "shapes[:images=500,size=112,seed=0]"
    ),
}

# Only what looks like options is taken for them, so that a folder may have a question mark in its name.
_OPTIONS_BEHIND_PATH = re.compile(r"(?s)(.*?)\?([a-z_]+=[^?]*)")


def open_dataset(spec: str | Dataset) -> Dataset:
    """Open a data set by its name; a `Dataset` is returned as it is.

    Args:
        spec: "broden:PATH", "folder:PATH" or "shapes"; options as `?key=value,key=value` behind a path, as
            `:key=value,key=value` behind "shapes".

    Raises:
        SettingError: unknown scheme or option, or a value of the wrong type.
        DataError: the data set itself is wrong.

    Example:
        >>> len(open_dataset("shapes:images=12,size=64"))
        12
    """
    if isinstance(spec, Dataset):
        return spec
    forms = ", ".join(reader.form for reader in _READERS.values())
    if not isinstance(spec, str):
        raise SettingError(f"expected a data set or its name ({forms}), got {type(spec).__name__}.")
    scheme, colon, rest = spec.partition(":")
    if not colon:
        scheme, _, rest = spec.partition("?")
    if scheme not in _READERS:
        is_folder = Path(spec).expanduser().is_dir()
        hint = f' For this folder write "broden:{spec}" or "folder:{spec}".' if is_folder else ""
        raise SettingError(f"unknown data set {spec!r}; expected {forms}{nearest(scheme, _READERS)}.{hint}")
    reader = _READERS[scheme]
    if not reader.has_path:
        return reader.make(**_parse_options(rest.removeprefix("?"), reader, spec))
    match = _OPTIONS_BEHIND_PATH.fullmatch(rest)
    path, options = match.groups() if match else (rest, "")
    if not path:
        raise SettingError(f"{spec!r} names no folder; expected {reader.form}.")
    return reader.make(path, **_parse_options(options, reader, spec))


def _parse_options(text: str, reader: _Reader, spec: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for item in text.split(",") if text else []:
        key, equals, value = item.partition("=")
        if not equals or key not in reader.options:
            raise SettingError(
                f"unknown option {item!r} in {spec!r}; expected key=value with {', '.join(reader.options)}"
                f"{nearest(key, reader.options)}."
            )
        if key in options:
            raise SettingError(f"option {key!r} comes twice in {spec!r}.")
        if reader.options[key] is int and not re.fullmatch(r"[0-9]{1,18}", value):
            raise SettingError(f"option {key!r} in {spec!r} is {value!r}; expected a whole number.")
        options[key] = reader.options[key](value)
    return options
