"""Guessed bounds: what a shard without communication sifts from.

Alone, a shard would forget almost nothing: its own r-th largest value comes late, or never. A pilot over evenly spaced
images of the whole set guesses a bound at a deeper tail than the quantile; a shard retains what is above it. Exactness
never rests on the guess: when the shards are merged, a threshold must be found above it, or be certified to lie at it.

    tied units    the guess is a value that many cells have (ReLU's 0, a constant): the threshold may be that very value,
                  of which nothing is retained. There a shard counts the values that are not below the guess; if all the
                  shards together have r of them, no threshold is below it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.kernels.keys import keys, widen
from fastdissect.kernels.reference import HUGE, ZERO_KEY
from fastdissect.types import ActivationView, Upsampling

__all__ = ["Guess", "at_least", "no_guess"]


class Guess(NamedTuple):
    """What one layer is sifted from.

    Attributes:
        bounds: uint32 keys [units]; what is at or below is not retained. 0: nothing is guessed.
        tied: bool [units]: values that are not below the bound are counted.
    """

    bounds: NDArray[np.uint32]
    tied: NDArray[np.bool_]


def no_guess(units: int) -> Guess:
    """Nothing is guessed: everything is retained until the bound has risen by itself."""
    return Guess(np.zeros(units, np.uint32), np.zeros(units, np.bool_))


def at_least(view: ActivationView, guess: Guess, pixels: Upsampling | None = None) -> NDArray[np.int64]:
    """int64 [units]: values of a batch that are not below the guess, of the tied units; 0 of the others.

    Read before the network goes on: a later layer may change the view in place.

    Args:
        pixels: count pixels of the upsampled maps instead of cells. Those of a map that is nowhere below the guess are
            not below it either; no others are counted, so that there may be more.
    """
    found = np.zeros(len(guess.bounds), np.int64)
    units = np.flatnonzero(guess.tied)
    if not len(units):
        return found
    values = widen(to_host(view.data[:, units]), view.kind)
    with np.errstate(invalid="ignore"):
        usable = np.abs(values) <= HUGE
    bounds = guess.bounds[units]
    own = keys(np.where(usable, values, -np.inf).astype(np.float32)) >= bounds[None, :, None, None]
    if pixels is None:
        found[units] = own.sum((0, 2, 3))
    elif pixels.rows.lerp and pixels.columns.lerp:  # other weights may leave the range of their cells
        inside = own.all((2, 3)) & ((bounds <= ZERO_KEY) | (not pixels.ring))
        found[units] = inside.sum(0) * (pixels.size[0] * pixels.size[1])
    return found
