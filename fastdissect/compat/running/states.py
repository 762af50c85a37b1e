"""States: what the peers keep of each statistic, and the exact sums behind it in fields of our own.

A peer reads its own fields and ignores ours; a file of a peer's has its own alone.

    top k          k count largest data_shape top_data top_index next linear_index perm
    moments        count batchcount mean cmom2                    + fastdissect_total fastdissect_cmom2
    covariances    count mean cmom2                               + fastdissect_total fastdissect_cmom2
    co-occurrence  count intersection (total_a total_b)           + fastdissect_intersection ...
    bincounts      count bincount
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.compat.running.bincounts import Bincounts
from fastdissect.compat.running.co_occurrence import CoOccurrence
from fastdissect.compat.running.covariances import Covariances
from fastdissect.compat.running.fields import Fields
from fastdissect.compat.running.moments import Moments
from fastdissect.compat.running.top_k import TopK

__all__ = [
    "bincount_fields",
    "co_occurrence_fields",
    "covariance_fields",
    "moment_fields",
    "read_bincounts",
    "read_co_occurrence",
    "read_covariances",
    "read_moments",
    "read_top_k",
    "top_k_fields",
]

STALLS = 1 << 24  # whole numbers from here on may have been rounded in float32


def top_k_fields(top: TopK, shape: tuple[int, ...]) -> dict[str, Any]:
    """The kept values at the head of a buffer of the peers' width, so that they can go on filling it."""
    values, index = top.result()
    width = max(10, 5 * top.k)
    room = (len(values), width - values.shape[1])
    linear = torch.arange(len(values))[:, None] * width
    return {
        "k": top.k,
        "count": top.count,
        "largest": top.largest,
        "data_shape": shape,
        "top_data": _array(torch.cat([values.cpu(), torch.zeros(room, dtype=values.dtype)], 1)),
        "top_index": torch.cat([index.cpu(), torch.zeros(room, dtype=torch.int64)], 1).numpy(),
        "next": values.shape[1],
        "linear_index": linear.numpy() if shape else 0,
        "perm": None,
    }


def read_top_k(fields: Fields) -> tuple[TopK, tuple[int, ...]]:
    """(top k, shape of a sample)."""
    top = TopK(fields.integer("k", 1), fields.flag("largest", default=True))
    count = fields.integer("count")
    shape = fields.shape("data_shape")
    values, index = fields.tensor("top_data", 2, "fiub"), fields.tensor("top_index", 2, "iu")
    fields.sized("top_index", index, tuple(values.shape))
    fields.sized("top_data", values, (math.prod(shape), values.shape[1]))
    filled, width = fields.integer("next"), values.shape[1]
    if top.k > width:  # a buffer is wider than k
        raise fields.state.refuse("k", f"at most {width}, the width of top_data", top.k)
    if not min(top.k, count) <= filled <= min(width, count):
        expected = f"{min(top.k, count)} to {min(width, count)}, as count, k and top_data say"
        raise fields.state.refuse("next", expected, filled)
    top.restore(count, values[:, :filled], index[:, :filled].long())
    return top, shape


def moment_fields(moments: Moments) -> dict[str, Any]:
    """Mean and squared deviations in the data's dtype, and the float64 sums."""
    mean = moments.mean()
    assert moments.total is not None
    assert moments.deviation is not None
    return {
        "count": moments.count,
        "batchcount": moments.batches,
        "mean": _array(mean),
        "cmom2": _array(moments.deviation.to(moments.dtype)),
        "fastdissect_total": moments.total.cpu().numpy(),
        "fastdissect_cmom2": moments.deviation.cpu().numpy(),
    }


def read_moments(fields: Fields, deviations: bool = True) -> Moments:
    """From our own sums where they are there, else from the peer's rounded mean."""
    moments = Moments()
    moments.count, moments.batches = fields.integer("count", 1), fields.integer("batchcount")
    mean = fields.tensor("mean", 1, "f")
    moments.dtype = mean.dtype
    ours = fields.has("fastdissect_total")
    moments.total = mean.double() * moments.count
    if ours:
        total = fields.tensor("fastdissect_total", 1, "f").double()
        moments.total = fields.sized("fastdissect_total", total, tuple(mean.shape))
    moments.deviation = torch.zeros_like(moments.total)
    if deviations:
        name = "fastdissect_cmom2" if ours else "cmom2"
        moments.deviation = fields.sized(name, fields.tensor(name, 1, "f").double(), tuple(mean.shape))
        if bool((moments.deviation < 0).any()):
            raise fields.state.refuse(name, "squared deviations, from 0", "one below 0")
    return moments


def covariance_fields(pairs: Covariances) -> dict[str, Any]:
    """Mean and products of deviations in the data's dtype, and the float64 sums."""
    mean = pairs.mean()
    assert pairs.total is not None
    assert pairs.products is not None
    return {
        "count": pairs.count,
        "mean": _array(mean),
        "cmom2": _array(pairs.products.to(pairs.dtype)),
        "fastdissect_total": pairs.total.cpu().numpy(),
        "fastdissect_cmom2": pairs.products.cpu().numpy(),
    }


def read_covariances(fields: Fields) -> Covariances:
    """From our own sums where they are there, else from the peer's rounded ones."""
    pairs = Covariances()
    pairs.count = fields.integer("count", 1)
    mean = fields.tensor("mean", 1, "f")
    pairs.dtype = mean.dtype
    ours = fields.has("fastdissect_total")
    pairs.total = mean.double() * pairs.count
    if ours:
        total = fields.tensor("fastdissect_total", 1, "f").double()
        pairs.total = fields.sized("fastdissect_total", total, (len(mean),))
    name = "fastdissect_cmom2" if ours else "cmom2"
    pairs.products = fields.sized(name, fields.tensor(name, 2, "f").double(), (len(mean), len(mean)))
    return pairs


def co_occurrence_fields(pairs: CoOccurrence, totals: bool) -> dict[str, Any]:
    """Counts in the data's floating type, and as int64."""
    names = ("intersection", "total_a", "total_b")[: 3 if totals else 1]
    counts = dict(zip(names, pairs.counts(), strict=False))
    return {
        "count": pairs.count,
        **{name: _array(value.to(pairs.dtype)) for name, value in counts.items()},
        **{f"fastdissect_{name}": value.cpu().numpy() for name, value in counts.items()},
    }


def read_co_occurrence(fields: Fields, totals: bool) -> CoOccurrence:
    """Without totals, a signal with itself: they are the diagonal."""
    pairs = CoOccurrence()
    pairs.count = fields.integer("count")
    pairs.dtype = fields.tensor("intersection", 2, "f").dtype
    pairs.intersection = _whole(fields, "intersection", 2)
    if totals:
        pairs.total_a, pairs.total_b = _whole(fields, "total_a", 1), _whole(fields, "total_b", 1)
        fields.sized("intersection", pairs.intersection, (len(pairs.total_a), len(pairs.total_b)))
    else:
        fields.sized("intersection", pairs.intersection, (len(pairs.intersection),) * 2)
        pairs.total_a = pairs.intersection.diagonal().clone()
        pairs.total_b = pairs.total_a.clone()
    _bounded(fields, "intersection", pairs.intersection, torch.minimum(pairs.total_a[:, None], pairs.total_b))
    if totals:
        for name, total in (("total_a", pairs.total_a), ("total_b", pairs.total_b)):
            _bounded(fields, name, total, torch.full_like(total, pairs.count))
    else:
        _bounded(fields, "intersection", pairs.total_a, torch.full_like(pairs.total_a, pairs.count))
    return pairs


def _bounded(fields: Fields, name: str, found: Tensor, most: Tensor) -> None:
    """Counts from 0 that are not above what they are a part of; beyond 2^24 the peers' own round."""
    name = f"fastdissect_{name}" if fields.has(f"fastdissect_{name}") else name
    if bool(((found < 0) | ((found > most) & (found < STALLS))).any()):
        raise fields.state.refuse(name, "counts from 0, none above those of which it is a part", "others")


def bincount_fields(counts: Bincounts) -> dict[str, Any]:
    """int64 both here and there."""
    return {"count": counts.count, "bincount": counts.result().cpu().numpy()}


def read_bincounts(fields: Fields) -> Bincounts:
    """As `bincount_fields` wrote them."""
    counts = Bincounts()
    counts.count, counts.counts = fields.integer("count"), fields.tensor("bincount", 1, "iu").long()
    if bool((counts.counts < 0).any()):
        raise fields.state.refuse("bincount", "counts from 0", int(counts.counts.min()))
    return counts


def _array(values: Tensor) -> NDArray[Any]:
    """numpy has no bfloat16: such values go into a file as float32, which holds each of them."""
    values = values.cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _whole(fields: Fields, name: str, dims: int) -> Tensor:
    """Counts as int64, from our own field or from the peer's floats."""
    if fields.has(f"fastdissect_{name}"):
        return fields.tensor(f"fastdissect_{name}", dims, "iu").long()
    floats = fields.tensor(name, dims, "f")
    if not bool(((floats >= 0) & (floats == floats.round())).all()):
        raise fields.state.refuse(name, "counts, whole numbers from 0", "others")
    if floats.dtype != torch.float64 and bool((floats >= STALLS).any()):
        warnings.warn(
            f"{fields.state.source}: field {name!r} has counts of 2^24 and more that were added as {floats.dtype}, which "
            "drops ones from there on; count again to have them exact",
            UserWarning,
            stacklevel=2,
        )
    return floats.long()
