"""The tallies of netdissect that have quantiles or extremes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastdissect.compat.netdissect.loading import Batches
from fastdissect.compat.netdissect.quantile import RunningQuantile
from fastdissect.compat.netdissect.running_tally import Statistic, tallied, tallied_together
from fastdissect.compat.netdissect.top_k import RunningTopK

__all__ = ["tally_extremek", "tally_extremek_and_quantile", "tally_quantile", "tally_topk_and_quantile"]

Cachefile = str | Path | None


def tally_quantile(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    r: int = 4096,
    cachefile: Cachefile = None,
    *,
    total: int | None = None,
    memory: int | None = None,
    **kwargs: Any,
) -> RunningQuantile:
    """Quantiles of each unit; `compute` returns [samples, units].

    Exact while the values fit `memory`; beyond it the upper tail stays exact (`.exact_from`).

    Args:
        r: the peer's resolution (the peer itself ignores it here).
        total: samples in all, or an upper bound; going past it is an error.
        memory: bytes for retained values.
    """
    options = _options(r, total, memory)

    def run(quantile: RunningQuantile) -> RunningQuantile:
        for sample in Batches("quantiles", compute, dataset, sample_size, batch_size, **kwargs):
            quantile.add(sample)
        return quantile

    return tallied(lambda: RunningQuantile(**options), run, cachefile, {"sample_size": sample_size, "r": r})


def tally_topk_and_quantile(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    k: int = 100,
    r: int = 4096,
    cachefile: Cachefile = None,
    *,
    total: int | None = None,
    memory: int | None = None,
    **kwargs: Any,
) -> tuple[RunningTopK, RunningQuantile]:
    """(top k, quantiles) of each unit in one run; `compute` returns a pair, first for the top k."""
    found = _extremes(
        {"rtk": True}, compute, dataset, sample_size, batch_size, k, r, cachefile, total, memory, kwargs
    )
    return found["rtk"], found["rq"]


def tally_extremek(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    k: int = 100,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> tuple[RunningTopK, RunningTopK]:
    """(the k largest, the k smallest) of each unit in one run; `compute` returns a pair."""
    both = {"rtk": True, "rbk": False}
    found = _extremes(both, compute, dataset, sample_size, batch_size, k, None, cachefile, None, None, kwargs)
    return found["rtk"], found["rbk"]


def tally_extremek_and_quantile(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    k: int = 100,
    r: int = 4096,
    cachefile: Cachefile = None,
    *,
    total: int | None = None,
    memory: int | None = None,
    **kwargs: Any,
) -> tuple[RunningTopK, RunningTopK, RunningQuantile]:
    """(the k largest, the k smallest, quantiles) of each unit in one run; `compute` returns a triple."""
    both = {"rtk": True, "rbk": False}
    found = _extremes(both, compute, dataset, sample_size, batch_size, k, r, cachefile, total, memory, kwargs)
    return found["rtk"], found["rbk"], found["rq"]


def _options(r: int, total: int | None, memory: int | None) -> dict[str, Any]:
    return {"r": r, "total": total} | ({} if memory is None else {"memory": memory})


def _extremes(
    largest: Mapping[str, bool],
    compute: Any,
    dataset: Any,
    sample_size: int | None,
    batch_size: int,
    k: int,
    r: int | None,
    cachefile: Cachefile,
    total: int | None,
    memory: int | None,
    kwargs: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Top k by name, and behind them a quantile unless r is None, in one run."""
    arguments: dict[str, Any] = {"sample_size": sample_size, "k": k}
    empty: dict[str, RunningTopK | RunningQuantile] = {
        name: RunningTopK(k=k, largest=way) for name, way in largest.items()
    }
    if r is not None:
        arguments["r"] = r
        empty["rq"] = RunningQuantile(**_options(r, total, memory))

    def run() -> Mapping[str, Statistic]:
        for samples in Batches("top k", compute, dataset, sample_size, batch_size, **kwargs):
            for statistic, sample in zip(empty.values(), samples, strict=False):
                statistic.add(sample)
        return empty

    return tallied_together(empty, run, cachefile, arguments)
