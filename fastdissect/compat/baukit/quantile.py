"""Quantile, as baukit.runningstats has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.baukit.stat import Stat
from fastdissect.compat.running.quantile_fields import levels_of_state, peer_fields
from fastdissect.compat.running.quantile_statistic import QuantileStatistic, StateSource

__all__ = ["Quantile"]


class Quantile(QuantileStatistic, Stat):
    __doc__ = QuantileStatistic.__doc__

    def quantiles(self, quantiles: Any) -> Tensor:
        """Quantiles of each unit.

        Args:
            quantiles: a number, a list, or a tensor of any shape, of [0, 1].

        Returns:
            [units, *shape of quantiles], of the values' dtype and on their device; NaN if no sample was seen.

        >>> q = Quantile()
        >>> q.add(torch.tensor([[1.0], [2.0], [4.0]]))
        >>> q.quantiles([0.0, 0.5, 1.0])
        tensor([[1., 2., 4.]])
        """
        return self._quantiles(quantiles)

    def median(self) -> Tensor:
        """[units]."""
        return self._quantiles(0.5)

    def readout(self, count: int = 1001) -> Tensor:
        """[units, count]: quantiles at evenly spaced levels from 0 to 1."""
        return self._quantiles(torch.linspace(0.0, 1.0, count))

    def min(self) -> Tensor:
        """[units]: the least values (baukit's own gives both extremes of the first unit)."""
        return self.minmax()[:, 0]

    def max(self) -> Tensor:
        """[units]: the greatest values (baukit's own gives both extremes of the last unit)."""
        return self.minmax()[:, 1]

    def state_dict(self) -> dict[str, Any]:
        """All that `save` keeps; baukit reads it too, without a pickle.

        Raises:
            ActivationError: no batch was added.
        """
        stream = self._seen()
        fields = peer_fields(stream, self.resolution, self.buffersize, self.batchcount)
        levels = {f"data.{level}": samples for level, samples in enumerate(levels_of_state(stream))}
        return {"constructor": "baukit.runningstats.Quantile()", **fields, **levels}

    def load_state_dict(self, state: StateSource) -> None:
        """Go on from a state of this class, of baukit's or of netdissect's: a path, an open `.npz`, or fields.

        Raises:
            OutputError: a missing file or field, a damaged one, or another class's.
        """
        self._load(state)
