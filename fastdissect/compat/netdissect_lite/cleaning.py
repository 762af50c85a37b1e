"""`clean()`: remove the large files of a run, and nothing that is still needed."""

from __future__ import annotations

import atexit
import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastdissect.compat.netdissect_lite import live
from fastdissect.compat.netdissect_lite.lite_settings import read_settings
from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.storage import layer_folder

__all__ = ["clean"]

log = logging.getLogger("fastdissect")
_at_exit: set[Path] = set()


def clean(settings: Any = None) -> None:
    """Remove the retained activations from OUTPUT_FOLDER; tables, counts and reports stay.

    main.py calls this after each layer. A layer that this process extracted and whose report is not written yet is
    still needed: its activations go with the next call after its report, or when the process ends well. Without them
    the run is a whole one all the same (as with `--no-activations`), but the next `feature_extraction` runs the
    network again.

    Args:
        settings: as for `FeatureOperator`; None: the newest operator's, else the module `settings`.

    Raises:
        OutputError: run.json is damaged or cannot be written.
    """
    known = live.last_settings() if settings is None else None
    folder = (known or read_settings(settings)).run
    if not (folder / "run.json").is_file():
        return
    layers = _layers(folder)
    run = live.run_in(folder)
    needed = set() if run is None else layers - run.reported
    _leave_out(folder, layers - needed)
    if needed:
        _later(folder.absolute())
        log.info("the activations of %s are needed still, and go later", ", ".join(sorted(needed)))


def _later(folder: Path) -> None:
    if folder not in _at_exit:
        _at_exit.add(folder)
        atexit.register(_clean_at_exit, folder)


def _clean_at_exit(folder: Path) -> None:
    """Not after an error: then the activations are what the next start goes on with."""
    if getattr(sys, "last_value", None) is None and (folder / "run.json").is_file():
        _leave_out(folder, _layers(folder))


def _layers(folder: Path) -> set[str]:
    return set(_record(folder)["files"]["layers"])


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / "run.json").read_bytes())
        entries = record["files"]["layers"]
        assert all("activations" in entry for entry in entries.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise OutputError(f"{folder / 'run.json'} is damaged: {error!r}; remove {folder}") from error
    return dict(record)


def _leave_out(folder: Path, layers: Iterable[str]) -> None:
    """Turn a run into one without these layers' activations. run.json first: it is what makes a file count."""
    layers, record = sorted(layers), _record(folder)
    entries = record["files"]["layers"]
    if any(entries[name]["activations"] is not None for name in layers):
        for name in layers:
            entries[name]["activations"] = None
        write_bytes(folder / "run.json", json.dumps(record, indent=1).encode() + b"\n")
    for name in layers:
        path = folder / "layers" / layer_folder(name) / "activations.safetensors"
        try:
            path.unlink(missing_ok=True)
        except PermissionError:  # Windows: while a handle has it mapped
            log.info("%s is in use and stays until the next clean()", path)
