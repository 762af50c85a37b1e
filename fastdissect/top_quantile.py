"""TopQuantile: the exact top quantile of a stream, on its own (numpy alone beside the package)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.arrays import activation_view
from fastdissect.conventions import parse_quantile
from fastdissect.device_arrays import where
from fastdissect.errors import ActivationError, OutputError, SettingError
from fastdissect.kernels import Fault, backend_for, get_num_threads
from fastdissect.kernels.keys import from_keys
from fastdissect.kernels.stores import with_room
from fastdissect.key_bins import KeyBins
from fastdissect.quantile_file import QuantileState, read_quantile, write_quantile
from fastdissect.top_values import GROWTH, TopValues
from fastdissect.types import ActivationView

__all__ = ["TopQuantile"]

SMALLEST = 1 << 18  # bytes below which pruning is not worth a call
PIECE = 1 << 20  # values read between two looks at the store


class TopQuantile:
    """The exact top quantile of each unit over a stream of activations.

    A value at or below the r-th largest so far can never be the threshold (r = floor(q total) + 1), so some
    q of the values, and a little more, is all that is kept. Source: our formulation (DESIGN section 2).

    Args:
        units: number of units (channels).
        quantile: the top fraction, as the decimal that was written: 0.005 is 1/200.
        total: values a unit in the whole stream (images x height x width); an upper bound will do, going past
            it is an error. In a shard, the total of all shards.
        nan: "error", or "omit": NaNs are left out of a unit's values.
        memory: bytes for the retained values; when they do not suffice, `thresholds()` raises and `bracket()`
            gives two ends that hold the threshold between them.

    Example:
        >>> q = TopQuantile(1, quantile=0.25, total=8)
        >>> q.update(np.arange(8, dtype=np.float32).reshape(8, 1))
        >>> q.thresholds()     # two of the eight values are above it
        array([5.], dtype=float32)
    """

    def __init__(
        self,
        units: int,
        quantile: float | str | Fraction = 0.005,
        total: int = 0,
        *,
        nan: str = "error",
        memory: int | None = None,
    ) -> None:
        for name, value in (("units", units), ("total", total)):
            if not _is_whole(value) or value < 1:
                hint = (
                    "" if name == "units" else " (values a unit in the whole stream: images x height x width)"
                )
                raise SettingError(f"expected {name} to be a whole number of 1 or more{hint}; got {value!r}")
        if nan not in ("error", "omit"):
            raise SettingError(f'expected nan to be "error" or "omit"; got {nan!r}')
        if memory is not None and (not _is_whole(memory) or memory < 0):
            raise SettingError(f"expected memory in whole bytes, 0 or more; got {memory!r}")
        self.units, self.total, self.nan = int(units), int(total), nan
        self.memory = None if memory is None else int(memory)
        self.quantile = parse_quantile(quantile)
        self._top = TopValues(self.units, math.floor(self.quantile * self.total) + 1)
        self._device: str | None = None  # that the activations lie on
        self._bins: KeyBins | None = None  # instead of values, once `memory` did not suffice

    def __repr__(self) -> str:
        return (
            f"TopQuantile(units={self.units}, quantile={self.quantile}, total={self.total}): "
            f"{self.count} values a unit seen, {self.nbytes:,} bytes, {'exact' if self.exact else 'bracket only'}"
        )

    @property
    def count(self) -> int:
        """Values seen a unit, omitted ones among them."""
        return self._top.count

    @property
    def exact(self) -> bool:
        """False once `memory` did not suffice."""
        return self._bins is None

    @property
    def nbytes(self) -> int:
        """Bytes retained."""
        return self._top.nbytes if self._bins is None else self._bins.counts.nbytes

    def update(self, activations: Any, layout: str = "NCHW") -> None:
        """Read activations of some images, in place.

        Args:
            activations: float32, float16 or bfloat16, [N, K, h, w] (or "NHWC", "NTC", or [N, K]); numpy,
                torch, CuPy, ... (see `activation_view`), on the CPU or a CUDA device, where what is retained
                then stays while it fits there. All updates lie on one device.

        Raises:
            ActivationError: wrong shape or dtype, NaN (unless omitted), more values than `total`. The state is
                then as before the call.
        """
        view = activation_view(activations, layout)
        n, k, h, w = view.data.shape
        if k != self.units:
            raise ActivationError(f"expected activations of {self.units} units; got {k} (layout {layout!r})")
        if self.count and view.kind != self._top.kind:
            raise ActivationError(f"expected {self._top.kind} as in the first update; got {view.kind}")
        if self.count + n * h * w > self.total:
            raise ActivationError(
                f"expected at most total = {self.total} values a unit; got {self.count + n * h * w}; "
                "give the whole stream's total"
            )
        if not n * h * w:
            return
        device = self._device_of(view)
        top, bins = self._top.copy(), self._bins
        top.kind = view.kind
        for piece in _pieces(view):
            bins, fault = self._take(piece, top, bins)
            if fault is not None:
                own = piece.data.shape[2] * piece.data.shape[3]
                at = top.count - self.count + fault.image * own + fault.cell
                raise ActivationError(
                    f"expected numbers; got NaN for unit {fault.unit} at image {at // (h * w)}, cell "
                    f'{at % (h * w)}; pass nan="omit" to leave NaNs out'
                )
        self._top, self._bins, self._device = top, bins, device

    def _device_of(self, view: ActivationView) -> str:
        """Where the view lies: all updates come from one device; a state that was loaded goes on wherever it is used."""
        here = where(view.data)
        if self._device not in (None, here):
            raise ActivationError(
                f"expected activations on {self._device} as in the first update; got {here}; move them there, or use "
                "a TopQuantile for each device and merge() them at the end"
            )
        return here

    def _take(
        self, view: ActivationView, top: TopValues, bins: KeyBins | None
    ) -> tuple[KeyBins | None, Fault | None]:
        """Read one piece into `top`, or into the bins where there are some."""
        omit = self.nan == "omit"
        n, _, h, w = view.data.shape
        if bins is not None:
            bins, missing, fault = bins.added(view, omit)
            if fault is None:
                top.count, top.missing = top.count + n * h * w, top.missing + missing
            return bins, fault
        threads = get_num_threads() if view.data.size > 1 << 18 else 1
        start, values, missing, fault = with_room(
            top, lambda: backend_for(view.data).filter(view, top.bounds, omit, threads)
        )
        if fault is not None:
            return None, fault
        with_room(top, lambda: top.append(start, values, n * h * w, missing))
        if self.memory is not None and top.nbytes > self.memory:
            top.prune()
        else:
            top.rise(SMALLEST)
        return self._held(top), None

    def _held(self, top: TopValues) -> KeyBins | None:
        """None while the pruned values fit the memory; else counts in their place."""
        if self.memory is None or top.nbytes <= self.memory:
            return None
        bins = KeyBins.of(top, self.memory)
        top.forget()
        return bins

    def merge(self, other: TopQuantile) -> TopQuantile:
        """Add another stream's state; exact, and the same in any order and grouping. Returns self.

        Raises:
            SettingError: other units, quantile, total, NaN policy or dtype.
            ActivationError: more values together than `total`.
        """
        if not isinstance(other, TopQuantile):
            raise SettingError(f"expected a TopQuantile to merge; got {type(other).__name__}")
        for name in ("units", "quantile", "total", "nan"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise SettingError(f"expected states of equal {name} to merge; got {mine} and {theirs}")
        if self.count and other.count and self._top.kind != other._top.kind:
            raise SettingError(
                f"expected states of equal dtype to merge; got {self._top.kind}, {other._top.kind}"
            )
        if self.count + other.count > self.total:
            raise ActivationError(
                f"expected at most total = {self.total} values a unit; got {self.count} + {other.count}; "
                "every shard's total is the whole stream's"
            )
        both = self._top.merged(other._top)
        bins = self._held(both) if self.exact and other.exact else None
        if not (self.exact and other.exact):
            memory = self.memory if self.memory is not None else other.memory or 0
            parts = [q._bins or KeyBins.of(q._top.copy(), memory) for q in (self, other)]
            bins = parts[0].merged(parts[1])
            both.forget()
        self._top, self._bins = both, bins
        return self

    def thresholds(self) -> NDArray[np.float32]:
        """The exact thresholds of what was seen, float32 [units]: at most q of a unit's values are above.

        The order statistic of rank floor(q n) + 1 from the top (inverted CDF), n the unit's values so far.

        Raises:
            ActivationError: nothing seen, or `memory` did not suffice (`bracket()` then gives two ends).

        Warns:
            UserWarning: floor(q n) is 0: the threshold is the maximum and nothing is above it.
        """
        if self._bins is not None:
            width = 4 if self._top.kind == "float32" else 2
            needed = math.ceil(GROWTH * self.units * (width * self._top.deepest + 16))
            raise ActivationError(
                f"memory = {self.memory or 0:,} bytes did not suffice for exact thresholds; bracket() gives two ends, "
                f"or pass memory >= {needed:,} from the start"
            )
        seen = self.count - self._top.missing
        if seen.min() < 1:
            raise ActivationError(
                f"expected at least one value a unit; unit {int(seen.argmin())} has none; update() first"
            )
        fewest = int(seen.min())
        if self.quantile * fewest < 1:
            warnings.warn(
                f"n = {fewest} values are too few for the top {self.quantile}: the threshold is the maximum and "
                f"nothing is above it; at least {math.ceil(1 / self.quantile)} values are needed",
                UserWarning,
                stacklevel=2,
            )
        return from_keys(self._top.select(self._ranks(seen)[:, None])[:, 0])

    def bracket(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(low, high), float32 [units] each: low <= threshold <= high, always. Equal where exact.

        A unit without values has (-inf, inf).
        """
        seen = self.count - self._top.missing
        ranks = self._ranks(np.maximum(seen, 1))
        if self._bins is None:
            low = high = self._top.select(ranks[:, None])[:, 0]
        else:
            low, high = self._bins.bracket(ranks)
        none = seen < 1
        inf = np.float32(np.inf)
        return np.where(none, -inf, from_keys(low)), np.where(none, inf, from_keys(high))

    def _ranks(self, seen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([math.floor(self.quantile * n) + 1 for n in seen.tolist()], np.int64)

    def save(self, path: str | Path) -> None:
        """Write the state to one .npz file (beside and renamed); `load` reads it again.

        Exact states that have seen the same values are equal in every byte, in whatever order they saw them.

        Raises:
            OutputError: the file cannot be written.
        """
        arguments = {
            "units": self.units,
            "quantile": str(self.quantile),
            "total": self.total,
            "nan": self.nan,
            "memory": self.memory,
        }
        write_quantile(path, QuantileState(arguments, self._top, self._bins))

    @classmethod
    def load(cls, path: str | Path) -> TopQuantile:
        """Read what `save` wrote.

        Raises:
            OutputError: the file is missing, damaged, or from a newer version.
        """
        state = read_quantile(path)
        try:
            q = cls(**state.arguments)
        except (SettingError, TypeError) as error:
            raise OutputError(
                f"{path}: expected a saved TopQuantile; the file is damaged ({error})"
            ) from error
        state.top.deepest = q._top.deepest
        q._top, q._bins = state.top, state.bins
        return q


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _pieces(view: ActivationView) -> Iterator[ActivationView]:
    """Pieces of about a million values, in place, so that the bound rises within a large array too.

    [N, K, 1, 1] is seen as [1, K, 1, P]: a unit's values of many images side by side. A map of more values is
    cut between its rows; in each unit the values come in their order all the same.
    """
    n, k, h, w = view.data.shape
    images = max(1, PIECE // (k * h * w))
    rows = h if images > 1 else max(1, min(h, PIECE // (k * w)))
    for first in range(0, n, images):
        for top in range(0, h, rows):
            part = view.data[first : first + images, :, top : top + rows]
            yield ActivationView(part.transpose(2, 1, 3, 0) if h * w == 1 else part, view.kind)
