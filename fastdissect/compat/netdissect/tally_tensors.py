"""The tallies of netdissect that keep tensors as they come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.netdissect.loading import Batches
from fastdissect.compat.netdissect.running_tally import cached, save
from fastdissect.compat.running.cache_files import remedied
from fastdissect.compat.running.state_files import State
from fastdissect.errors import ActivationError

__all__ = ["tally_cat", "tally_cat_dict", "tally_each"]

Cachefile = str | Path | None


def tally_each(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    summarize: Callable[[], Mapping[str, Tensor]] | None = None,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> dict[str, Tensor] | None:
    """Call `compute` with each batch; then return what `summarize` does, a dictionary of tensors, and cache it."""
    arguments = {"sample_size": sample_size}
    state = cached(cachefile, arguments)
    if state is not None:
        return _tensors(state, arguments)
    for _ in Batches("each", compute, dataset, sample_size, batch_size, **kwargs):
        pass
    if summarize is None:
        return None
    result = {name: value.detach().cpu() for name, value in summarize().items()}
    save(cachefile, _arrays(result), arguments)
    return result


def tally_cat(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> Tensor:
    """All that `compute` returned, put together along the first dimension."""
    arguments = {"sample_size": sample_size}
    state = cached(cachefile, arguments)
    if state is not None:
        with remedied():
            return _tensor(state, "data")
    batches = Batches("cat", compute, dataset, sample_size, batch_size, **kwargs)
    parts = [sample.detach().cpu() for sample in batches]
    if not parts:
        raise ActivationError("tally_cat: expected at least one batch; got an empty data set")
    data = torch.cat(parts)
    save(cachefile, _arrays({"data": data}), arguments)
    return data


def tally_cat_dict(
    compute: Any,
    dataset: Any,
    sample_size: int | None = None,
    batch_size: int = 10,
    cachefile: Cachefile = None,
    **kwargs: Any,
) -> dict[str, Tensor]:
    """The same for dictionaries of tensors (the peer's has `sample_size` among them)."""
    arguments = {"sample_size": sample_size}
    state = cached(cachefile, arguments)
    if state is not None:
        return _tensors(state, arguments)
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for samples in Batches("cat", compute, dataset, sample_size, batch_size, **kwargs):
        for name, value in samples.items():
            parts[name].append(value.detach().cpu())
    data = {name: torch.cat(values) for name, values in parts.items()}
    save(cachefile, _arrays(data), arguments)
    return data


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: value.numpy() for name, value in tensors.items()}


def _tensors(state: State, arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    with remedied():
        return {name: _tensor(state, name) for name in state if name not in arguments}


def _tensor(state: State, name: str) -> Tensor:
    value = np.asarray(state.need(name, "an array"))
    if value.dtype.kind not in "biuf":
        raise state.refuse(name, "an array of numbers", f"dtype {value.dtype}")
    return torch.from_numpy(value.copy())
