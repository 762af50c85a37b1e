"""`baukit.runningstats`: statistics that take their data batch by batch, and `tally`.

Same classes, methods and `.npz` states as davidbau/baukit's; what differs is in docs/netdissect.md.
"""

from __future__ import annotations

from typing import Any

from fastdissect.compat.baukit.counts import Bincount, CrossIoU, IoU
from fastdissect.compat.baukit.moments import Covariance, Mean, Variance
from fastdissect.compat.baukit.not_offered import STATISTICS
from fastdissect.compat.baukit.quantile import Quantile
from fastdissect.compat.baukit.stat import CombinedStat, Stat
from fastdissect.compat.baukit.tallying import cache_load_enabled, make_loader, tally
from fastdissect.compat.baukit.top_k import History, TopK
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
    "make_loader",
    "tally",
]


def __getattr__(name: str) -> Any:
    raise refuse(__name__, name, STATISTICS)
