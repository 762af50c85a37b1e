"""What this process is at work on: the settings last read, and the runs whose activations are in use."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from fastdissect.compat.netdissect_lite.lite_settings import LiteSettings

if TYPE_CHECKING:
    from fastdissect.compat.netdissect_lite.extraction import Extraction

__all__ = ["follow", "last_settings", "remember", "run_in"]

_last: list[LiteSettings] = []
_runs: weakref.WeakValueDictionary[Path, Extraction] = weakref.WeakValueDictionary()


def remember(settings: LiteSettings) -> None:
    """Note the settings of the newest `FeatureOperator`."""
    _last[:] = [settings]


def last_settings() -> LiteSettings | None:
    return _last[0] if _last else None


def follow(extraction: Extraction) -> None:
    """Note a run that features are read from."""
    _runs[extraction.settings.run.absolute()] = extraction


def run_in(folder: Path) -> Extraction | None:
    """The newest run whose results lie in this folder, if something in this process still holds it."""
    return _runs.get(folder.absolute())
