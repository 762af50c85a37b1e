"""The peers' state of a quantile sketch, read: samples by level.

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
from torch import Tensor

from fastdissect.compat.running.state_files import State

__all__ = ["LoadedQuantile", "read_quantile_state"]

PEER_RATIO = 0.67  # of the capacities of a peer's neighbouring levels
_STRAYS = 16  # factor by which weights and size may differ


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


def read_quantile_state(state: State) -> LoadedQuantile:
    """Check a state and take it apart.

    Raises:
        OutputError: a field is missing or not what it should be; the message names source and field.
    """
    whole = {
        name: _whole(state, name, low)
        for name, low in (("resolution", 1), ("depth", 1), ("buffersize", 1), ("size", 0))
    }
    batchcount = _whole(state, "batchcount", 0) if "batchcount" in state else 0
    depth, count = whole["depth"], whole["size"]
    levels = [_samples(state, field, found, depth) for field, found in _found_levels(state)]
    extremes = _samples(state, "extremes", state.need("extremes", "least and greatest values"), 2).t()
    if len(extremes) != depth:
        raise state.refuse("extremes", f"shape ({depth}, 2)", f"shape {tuple(extremes.shape)}")
    halvings = _halvings(state)
    held = _check_size(state, count, levels, halvings)
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
        variance = _variance(state)
    else:
        variance = _peers_variance(whole["resolution"], whole["buffersize"], count, levels, halvings)
    largest = None
    name = "fastdissect_top_values"
    if name in state:
        largest = _largest(state, name, depth, count, extremes)
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
        found = state["data"]
        several = isinstance(found, (list, tuple)) or (isinstance(found, np.ndarray) and found.ndim)
        levels = [samples for samples in found if samples is not None] if several else []
        if not levels:
            raise state.refuse("data", "an array of samples [n, units] for each level", _short(found))
        return [("data", samples) for samples in levels]
    sizes = np.asarray(state.need("sizes", "the levels' capacities"))
    if sizes.ndim != 1 or not len(sizes):
        raise state.refuse("sizes", "a number for each level", f"shape {sizes.shape}")
    names = [f"data.{level}" for level in range(len(sizes))]
    return [(name, state.need(name, "samples [n, units] of a level")) for name in names]


def _samples(state: State, field: str, found: Any, depth: int) -> Tensor:
    """An array [n, depth] as a tensor [depth, n]."""
    array = np.asarray(found)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.float16, np.float32, np.float64) or array.ndim != 2 or array.shape[1] != depth:
        raise state.refuse(field, f"floats of shape (n, {depth})", f"{array.dtype} of shape {array.shape}")
    if np.isnan(array).any():
        raise state.refuse(field, "numbers", "NaN; add() the data without NaN")
    return torch.from_numpy(np.ascontiguousarray(array.T))


def _check_size(state: State, count: int, levels: list[Tensor], halvings: int) -> int:
    """The number of values that the levels' samples stand for.

    One level of weight 1 has every value. With several, a peer's thinning of odd numbers lets weights and size
    differ, 5 times with the smallest sketches.
    """
    held = sum(samples.shape[1] << (level + halvings) for level, samples in enumerate(levels))
    whole = len(levels) == 1 and not halvings
    if held != count and (whole or held > count * _STRAYS or count > held * _STRAYS):
        raise state.refuse(
            "size", f"{held}{'' if whole else ' or so'}, which the levels' samples stand for", count
        )
    return held


def _variance(state: State) -> float:
    name = "fastdissect_rank_variance"
    found = np.asarray(state[name])
    if found.ndim or found.dtype.kind not in "fiu" or not 0 <= float(found) < math.inf:
        raise state.refuse(name, "a number from 0", _short(state[name]))
    return float(found)


def _largest(state: State, name: str, depth: int, count: int, extremes: Tensor) -> Tensor | None:
    """The exactly known largest values, of which the greatest is the extreme; None if there are none."""
    found = _samples(state, name, state[name], depth)
    if extremes.dtype == torch.bfloat16:
        found = found.bfloat16()
    if found.dtype != extremes.dtype:
        raise state.refuse(name, f"{extremes.dtype} as the extremes", found.dtype)
    if found.shape[1] > count:
        raise state.refuse(name, f"at most {count} values, the size", found.shape[1])
    if not found.shape[1]:
        return None
    if not torch.equal(found.amax(1), extremes[:, 1]):
        raise state.refuse(name, "the greatest value of each unit among them, as in extremes", "others")
    return found.contiguous()


def _short(found: Any) -> str:
    return f"{type(found).__name__} {str(found)[:60]!r}"


def _whole(state: State, field: str, least: int) -> int:
    found = np.asarray(state.need(field, f"a whole number of {least} or more"))
    if found.ndim or found.dtype.kind not in "iu" or not least <= int(found) < 1 << 62:
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
