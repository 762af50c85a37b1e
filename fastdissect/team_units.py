"""Units of a tensor-parallel layer: the processes of a team run the same images, and each sifts units of its own.

    output of a layer                            units of this process
    DTensor, sharded over its units              those that lie here
    DTensor, replicated                          its share of them, a view
    DTensor, a sum that is not added up yet,     its share: added up, or exchanged, among the team
      or sharded over anything else
    plain tensor, proven to be units of its own  all of it (models/local_outputs.py)
    plain tensor, the same in all                its share of them, a view

All values of a unit are in one process: its threshold needs nobody else. Our formulation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.models.local_outputs import local_outputs
from fastdissect.models.parallelism import dtensor_type

__all__ = ["TeamUnits"]

CHECKED = 2  # calls of a layer whose plain outputs are compared: the probe's, on zeros, and the first batch's
CLOSE = 1e-2  # of means: two devices may differ in last bits, two parts of a layer differ altogether


class TeamUnits:
    """The units that this process sifts.

    Args:
        number, count: of this process in the team, from 0.
        gather: gives the value of every member to all of them; they call it together.

    Attributes:
        ranges: {layer: (first unit, the one after the last, of how many)}, once a layer was met.
    """

    def __init__(self, number: int, count: int, gather: Callable[[Any], list[Any]]) -> None:
        self.number, self.count, self.gather = number, count, gather
        self.ranges: dict[str, tuple[int, int, int]] = {}
        self._calls: dict[str, int] = {}
        self._local: set[nn.Module] = set()

    @property
    def folder(self) -> str:
        """Name of the folder of its results, within the shard's."""
        return f"units-{self.number + 1:0{len(str(self.count))}d}-of-{self.count}"

    @contextlib.contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Around the first forward pass: find the layers that give this process's units as a plain tensor."""
        with local_outputs(module) as self._local:
            yield

    def take(self, name: str, layer: nn.Module, maps: Tensor) -> Tensor:
        """This process's units [n, units, h, w] of a layer's maps [n, K, h, w]; a view where that can be.

        Raises:
            LayerError: a plain tensor that differs between the processes.
        """
        dtensor = dtensor_type()
        if dtensor is not None and isinstance(maps, dtensor):
            from torch.distributed.tensor import Shard

            total = int(maps.shape[1])
            size = -(-total // self.count)  # as torch shards
            first = min(self.number * size, total)
            self.ranges[name] = first, min(first + size, total), total
            return _waited(maps.redistribute(placements=[Shard(1)]).to_local())
        maps = _waited(maps)
        if layer in self._local:
            if name not in self.ranges:
                counts = self.gather(int(maps.shape[1]))
                first = sum(counts[: self.number])
                self.ranges[name] = first, first + counts[self.number], sum(counts)
            return maps
        self._check_same(name, maps)
        total = int(maps.shape[1])
        first, last = (number * total // self.count for number in (self.number, self.number + 1))
        self.ranges[name] = first, last, total
        return maps[:, first:last]

    def _check_same(self, name: str, maps: Tensor) -> None:
        """Parts of a layer that nothing tells from a whole one would be taken for the same units again and again."""
        self._calls[name] = self._calls.get(name, 0) + 1
        if self._calls[name] > CHECKED:
            return
        means = maps[0].float().mean((1, 2)).cpu().numpy()
        for other in map(np.array, self.gather(means.tolist())):
            size = max(np.abs(means).max(initial=0.0), np.abs(other).max(initial=0.0))
            if other.shape != means.shape or not np.allclose(other, means, rtol=0, atol=CLOSE * size):
                raise LayerError(
                    f"layer {name!r}: expected the same tensor in all {self.count} processes, or a DTensor; got another one "
                    f"in each ({list(maps.shape)} here): perhaps units of its own; give the layer that shards them "
                    "use_local_output=False"
                )


def _waited(tensor: Tensor) -> Tensor:
    """The tensor itself, of one that is still on its way."""
    wait = getattr(tensor, "wait", None) if type(tensor) is not torch.Tensor else None
    found: Tensor = tensor if wait is None else wait()
    return found
