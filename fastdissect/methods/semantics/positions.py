"""Positions to learn a concept from: cells that show it, and cells that do not.

    positive   the concept covers at least half of the cell
    negative   it covers none of it, in an image with a label of the concept's category
    left out   cells between, and images that nobody looked at for that category

A position is `image * cells + cell`. At most so many are drawn of each kind, from all that there are, by a generator
of the concept's own number: neither batches nor other concepts change what is drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.semantics.cell_areas import CellAreas
from fastdissect.types import Concepts

__all__ = ["Annotated", "Drawn", "annotated_images", "draw_positions"]

Numbers = NDArray[np.int64]
Annotated = NDArray[np.bool_]  # [categories, images]


class Drawn(NamedTuple):
    """One concept's positions in one split, each array ascending."""

    positives: Numbers
    negatives: Numbers
    inside: Numbers  # any cells of the images that show the concept: for IoU
    covered: NDArray[np.float64]  # [inside], share of the cell that the concept covers
    images: int  # that show the concept


def annotated_images(areas: CellAreas, concepts: Concepts, images: int) -> Annotated:
    """Return which images have a label of which primary category, bool [categories, images] (METHODS 1.4)."""
    found = np.zeros((len(concepts.categories), images), bool)
    found[concepts.category[areas.concept], areas.image] = True
    return found


def draw_positions(
    areas: CellAreas,
    pairs: Numbers,
    annotated: NDArray[np.bool_],
    split: NDArray[np.bool_],
    limit: int,
    seed: tuple[int, ...],
    cover: float = 0.5,
) -> Drawn:
    """Draw one concept's positions in one split.

    Args:
        pairs: rows of `areas` of this concept, by image.
        annotated: bool [images], those annotated for its category. split: bool [images].
        limit: at most so many positives, and as many negatives.
        seed: of this concept and split.
        cover: share of a cell from which it is positive; 0: any pixel.
    """
    own = pairs[split[areas.image[pairs]]]
    images = areas.image[own]
    covered = areas.of(own)
    cells = covered.shape[1]
    ids = images[:, None] * cells + np.arange(cells)
    positive = ids[(covered >= cover * areas.whole) & (covered > 0)]
    clear = ids[covered == 0]
    absent = annotated & split
    absent[images] = False
    positives = _some(positive, limit, (*seed, 0))
    count = len(clear) + int(absent.sum()) * cells
    ordinals = _some(np.arange(0), 0, seed) if not count else _draw(count, len(positives), (*seed, 1))
    negatives = _of_both(ordinals, clear, np.flatnonzero(absent), cells)
    chosen = _draw(ids.size, limit, (*seed, 2))
    share = covered.ravel()[chosen] / areas.whole
    return Drawn(positives, np.sort(negatives), ids.ravel()[chosen], share, len(images))


def _of_both(ordinals: Numbers, clear: Numbers, absent: Numbers, cells: int) -> Numbers:
    """The ordinals-th of: clear cells of the images that show the concept, then all cells of those that do not."""
    first, later = ordinals[ordinals < len(clear)], ordinals[ordinals >= len(clear)] - len(clear)
    return np.concatenate([clear[first], absent[later // cells] * cells + later % cells])


def _some(values: Numbers, limit: int, seed: tuple[int, ...]) -> Numbers:
    return values[_draw(len(values), limit, seed)]


def _draw(count: int, limit: int, seed: tuple[int, ...]) -> Numbers:
    """`limit` of 0 ... count - 1, or all, ascending; each set is as likely as any other."""
    if count <= limit:
        return np.arange(count, dtype=np.int64)
    chosen = np.random.default_rng(seed).choice(count, limit, replace=False, shuffle=False)
    return np.sort(chosen).astype(np.int64)
