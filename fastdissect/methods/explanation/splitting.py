"""Splitting logits: a batch of images through the network, each logit in parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.errors import ActivationError
from fastdissect.methods.classes import predictions
from fastdissect.methods.explanation.contributions import Terms
from fastdissect.methods.explanation.reading import Reading

__all__ = ["SplitBatch"]


class SplitBatch:
    """What a forward pass of a few images gave, and the parts of any class's logit.

    Attributes:
        logits: float64 [n, classes], the network's own.
        maps: float32 [n, units, h, w].
        features: float64 [n, units], x: the maps pooled as the head does.

    Raises:
        ActivationError: a logit that is no finite number, or, under a linear head, one that its parts do not add up to.
    """

    def __init__(self, reading: Reading, images: Tensor, names: Sequence[str]) -> None:
        self.reading, self.image_names = reading, names
        head = reading.head
        self._traced, self._logits = head.trace(
            reading.network.loaded.module, images, gradients=head.kind == "gradient"
        )
        self.logits: NDArray[np.float64] = self._logits.detach().double().cpu().numpy()
        self.maps: NDArray[np.float32] = self._traced.maps.detach().float().cpu().numpy()
        self.features = head.pool(self.maps)
        for name, row in zip(names, self.logits, strict=True):
            if not np.isfinite(row).all():
                raise ActivationError(
                    f"image {name!r}: expected finite logits; got {row[~np.isfinite(row)][0]} for class "
                    f"{reading.names[int(np.flatnonzero(~np.isfinite(row))[0])]!r}; look at the network's weights"
                )

    def predicted(self) -> list[int]:
        """Each image's class: the largest logit among those of which a prediction is one."""
        return [int(number) for number in predictions(self.logits, self.reading.among)]

    def probability(self, classes: Sequence[int]) -> list[float]:
        """Of one class an image: the network's own softmax or sigmoid; else the softmax among those classes."""
        rows, after = np.arange(len(self.logits)), self.reading.head.after
        logits = self.logits[rows, list(classes)]
        whole = self.logits if after else self.logits[:, self.reading.among]
        found: NDArray[np.float64]
        if after == "probabilities":
            found = logits
        elif after == "sigmoid":
            found = 0.5 * (1 + np.tanh(logits / 2))
        else:
            found = np.exp(logits - np.logaddexp.reduce(whole, axis=1))
        return [float(p) for p in found]

    def terms(self, classes: Sequence[int]) -> list[Terms]:
        """The parts of one class's logit for each image, classes [n]."""
        head = self.reading.head
        rows = np.arange(len(self.logits))
        logits = self.logits[rows, list(classes)]
        if head.weight is not None and head.bias is not None:
            weights = head.weight[list(classes)]
            parts = weights * self.features
            rest = head.bias[list(classes)]
        else:
            gradient = self._traced.gradient(self._logits[rows, list(classes)])
            parts = (gradient.double() * self._traced.maps.detach().double()).sum((2, 3)).cpu().numpy()
            weights = np.full(parts.shape, np.nan)
            np.divide(parts, self.features, out=weights, where=self.features != 0)
            rest = logits - parts.sum(1)
        found = [Terms(*each) for each in zip(parts, weights, rest.tolist(), logits.tolist(), strict=True)]
        for name, number, term in zip(self.image_names, classes, found, strict=True):
            if not term.error <= head.tolerance:
                raise ActivationError(
                    f"image {name!r}, class {self.reading.names[number]!r}: expected contributions and bias that add up "
                    f"to the logit {term.logit:.6g} to {head.tolerance:g} relative; got "
                    f"{term.contributions.sum() + term.rest:.6g}; the head is not linear for this image: name another "
                    "module with --head NAME (head=)"
                )
        return found
