"""Label planes -> planes of unions of labels, and of what two unions share, image by image.

planes of an image        poodle 0110   cat 1000   sky 0001
dog = poodle              0110
animal = poodle or cat    1110
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import Planes, words_for

__all__ = ["Unions", "shared_planes"]


class Unions:
    """Sets of labels, each united to one plane an image: `Planes` whose columns are the sets' numbers.

    A pixel that several labels of a set carry, or one label in several channels, counts once.
    """

    def __init__(self, sets: Sequence[Sequence[int]], concepts: int) -> None:
        """Take the columns of each set."""
        self.sets, self.concepts = len(sets), concepts
        of = np.repeat(np.arange(self.sets), [len(own) for own in sets])
        column = np.fromiter(chain.from_iterable(sets), np.int64, len(of))
        order = np.argsort(column, kind="stable")
        self._start = np.searchsorted(column[order], np.arange(concepts + 1))
        self._set = of[order]

    def __call__(self, planes: Planes) -> Planes:
        """Unite the planes of a block of images. Memory: a plane for each label and set that holds it."""
        first, last = self._start[planes.concept], self._start[planes.concept + 1]
        count = last - first
        plane = np.repeat(np.arange(len(count)), count)
        number = self._set[
            np.arange(len(plane)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
        ]
        image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))[plane]
        key = image * self.sets + number
        order = np.argsort(key, kind="stable")
        plane, key = plane[order], key[order]
        start = _starts(key)
        group = np.repeat(np.arange(len(start)), np.diff(np.r_[start, len(key)]))
        whole = np.zeros(len(start), np.bool_)
        whole[group[planes.word_row[plane] < 0]] = True
        some = ~whole[group]
        words = np.asarray(planes.words)[planes.word_row[plane[some]]]
        if len(words):
            words = np.bitwise_or.reduceat(words, _starts(group[some]), axis=0)
        return _planes(planes, key[start] // max(1, self.sets), key[start] % max(1, self.sets), whole, words)


def shared_planes(united: Planes, sets: int, pairs: NDArray[np.int64]) -> Planes:
    """Return the pixels that both unions of a pair hold: planes whose columns are the pairs' numbers.

    Args:
        united: what `Unions` gives, of so many sets.
        pairs: int64 [pairs, 2], numbers of sets.
    """
    place = np.full((united.images, sets), -1, np.int64)
    place[np.repeat(np.arange(united.images), np.diff(united.plane_start)), united.concept] = np.arange(
        len(united.concept)
    )
    one, two = place[:, pairs[:, 0]], place[:, pairs[:, 1]]
    image, pair = np.nonzero((one >= 0) & (two >= 0))
    rows = [united.word_row[at[image, pair]] for at in (one, two)]
    whole = (rows[0] < 0) & (rows[1] < 0)
    words = np.full((int((~whole).sum()), united.words.shape[1]), ~np.uint64(0))
    for row in rows:
        held = row[~whole] >= 0  # a whole plane takes nothing away; tail bits are zero in the other
        words[held] &= united.words[row[~whole][held]]
    return _planes(united, image, pair, whole, words)


def _starts(sorted_keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each group of equal keys begins."""
    return np.flatnonzero(np.diff(sorted_keys, prepend=-1))  # keys are not negative


def _planes(
    like: Planes,
    image: NDArray[np.int64],
    column: NDArray[np.int64],
    whole: NDArray[np.bool_],
    words: NDArray[np.uint64],
) -> Planes:
    """Planes in their order; `words` has a row for each that is not whole."""
    height, width = like.size
    assert words.shape[1] == words_for(height * width)
    pixels = np.full(len(image), height * width, np.int64)
    pixels[~whole] = np.bitwise_count(words).sum(1, dtype=np.int64)
    return Planes(
        size=like.size,
        plane_start=np.searchsorted(image, np.arange(like.images + 1)).astype(np.int64),
        concept=column.astype(np.int32),
        pixels=pixels,
        word_row=np.where(whole, -1, np.cumsum(~whole) - 1).astype(np.int64),
        words=words,
    )
