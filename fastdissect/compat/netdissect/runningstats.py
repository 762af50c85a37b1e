"""`netdissect.runningstats`: statistics that take their data batch by batch.

    from fastdissect.compat.netdissect.runningstats import RunningQuantile, RunningTopK

Same classes, methods and `.npz` states as davidbau/dissect's; what differs is in docs/netdissect.md.
"""

from __future__ import annotations

from typing import Any

from fastdissect.compat.netdissect.counts import RunningAllIntersectionAndUnion, RunningBincount
from fastdissect.compat.netdissect.not_offered import STATISTICS
from fastdissect.compat.netdissect.quantile import RunningConditionalQuantile, RunningQuantile
from fastdissect.compat.netdissect.top_k import RunningConditionalTopK, RunningTopK
from fastdissect.compat.netdissect.top_k_tensors import GatherTensor
from fastdissect.compat.netdissect.variance import RunningConditionalVariance, RunningVariance
from fastdissect.compat.running.not_offered import refuse

__all__ = [
    "GatherTensor",
    "RunningAllIntersectionAndUnion",
    "RunningBincount",
    "RunningConditionalQuantile",
    "RunningConditionalTopK",
    "RunningConditionalVariance",
    "RunningQuantile",
    "RunningTopK",
    "RunningVariance",
]


def __getattr__(name: str) -> Any:
    raise refuse(__name__, name, STATISTICS)
