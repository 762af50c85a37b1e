"""The peers' state of a quantile sketch: samples by level, and back.

    netdissect    data: an array of objects, one [samples, units] a level, then None; sizes: capacities
    baukit        data.0, data.1, ...: the same arrays by themselves

A level's samples weigh 2^level / samplerate. An exact state is one level of weight 1 with every value: a peer reads
it as it is. A sampled one has its levels; what only we have goes into fields that the peers pass over: `fastdissect_top_values`
[rank, units], the exactly known largest values, and `fastdissect_rank_variance`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.compat.running.quantile_stream import QuantileStream
from fastdissect.compat.running.state_files import State

__all__ = ["LoadedQuantile", "levels_of_state", "peer_fields", "read_quantile_state"]

PEER_RATIO = 0.67  # of the capacities of a peer's neighbouring levels
_DTYPES = (torch.float32, torch.float64, torch.float16)


class LoadedQuantile(NamedTuple):
    """What a state says."""

    resolution: int
    buffersize: int
    samples: int
    batchcount: int
    levels: list[Tensor]  # [units, samples] of weight 2^level
    extremes: Tensor  # [units, 2]
    exact: bool  # one level, with every value
    variance: float
    largest: Tensor | None  # [units, rank], rising


def peer_fields(stream: QuantileStream, resolution: int, buffersize: int, batchcount: int) -> dict[str, Any]:
    """All fields of a state but the class and the levels' samples (see `levels_of_state`)."""
    levels = levels_of_state(stream)
    sizes = [max(resolution, len(levels[0]))] if len(levels) == 1 else [max(8, buffersize, len(levels[0]))]
    for samples in levels[1:]:  # a peer needs room for half of the level below
        sizes.append(max(8, buffersize, len(samples) + -(-sizes[-1] // 2)))
    fields: dict[str, Any] = {
        "resolution": resolution,
        "depth": stream.like.shape[1],
        "buffersize": buffersize,
        "samplerate": 1.0,
        "sizes": np.array(sizes),
        "extremes": _array(stream.extremes()),
        "size": stream.count,
        "batchcount": batchcount,
    }
    if stream.like.dtype == torch.bfloat16:  # numpy has none: float32 holds the values
        fields["fastdissect_dtype"] = "bfloat16"
    if stream.sketch is not None:
        fields["fastdissect_rank_variance"] = stream.sketch.variance
        if stream.tail is not None:
            fields["fastdissect_top_values"] = _array(stream.tail.largest().t())
    return fields


def levels_of_state(stream: QuantileStream) -> list[NDArray[Any]]:
    """Samples [n, units] by level."""
    if stream.store is not None:
        return [_array(stream.store.sorted().t())]
    samples: list[list[Tensor]] = [[values[:, :0]] for values in stream.held.levels]
    for values, weight in stream.held.parts():
        samples[weight.bit_length() - 1].append(values)
    return [_array(torch.cat(own, dim=1).t()) for own in samples]


def _array(values: Tensor) -> NDArray[Any]:
    if values.dtype == torch.bfloat16:
        values = values.float()
    return np.ascontiguousarray(values.detach().cpu().numpy())


def read_quantile_state(state: State) -> LoadedQuantile:
    """Check a state and take it apart.

    Raises:
        OutputError: a field is missing or not what it should be; the message names source and field.
    """
    whole = {
        name: _whole(state, name, low)
        for name, low in (("resolution", 1), ("depth", 0), ("buffersize", 1), ("size", 0))
    }
    batchcount = _whole(state, "batchcount", 0) if "batchcount" in state else 0
    depth, count = whole["depth"], whole["size"]
    levels = [_samples(state, field, found, depth) for field, found in _found_levels(state)]
    extremes = _samples(state, "extremes", state.need("extremes", "least and greatest values"), 2).t()
    if len(extremes) != depth:
        raise state.refuse("extremes", f"shape ({depth}, 2)", f"shape {tuple(extremes.shape)}")
    halvings = _halvings(state)
    held = sum(samples.shape[1] << level for level, samples in enumerate(levels))
    exact = not halvings and held == levels[0].shape[1] == count
    levels = [samples[:, :0] for samples in levels[:1] * halvings] + levels
    if state.get("fastdissect_dtype") is not None and str(state["fastdissect_dtype"]) == "bfloat16":
        levels, extremes = [samples.bfloat16() for samples in levels], extremes.bfloat16()
    for samples in levels:
        if samples.dtype != extremes.dtype:
            raise state.refuse("data", f"{extremes.dtype} as the extremes", str(samples.dtype))
        if samples.shape[1]:  # a peer looks at its newest samples only when it reads out
            low, high = samples.aminmax(dim=1)
            extremes = torch.stack(
                [torch.minimum(extremes[:, 0], low), torch.maximum(extremes[:, 1], high)], dim=1
            )
    if "fastdissect_rank_variance" in state:
        variance = float(np.asarray(state["fastdissect_rank_variance"]))
    else:
        variance = _peers_variance(whole["resolution"], whole["buffersize"], count, levels, halvings)
    largest = None
    name = "fastdissect_top_values"
    if name in state:
        largest = _samples(state, name, state[name], depth).to(extremes.dtype).contiguous()
        if largest.shape[1] > count:
            raise state.refuse(name, f"at most {count} values, the size", largest.shape[1])
    return LoadedQuantile(
        whole["resolution"],
        whole["buffersize"],
        count,
        batchcount,
        levels,
        extremes.contiguous(),
        exact,
        variance,
        largest,
    )


def _found_levels(state: State) -> list[tuple[str, Any]]:
    """(field, samples) of the levels, lightest first, from either peer's layout."""
    if "data" in state:
        return [("data", samples) for samples in state["data"] if samples is not None]
    sizes = np.asarray(state.need("sizes", "the levels' capacities"))
    if sizes.ndim != 1 or not len(sizes):
        raise state.refuse("sizes", "a number for each level", f"shape {sizes.shape}")
    names = [f"data.{level}" for level in range(len(sizes))]
    return [(name, state.need(name, "samples [n, units] of a level")) for name in names]


def _samples(state: State, field: str, found: Any, depth: int) -> Tensor:
    """An array [n, depth] as a tensor [depth, n]."""
    array = np.asarray(found)
    if array.dtype not in (np.float16, np.float32, np.float64) or array.ndim != 2 or array.shape[1] != depth:
        raise state.refuse(field, f"floats of shape (n, {depth})", f"{array.dtype} of shape {array.shape}")
    if np.isnan(array).any():
        raise state.refuse(field, "numbers", "NaN; add() the data without NaN")
    return torch.from_numpy(np.ascontiguousarray(array.T))


def _whole(state: State, field: str, least: int) -> int:
    found = np.asarray(state.need(field, f"a whole number of {least} or more"))
    if found.ndim or found.dtype.kind not in "iu" or int(found) < least:
        raise state.refuse(field, f"a whole number of {least} or more", repr(found.tolist()))
    return int(found)


def _halvings(state: State) -> int:
    """How often the samplerate was halved."""
    found = np.asarray(state.need("samplerate", "a power of 1/2"))
    rate = float(found) if found.ndim == 0 and found.dtype.kind in "fiu" else math.nan
    if not 0 < rate <= 1 or math.frexp(rate)[0] != 0.5:
        raise state.refuse("samplerate", "a power of 1/2", repr(found.tolist()))
    return 1 - math.frexp(rate)[1]


def _peers_variance(
    resolution: int, narrowest: int, count: int, levels: list[Tensor], halvings: int
) -> float:
    """Of a rank in a peer's sketch, at most: a level is compacted when it is at least half full, and 4^level comes on
    top each time; sampling at rate p adds count (1/p - 1)."""
    top = max((level for level, samples in enumerate(levels) if samples.shape[1]), default=0)
    compactions = 0.0
    for level in range(halvings, top):
        capacity = max(narrowest, resolution * PEER_RATIO ** (len(levels) - 1 - level))
        compactions += 2 * count / (capacity * 2**level) * 4**level
    return compactions + count * (2.0**halvings - 1)
