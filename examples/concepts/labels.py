"""What the labels themselves say: which concepts share pixels, and how a mask fits them."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastdissect as fd
from fastdissect.methods.net2vec import ConceptVectors
from fastdissect.methods.vectors.predicted import predicted_masks
from fastdissect.types import Concepts, Planes

__all__ = ["Marked", "Overlaps", "marked", "mean_cells", "one_filter", "overlaps"]


class Overlaps(NamedTuple):
    """Two concepts' pixels, over the pictures that carry labels of both their categories."""

    names: tuple[str, ...]
    shared: NDArray[np.int64]  # [concepts, concepts], pixels that show both
    jaccard: NDArray[np.float64]  # [concepts, concepts], shared pixels over those that show either


def overlaps(planes: Planes, concepts: Concepts) -> Overlaps:
    """Count shared pixels of all pairs of concepts."""
    count = len(concepts)
    shared = np.zeros((count, count), np.int64)
    area = np.zeros((count, len(concepts.categories)), np.int64)  # in the pictures that carry a category
    for image in range(planes.images):
        own = slice(*planes.plane_start[image : image + 2])
        columns = planes.concept[own]
        words = np.array([_words(planes, plane) for plane in range(own.start, own.stop)], np.uint64)
        if len(columns):
            both = np.bitwise_count(words[:, None] & words[None]).sum(2, dtype=np.int64)
            shared[np.ix_(columns, columns)] += both
            carried = np.unique(concepts.category[columns])
            area[np.ix_(columns, carried)] += both.diagonal()[:, None]
    either = area[:, concepts.category]
    either = either + either.T - shared
    jaccard = np.divide(shared, either, out=np.zeros((count, count)), where=either > 0)
    return Overlaps(concepts.names, shared, jaccard)


def _words(planes: Planes, plane: int) -> NDArray[np.uint64]:
    """A plane's packed pixels; one that covers the whole picture has none of its own."""
    row = int(planes.word_row[plane])
    if row >= 0:
        return planes.words[row]
    bits = np.zeros(planes.words.shape[1] * 64, np.uint8)
    bits[: planes.size[0] * planes.size[1]] = 1
    return np.packbits(bits, bitorder="little").view(np.uint64)


def mean_cells(planes: Planes, columns: list[int], cells: tuple[int, int]) -> NDArray[np.float64]:
    """How many cells of a layer's map each concept covers, mean over the pictures that show it."""
    pixels = np.bincount(planes.concept, planes.pixels, int(planes.concept.max()) + 1)
    images = np.bincount(planes.concept, minlength=len(pixels))
    one = planes.size[0] * planes.size[1] / (cells[0] * cells[1])
    return pixels[columns] / images[columns] / one


class Marked(NamedTuple):
    """How much of the pictures in val, of those that show a concept, is marked for it."""

    times: NDArray[np.float64]  # [concepts], pixels that the combination marks over the concept's own
    everywhere: NDArray[np.float64]  # [concepts], IoU_set of a mask that covers every picture


def marked(vectors: ConceptVectors, planes: Planes, columns: list[int]) -> Marked:
    """Count the pixels that combinations mark. A large concept has a high IoU with a mask of everything."""
    pixels = np.zeros((planes.images, int(planes.concept.max()) + 1), np.int64)
    image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    pixels[image, planes.concept] = planes.pixels
    images = vectors.images
    assert images is not None
    val = ~images.train
    shown = pixels[images.image, np.array(columns)[images.concept]]
    seen = images.intersection + images.union - shown
    of, whole = images.concept[val], np.full(int(val.sum()), planes.size[0] * planes.size[1])
    own, told, every = (np.bincount(of, w, len(vectors)) for w in (shown[val], seen[val], whole))
    none = np.full(len(vectors), np.nan)
    return Marked(
        np.divide(told, own, out=none.copy(), where=own > 0), np.divide(own, every, out=none, where=every > 0)
    )


def one_filter(
    vectors: ConceptVectors, layer: fd.LayerDissection, planes: Planes, columns: list[int], bias: float
) -> NDArray[np.float64]:
    """IoU_set on val of a "combination" that is each concept's best single filter with weight 1.

    Args:
        bias: -0.5 gives the mask of the single filter's own score; 0 is what a combination without a bias can do.
    """
    weights = np.zeros_like(vectors.weights)
    weights[np.arange(len(vectors)), vectors.table["single_unit"]] = 1
    lone = dataclasses.replace(vectors, weights=weights, bias=np.full(len(vectors), bias, np.float32))
    masks, images = predicted_masks(lone, layer), vectors.images
    assert images is not None
    val = ~images.train
    met, union = np.zeros(len(vectors)), np.zeros(len(vectors))
    height, width = planes.size
    for row, image in zip(images.concept[val].tolist(), images.image[val].tolist(), strict=True):
        first, last = planes.plane_start[image : image + 2]
        plane = first + int(np.flatnonzero(planes.concept[first:last] == columns[row])[0])
        bits = np.unpackbits(_words(planes, plane).view(np.uint8), bitorder="little")
        shown = bits[: height * width].reshape(height, width).astype(np.bool_)
        seen = masks(row, image)
        met[row] += np.count_nonzero(shown & seen)
        union[row] += np.count_nonzero(shown | seen)
    return met / (union + 1e-20)
