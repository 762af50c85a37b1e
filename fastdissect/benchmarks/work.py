"""What a contestant gives back: what is to be timed, and what it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Found", "Work"]

Found = dict[
    str, NDArray[Any]
]  # "thresholds" [units]; "iou" [units, concepts]; "score" [units, categories]; ...


class Work(NamedTuple):
    """Two steps, timed apart; everything else is prepared beforehand.

    arrange   brings the activations into the layout that the method wants (a transposition); may do nothing
    run       the work itself, given what `arrange` returned
    """

    run: Callable[[Any], Found]
    arrange: Callable[[], Any] = lambda: None


def unit_rows(activations: NDArray[Any]) -> NDArray[Any]:
    """[units, values], contiguous, from [images, units, height, width]: the transposition that is timed apart."""
    rows = np.ascontiguousarray(activations.transpose(1, 0, 2, 3))
    return rows.reshape(activations.shape[1], -1)
