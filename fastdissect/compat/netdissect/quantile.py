"""RunningQuantile and RunningConditionalQuantile, as netdissect.runningstats has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.netdissect.conditional import Conditional
from fastdissect.compat.running.quantile_fields import levels_of_state, peer_fields
from fastdissect.compat.running.quantile_settings import MEMORY, require_rows
from fastdissect.compat.running.quantile_statistic import QuantileStatistic, StateSource
from fastdissect.compat.running.state_files import read_state
from fastdissect.errors import SettingError

__all__ = ["RunningConditionalQuantile", "RunningQuantile"]


class RunningQuantile(QuantileStatistic):
    __doc__ = QuantileStatistic.__doc__

    def quantiles(self, quantiles: Any, old_style: bool = False) -> Tensor:  # noqa: ARG002
        """Quantiles of each unit.

        Args:
            quantiles: a number, a list, or a tensor of any shape, of [0, 1].
            old_style: as `percentiles`; the peer's two read-outs have come to the same, so it changes nothing.

        Returns:
            [units, *shape of quantiles], of the values' dtype and on their device; NaN if no sample was seen.

        >>> rq = RunningQuantile()
        >>> rq.add(torch.tensor([[1.0], [2.0], [4.0]]))
        >>> rq.quantiles([0.0, 0.5, 1.0])
        tensor([[1., 2., 4.]])
        """
        return self._quantiles(quantiles)

    def percentiles(self, percentiles: Any) -> Tensor:
        """Quantiles, of [0, 1] too."""
        return self._quantiles(percentiles)

    def median(self) -> Tensor:
        """[units]."""
        return self._quantiles([0.5])[:, 0]

    def readout(self, count: int = 1001, old_style: bool = True) -> Tensor:  # noqa: ARG002
        """[units, count]: quantiles at evenly spaced levels from 0 to 1."""
        return self._quantiles(torch.linspace(0.0, 1.0, count))

    def state_dict(self) -> dict[str, Any]:
        """All that `numpy.savez(file, **state_dict())` should keep; netdissect reads it too.

        An exact state has every value, in one level; there `netdissect` reads the same numbers as here.

        Raises:
            ActivationError: no batch was added.
        """
        levels = levels_of_state(self._seen())
        data = np.empty(len(levels) + 1, object)  # the peer's ends with None
        for level, samples in enumerate(levels):
            data[level] = samples
        fields = peer_fields(self._seen(), self.resolution, self.buffersize, self.batchcount)
        return {"constructor": "netdissect.runningstats.RunningQuantile()", "data": data, **fields}

    def set_state_dict(self, dic: StateSource) -> None:
        """Go on from a state of this class, of netdissect's or of baukit's: a path, an open `.npz`, or fields.

        Raises:
            OutputError: a missing file or field, a damaged one, or another class's.
        """
        self._load(dic)


_UNBOUNDED = 1 << 62  # bytes: the conditions' common limit is what counts


def _unbounded() -> RunningQuantile:
    return RunningQuantile(memory=_UNBOUNDED)


class RunningConditionalQuantile(Conditional[RunningQuantile]):
    """From condition (a number or a string) to RunningQuantile.

    All conditions share `memory`. When their values together exceed it, the condition with the most values goes over
    to a sketch, with an exact tail in a quarter of the memory (the next: an eighth, and so on); sketches come on top
    of `memory`, about 13 r values a unit and condition. So a read-out of such a condition may depend on the batches.

    Args:
        r, buffersize, seed: of each RunningQuantile.
        state: a file or fields that this class or netdissect's wrote.
        memory: bytes of the values of all conditions.
    """

    statistic: ClassVar[Any] = staticmethod(_unbounded)

    def __init__(
        self,
        r: int = 3 * 1024,
        buffersize: int | None = None,
        seed: int | None = None,
        state: StateSource | None = None,
        *,
        memory: int = MEMORY,
    ) -> None:
        self.rq_args: dict[str, Any] = {"r": r, "buffersize": buffersize, "seed": seed}
        self.call_stats: defaultdict[Hashable, int] = defaultdict(int)
        RunningQuantile(**self.rq_args, memory=memory)  # checks the arguments
        self._memory, self._tails = int(memory), 0
        self._kept = 0  # bytes of the values of exact conditions
        super().__init__(state)

    @property
    def running_quantiles(self) -> dict[Hashable, RunningQuantile]:
        """The statistics by condition."""
        return self.conditionals

    @property
    def first_rq(self) -> RunningQuantile | None:
        """The statistic of the first condition."""
        return next(iter(self.conditionals.values()), None)

    @property
    def exact(self) -> bool:
        """True while every value of every condition is kept."""
        return all(rq.exact for rq in self.conditionals.values())

    def add(self, condition: Hashable, incoming: Tensor) -> None:
        """Take a batch [samples, units] of a condition, which moves to the batch's device.

        Raises:
            ActivationError: see RunningQuantile.add.
        """
        rq = self.conditionals.get(condition) or RunningQuantile(**self.rq_args, memory=_UNBOUNDED)
        rows = require_rows(incoming, None)
        if rq.device is not None and rq.device != rows.device:
            rq.to_(rows.device)
        before = rq.exact_bytes
        rq.add(incoming)
        self.conditionals[condition] = rq
        self.call_stats[condition] += 1
        self._kept += rq.exact_bytes - before
        self._make_room()

    def _make_room(self) -> None:
        while self._kept + (self._memory - (self._memory >> self._tails)) // 2 > self._memory:
            largest = max(self.conditionals.values(), key=lambda rq: rq.exact_bytes)
            self._kept -= largest.exact_bytes
            self._tails += 1
            largest.change_over(self._memory >> (self._tails + 1))

    def collected_add(self, conditions: Iterable[Hashable], incoming: Tensor) -> None:
        """Take one batch for several conditions."""
        for condition in conditions:
            self.add(condition, incoming)

    def most_common_conditions(self, n: int) -> list[Hashable]:
        """The n conditions with the most batches."""
        return sorted(self.call_stats, key=lambda c: -self.call_stats[c])[:n]

    def sizes(self) -> dict[Hashable, int]:
        """Samples of each condition."""
        return {condition: rq.size() for condition, rq in self.conditionals.items()}

    def collected_quantiles(
        self, conditions: Iterable[Hashable], quantiles: Any, old_style: bool = False
    ) -> Tensor:
        """[conditions, units, quantiles]; 0 for a condition that was never added."""
        first, wanted = self._first(), list(conditions)
        assert first.depth is not None
        shape = (len(wanted), first.depth, len(quantiles))
        result = torch.zeros(shape, dtype=first.dtype, device=first.device)
        for i, condition in enumerate(wanted):
            if condition in self.conditionals:
                result[i] = self.conditionals[condition].quantiles(quantiles, old_style)
        return result

    def collected_normalize(self, conditions: Iterable[Hashable], values: Tensor) -> Tensor:
        """[conditions, units, n], float32: levels of values [units, n]; 0 for a condition never added."""
        wanted = list(conditions)
        result = torch.zeros((len(wanted), *values.shape[:2]), device=self._first().device)
        for i, condition in enumerate(wanted):
            if condition in self.conditionals:
                result[i] = self.conditionals[condition].normalize(values)
        return result

    def _first(self) -> RunningQuantile:
        if self.first_rq is None:
            raise SettingError("expected a condition before a read-out; add() a batch first")
        return self.first_rq

    def state_dict(self) -> dict[str, Any]:
        """All that `numpy.savez(file, **state_dict())` should keep; netdissect reads it too."""
        return {**super().state_dict(), "rq_args": np.array(self.rq_args, object)}

    def set_state_dict(self, dic: StateSource) -> None:
        """Go on from a state of this class or of netdissect's.

        Raises:
            OutputError: a missing file or field, a damaged one, or another class's.
        """
        state = read_state(dic, cls_name=type(self).__name__)
        found = state.need("rq_args", "a dictionary of r, buffersize and seed")
        found = found.item() if isinstance(found, np.ndarray) and found.ndim == 0 else found
        if not isinstance(found, Mapping) or not {"r"} <= found.keys() <= {"r", "buffersize", "seed"}:
            raise state.refuse("rq_args", "a dictionary of r, buffersize and seed", repr(found))
        super().set_state_dict(state)
        self.rq_args = dict(found)
        self.call_stats.clear()
        self._kept, self._tails = sum(rq.exact_bytes for rq in self.conditionals.values()), 0
        self._make_room()
