"""Around netdissect's top k: one that counts, one for more units, and tensors gathered from the top items."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.netdissect.loading import Batches
from fastdissect.compat.netdissect.running_tally import tallied
from fastdissect.compat.netdissect.top_k import RunningTopK
from fastdissect.compat.running.fields import Fields
from fastdissect.errors import ActivationError, SettingError

__all__ = ["GatherTensor", "expand_topk", "gather_topk", "range_topk"]


def range_topk(channels: int, size: int = 1, largest: bool = True) -> RunningTopK:
    """A top k of `channels` units whose indices are 0, 1, ... size - 1 in this order (`largest`), or the reverse."""
    top = RunningTopK(k=size)
    values = torch.arange(size, 0, -1) if largest else torch.arange(0, size)
    top.add(values[:, None].expand(size, channels))
    return top


def expand_topk(topk: RunningTopK, channels: int) -> RunningTopK:
    """A top k of one unit as one of many equal units.

    Raises:
        SettingError: it has more than one unit.
    """
    if topk.data_shape != (1,):
        raise SettingError(f"expected a top k of one unit, samples of shape (1,); got {topk.data_shape}")
    values, index = topk.result(flat=True)
    wide = RunningTopK(k=topk.k, largest=topk.largest)
    wide.data_shape = (channels,)
    wide._top.restore(topk.count, values.expand(channels, -1).clone(), index.expand(channels, -1).clone())
    return wide


def gather_topk(
    compute: Any,
    dataset: Any,
    topk: RunningTopK,
    k: int | None = None,
    cachefile: str | Path | None = None,
    **kwargs: Any,
) -> GatherTensor:
    """Compute something for the top items of each unit alone.

    Args:
        compute: called with, for each item of a batch, its list of (unit, rank) pairs, and then the batch (a
            list); returns ((unit, rank), tensor) pairs.
        topk: of a tally over the same data set, without conditions.
        k: so many items a unit; default: all that topk has.
        **kwargs: for the DataLoader.
    """
    k = topk.k if k is None else k

    def run(gathered: GatherTensor) -> GatherTensor:
        wanted: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for unit, items in enumerate(topk.result(flat=True)[1][:, :k].tolist()):
            for rank, item in enumerate(items):
                wanted[item].append((unit, rank))
        order = sorted(wanted)
        done = 0

        def with_ranks(*batch: Any) -> Any:
            nonlocal done
            items, done = order[done : done + len(batch[0])], done + len(batch[0])
            return compute([wanted[item] for item in items], *batch)

        options = {"batch_size": 10, **kwargs}
        for pairs in Batches("top items", with_ranks, dataset, None, sampler=order, **options):
            for (unit, rank), data in pairs:
                gathered.add(unit, rank, data)
        return gathered

    arguments = {"k": k, "count": topk.count}
    shape = topk.data_shape or ()
    return tallied(lambda: GatherTensor(data_shape=shape, k=k), run, cachefile, arguments)


class GatherTensor:
    """[units, k, ...]: a tensor for each unit and rank, of the shape and dtype of the first that is added.

    Args:
        topk: where `data_shape` and `k` come from if they are not given.
        data_shape: shape of the units.
        k: ranks.
        state: a file or dictionary that this class or the peer's wrote.
    """

    def __init__(
        self,
        topk: RunningTopK | None = None,
        data_shape: tuple[int, ...] | int | None = None,
        k: int | None = None,
        state: Any = None,
    ) -> None:
        self._grid: Tensor | None = None
        if state is not None:
            self.set_state_dict(state)
            return
        k = topk.k if k is None and topk is not None else k
        shape = topk.data_shape if data_shape is None and topk is not None else data_shape
        if k is None or shape is None:
            raise SettingError(f"expected topk, or data_shape and k; got {topk}, {data_shape}, {k}")
        self.k = k
        self.data_shape: tuple[int, ...] = (shape,) if isinstance(shape, int) else tuple(shape)

    def add(self, index: int, rank: int, data: Tensor) -> None:
        """Put the tensor of unit `index` and `rank`."""
        if self._grid is None:
            self._grid = data.new_zeros((*self.data_shape, self.k, *data.shape), device="cpu")
        self._grid[index, rank] = data.detach().to(self._grid.device)

    def result(self) -> Tensor:
        """[*data_shape, k, ...].

        Raises:
            ActivationError: nothing was added.
        """
        if self._grid is None:
            raise ActivationError("expected at least one tensor before a result; add() some first")
        return self._grid

    def to_(self, device: torch.device | str) -> None:
        """Move the tensors."""
        if self._grid is not None:
            self._grid = self._grid.to(device)

    def state_dict(self) -> dict[str, Any]:
        """The peer's fields."""
        return {
            "constructor": "netdissect.runningstats.GatherTensor()",
            "k": self.k,
            "data_shape": self.data_shape,
            "grid": self.result().cpu().numpy(),
        }

    def set_state_dict(self, dic: Any) -> None:
        """Go on from a state: a path, an open `.npz`, or a dictionary."""
        fields = Fields(dic, "GatherTensor")
        self.k, self.data_shape = fields.integer("k", 1), fields.shape("data_shape")
        self._grid = fields.tensor("grid", np.ndim(fields.state.get("grid", 0)), "fiub")
        shape = (*self.data_shape, self.k)
        if tuple(self._grid.shape[: len(shape)]) != shape:
            raise fields.state.refuse("grid", f"a shape that begins with {shape}", tuple(self._grid.shape))
