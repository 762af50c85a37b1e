"""Guessed bounds: what a shard without communication sifts from.

Alone, a shard would forget almost nothing: its own r-th largest value comes late, or never. A pilot over evenly spaced
images of the whole set guesses a bound at a deeper tail than the quantile; a shard retains what is above it. Exactness
never rests on the guess: when the shards are merged, a threshold must be found above it, or be certified to lie at it.

    tied units    the guess is a value that many cells have (ReLU's 0, a constant): the threshold may be that very value,
                  of which nothing is retained. There a shard counts the cells that are not below the guess; if all the
                  shards together have r of them, the threshold is the guess.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.kernels.keys import keys, widen
from fastdissect.kernels.reference import HUGE
from fastdissect.types import ActivationView

__all__ = ["Guess", "at_least", "no_guess"]


class Guess(NamedTuple):
    """What one layer is sifted from.

    Attributes:
        bounds: uint32 keys [units]; what is at or below is not retained. 0: nothing is guessed.
        tied: bool [units]: cells that are not below the bound are counted.
    """

    bounds: NDArray[np.uint32]
    tied: NDArray[np.bool_]


def no_guess(units: int) -> Guess:
    """Nothing is guessed: everything is retained until the bound has risen by itself."""
    return Guess(np.zeros(units, np.uint32), np.zeros(units, np.bool_))


def at_least(view: ActivationView, guess: Guess) -> NDArray[np.int64]:
    """int64 [units]: cells of a batch that are not below the guess, of the tied units; 0 of the others."""
    found = np.zeros(len(guess.bounds), np.int64)
    units = np.flatnonzero(guess.tied)
    if len(units):
        values = widen(to_host(view.data[:, units]), view.kind)
        with np.errstate(invalid="ignore"):
            usable = np.abs(values) <= HUGE
        own = keys(np.where(usable, values, -np.inf).astype(np.float32))
        found[units] = (own >= guess.bounds[units][None, :, None, None]).sum((0, 2, 3))
    return found
