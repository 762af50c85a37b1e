"""How classification vectors are trained: the published runs' numbers, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastdissect.errors import SettingError

__all__ = ["ClassificationSettings"]


@dataclass(frozen=True)
class ClassificationSettings:
    """Settings of the classification vectors; the defaults are those of the published runs (METHODS 3.6).

    Attributes:
        learning_rate, momentum: of SGD; the rate is multiplied by `decay` every `decay_every` epochs.
        epochs, batch: in each epoch all positives of train and as many negatives, shuffled.
        min_train: concepts with fewer positives are skipped.
        seed: of all draws, with the concept's number: the other concepts change nothing.
        pooling: "mean" or "max" of the raw map.
    """

    learning_rate: float = 0.1
    momentum: float = 0.9
    decay: float = 0.1
    decay_every: int = 15
    epochs: int = 30
    batch: int = 64
    min_train: int = 1
    seed: int = 0
    pooling: str = "mean"

    def __post_init__(self) -> None:
        for name in ("decay_every", "epochs", "batch", "min_train", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if type(value) is not int or value < least:
                raise SettingError(f"expected {name} to be a whole number of at least {least}; got {value!r}")
        for name in ("learning_rate", "momentum", "decay"):
            value = getattr(self, name)
            if isinstance(value, bool) or not 0 <= value < math.inf:
                raise SettingError(f"expected {name} to be a number of at least 0; got {value!r}")
        if self.pooling not in ("mean", "max"):
            raise SettingError(f"expected pooling 'mean' or 'max'; got {self.pooling!r}")
