"""What comes before the last pass when a layer's cells would not fit: passes that find its thresholds alone.

    ValuePass    the first of two: values above the rising bound, r a unit, no cells and no neighbours
    CountPass    the first two of three: counts of the keys' top 16 bits, then of the low 16 inside the bin of T

Both read with the `sift` kernel, so that unusable cells, means and maxima are those of the last pass.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.kernels import Sifted, backend_for, get_num_threads
from fastdissect.kernels.keys import widen
from fastdissect.kernels.reference import HUGE, NAN_BITS
from fastdissect.kernels.selection import host_backend
from fastdissect.kernels.stores import begin_sift, beside, value_starts, with_room, zeros_beside
from fastdissect.key_bins import bin_of_rank
from fastdissect.ranks import rank_bounds
from fastdissect.readout import thresholds_at, usable
from fastdissect.top_values import GROWTH, TopValues
from fastdissect.types import ActivationView, Kind, Profile, SparseActivations

__all__ = ["CountPass", "ValuePass"]

SMALLEST = 1 << 20  # bytes below which pruning is not worth a call
_NOTHING = np.uint32(0xFFFFFFFF)  # a bound that nothing is above


class ValuePass:
    """The first of two passes.

    Args:
        total: values a unit in the whole data set; an upper bound will do.
        memory: bytes that the values shall not pass: pruned in time.
    """

    def __init__(
        self, layer: str, units: int, kind: Kind, total: int, profile: Profile, omit: bool, memory: float
    ) -> None:
        self.layer, self.profile, self.omit = layer, profile, omit
        self.memory = memory
        self.smallest = min(SMALLEST, memory / (1 + GROWTH))
        self.top = TopValues(units, rank_bounds(profile, max(1, total)).deepest)
        self.top.kind = kind

    @property
    def nbytes(self) -> int:
        """Bytes retained."""
        return self.top.nbytes

    def add(self, view: ActivationView) -> Sifted:
        """Read one batch; a fault is reported, not raised."""
        return self.begin(view)()

    def begin(self, view: ActivationView) -> Callable[[], Sifted]:
        """Start to read one batch; it counts once the result is called, which comes before the next `begin`."""
        sifting = with_room(self.top, lambda: begin_sift(view, self.top.bounds, 0, False, self.omit))
        n, _, h, w = view.data.shape

        def settle() -> Sifted:
            sifted = with_room(self.top, sifting)
            if sifted.fault is None:
                self._append(sifted.cells, n * h * w, sifted.missing)
            return sifted

        return settle

    def take_over(
        self, cells: SparseActivations, bounds: NDArray[np.uint32], missing: NDArray[np.int64]
    ) -> None:
        """Go on from the cells of a sift that outgrew its memory; their neighbours fall away."""
        self.top.bounds = bounds
        n, _, h, w = cells.shape
        self._append(cells, n * h * w, missing)
        self.top.prune()

    def _append(self, cells: SparseActivations, count: int, missing: NDArray[np.int64]) -> None:
        with_room(self.top, lambda: self.top.append(value_starts(cells), cells.values, count, missing))
        self.top.rise(self.smallest)
        if (
            self.top.nbytes > self.memory / GROWTH
        ):  # the risen bounds may keep a third more than the exact ones
            self.top.prune()

    def thresholds(self) -> NDArray[np.float32]:
        """The exact thresholds, [units]."""
        seen = usable(self.layer, self.top.count, self.top.missing)
        return thresholds_at(self.profile, seen, self.top.select)

    def state(self) -> dict[str, NDArray[Any]]:
        return self.top.state()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.top.restore(arrays, self.top.kind)


class CountPass:
    """The first and second of three passes; `narrow` lies between them.

    Memory: 65,536 counters of 8 bytes a unit, in the second pass for each of the ranks that the read-out takes.
    """

    def __init__(self, layer: str, units: int, profile: Profile, omit: bool) -> None:
        self.layer, self.profile, self.omit = layer, profile, omit
        self.count = 0  # values a unit in the first pass
        self.missing = np.zeros(units, np.int64)
        self.prefix: NDArray[np.uint32] | None = None  # [units, ranks], top 16 bits; None: in the first pass
        self.inner = np.zeros((units, 0), np.int64)  # [units, ranks], the rank inside the bin of the prefix
        self.bins: list[NDArray[np.int64]] = []  # [units, 65536], one a rank, on the activations' side
        self.ranks = 1
        self.left_device = False

    @property
    def nbytes(self) -> int:
        """Bytes retained."""
        return sum(bins.nbytes for bins in self.bins)

    def add(self, view: ActivationView) -> Sifted:
        """Read one batch; a fault is reported, not raised."""
        return self.begin(view)()

    def begin(self, view: ActivationView) -> Callable[[], Sifted]:
        """Read one batch; the result gives what was read."""
        sifted = self._read(view)
        return lambda: sifted

    def _read(self, view: ActivationView) -> Sifted:
        bounds = np.full(len(self.missing), _NOTHING)
        sifted = with_room(self, lambda: begin_sift(view, bounds, 0, False, self.omit)())
        if sifted.fault is not None:
            return sifted
        data = _without_unusable(view) if sifted.missing.any() else view.data
        if self.prefix is None:
            n, _, h, w = view.data.shape
            self.count, self.missing = self.count + n * h * w, self.missing + sifted.missing
        for rank in range(self.ranks):
            with_room(self, functools.partial(self._histogram, view, data, rank))
        return sifted

    def _histogram(self, view: ActivationView, data: Any, rank: int) -> None:
        """Count `data`, the view's cells, for one rank; nothing is added before all memory is there."""
        kernels = host_backend() if self.left_device else backend_for(view.data)
        own = ActivationView(to_host(data) if self.left_device else beside(data, view.data), view.kind)
        if not self.bins:
            shape = (len(self.missing), 65536)
            self.bins = [zeros_beside(shape, np.int64, own.data) for _ in range(self.ranks)]
        self.bins = [beside(bins, own.data) for bins in self.bins]  # after a restore
        shift, prefix = (16, None) if self.prefix is None else (0, np.ascontiguousarray(self.prefix[:, rank]))
        kernels.histogram(own, shift, prefix, self.bins[rank], True, get_num_threads())

    def leave_device(self) -> None:
        """Bring the counters to host memory, for good: batches are brought there to be counted."""
        self.left_device = True
        self.bins = [to_host(bins) for bins in self.bins]

    def narrow(self) -> None:
        """End the first pass: note the bin that holds each rank, and count inside it from now on."""
        thresholds_at(self.profile, usable(self.layer, self.count, self.missing), self._note)

    def _note(self, ranks: NDArray[np.int64]) -> NDArray[np.uint32]:
        if (ranks[:, 0] == ranks[:, 1]).all():
            ranks = ranks[:, :1]
        chosen, self.inner = bin_of_rank(to_host(self.bins[0]), ranks)
        self.prefix = chosen.astype(np.uint32)
        self.bins, self.ranks = [], ranks.shape[1]
        return np.full((len(ranks), 2), np.uint32(0x80000000))  # thresholds come after the second pass

    def thresholds(self) -> NDArray[np.float32]:
        """The exact thresholds, [units], after the second pass."""
        seen = usable(self.layer, self.count, self.missing)
        return thresholds_at(self.profile, seen, lambda _ranks: self._chosen())

    def _chosen(self) -> NDArray[np.uint32]:
        assert self.prefix is not None
        low = [bin_of_rank(to_host(bins), self.inner[:, j : j + 1])[0] for j, bins in enumerate(self.bins)]
        keys = self.prefix << np.uint32(16) | np.concatenate(low, axis=1).astype(np.uint32)
        return keys[:, [0, -1]]

    def state(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {"count": np.array(self.count), "missing": self.missing}
        if self.prefix is not None:
            arrays |= {"prefix": self.prefix, "inner": self.inner}
        return arrays | {f"bins{j}": to_host(bins) for j, bins in enumerate(self.bins)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.count, self.missing = int(arrays["count"]), arrays["missing"]
        if "prefix" in arrays:
            self.prefix, self.inner = arrays["prefix"], arrays["inner"]
        self.ranks = 1 if self.prefix is None else self.prefix.shape[1]
        self.bins = [arrays[f"bins{j}"] for j in range(self.ranks) if f"bins{j}" in arrays]


def _without_unusable(view: ActivationView) -> NDArray[Any]:
    """A copy in which unusable cells are NaN (only under nan="omit"): the histogram leaves NaNs out.

    Made on the host, and sent back to a GPU: a batch with unusable cells is rare.
    """
    data = to_host(view.data)
    with np.errstate(invalid="ignore"):
        unusable = ~(np.abs(widen(data, view.kind)) <= HUGE)
    clean: NDArray[Any] = np.where(unusable, NAN_BITS[view.kind], data)
    return clean
