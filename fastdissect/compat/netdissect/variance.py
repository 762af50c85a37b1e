"""RunningVariance and RunningConditionalVariance, as netdissect.runningstats has them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.netdissect.conditional import Conditional
from fastdissect.compat.running.batches import as_samples, require_tensor
from fastdissect.compat.running.fields import Fields
from fastdissect.compat.running.moments import Moments
from fastdissect.compat.running.states import moment_fields, read_moments

__all__ = ["RunningConditionalVariance", "RunningVariance"]


class RunningVariance:
    """Mean and variance of each feature.

    Sums are float64 underneath and read out in the data's dtype: results agree with the peer's float32 updates to
    their rounding. Means of indicators (zeros and ones) are exact counts.

    Args:
        state: a file or dictionary that this class or the peer's wrote.

    Raises:
        OutputError: the state is of another class, damaged, or lacks a field.

    >>> moments = RunningVariance()
    >>> moments.add(torch.tensor([[1.0, 0.0], [3.0, 1.0]]))
    >>> moments.mean().tolist(), moments.variance().tolist()
    ([2.0, 0.5], [2.0, 0.5])
    """

    def __init__(self, state: Any = None) -> None:
        self._moments = Moments()
        if state is not None:
            self.set_state_dict(state)

    @property
    def count(self) -> int:
        return self._moments.count

    @property
    def batchcount(self) -> int:
        return self._moments.batches

    def add(self, a: Tensor) -> None:
        """Take [samples, features], one sample [features], or maps [images, features, ...] (each position a sample).

        Raises:
            ActivationError: no tensor; other features or another device than before.
        """
        name = "RunningVariance.add"
        self._moments.add(as_samples(require_tensor(a, name), name), name)

    def add_counts(self, count: int, ones: Tensor, dtype: torch.dtype) -> None:
        """Take `count` samples of indicators at once, of which ones[k], whole numbers, are 1 (an addition of ours)."""
        self._moments.combine_counts(count, ones, dtype)

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def mean(self) -> Tensor:
        """[features]."""
        return self._moments.mean()

    def sum(self) -> Tensor:
        """float64 [features]: what the mean is made of; exact for whole numbers (an addition of ours)."""
        return self._moments.sum()

    def variance(self) -> Tensor:
        """[features], unbiased."""
        return self._moments.variance()

    def stdev(self) -> Tensor:
        """[features], the root of `variance`."""
        return self.variance().sqrt()

    def to_(self, device: torch.device | str) -> None:
        """Move the sums to a device."""
        self._moments.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """The peer's fields, and the exact sums in two of our own."""
        return {"constructor": "netdissect.runningstats.RunningVariance()", **moment_fields(self._moments)}

    def set_state_dict(self, dic: Any) -> None:
        """Go on from a state: a path, an open `.npz`, or a dictionary."""
        self._moments = read_moments(Fields(dic, ("RunningVariance", "Variance")))


class RunningConditionalVariance(Conditional[RunningVariance]):
    """A RunningVariance a condition.

    Args:
        state: a file or dictionary that this class or the peer's wrote.
    """

    statistic = RunningVariance

    @property
    def running_var(self) -> dict[Hashable, RunningVariance]:
        return self.conditionals

    def add(self, condition: Hashable, incoming: Tensor) -> None:
        """Take a batch of samples of one condition."""
        self.of(condition, RunningVariance).add(incoming)

    def add_counts(self, condition: Hashable, count: int, ones: Tensor, dtype: torch.dtype) -> None:
        """Take `count` samples of indicators of one condition (an addition of ours)."""
        self.of(condition, RunningVariance).add_counts(count, ones, dtype)

    def collected_add(self, conditions: Iterable[Hashable], incoming: Tensor) -> None:
        """Take the same batch under several conditions."""
        for condition in conditions:
            self.add(condition, incoming)
