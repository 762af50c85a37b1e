"""How segmentation vectors are trained: the released code's numbers, checked once."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest
from fastdissect.kernels.concept_masks import Rule
from fastdissect.methods.net2vec.interpolation import MODES

__all__ = ["LOSSES", "SegmentationSettings", "first_weights"]

LOSSES = ("linear", "bce")
PUBLISHED_PIXELS = 113 * 113  # of the masks for which the published learning rate was chosen


@dataclass(frozen=True)
class SegmentationSettings:
    """Settings of the segmentation vectors; the defaults are the released code's.

    Attributes:
        loss: "linear" (the released code, which has no logarithm) or "bce" (weighted binary cross-entropy).
        epochs, batch, momentum: of SGD; images in file order, a step at every `batch` of a concept's own images and at
            the epoch's end.
        learning_rate: for masks of 113 x 113. The loss is a sum over pixels, so the step is scaled by
            113 * 113 / (mask pixels) (our choice; without it other mask sizes do not converge, METHODS 3.10).
        upsampling: of the combined map (`interpolation.MODES`).
        bias: learn one too (the published vectors have none).
        positive: weights below 0 become 0 after each step; they start at 1 / (2 sqrt K).
        l1, l2: l1 sign(w) + l2 w is added to the gradient.
        min_train: concepts with fewer images for training are skipped.
        max_train, max_val: the first so many images of a concept; None: all.
        seed: of the first weights, with the concept's number: the other concepts change nothing.

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.1, and its released code (METHODS 3.2).
    """

    loss: str = "linear"
    epochs: int = 30
    batch: int = 16
    learning_rate: float = 1e-4
    momentum: float = 0.9
    upsampling: str = "align-corners"
    bias: bool = False
    positive: bool = False
    l1: float = 0.0
    l2: float = 0.0
    min_train: int = 1
    max_train: int | None = None
    max_val: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, choices in (
            ("a loss", self.loss, LOSSES),
            ("an upsampling mode", self.upsampling, MODES),
        ):
            if value not in choices:
                raise SettingError(
                    f"expected {what} of {', '.join(choices)}; got {value!r}{nearest(str(value), choices)}"
                )
        for name in ("epochs", "batch", "min_train", "max_train", "max_val", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if value is None and name.startswith("max_"):
                continue
            if type(value) is not int or value < least:
                raise SettingError(f"expected {name} to be a whole number of at least {least}; got {value!r}")
        for name, below in (
            ("learning_rate", math.inf),
            ("momentum", 1.0),
            ("l1", math.inf),
            ("l2", math.inf),
        ):
            value = getattr(self, name)
            positive = value > 0 if name == "learning_rate" else value >= 0
            if isinstance(value, bool) or not positive or not value < below:
                raise SettingError(
                    f"expected {name} to be a number {'above' if name == 'learning_rate' else 'of at least'} 0"
                    f"{' and below 1' if below == 1 else ''}; got {value!r}"
                )

    def rule(self, mask_pixels: int) -> Rule:
        """The step for masks of so many pixels."""
        return Rule(
            rate=self.learning_rate * PUBLISHED_PIXELS / mask_pixels,
            momentum=self.momentum,
            batch=self.batch,
            l1=self.l1,
            l2=self.l2,
            bias=self.bias,
            positive=self.positive,
            cross_entropy=self.loss == "bce",
        )

    def record(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def first_weights(
    settings: SegmentationSettings, numbers: NDArray[np.int64], units: int
) -> NDArray[np.float32]:
    """Return the weights to begin with, float32 [concepts, units]: U(-1/sqrt K, 1/sqrt K), by the concept's number.

    Source: METHODS 3.2; 1 / (2 sqrt K) with `positive`.
    """
    bound = 1 / math.sqrt(units)
    if settings.positive:
        return np.full((len(numbers), units), bound / 2, np.float32)
    drawn = [
        np.random.default_rng([settings.seed, int(number)]).uniform(-bound, bound, units)
        for number in numbers
    ]
    return np.array(drawn, np.float32).reshape(len(numbers), units)
