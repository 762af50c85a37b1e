"""Random numbers of one image.

Only the raw output of PCG64 is used: NumPy keeps the streams of bit generators unchanged for ever (NEP 19), and
those of its distributions not, so the images are the same whatever NumPy is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws"]

T = TypeVar("T")


class Draws:
    """A stream that depends on (seed, index) alone.

    >>> Draws(0, 5).uniform() == Draws(0, 5).uniform()
    True
    """

    def __init__(self, seed: int, index: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, index]))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) * 2.0**-53)

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def below(self, count: int) -> int:
        """An integer in 0 ... count - 1."""
        return int(self.uniform() * count)

    def choice(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def bytes(self, count: int) -> NDArray[np.uint8]:
        """`count` independent bytes."""
        words = np.asarray(self._bits.random_raw((count + 7) // 8), dtype="<u8")
        return words.view(np.uint8)[:count]
