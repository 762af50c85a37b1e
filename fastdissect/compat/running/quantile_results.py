"""What the peers' quantile classes read out in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.running.quantile_readout import SINGLE, wide
from fastdissect.compat.running.quantile_stream import QuantileStream
from fastdissect.errors import ActivationError

__all__ = ["QuantileResults"]


class QuantileResults:
    """Read-outs of a stream of samples."""

    _stream: QuantileStream | None

    def _seen(self) -> QuantileStream:
        if self._stream is None:
            raise ActivationError("expected samples before a read-out; add() a batch first")
        return self._stream

    def minmax(self) -> Tensor:
        """[units, 2]: the least and the greatest value, always exact."""
        return self._seen().extremes()

    def _quantiles(self, quantiles: Any) -> Tensor:
        """[units, *shape of quantiles], of the values' dtype and on their device.

        Numbers are rounded to float32 first, as the peers do, up to 2^23 samples; tensors are taken as they are.
        """
        stream = self._seen()
        if not isinstance(quantiles, Tensor):
            if stream.count > SINGLE and not isinstance(quantiles, np.ndarray):
                quantiles = np.asarray(quantiles, np.float64)
            quantiles = torch.as_tensor(quantiles)
        shape = (stream.like.shape[1], *quantiles.shape)
        if stream.count == 0:
            return torch.full(shape, torch.nan)
        found = stream.quantiles(wide(quantiles.reshape(-1)))
        return torch.from_numpy(found).to(stream.like.dtype).to(stream.like.device).reshape(shape)

    def normalize(self, data: Tensor) -> Tensor:
        """Levels of values: float32, of data's shape, on its device.

        Args:
            data: [units, ...].

        Raises:
            ActivationError: no sample was seen, or another number of units.
        """
        stream = self._seen()
        if stream.count == 0 or data.shape[:1] != (stream.like.shape[1],):
            raise ActivationError(
                f"expected samples seen and values [{stream.like.shape[1]} units, ...]; got {stream.count} "
                f"samples and shape {tuple(data.shape)}"
            )
        found = stream.levels_of(wide(data.reshape(len(data), -1)))
        return torch.from_numpy(found).float().clamp_(0.0, 1.0).to(data.device).reshape(data.shape)

    def integrate(self, fun: Callable[[Tensor], Tensor]) -> Tensor | None:
        """The sum of fun(value) over all samples of each unit, added in float64; None before any sample.

        Args:
            fun: takes values [units, n] and gives [units, n] (or [..., n]); it sees the samples in rising order, in
                pieces, so it must treat each value by itself.
        """
        found = self._integrated(fun)
        return None if found is None else found[0].to(found[1])

    def _integrated(self, fun: Callable[[Tensor], Tensor]) -> tuple[Tensor, torch.dtype] | None:
        result: Tensor | None = None
        kind = torch.get_default_dtype()
        for values, weight in self._seen().pieces():
            if not values.shape[1]:
                continue
            out = fun(values)
            kind = out.dtype if out.dtype.is_floating_point else kind
            if isinstance(weight, Tensor):
                term = (out * weight).sum(-1, dtype=torch.float64)
            else:
                term = out.sum(-1, dtype=torch.float64) * weight
            result = term if result is None else result + term
        return None if result is None else (result, kind)

    def mean(self) -> Tensor:
        """[units]; exact up to rounding while `exact`."""
        return self._mean().to(self._seen().like.dtype)

    def _mean(self) -> Tensor:
        found = self._integrated(lambda x: x.double())
        if found is None:
            raise ActivationError("expected samples before a read-out; add() a batch first")
        return found[0] / self._seen().count

    def variance(self, unbiased: bool = True) -> Tensor:
        """[units]; over count - 1, or over count."""
        mean = self._mean()[:, None]
        found = self._integrated(lambda x: (x.double() - mean).square())
        assert found is not None
        return (found[0] / (self._seen().count - int(unbiased))).to(self._seen().like.dtype)

    def stdev(self, unbiased: bool = True) -> Tensor:
        """[units]: the root of the variance."""
        return self.variance(unbiased).sqrt()
