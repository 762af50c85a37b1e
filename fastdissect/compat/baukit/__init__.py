"""davidbau/baukit's running statistics, under their own names: change the import, keep the script.

    from fastdissect.compat.baukit import Mean, Quantile, TopK, tally

Anything else of baukit's is an AttributeError that says what to use instead. See docs/netdissect.md.
"""

from __future__ import annotations

from typing import Any

from fastdissect.compat.baukit import runningstats
from fastdissect.compat.baukit.not_offered import NAMES
from fastdissect.compat.baukit.runningstats import (
    Bincount,
    CombinedStat,
    Covariance,
    CrossIoU,
    History,
    IoU,
    Mean,
    Quantile,
    Stat,
    TopK,
    Variance,
    cache_load_enabled,
    tally,
)
from fastdissect.compat.running.not_offered import refuse

__all__ = [
    "Bincount",
    "CombinedStat",
    "Covariance",
    "CrossIoU",
    "History",
    "IoU",
    "Mean",
    "Quantile",
    "Stat",
    "TopK",
    "Variance",
    "cache_load_enabled",
    "runningstats",
    "tally",
]


def __getattr__(name: str) -> Any:
    raise refuse(__name__, name, NAMES)
