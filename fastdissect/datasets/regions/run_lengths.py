"""COCO's run lengths -> masks.

A mask's pixels in column-major order are runs of 0, 1, 0, 1, ...; the first may be empty.

    0 1 1                        columns 00 10 11
    0 0 1    (2 x 3 pixels)      runs    2 zeros, 1 one, 1 zero, 2 ones      counts 2 1 1 2

Two forms are published: the counts as a list, or as text. In the text every count from the fourth on is written as
its difference from the one two before; a number is cut into groups of 5 bits, lowest first; a group is one character,
48 + its bits + 32 where another follows; the highest bit of the last group is the sign.

Source: the mask API of COCO (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.regions.overlapping import BoxedMask
from fastdissect.errors import DataError

__all__ = ["decode_run_lengths", "read_counts"]

# 6 groups hold 30 bits with their sign; COCO's own counts are 32-bit, so that 7 groups can occur.
_MOST_GROUPS = 7


def read_counts(counts: Any, what: str) -> NDArray[np.int64]:
    """Run lengths from either published form.

    Args:
        counts: a list of whole numbers, or COCO's text.
        what: names the mask in errors.

    Returns:
        int64 [runs]: lengths of zeros, ones, zeros, ...

    Raises:
        DataError: neither form, a foreign character, or a text that was cut.

    Example:
        >>> read_counts("2112", "a mask"), read_counts([2, 1, 1, 2], "a mask")
        (array([2, 1, 1, 3]), array([2, 1, 1, 2]))
    """
    if isinstance(counts, str):
        return _read_text(counts, what)
    if not isinstance(counts, list):
        raise DataError(
            f"{what}: expected run lengths as a list or a text, got {type(counts).__name__}. Restore the file."
        )
    try:
        numbers = np.array(counts) if counts else np.zeros(0, np.int64)
    except ValueError:
        numbers = np.zeros((0, 0))
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise DataError(f"{what}: expected run lengths that are whole numbers. Restore the file.")
    return numbers.astype(np.int64)


def _read_text(text: str, what: str) -> NDArray[np.int64]:
    try:
        groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        groups = np.full(1, -1)
    if groups.size == 0:
        return groups
    if groups.min() < 0 or groups.max() > 63:
        raise DataError(
            f"{what}: its run lengths hold a character outside '0' to 'o'; expected COCO's text. Restore the file."
        )
    last = np.flatnonzero(groups < 32)
    if not last.size or last[-1] != groups.size - 1:
        raise DataError(f"{what}: its run lengths end within a number. The file was cut; restore it.")
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > _MOST_GROUPS:
        raise DataError(f"{what}: a run length has more than 32 bits. Restore the file.")
    shift = 5 * (np.arange(groups.size) - np.repeat(first, length))
    numbers = np.add.reduceat((groups & 31) << shift, first)
    numbers -= np.where(groups[last] & 16, np.int64(1) << (5 * length), 0)
    # x[3] + x[1] is count 3, x[5] + x[3] + x[1] count 5; even ones start at x[2], as count 0 is outside the chain.
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def decode_run_lengths(counts: NDArray[np.int64], size: tuple[int, int], what: str) -> BoxedMask:
    """Runs -> the mask.

    Args:
        counts: int64 [runs].
        size: height and width of the whole mask.
        what: names the mask in errors.

    Raises:
        DataError: a negative length, or lengths that do not sum to height x width.

    Example:
        >>> decode_run_lengths(np.array([2, 1, 1, 2]), (2, 3), "a mask").whole((2, 3)).astype(int)
        array([[0, 1, 1],
               [0, 0, 1]])
    """
    height, area = size[0], size[0] * size[1]
    # Bounded before they are added, so that no sum can wrap.
    if counts.size and (counts.min() < 0 or counts.max() > area):
        wrong = int(counts[(counts < 0) | (counts > area)][0])
        raise DataError(
            f"{what}: a run length is {wrong}; expected 0 to {size[0]} x {size[1]} = {area}. Restore the file."
        )
    ends = np.cumsum(counts)
    total = int(ends[-1]) if counts.size else 0
    if total != area:
        raise DataError(
            f"{what}: its run lengths sum to {total}; expected {size[0]} x {size[1]} = {area} (height x width). "
            "Restore the file."
        )
    stop = ends[1::2]
    start = stop - counts[1::2]
    start, stop = start[stop > start], stop[stop > start]
    if not start.size:
        return BoxedMask(0, 0, np.zeros((0, 0), np.bool_))
    left, right = int(start[0]) // height, (int(stop[-1]) - 1) // height + 1
    # Only the columns from the first to the last one are unfolded.
    base = left * height
    bounds = np.empty(2 * start.size + 2, np.int64)
    bounds[0], bounds[-1] = 0, (right - left) * height
    bounds[1:-1:2], bounds[2:-1:2] = start - base, stop - base
    ones = np.zeros(bounds.size - 1, np.bool_)
    ones[1::2] = True
    mask = np.repeat(ones, np.diff(bounds)).reshape(right - left, height).T
    top, bottom = 0, height
    if (start // height == (stop - 1) // height).all():
        top, bottom = int((start % height).min()), int(((stop - 1) % height).max()) + 1
    return BoxedMask(top, left, mask[top:bottom])
