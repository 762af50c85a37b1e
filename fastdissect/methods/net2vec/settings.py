"""How segmentation vectors are trained: the released code's numbers, checked once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest
from fastdissect.kernels.concept_masks import Rule
from fastdissect.methods.net2vec.interpolation import MODES

__all__ = ["LOSSES", "SegmentationSettings", "check_number", "check_whole", "first_weights", "read_settings"]

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
        first_category: a concept's mask is what the first of its categories that an image has says of it, as in the
            released code, be it nothing; else (our choice) the OR over all its categories. Needs planes made for
            that (`first_category_planes`).
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
    first_category: bool = False
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
            value = getattr(self, name)
            if value is not None or not name.startswith("max_"):
                check_whole(name, value, 0 if name == "seed" else 1)
        check_number("learning_rate", self.learning_rate, above=True)
        check_number("momentum", self.momentum, below=1.0)
        for name in ("l1", "l2"):
            check_number(name, getattr(self, name))
        for name in ("bias", "positive", "first_category"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(f"expected {name} to be True or False; got {getattr(self, name)!r}")

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


def check_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number of at least `least`."""
    if type(value) is not int or value < least:
        raise SettingError(f"expected {name} to be a whole number of at least {least}; got {value!r}")


def check_number(name: str, value: Any, *, above: bool = False, below: float = math.inf) -> None:
    """Refuse what is no number of at least 0 (`above`: above 0) and below `below`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (value > 0 if above else value >= 0) or not value < below:
        raise SettingError(
            f"expected {name} to be a number {'above' if above else 'of at least'} 0"
            f"{f' and below {below:g}' if below < math.inf else ''}; got {value!r}"
        )


S = TypeVar("S")


def read_settings(kind: type[S], record: Mapping[str, Any]) -> S:
    """Return the settings that vectors were trained with, from their record.

    Raises:
        SettingError: the record has none, or others than this version knows.
    """
    given = record.get("settings")
    try:
        return kind(**given)  # type: ignore[arg-type]  # checked by the call itself
    except TypeError as error:
        raise SettingError(
            f"expected vectors whose record has the settings of their training; got {given!r:.200}; train them again"
        ) from error


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
