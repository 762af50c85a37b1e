"""`netdissect.tally`: statistics of what a function makes of a data set, batch by batch, kept in cache files.

    from fastdissect.compat.netdissect import tally

    rq = tally.tally_quantile(compute, dataset, batch_size=50, cachefile="rq.npz")
    level = rq.quantiles(0.99)

Arguments that all tallies share:
    compute: called with each batch (a list as arguments, a dictionary as keyword arguments).
    dataset: what `torch.utils.data.DataLoader` takes, or a tensor whose rows are the items.
    sample_size: read the first so many items alone.
    cachefile: read the result from there if it was made with the same arguments, else write it there. Made with
        others: a warning, and it is computed again. Damaged, or another class's: OutputError.
    **kwargs: for the DataLoader (num_workers, pin_memory, ...).
Everything comes back on the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.netdissect.conditional_samples import conditional_samples
from fastdissect.compat.netdissect.counts import RunningAllIntersectionAndUnion, RunningBincount
from fastdissect.compat.netdissect.intersections import (
    information_quality_ratio,
    intersection_from_conditional_quantile,
    intersection_over_union,
    iou_from_conditional_indicator_mean,
    iou_from_conditional_quantile,
    iqr_from_conditional_quantile,
    joint_entropy,
    mi_from_conditional_quantile,
    mutual_information,
)
from fastdissect.compat.netdissect.loading import Batches, call_compute, make_loader
from fastdissect.compat.netdissect.not_offered import TALLIES
from fastdissect.compat.netdissect.running_tally import tallied
from fastdissect.compat.netdissect.tally_conditionals import (
    tally_conditional_mean,
    tally_conditional_quantile,
    tally_conditional_topk,
)
from fastdissect.compat.netdissect.tally_quantiles import (
    tally_extremek,
    tally_extremek_and_quantile,
    tally_quantile,
    tally_topk_and_quantile,
)
from fastdissect.compat.netdissect.tally_tensors import tally_cat, tally_cat_dict, tally_each
from fastdissect.compat.netdissect.top_k import RunningTopK
from fastdissect.compat.netdissect.top_k_tensors import expand_topk, gather_topk, range_topk
from fastdissect.compat.netdissect.variance import RunningVariance
from fastdissect.compat.running.not_offered import refuse

__all__ = [
    "batch_bincount",
    "call_compute",
    "conditional_samples",
    "expand_topk",
    "gather_topk",
    "information_quality_ratio",
    "intersection_from_conditional_quantile",
    "intersection_over_union",
    "iou_from_conditional_indicator_mean",
    "iou_from_conditional_quantile",
    "iqr_from_conditional_quantile",
    "joint_entropy",
    "make_loader",
    "mi_from_conditional_quantile",
    "mutual_information",
    "range_topk",
    "tally_all_intersection_and_union",
    "tally_bincount",
    "tally_cat",
    "tally_cat_dict",
    "tally_conditional_mean",
    "tally_conditional_quantile",
    "tally_conditional_topk",
    "tally_each",
    "tally_extremek",
    "tally_extremek_and_quantile",
    "tally_mean",
    "tally_quantile",
    "tally_topk",
    "tally_topk_and_quantile",
]

Cachefile = str | Path | None


def __getattr__(name: str) -> Any:
    raise refuse(__name__, name, TALLIES)


def tally_topk(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    k: int = 100,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> RunningTopK:
    """The k largest values of each unit and their items' numbers; `compute` returns [items, units]."""

    def run(top: RunningTopK) -> RunningTopK:
        for sample in Batches("top k", compute, dataset, sample_size, batch_size, **kwargs):
            top.add(sample)
        return top

    return tallied(lambda: RunningTopK(k=k), run, cachefile, {"sample_size": sample_size, "k": k})


def tally_mean(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> RunningVariance:
    """Mean and variance of each unit; `compute` returns [samples, units]."""

    def run(moments: RunningVariance) -> RunningVariance:
        for sample in Batches("mean", compute, dataset, sample_size, batch_size, **kwargs):
            moments.add(sample)
        return moments

    return tallied(RunningVariance, run, cachefile, {"sample_size": sample_size})


def tally_bincount(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    multi_label_axis: int | None = None,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> RunningBincount:
    """How often each whole number occurs; along `multi_label_axis` the numbers are of the same sample."""

    def run(counts: RunningBincount) -> RunningBincount:
        for sample in Batches("bincount", compute, dataset, sample_size, batch_size, **kwargs):
            labels = 1 if multi_label_axis is None else sample.shape[multi_label_axis]
            counts.add(sample, size=sample.numel() // max(1, labels))
        return counts

    return tallied(RunningBincount, run, cachefile, {"sample_size": sample_size})


def tally_all_intersection_and_union(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> RunningAllIntersectionAndUnion:
    """Intersections and unions of two binary signals; `compute` returns two bool batches [samples, features]."""

    def run(pairs: RunningAllIntersectionAndUnion) -> RunningAllIntersectionAndUnion:
        for a, b in Batches("intersections", compute, dataset, sample_size, batch_size, **kwargs):
            pairs.add(a, b)
        return pairs

    return tallied(RunningAllIntersectionAndUnion, run, cachefile, {"sample_size": sample_size})


def batch_bincount(data: Tensor, num_labels: int) -> Tensor:
    """How often each label occurs in each item: int64 [items, num_labels] of integers [items, ...] below num_labels."""
    rows = data.reshape(len(data), -1)
    first = torch.arange(len(rows), device=rows.device)[:, None] * num_labels
    counts = torch.bincount((rows + first).reshape(-1), minlength=num_labels * len(rows))
    return counts.view(len(rows), num_labels)
