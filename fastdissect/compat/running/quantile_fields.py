"""A quantile sketch as the fields of the peers' states (see quantile_state.py, which reads them)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.compat.running.quantile_stream import QuantileStream

__all__ = ["levels_of_state", "peer_fields"]


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
