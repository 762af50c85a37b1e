"""The arguments of the peers' quantile classes, checked, and the batches that they take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.running.quantile_stream import QuantileStream
from fastdissect.compat.running.quantile_tail import BYTES
from fastdissect.conventions import parse_quantile
from fastdissect.errors import ActivationError, SettingError

__all__ = ["MEMORY", "QuantileSettings", "refuse_nan", "require_rows"]

MEMORY = 1 << 30
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class QuantileSettings:
    """See QuantileStatistic for the arguments."""

    resolution: int
    buffersize: int
    seed: int
    memory: int
    total: int | None
    tail: Fraction | None

    @staticmethod
    def of(
        r: int,
        buffersize: int | None,
        seed: int | None,
        memory: int,
        total: int | None,
        tail: float | str | Fraction | None,
    ) -> QuantileSettings:
        """The settings that the arguments mean.

        Raises:
            SettingError: an argument is outside what is allowed.
        """
        for name, value, least in (
            ("r", r, 1),
            ("buffersize", buffersize, 1),
            ("seed", seed, 0),
            ("memory", memory, 0),
            ("total", total, 1),
        ):
            if (value is not None or name in ("r", "memory")) and not _is_whole(value, least):
                raise SettingError(f"expected {name} to be a whole number of {least} or more; got {value!r}")
        if tail is not None and total is None:
            raise SettingError("expected total= beside tail=: a share of how many samples?")
        resolution = 2 * int(r)
        share = None if tail is None else parse_quantile(tail)
        narrowest = int(buffersize or min(128, (resolution + 7) // 8))
        return QuantileSettings(resolution, narrowest, int(seed or 0), int(memory), total, share)

    def like_a_peer(self, resolution: int, buffersize: int) -> QuantileSettings:
        """With the sketch of a state."""
        return replace(self, resolution=resolution, buffersize=buffersize)

    def begin(self, like: Tensor) -> QuantileStream:
        """An empty stream; `like` [0, units] has the dtype and device.

        Raises:
            SettingError: the tail does not fit into the memory.
        """
        rank = None
        if self.tail is not None and self.total is not None:
            rank = min(int(self.tail * self.total) + 2, self.total)  # a read-out takes two neighbours
            needed = rank * like.shape[1] * like.element_size() * BYTES
            if needed > self.memory:
                raise SettingError(
                    f"expected memory for the top {float(self.tail):g} of {self.total} samples of {like.shape[1]} "
                    f"units; got memory = {self.memory:,} bytes; pass memory >= {needed:,}, or a smaller tail"
                )
        narrowest = min(self.buffersize, self.resolution)
        return QuantileStream(like.clone(), self.memory, rank, self.resolution, narrowest, self.seed)

    def require_total(self, count: int, what: str) -> None:
        """Raise ActivationError if there are more samples than `total`."""
        if self.total is not None and count > self.total:
            raise ActivationError(
                f"expected at most total = {self.total} samples; {what} {count}; give the whole stream's total"
            )


def require_rows(incoming: object, like: Tensor | None) -> Tensor:
    """A batch [samples, units] of values, of the units and dtype of `like`, on its device.

    Raises:
        ActivationError: something else.
    """
    if not isinstance(incoming, Tensor):
        raise ActivationError(f"expected a torch tensor [samples, units]; got {type(incoming).__name__}")
    shape = tuple(incoming.shape)
    if len(shape) != 2 or not shape[1] or (like is not None and shape[1] != like.shape[1]):
        units = "1 unit or more" if like is None else f"{like.shape[1]} units as before"
        raise ActivationError(
            f"expected [samples, {units}]; got shape {shape}; maps [N, K, h, w] become samples by "
            "maps.permute(0, 2, 3, 1).reshape(-1, K)"
        )
    if incoming.dtype not in _DTYPES or (like is not None and incoming.dtype != like.dtype):
        wanted = "float32, float64, float16 or bfloat16" if like is None else f"{like.dtype} as before"
        raise ActivationError(
            f"expected {wanted}; got {incoming.dtype}; convert it knowingly, e.g. x.float()"
        )
    return incoming.detach() if like is None else incoming.detach().to(like.device)


def refuse_nan(rows: Tensor, seen: int) -> None:
    """Raise ActivationError for a NaN. A sum is NaN if a value is, and costs one read."""
    if bool(rows.sum(dtype=torch.float64 if rows.dtype == torch.float64 else torch.float32).isnan()):
        found = rows.isnan().nonzero()
        if len(found):
            sample, unit = found[0].tolist()
            raise ActivationError(
                f"expected numbers; got NaN for unit {unit} at sample {seen + sample}; leave such samples out"
            )


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= least
