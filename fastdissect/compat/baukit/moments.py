"""Mean, Variance and Covariance, as baukit has them: float64 underneath, read out in the data's dtype."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.baukit.stat import Stat, features_of, shape_of, shaped
from fastdissect.compat.running.covariances import Covariances
from fastdissect.compat.running.fields import Fields
from fastdissect.compat.running.moments import Moments
from fastdissect.compat.running.states import (
    covariance_fields,
    moment_fields,
    read_covariances,
    read_moments,
)

__all__ = ["Covariance", "Mean", "Variance"]


class Mean(Stat):
    """Mean of each feature; exact for whole numbers, else as near as its dtype allows.

    Args:
        state: a file or dictionary that this class or baukit's wrote.

    >>> mean = Mean()
    >>> mean.add(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    >>> mean.mean().tolist(), mean.size()
    ([2.0, 2.0], 2)
    """

    def __init__(self, state: Any = None) -> None:
        self._moments = Moments()
        self.data_shape: tuple[int, ...] | None = None
        if state is not None:
            self.load_state_dict(state)

    @property
    def count(self) -> int:
        return self._moments.count

    @property
    def batchcount(self) -> int:
        return self._moments.batches

    def add(self, x: Any) -> None:
        """Take a batch [samples, ...] of any real dtype."""
        name = f"{type(self).__name__}.add"
        data, self.data_shape = features_of(x, self.data_shape, name)
        self._moments.add(data, name)

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def mean(self) -> Tensor:
        """Shaped as a sample."""
        return shaped(self._moments.mean(), self.data_shape)

    def to_(self, device: torch.device | str) -> None:
        self._moments.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """baukit's fields, and the exact sums in fields of our own."""
        fields = moment_fields(self._moments)
        del fields["cmom2"], fields["fastdissect_cmom2"]
        return {"constructor": "baukit.runningstats.Mean()", "data_shape": self.data_shape, **fields}

    def load_state_dict(self, state: Any) -> None:
        fields = Fields(state, "Mean")
        moments = read_moments(fields, deviations=False)
        self.data_shape, self._moments = shape_of(fields, len(moments.sum())), moments


class Variance(Mean):
    """Mean and variance of each feature."""

    def variance(self, unbiased: bool = True) -> Tensor:
        """Shaped as a sample."""
        return shaped(self._moments.variance(unbiased), self.data_shape)

    def stdev(self, unbiased: bool = True) -> Tensor:
        """Shaped as a sample."""
        return self.variance(unbiased).sqrt()

    def state_dict(self) -> dict[str, Any]:
        name = "baukit.runningstats.Variance()"
        return {"constructor": name, "data_shape": self.data_shape, **moment_fields(self._moments)}

    def load_state_dict(self, state: Any) -> None:
        fields = Fields(state, ("Variance", "RunningVariance"))
        moments = read_moments(fields)
        self.data_shape, self._moments = shape_of(fields, len(moments.sum())), moments


class Covariance(Stat):
    """Mean and covariance of all pairs of features.

    Args:
        state: a file or dictionary that this class or baukit's wrote.
    """

    def __init__(self, state: Any = None) -> None:
        self._pairs = Covariances()
        self.data_shape: tuple[int, ...] | None = None
        if state is not None:
            self.load_state_dict(state)

    @property
    def count(self) -> int:
        return self._pairs.count

    def add(self, x: Any) -> None:
        """Take a batch [samples, ...] of any real dtype."""
        data, self.data_shape = features_of(x, self.data_shape, "Covariance.add")
        self._pairs.add(data, "Covariance.add")

    def mean(self) -> Tensor:
        """Shaped as a sample."""
        return shaped(self._pairs.mean(), self.data_shape)

    def covariance(self, unbiased: bool = True) -> Tensor:
        """Shaped as a sample, twice."""
        return shaped(self._pairs.covariance(unbiased).to(self._pairs.dtype), self.data_shape)

    def correlation(self, unbiased: bool = True) -> Tensor:
        """Shaped as a sample, twice; NaN where a feature is constant."""
        wide = self._pairs.covariance(unbiased)
        root = wide.diagonal().rsqrt()
        return shaped((root[:, None] * wide * root).to(self._pairs.dtype), self.data_shape)

    def variance(self, unbiased: bool = True) -> Tensor:
        """Shaped as a sample."""
        wide = self._pairs.covariance(unbiased).diagonal()
        return shaped(wide.to(self._pairs.dtype), self.data_shape)

    def stdev(self, unbiased: bool = True) -> Tensor:
        """Shaped as a sample."""
        return self.variance(unbiased).sqrt()

    def to_(self, device: torch.device | str) -> None:
        self._pairs.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """baukit's fields, and the float64 sums in fields of our own."""
        name = "baukit.runningstats.Covariance()"
        return {"constructor": name, "data_shape": self.data_shape, **covariance_fields(self._pairs)}

    def load_state_dict(self, state: Any) -> None:
        fields = Fields(state, "Covariance")
        pairs = read_covariances(fields)
        self.data_shape, self._pairs = shape_of(fields, len(pairs.mean())), pairs
