"""The tallies of netdissect that keep a statistic for each condition, such as a label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fastdissect.compat.netdissect.conditional_samples import ConditionalSamples
from fastdissect.compat.netdissect.loading import Batches, items_in
from fastdissect.compat.netdissect.quantile import RunningConditionalQuantile
from fastdissect.compat.netdissect.running_tally import tallied
from fastdissect.compat.netdissect.top_k import RunningConditionalTopK
from fastdissect.compat.netdissect.variance import RunningConditionalVariance

__all__ = ["tally_conditional_mean", "tally_conditional_quantile", "tally_conditional_topk"]

Cachefile = str | Path | None


def tally_conditional_topk(
    compute: Any,
    dataset: Any,
    k: int = 100,
    batch_size: int = 50,
    sample_size: int | None = None,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> RunningConditionalTopK:
    """The k largest values of each unit under each condition.

    `compute` gets the items' numbers behind the batch and returns (condition, [samples, units], numbers) triples.
    (The peer keeps 100 whatever k says.)
    """

    def run(top: RunningConditionalTopK) -> RunningConditionalTopK:
        first = 0

        def numbered(*batch: Any) -> Any:
            nonlocal first
            items = items_in(list(batch)) or 0
            numbers = torch.arange(first, first + items)
            first += items
            return compute(*batch, numbers)

        for samples in Batches("top k", numbered, dataset, sample_size, batch_size, **kwargs):
            for condition, data, index in samples:
                top.add(condition, data, index)
        return top

    # The peer's file has no k of its own: the first condition's is looked at.
    arguments = {"sample_size": sample_size, "0.k": k}
    return tallied(lambda: RunningConditionalTopK(k=k), run, cachefile, arguments)


def tally_conditional_quantile(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 1,
    gpu_cache: int = 64,
    r: int = 1024,
    cachefile: Cachefile = None,
    *,
    memory: int | None = None,
    **kwargs: Any,
) -> RunningConditionalQuantile:
    """Quantiles of each unit under each condition.

    Args:
        compute: returns (condition, [samples, units]) pairs, such as `conditional_samples` gives.
        gpu_cache: so many of the conditions stay on the device of their samples; the others move to the CPU.
        r: the peer's resolution, of which ours makes use beyond `memory` alone.
        memory: bytes for the values of all conditions; exact while they fit.
    """

    def run(quantiles: RunningConditionalQuantile) -> RunningConditionalQuantile:
        common: set[Any] = set()
        batches = Batches("quantiles", compute, dataset, sample_size, batch_size, **kwargs)
        for i, samples in enumerate(batches):
            for condition, sample in samples:
                quantiles.add(condition, sample if i == 0 or condition in common else sample.cpu())
            if not i & (i - 1):  # at 0 and the powers of two
                common = set(quantiles.most_common_conditions(gpu_cache))
                quantiles.to_("cpu", [c for c in quantiles.keys() if c not in common])  # noqa: SIM118
        return quantiles

    options: dict[str, Any] = {} if memory is None else {"memory": memory}
    arguments = {"sample_size": sample_size, "r": r}
    return tallied(lambda: RunningConditionalQuantile(r=r, **options), run, cachefile, arguments)


def tally_conditional_mean(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 1,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> RunningConditionalVariance:
    """Mean and variance of each unit under each condition; `compute` returns (condition, [samples, units]) pairs.

    Where these are `conditional_samples` of masks (zeros and ones, of any dtype), pixels are counted as integers.
    """

    def run(moments: RunningConditionalVariance) -> RunningConditionalVariance:
        for samples in Batches("mean", compute, dataset, sample_size, batch_size, **kwargs):
            counts = samples.indicator_counts() if isinstance(samples, ConditionalSamples) else None
            if counts is None:
                for condition, sample in samples:
                    moments.add(condition, sample)
            else:
                for label, pixels, ones in counts:
                    moments.add_counts(label, pixels, ones, samples.dtype)
        return moments

    return tallied(RunningConditionalVariance, run, cachefile, {"sample_size": sample_size})
