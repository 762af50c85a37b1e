"""Which images show a concept, with which pixels; and which of them are for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels.concept_masks import ConceptImages
from fastdissect.methods.net2vec.first_category import FirstCategoryPlanes
from fastdissect.types import Planes

__all__ = ["Targets", "make_targets"]


@dataclass(frozen=True, eq=False)
class Targets:
    """The masks L_c of some concepts in the images that show them: first those for training, then the others.

    L_c is the OR over an image's channels and categories (METHODS 3.1: our choice), or what the first of them says
    (`first_category_planes`): then it can be empty in an image that shows the concept.
    """

    columns: NDArray[np.int64]  # [concepts], of the run
    train: ConceptImages
    val: ConceptImages
    train_pixels: NDArray[np.int64]  # [pairs of train], |L_c(x)|
    val_pixels: NDArray[np.int64]
    mask_pixels: int  # S

    def __len__(self) -> int:
        return len(self.columns)

    def counts(self, train: bool) -> NDArray[np.int64]:
        """Images of each concept, int64 [concepts]."""
        return np.diff((self.train if train else self.val).concept_start)

    def alpha(self) -> NDArray[np.float64]:
        """alpha_c = 1 - the mean share of the mask that is the concept's in training, float64 [concepts]."""
        concept = np.repeat(np.arange(len(self)), self.counts(True))
        pixels = np.bincount(concept, self.train_pixels, len(self))
        return 1 - pixels / np.maximum(self.counts(True) * self.mask_pixels, 1)

    def weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of a pixel inside and outside the concept in the loss, float32 [concepts]; (1, 1) where every mask is full."""
        alpha = self.alpha()
        full = alpha <= 0
        return (
            np.where(full, 1, alpha).astype(np.float32),
            np.where(full, 1, 1 - alpha).astype(np.float32),
        )


def make_targets(
    planes: Planes,
    columns: NDArray[np.int64],
    train: NDArray[np.bool_],
    *,
    max_train: int | None = None,
    max_val: int | None = None,
) -> Targets:
    """Gather the images of each concept, in file order.

    Args:
        planes: packed label planes of all images, or `FirstCategoryPlanes`.
        columns: int64 [concepts], rising.
        train: bool [images]; the others are for validation.
        max_train, max_val: the first so many images of each concept; None: all.
    """
    place = np.full(max(int(planes.concept.max(initial=-1)), int(columns.max(initial=-1))) + 1, -1, np.int64)
    place[columns] = np.arange(len(columns))
    image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    shown = (planes.pixels > 0) | isinstance(planes, FirstCategoryPlanes)
    plane = np.flatnonzero((place[planes.concept] >= 0) & shown)
    concept = place[planes.concept[plane]]
    order = np.lexsort((image[plane], concept))
    plane, concept = plane[order], concept[order]
    single = _merged(planes, plane, concept, image[plane])
    parts, pixels = [], []
    for own, most in ((train, max_train), (~train, max_val)):
        chosen = own[single.image]
        if most is not None:
            before: NDArray[np.int64] = np.cumsum(chosen) - chosen
            first = np.searchsorted(single.concept, np.arange(len(columns)))
            offset = np.append(before, np.count_nonzero(chosen))[first]
            chosen = chosen & (before - offset[single.concept] < most)
        of = single.concept[chosen]
        start = np.searchsorted(of, np.arange(len(columns) + 1)).astype(np.int64)
        parts.append(ConceptImages(start, single.image[chosen], single.row[chosen], single.words))
        pixels.append(single.pixels[chosen])
    return Targets(columns, parts[0], parts[1], pixels[0], pixels[1], planes.size[0] * planes.size[1])


@dataclass(frozen=True, eq=False)
class _Pairs:
    concept: NDArray[np.int64]
    image: NDArray[np.int64]
    row: NDArray[np.int64]
    pixels: NDArray[np.int64]
    words: NDArray[np.uint64]


def _merged(
    planes: Planes, plane: NDArray[np.int64], concept: NDArray[np.int64], image: NDArray[np.int64]
) -> _Pairs:
    """One plane a concept and image: where channels have one each (repeats "per-channel"), their OR."""
    words = np.ascontiguousarray(planes.words)
    first = np.ones(len(plane), np.bool_)
    first[1:] = (concept[1:] != concept[:-1]) | (image[1:] != image[:-1])
    at = np.flatnonzero(first)
    row, pixels = planes.word_row[plane[at]].copy(), planes.pixels[plane[at]].copy()
    several = np.flatnonzero(np.diff(np.append(at, len(plane))) > 1)
    more: list[NDArray[np.uint64]] = []
    for i in several:
        rows = planes.word_row[plane[at[i] : at[i + 1] if i + 1 < len(at) else len(plane)]]
        if rows.min() < 0:
            row[i], pixels[i] = -1, planes.size[0] * planes.size[1]
        else:
            both = np.bitwise_or.reduce(words[rows], axis=0)
            row[i], pixels[i] = len(words) + len(more), int(np.bitwise_count(both).sum())
            more.append(both)
    if more:
        words = np.concatenate([words, np.stack(more)])
    return _Pairs(concept[at], image[at], row, pixels, words)
