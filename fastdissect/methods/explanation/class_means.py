"""Means over a class's images: its logit's parts, added up block by block, so that the memory is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.methods.classes import predictions
from fastdissect.methods.explanation.contributions import Terms, Vector
from fastdissect.methods.explanation.reading import Reading
from fastdissect.methods.explanation.splitting import SplitBatch

__all__ = ["BATCH", "ClassMeans", "Parts", "class_means", "network_parts", "stored_parts"]

BATCH = 16
_ROWS = 1024
Matrix = NDArray[np.float64]


class Parts(NamedTuple):
    """One class's logit in parts, for consecutive images."""

    logits: Matrix  # [images, classes], of all classes
    features: Matrix  # [images, units], x
    contributions: Matrix  # [images, units]
    rest: Vector  # [images]


class ClassMeans(NamedTuple):
    """Means over the class's images, and which these are."""

    images: NDArray[np.int64]
    agreeing: float | None  # share whose true class agrees with the predicted one
    features: Vector  # [units]
    terms: Terms


def stored_parts(reading: Reading, number: int) -> Iterator[Parts] | None:
    """From the means that the run stored; None where it kept none, or no numbers, or where the head is not linear."""
    head, layer = reading.head, reading.layer
    if layer.means is None or head.weight is None or head.bias is None:
        return None
    means, weight, bias = layer.means, head.weight, head.bias
    if not np.isfinite(means).all():  # of cells that the run left out
        return None
    scale = layer.shape[2] * layer.shape[3] if head.pooling == "sum" else 1

    def blocks() -> Iterator[Parts]:
        for first in range(0, len(means), _ROWS):
            x = np.asarray(means[first : first + _ROWS], np.float64) * scale
            rest = np.full(len(x), bias[number])
            yield Parts(x @ weight.T + bias, x, x * weight[number], rest)

    return blocks()


def network_parts(
    reading: Reading, number: int, names: Sequence[str], batch: Callable[[int], Tensor]
) -> Iterator[Parts]:
    """From the network, over all images.

    Args:
        names: of all images. batch: gives the network's input for BATCH images from a number on.
    """
    for first in range(0, len(names), BATCH):
        split = SplitBatch(reading, batch(first), names[first : first + BATCH])
        terms = split.terms([number] * len(split.logits))
        yield Parts(
            split.logits,
            split.features,
            np.stack([term.contributions for term in terms]),
            np.array([term.rest for term in terms]),
        )


def class_means(
    blocks: Iterable[Parts],
    among: NDArray[np.int64],
    number: int,
    by: str,
    true: NDArray[np.int64] | None,
    weight: Vector | None,
) -> ClassMeans:
    """Average over the images whose predicted (or true) class it is.

    Args:
        blocks: of all images, in order. among: the classes of which a prediction is one. true: int64 [images], or None: not known.
        weight: of the class, float64 [units]; None: the effective one, mean contribution over mean activation.
    """
    images: list[NDArray[np.int64]] = []
    agreeing = at = 0
    logit = rest = 0.0
    features = contributions = np.zeros(0)
    for block in blocks:
        predicted = predictions(block.logits, among)
        known = None if true is None else true[at : at + len(predicted)]
        of_class = (known if by == "true" and known is not None else predicted) == number
        own = np.flatnonzero(of_class)
        if not images:
            features = contributions = np.zeros(block.features.shape[1])
        images.append(own + at)
        if known is not None:
            agreeing += int((known[own] == predicted[own]).sum())
        logit += float(block.logits[own, number].sum())
        rest += float(block.rest[own].sum())
        features = features + block.features[own].sum(0)
        contributions = contributions + block.contributions[own].sum(0)
        at += len(predicted)
    count = sum(map(len, images))
    share = max(count, 1)
    features, contributions = features / share, contributions / share
    if weight is None:
        weight = np.full(len(features), np.nan)
        np.divide(contributions, features, out=weight, where=features != 0)
    return ClassMeans(
        np.concatenate(images).astype(np.int64),
        agreeing / count if count and true is not None else None,
        features,
        Terms(contributions, weight, rest / share, logit / share),
    )
