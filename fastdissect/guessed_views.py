"""Guesses and views: how many values of a batch are not below a guessed bound (guesses.py), whatever kind of view it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.guesses import Guess, at_least
from fastdissect.kernels.keys import ZERO, keys
from fastdissect.kernels.reference import HUGE
from fastdissect.kernels.views import BlockedView, CodesView, View
from fastdissect.types import Upsampling

__all__ = ["count_at_least"]


def count_at_least(
    view: View, guess: Guess, values: int, pixels: Upsampling | None = None
) -> NDArray[np.int64]:
    """int64 [units]: values that are not below the guess, of the tied units; 0 of the others.

    No code is below 0: where 0 itself is guessed, that is all of them, tied or not.

    Args:
        values: of a unit in the batch, unusable ones among them.
        pixels: the values are pixels of the upsampled maps (see `at_least`).
    """
    if isinstance(view, CodesView):
        return _codes_at_least(view, guess, values, pixels is not None)
    if isinstance(view, BlockedView):
        found = np.zeros(len(guess.bounds), np.int64)
        if guess.tied.any():
            for first, last, block in view.blocks():
                own = Guess(guess.bounds[first:last], guess.tied[first:last])
                found[first:last] = at_least(block, own, pixels)
        return found
    return at_least(view, guess, pixels)


def _codes_at_least(view: CodesView, guess: Guess, values: int, pixels: bool) -> NDArray[np.int64]:
    bounds = guess.bounds
    with np.errstate(invalid="ignore"):
        named = (np.abs(view.values) <= HUGE) & (view.values != 0)
    units, own = view.indices[named], keys(view.values[named])
    reached = own >= bounds[units]
    found = np.bincount(units[reached], minlength=len(bounds))
    found[~guess.tied | pixels] = 0  # cells say nothing of pixels
    zero = (bounds > 0) & (bounds <= ZERO)
    return np.where(zero, values, found).astype(np.int64)
