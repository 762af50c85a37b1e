"""Times on the device: CUDA events around work that is queued behind a hold, so that the host's own pace is left out.

    stream   | hold: fill a large buffer | start | work ............ | stop |
    host     | queues all of this while the device fills             | ...

The hold also overwrites the L2 cache: what the work reads, it reads from memory. Work that waits for the device in the
middle (to learn a size) shows its wait; where that matters the launches themselves are timed (launches.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastdissect.benchmarks.spreads import spread

__all__ = ["Device", "gigabytes", "paired", "quartiles", "rotation"]

Quartiles = list[float]  # lower quartile, median, upper quartile


def quartiles(values: Sequence[float]) -> Quartiles:
    """[lower quartile, median, upper quartile].

    >>> quartiles([4, 1, 3, 2, 5])
    [1.5, 3, 4.5]
    """
    return list(spread(values))


def gigabytes(size: float, milliseconds: float) -> float:
    """GB/s (1e9 bytes a second) of `size` bytes in so many milliseconds.

    >>> gigabytes(4e9, 1.0)
    4000.0
    """
    return size / milliseconds / 1e6


def rotation(size: int, cache: int) -> int:
    """How many inputs of `size` bytes to take in turn, so that four times the cache lies between two uses of one.

    >>> rotation(25_000_000, 60_000_000), rotation(1 << 29, 60_000_000)
    (10, 2)
    """
    return max(2, math.ceil(4 * cache / size))


class Device:
    """The card that is measured, through torch.

    Args:
        place: where tensors go. The tests rehearse everything with place "cpu" and a stand-in for torch.cuda.
    """

    def __init__(self, torch: Any, place: str = "cuda", hold_bytes: int = 1 << 31) -> None:
        self.torch, self.place = torch, place
        free, self.memory = torch.cuda.mem_get_info()
        self.card = torch.cuda.get_device_properties(0)
        self.cache = int(getattr(self.card, "L2_cache_size", 0)) or 128 << 20  # bytes; old torch does not say
        self._buffer = torch.empty(min(hold_bytes, free // 8), dtype=torch.uint8, device=place)

    def hold(self, times: int = 2) -> None:
        """Keep the device busy for about a millisecond, and its cache full of something else."""
        for _ in range(times):
            self._buffer.fill_(times)

    def synchronize(self) -> None:
        self.torch.cuda.synchronize()

    def milliseconds(
        self, work: Callable[[Any], object], inputs: Sequence[Any], repeats: int, warm: int = 3
    ) -> list[float]:
        """Times of `work` on the inputs in turn, after `warm` calls that are not counted."""
        events = []
        for i in range(warm + repeats):
            self.hold()
            start, stop = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work(inputs[i % len(inputs)])
            stop.record()
            events.append((start, stop))
        self.synchronize()
        return [start.elapsed_time(stop) for start, stop in events[warm:]]

    def seconds(self, work: Callable[[], object]) -> float:
        """Wall time of work that the device may still be at when it returns."""
        self.synchronize()
        begun = time.perf_counter()
        work()
        self.synchronize()
        return time.perf_counter() - begun


def paired(first: Callable[[], float], second: Callable[[], float], pairs: int) -> list[tuple[float, float]]:
    """What the two give, in turn (A B, B A, A B ...: neither always comes second), after one warm-up of each."""
    first()
    second()
    found = []
    for i in range(pairs):
        if i % 2:
            other = second()
            found.append((first(), other))
        else:
            found.append((first(), second()))
    return found
