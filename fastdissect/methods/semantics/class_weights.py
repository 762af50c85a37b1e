"""Classes as vectors of the feature space: what moves a class's logit away from the mean of the logits.

    linear head   w_j - mean over the classes of w_i                      (a softmax ignores the common part)
    others        mean gradient of logit_j - mean of the logits, with respect to the pooled features, over the images
                  that the network takes for j

Our formulation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.methods.classes import predictions
from fastdissect.methods.explanation.reading import Reading
from fastdissect.methods.heads import Head
from fastdissect.methods.tracing import Traced
from fastdissect.progress import progress_bar

__all__ = ["ClassWeights", "class_weights", "slopes"]

BATCH = 16
Floats = NDArray[np.float64]


class ClassWeights(NamedTuple):
    """Vectors of classes, for features that are means over the positions."""

    classes: NDArray[np.int64]  # [classes], numbers
    names: tuple[str, ...]
    weights: Floats  # [classes, units]
    images: NDArray[np.int64]  # [classes], over which a gradient was averaged; 0 under a linear head
    never: tuple[str, ...]  # classes without a vector: no image is taken for them


def class_weights(reading: Reading, dataset: Any, images: int, progress: bool | None = None) -> ClassWeights:
    """Return the vectors of the classes of which a decision is one.

    Args:
        dataset: of the run, for heads that are not linear. images: their number.
    """
    head, among = reading.head, reading.among
    names = tuple(reading.names[j] for j in among)
    if head.weight is not None:
        own = head.weight[among] * _cells(reading)
        return ClassWeights(among, names, own - own.mean(0), np.zeros(len(among), np.int64), ())
    total = np.zeros((len(reading.names), reading.layer.units_count))
    count = np.zeros(len(reading.names), np.int64)
    module = reading.network.loaded.module
    with progress_bar("gradients", images, show=progress) as advance:
        for first in range(0, images, BATCH):
            some = range(first, min(first + BATCH, images))
            batch = reading.network.batch(dataset.read_image(i)[0] for i in some)
            traced, logits = head.trace(module, batch, gradients=True)
            taken = predictions(logits.detach().double().cpu().numpy(), among)
            gradient = slopes(head, traced, logits, taken.tolist(), [None] * len(taken), among)
            np.add.at(total, taken, gradient.sum((2, 3)))
            np.add.at(count, taken, 1)
            advance(len(taken))
    seen = among[count[among] > 0]
    return ClassWeights(
        seen,
        tuple(reading.names[j] for j in seen),
        total[seen] / count[seen, None],
        count[seen],
        tuple(reading.names[j] for j in among if not count[j]),
    )


def slopes(
    head: Head,
    traced: Traced,
    logits: Tensor,
    classes: list[int],
    against: list[int | None],
    among: NDArray[np.int64],
) -> Floats:
    """Gradient of a score at every position, float64 [n, units, height, width].

    Args:
        classes, against: of each image: the score is one logit less another, or less the mean of those `among`.
    """
    n, _, height, width = traced.maps.shape
    if head.weight is not None:
        base = head.weight[among].mean(0)
        own = np.stack([
            head.weight[j] - (base if i is None else head.weight[i])
            for j, i in zip(classes, against, strict=True)
        ])  # fmt: skip
        share = 1.0 if head.pooling == "sum" else 1 / (height * width)
        return np.broadcast_to(own[:, :, None, None] * share, (*own.shape, height, width))
    rows = torch.arange(n, device=logits.device)
    mean = logits[:, torch.from_numpy(among).to(logits.device)].mean(1)
    other = torch.stack([mean[r] if i is None else logits[r, i] for r, i in enumerate(against)])
    found = traced.gradient(logits[rows, torch.tensor(classes, device=logits.device)] - other)
    gradient: Floats = found.detach().double().cpu().numpy()
    return gradient


def _cells(reading: Reading) -> int:
    """A head that sums over the positions weighs their mean by as many."""
    return reading.layer.shape[2] * reading.layer.shape[3] if reading.head.pooling == "sum" else 1
