"""Top values: the values of each unit that can still be among its r largest, and a bound that rises.

    append    values above the bound, as they come
    rise      now and then the bound rises towards the r-th largest so far
    prune     it rises to the r-th largest itself; what is at or below it is forgotten for ever
    select    any rank down to r, exactly

Ties fall away with the bound: a constant unit keeps nothing (DESIGN section 2).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import is_on_device, to_host, where
from fastdissect.kernels import Backend
from fastdissect.kernels.stores import beside, where_it_fits
from fastdissect.types import Kind

__all__ = ["FRESH", "GROWTH", "TopValues"]

GROWTH = 1.6  # a store is pruned when it has grown by this factor: see bench/README.md for the choice
Result = TypeVar("Result")
FRESH = 1.4  # the bounds rise whenever this many times as many values have been seen: see bench/README.md


class TopValues:
    """The r largest values of each unit, by unit.

    Arrays are replaced, never changed in place, so that a `copy` is cheap and stays what it was.

    Args:
        units: number of units.
        deepest: r, the deepest rank from the top that will be asked for.
    """

    def __init__(self, units: int, deepest: int) -> None:
        self.deepest = deepest
        self.kind: Kind = "float32"
        self.count = 0  # values seen a unit, unusable ones among them
        self.missing = np.zeros(units, np.int64)  # [units], unusable
        self.bounds = np.zeros(units, np.uint32)  # [units], keys; what is at or below was forgotten
        self._starts: tuple[
            NDArray[np.int64], ...
        ] = ()  # a part: unit k owns values[start[k] : start[k + 1]]
        self._values: tuple[NDArray[Any], ...] = ()
        self.nbytes = 0  # retained
        self._pruned = 0  # bytes after the last prune
        self._raised = 0.0  # values seen when the bounds were last raised
        self.left_device = False

    @property
    def units(self) -> int:
        return len(self.missing)

    def copy(self) -> TopValues:
        return copy.copy(self)

    def append(
        self, start: NDArray[np.int64], values: NDArray[Any], count: int, missing: NDArray[np.int64]
    ) -> None:
        """Take the values above the bounds among `count` more of each unit, `missing` of them unusable.

        They stay where they lie, but after `leave_device`. What was restored goes there too; what lies on another
        device makes all of them leave.
        """
        if self._values and where(values) != self.where and not self.left_device:
            if is_on_device(values) and not is_on_device(self._values[0]):
                moved = [[beside(own, values) for own in arrays] for arrays in (self._starts, self._values)]
                self._starts, self._values = (tuple(arrays) for arrays in moved)
            else:
                self.leave_device()
        if self.left_device:
            start, values = to_host(start), to_host(values)
        self._starts, self._values = (*self._starts, start), (*self._values, values)
        self.nbytes += start.nbytes + values.nbytes
        self.count += count
        self.missing = self.missing + missing

    @property
    def where(self) -> str:
        """Where the values lie: "cpu", "cuda:0", ..."""
        return where(self._values[0]) if self._values else "cpu"

    def leave_device(self) -> None:
        """Bring everything to host memory, for good: what is appended from now on follows it."""
        self.left_device = True
        self.bounds = to_host(self.bounds)
        self._starts = tuple(to_host(start) for start in self._starts)
        self._values = tuple(to_host(values) for values in self._values)

    def forget(self) -> None:
        """Let all values go; bounds and counts stay."""
        self._starts, self._values, self.nbytes, self._pruned = (), (), 0, 0

    def rise(self, smallest: float) -> None:
        """Now and then: raise the bounds towards the r-th largest values so far, and forget what they leave behind
        once the store is above `smallest` bytes and has grown by GROWTH."""
        full = self.nbytes > max(smallest, GROWTH * self._pruned)
        if not self._values or not (full or self.count >= FRESH * self._raised):
            return
        if self._shown():
            self._raised = self.count
            self.bounds = self._where_it_fits(
                lambda own, n: own.raise_bounds(
                    self._starts, self._values, self.kind, self.bounds, self.deepest, n
                )
            )
        if full:
            self._forget_below()

    def prune(self) -> None:
        """Raise the bounds to the exact r-th largest values so far, once all units have shown r."""
        if not self._values:
            return
        if self._shown():
            ranks = np.full((self.units, 1), self.deepest, np.int64)
            self.bounds = np.maximum(to_host(self.bounds), self.select(ranks)[:, 0])
        self._forget_below()

    def _shown(self) -> bool:
        return self.count - int(self.missing.max(initial=0)) >= self.deepest

    def _forget_below(self) -> None:
        start, values = self._where_it_fits(
            lambda own, n: own.join(self._starts, self._values, self.kind, self.bounds, n)
        )
        self._starts, self._values = (start,), (values,)
        self.nbytes = self._pruned = start.nbytes + values.nbytes

    def select(self, ranks: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Keys of the ranks[k, j]-th largest values of unit k, none deeper than r."""
        if not self._values:
            return np.repeat(to_host(self.bounds)[:, None], ranks.shape[1], axis=1)
        return to_host(
            self._where_it_fits(
                lambda own, n: own.select(self._starts, self._values, self.kind, self.bounds, ranks, n)
            )
        )

    def _where_it_fits(self, work: Callable[[Backend, int], Result]) -> Result:
        return where_it_fits(self, self._values[0], work)

    def merged(self, other: TopValues) -> TopValues:
        """Both together, as if one had seen everything; in host memory where they lie on different devices."""
        if self.where != other.where and self._values and other._values:
            mine, theirs = self.copy(), other.copy()
            mine.leave_device()
            theirs.leave_device()
            return mine.merged(theirs)
        both = self.copy()
        both.kind = self.kind if self.count else other.kind
        both.count, both.missing = self.count + other.count, self.missing + other.missing
        both.bounds = np.maximum(to_host(self.bounds), to_host(other.bounds))
        both._starts, both._values = self._starts + other._starts, self._values + other._values
        both.prune()
        return both

    def by_unit(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """(start, values) of everything retained, each unit's values in the order of their bits: canonical.

        NumPy arrays, wherever the values lie.
        """
        self.prune()
        if not self._values:
            return np.zeros(self.units + 1, np.int64), np.zeros(0, np.float32)
        start, values = to_host(self._starts[0]), to_host(self._values[0])
        bits = values.view(np.uint32 if values.itemsize == 4 else np.uint16)
        unit = np.repeat(np.arange(self.units), np.diff(start))
        return start, bits[np.lexsort((bits, unit))].view(values.dtype)

    def state(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps."""
        self.prune()
        arrays: dict[str, NDArray[Any]] = {
            "count": np.array(self.count),
            "missing": self.missing,
            "bounds": to_host(self.bounds),
        }
        if self._values:
            arrays |= {"value_start": to_host(self._starts[0]), "values": to_host(self._values[0])}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]], kind: Kind) -> None:
        """Go on from what `state` gave."""
        self.kind, self.count = kind, int(arrays["count"])
        self.missing, self.bounds = arrays["missing"], arrays["bounds"]
        if "values" in arrays:
            start, values = arrays["value_start"], arrays["values"]
            self._starts, self._values = (start,), (values,)
            self.nbytes = self._pruned = start.nbytes + values.nbytes
