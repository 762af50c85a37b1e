"""count_permuted in Numba: ranges of mask words AND the planes of another image -> population count.

As in C++ the sums of a permutation lie concept by concept while they grow, and of each plane only the words from
the first to the last that are not zero are looked at.
"""

from __future__ import annotations

import numpy as np

from fastdissect.kernels.jit_numbers import Array, fixed, kernel, popcount, share
from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.types import Planes

__all__ = ["count_permuted"]


@kernel
def plane_extents(word_row: Array, words: Array, low: Array, high: Array) -> None:
    """The first word of each plane that is not zero, and one past the last."""
    for p in range(len(word_row)):
        if word_row[p] < 0:
            continue
        own = words[word_row[p]]
        begin, end = 0, len(own)
        while begin < end and own[begin] == 0:
            begin += 1
        while end > begin and own[end - 1] == 0:
            end -= 1
        low[p], high[p] = begin, end


@kernel
def count_orders(
    image_start: Array, unit: Array, area: Array, first_word: Array, word_start: Array, mask_words: Array,
    plane_start: Array, concept: Array, word_row: Array, words: Array, low: Array, high: Array, permutations: Array,
    category: Array, has_present: bool, present: Array, intersection: Array, unit_area: Array, first: int, last: int,
) -> None:  # fmt: skip
    units, concepts, categories = intersection.shape[1], intersection.shape[2], unit_area.shape[2]
    most = 0
    for n in range(len(image_start) - 1):
        most = max(most, image_start[n + 1] - image_start[n])
    sums = np.zeros((concepts, units), np.int64)
    under = np.zeros((most, categories), np.bool_)
    for i in range(first, last):
        sums[:] = 0
        for n in range(len(image_start) - 1):
            begin, end, image = image_start[n], image_start[n + 1], permutations[i, n]
            if begin == end:
                continue
            if not has_present:
                under[: end - begin] = False
            for p in range(plane_start[image], plane_start[image + 1]):
                row, c = word_row[p], concept[p]
                for r in range(begin, end):
                    shared = area[r]
                    if row >= 0:
                        start = np.int64(first_word[r])
                        stop = start + word_start[r + 1] - word_start[r]
                        at, shared = word_start[r] - start, np.int64(0)
                        for w in range(max(low[p], start), min(high[p], stop)):
                            shared += popcount(mask_words[at + w] & words[row, w])
                    sums[c, unit[r]] += shared
                    if shared:
                        under[r - begin, category[c]] = True
            for r in range(begin, end):
                for q in range(categories):
                    if present[image, q] if has_present else under[r - begin, q]:
                        unit_area[i, unit[r], q] += area[r]
        for k in range(units):
            for c in range(concepts):
                intersection[i, k, c] += sums[c, k]


def count_permuted(
    masks: MaskRanges, planes: Planes, permutations: Array, category: Array, present: Array | None,
    intersection: Array, unit_area: Array, threads: int,
) -> None:  # fmt: skip
    low, high = np.zeros((2, len(planes.word_row)), np.int64)
    words, row = fixed(planes.words), fixed(planes.word_row)
    plane_extents(row, words, low, high)
    shown = np.zeros((0, 0), np.bool_) if present is None else present
    ranges = (masks.image_start, masks.unit, masks.area, masks.first_word, masks.word_start, masks.words)
    inputs = (
        *(fixed(a) for a in ranges), fixed(planes.plane_start), fixed(planes.concept), row, words, fixed(low),
        fixed(high), fixed(permutations), fixed(category), present is not None, fixed(shown), intersection, unit_area,
    )  # fmt: skip
    share(threads, len(permutations), lambda first, last, _: count_orders(*inputs, first, last))
