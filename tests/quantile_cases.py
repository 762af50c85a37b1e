"""Streams for the tests of the peers' quantile classes, and what should be read out of them, by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def stream(n: int, units: int, flavour: str = "normal", seed: int = 0, dtype: Any = torch.float32) -> Tensor:
    """[n, units] of one flavour: normal, relu, ties, constant, rising."""
    x = np.random.default_rng(seed).normal(size=(n, units))
    if flavour == "relu":
        x = np.maximum(x - 1, 0)
    elif flavour == "ties":
        x = np.round(2 * x)
    elif flavour == "constant":
        x = np.broadcast_to(x[:1], x.shape).copy()
    elif flavour == "rising":
        x = np.sort(x, axis=0)
    return torch.from_numpy(x).to(dtype)


FLAVOURS = ("normal", "relu", "ties", "constant", "rising")


def feed(statistic: Any, x: Tensor, *sizes: int) -> Any:
    """Add x in batches of these sizes, and what is left at once; returns the statistic."""
    for size in sizes:
        statistic.add(x[:size])
        x = x[size:]
    if len(x):
        statistic.add(x)
    return statistic


def knots(x: Tensor) -> tuple[Array, Array]:
    """(levels [n + 2], values [units, n + 2]) between which a read-out interpolates, of all values."""
    n = len(x)
    values = np.sort(x.double().numpy(), axis=0).T
    values = np.concatenate([values[:, :1], values, values[:, -1:]], axis=1)
    middle = ((np.arange(n) + 0.5) / n).astype(np.float32)
    return np.concatenate([[0], middle, [1]]), values


def quantiles(x: Tensor, levels: Any) -> Tensor:
    """[units, levels], as the values' dtype."""
    own, values = knots(x)
    found = np.stack([np.interp(np.asarray(levels, np.float64), own, unit) for unit in values])
    return torch.from_numpy(found).to(x.dtype)


def levels(x: Tensor, data: Tensor) -> Tensor:
    """float32 levels of data [units, n]."""
    own, values = knots(x)
    wide = data.double().numpy()
    return torch.from_numpy(
        np.stack([np.interp(wide[k], values[k], own) for k in range(len(values))])
    ).float()


def ranks_off(x: Tensor, read: Tensor, wanted: Array) -> Array:
    """How far values read out [units, levels] are from the wanted levels, in ranks over n; 0 inside ties."""
    ordered = np.sort(x.double().numpy(), axis=0)
    off = np.empty(read.shape)
    for k, values in enumerate(read.double().numpy()):
        low = np.searchsorted(ordered[:, k], values, "left") / len(x)
        high = np.searchsorted(ordered[:, k], values, "right") / len(x)
        off[k] = np.maximum(low - wanted, 0) + np.maximum(wanted - high, 0)
    return off
