"""Opening a set of the `datasets` library: from a folder, or from the library's own cache, without the network."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastdissect.errors import DataError, SettingError, nearest
from fastdissect.extras import need_extra

__all__ = ["library", "open_rows"]

# What the library lets through when its files are damaged, by experience.
_BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)


def library() -> Any:
    """The `datasets` library.

    Raises:
        BackendError: it is not installed; the message has the command that installs it.
    """
    return need_extra("datasets", "hf", "hf: needs")


def open_rows(name: str, split: str | None, config: str | None, *, download: bool) -> tuple[Any, str]:
    """Open one split.

    Args:
        name: a folder that `save_to_disk` made, else a name on the hub, which must be in the local cache.
        split: None where there is only one.
        download: let the library fetch what the cache lacks.

    Returns:
        A `datasets.Dataset`, and `name` with an absolute path where it is a folder.

    Raises:
        DataError: no such folder, nothing in the cache, or files that the library cannot read.
        SettingError: a split or configuration that the set lacks.
    """
    datasets = library()
    folder = Path(name).expanduser().absolute()
    if folder.is_dir():
        if config is not None:
            raise SettingError(
                f"config is {config!r}; expected none with a folder, only with a name on the hub."
            )
        try:
            found = datasets.load_from_disk(str(folder))
        except _BROKEN as error:
            raise DataError(
                f"{folder} cannot be opened ({_one_line(error)}); expected a folder that Dataset.save_to_disk made."
            ) from error
        return _checked(_one_split(found, split, name), folder), str(folder)
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise DataError(f"there is no folder {folder}; expected one that Dataset.save_to_disk made.")
    try:
        with contextlib.nullcontext() if download else _offline(datasets):
            found = datasets.load_dataset(name, config)
    except _BROKEN as error:
        advice = (
            ""
            if download
            else (
                " Nothing is downloaded without being asked: the option download=yes allows it, or fetch it once with "
                f"datasets.load_dataset({name!r})."
            )
        )
        raise DataError(
            f"hf:{name} is not to be had ({type(error).__name__}: {_one_line(error)}).{advice}"
        ) from error
    return _checked(_one_split(found, split, name), Path(name)), name


def _checked(rows: Any, where: Path) -> Any:
    """The rows, once their tables' own offsets are known to lie inside them: where one is damaged, the library reads
    beyond its memory. Offsets and texts are read, the images' bytes are not."""
    try:
        rows.data.validate(full=True)
    except _BROKEN as error:
        raise DataError(f"a table of {where} is damaged ({_one_line(error)}). Restore its files.") from error
    return rows


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextlib.contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """Both libraries as under HF_HUB_OFFLINE=1, which they read once, when they are imported."""
    constants = importlib.import_module("huggingface_hub.constants")
    switches = [
        (module, switch)
        for module in (datasets.config, constants)
        for switch in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
        if hasattr(module, switch)
    ]
    before = [getattr(module, switch) for module, switch in switches]
    try:
        for module, switch in switches:
            setattr(module, switch, True)
        yield
    finally:
        for (module, switch), value in zip(switches, before, strict=True):
            setattr(module, switch, value)


def _one_split(found: Any, split: str | None, name: str) -> Any:
    if not hasattr(found, "keys"):  # a set without splits
        if split is not None and str(found.split) != split:
            raise SettingError(f"hf:{name} is the split {found.split}; got split={split}. Leave it out.")
        return found
    splits = list(found.keys())
    if split is None and len(splits) == 1:
        return found[splits[0]]
    if split not in splits:
        given = "none" if split is None else repr(split)
        hint = "" if split is None else nearest(split, splits, 2)
        raise SettingError(f"hf:{name}: split is {given}; expected one of {', '.join(splits)}{hint}.")
    return found[split]
