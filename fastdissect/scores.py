"""Scores of every unit for every concept, from the integer counts alone.

    I_kc   pixels of concept c under the mask of unit k
    B_kq   mask area of unit k, over the images that count for category q (q: the concept's primary category)
    G_c    pixels of concept c

        mask B      +-------------+
                    |      +------|-------+
                    |      |  I   |       |        IoU = I / (B + G - I)
                    +------|------+       |
                           +--------------+ concept G

All integers stay below 2**53, so that they are exact as float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import Concepts, Counts, Profile

__all__ = ["dice", "iou", "iou_blocks", "precision", "recall"]

Scores = NDArray[np.float64]
_BLOCK = 1 << 17  # scores at a time, 1 MB: they stay in the cache


def iou(counts: Counts, concepts: Concepts, profile: Profile) -> Scores:
    """Return the intersection over union of every unit and concept (Bau et al. 2017; METHODS 1.4).

    `I / (B + G - I + epsilon)`, where B counts only images that carry the concept's primary category; under
    `presence="all"` every column of the unit areas is the full area, and the formula is dissect's of 2020.

    Args:
        counts: int64, [units, concepts], [units, categories], [concepts].
        concepts: the vocabulary of these counts.
        profile: its `epsilon` is used.

    Returns:
        float64 [units, concepts], 0 where nothing overlaps.

    >>> area = np.array([[4]])
    >>> counts = Counts(np.array([[2]]), area, np.array([4]), area[:, 0])
    >>> cat = Concepts(np.array([7]), ("cat",), np.array([0]), ("object",))
    >>> from fastdissect.conventions import PROFILES
    >>> iou(counts, cat, PROFILES["netdissect"]).round(3).tolist()
    [[0.333]]
    """
    result = np.empty(counts.intersection.shape)
    for first, block in iou_blocks(counts, concepts, profile):
        result[first : first + len(block)] = block
    return result


def iou_blocks(counts: Counts, concepts: Concepts, profile: Profile) -> Iterator[tuple[int, Scores]]:
    """Yield the rows of `iou` a few at a time, each with the number of its first unit.

    100,000 units by 1,000 concepts are 0.8 GB of scores; what looks at each unit once needs only these.
    """
    step = max(1, _BLOCK // max(1, len(concepts)))
    for first in range(0, len(counts.intersection), step):
        own = slice(first, first + step)
        shared = np.ascontiguousarray(counts.intersection[own])
        union = counts.unit_area[own][:, concepts.category] + counts.concept_area
        union -= shared
        yield first, _ratio(shared, union + profile.epsilon)


def dice(counts: Counts, concepts: Concepts) -> Scores:
    """Return `2 I / (B + G)`, float64 [units, concepts] (Dice 1945; ranks as IoU does)."""
    return 2 * _ratio(counts.intersection, _area(counts, concepts) + counts.concept_area)


def precision(counts: Counts, concepts: Concepts) -> Scores:
    """Return `I / B`, float64 [units, concepts]: the share of the mask that lies on the concept."""
    return _ratio(counts.intersection, _area(counts, concepts))


def recall(counts: Counts, concepts: Concepts) -> Scores:
    """Return `I / G`, float64 [units, concepts]: the share of the concept that the mask covers."""
    del concepts  # the same call as the other scores
    return _ratio(counts.intersection, counts.concept_area)


def _area(counts: Counts, concepts: Concepts) -> NDArray[np.int64]:
    """B in the concepts' columns, a new array."""
    return counts.unit_area[:, concepts.category]


def _ratio(part: NDArray[np.int64], whole: NDArray[Any]) -> Scores:
    """Divide, with 0 where there is nothing to divide by."""
    result = np.zeros(part.shape)
    np.divide(part, whole, out=result, where=whole != 0)
    return result
