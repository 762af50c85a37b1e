"""What the peers' quantile classes have in common: arguments, batches, states, and how far to trust a read-out."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.running.quantile_results import QuantileResults
from fastdissect.compat.running.quantile_settings import MEMORY, QuantileSettings, refuse_nan, require_rows
from fastdissect.compat.running.quantile_state import read_quantile_state
from fastdissect.compat.running.quantile_stream import QuantileStream
from fastdissect.compat.running.state_files import read_state
from fastdissect.errors import nearest

__all__ = ["QuantileStatistic", "StateSource"]

CLASSES = ("RunningQuantile", "Quantile")

StateSource = str | Path | Mapping[str, Any]


class QuantileStatistic(QuantileResults):
    """Quantiles of each unit over a stream of samples.

    Exact while all values fit into `memory`: `.exact`. Beyond that the largest values are kept exactly, as many as
    fit, so that read-outs from `.exact_from` upward still are; the rest is sampled, within `.rank_error`. How the
    stream is cut into batches changes nothing.

    Args:
        r: half the samples of a sketch's widest level, as in the peers.
        buffersize: samples of its narrowest level (default: at most 128).
        seed: of the sketch; the same stream and seed (None is 0) give the same read-outs.
        state: a file or fields that this class or a peer's wrote, to go on from; r and buffersize are then its own.
        memory: bytes of the values kept exactly, default 1 GiB. A read-out that sorts, and the change to a sketch,
            need up to as much again for a while; a sketch needs about 13 r values a unit on top.
        total: samples in all, an upper bound; going past it is an error.
        tail: the top share of `total` to keep exactly when memory does not suffice for all; default: what fits.
            An error with the memory that it needs if that does not fit.

    Raises:
        SettingError: an argument is outside what is allowed.
        OutputError: the state is damaged or of another class.
    """

    def __init__(
        self,
        r: int = 3 * 1024,
        buffersize: int | None = None,
        seed: int | None = None,
        state: StateSource | None = None,
        *,
        memory: int = MEMORY,
        total: int | None = None,
        tail: float | str | Fraction | None = None,
    ) -> None:
        self._settings = QuantileSettings.of(r, buffersize, seed, memory, total, tail)
        self.resolution, self.buffersize = self._settings.resolution, self._settings.buffersize
        self.batchcount = 0
        self._stream: QuantileStream | None = None
        if state is not None:
            self._load(state)

    def __repr__(self) -> str:
        how = (
            "exact" if self.exact else f"exact from {self.exact_from:.6g}, else within {self.rank_error:.2g}"
        )
        return f"{type(self).__name__}: {self.count} samples of {self.depth} units, {how}"

    def __getattr__(self, name: str) -> Any:
        own = type(self)
        if name.startswith("__"):
            raise AttributeError(name)
        offered = ", ".join(sorted(n for n in dir(own) if not n.startswith("_")))
        raise AttributeError(
            f"{own.__name__} has no {name!r}{nearest(name, dir(own), 2)}; it offers {offered}; "
            "levels and their samples are in state_dict()"
        )

    @property
    def count(self) -> int:
        """Samples seen."""
        return 0 if self._stream is None else self._stream.count

    @property
    def depth(self) -> int | None:
        """Units; None before the first batch."""
        return None if self._stream is None else self._stream.like.shape[1]

    @property
    def dtype(self) -> torch.dtype | None:
        """Of the values; None before the first batch."""
        return None if self._stream is None else self._stream.like.dtype

    @property
    def device(self) -> torch.device | None:
        """Where the values are; None before the first batch."""
        return None if self._stream is None else self._stream.like.device

    @property
    def samplerate(self) -> float:
        """1.0: no sample is left out; a loaded peer's rate is in the levels' weights."""
        return 1.0

    @property
    def extremes(self) -> Tensor | None:
        """[units, 2], least and greatest; None before the first batch."""
        return None if self._stream is None else self._stream.extremes()

    @property
    def exact(self) -> bool:
        """True while every value is kept: every read-out is exact."""
        return self._stream is None or self._stream.store is not None

    @property
    def exact_from(self) -> float:
        """The level from which upward `quantiles` is exact, and `normalize` of values there.

        0.0 if all levels are, 1.0 if the greatest value alone is.
        """
        return 0.0 if self._stream is None else self._stream.exact_from()

    @property
    def rank_error(self) -> float:
        """How far a read-out's rank may be off below `exact_from`, as a share of the samples; 0.0 where exact.

        One standard deviation at most (the sum of what each thinning can add to the variance of a rank), and half of
        the heaviest sample. For a state written by a peer: the same bound, from the levels that it has.
        """
        if self._stream is None or self._stream.sketch is None:
            return 0.0
        return self._stream.sketch.rank_error

    @property
    def exact_bytes(self) -> int:
        """Bytes of all values; 0 once they are not all kept."""
        return 0 if self._stream is None or self._stream.store is None else self._stream.store.nbytes

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def add(self, incoming: Tensor) -> None:
        """Take a batch of samples.

        Args:
            incoming: [samples, units], float32, float64, float16 or bfloat16, on any device; the first batch decides.

        Raises:
            ActivationError: another shape, dtype, NaN (a peer takes it, and reads out NaN here and there), or more
                samples than `total`. The state is then as before the call.
            SettingError: `tail` does not fit into `memory`.
        """
        rows = require_rows(incoming, None if self._stream is None else self._stream.like)
        self._settings.require_total(self.count + len(rows), "got")
        refuse_nan(rows, self.count)
        if self._stream is None:
            self._stream = self._settings.begin(rows[:0])
        self.batchcount += 1
        self._stream.add(rows)

    def change_over(self, memory: int) -> None:
        """Go over to a sketch with an exact tail of at most `memory` bytes, before the own memory is exceeded."""
        if self._stream is not None and self._stream.store is not None:
            self._stream.change_over(memory)

    def to_(self, device: torch.device | str) -> None:
        """Move what is kept to a device; later batches go there too."""
        if self._stream is not None:
            self._stream.to_(device)

    def _load(self, source: StateSource) -> None:
        loaded = read_quantile_state(read_state(source, cls_name=CLASSES))
        self._settings.require_total(loaded.samples, "the state has")
        self._settings = self._settings.like_a_peer(loaded.resolution, loaded.buffersize)
        self.resolution, self.buffersize = loaded.resolution, loaded.buffersize
        self.batchcount = loaded.batchcount
        stream = self._settings.begin(loaded.extremes[:, 0][None, :][:0])
        if loaded.exact:
            stream.add(loaded.levels[0].t())
        else:
            stream.restore(loaded.samples, loaded.levels, loaded.extremes, loaded.variance, loaded.largest)
        self._stream = stream
