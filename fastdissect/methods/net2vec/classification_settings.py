"""How classification vectors are trained: the published runs' numbers, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from fastdissect.errors import SettingError
from fastdissect.methods.net2vec.settings import check_number, check_whole

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
            check_whole(name, getattr(self, name), 0 if name == "seed" else 1)
        check_number("learning_rate", self.learning_rate, above=True)
        check_number("momentum", self.momentum, below=1.0)
        check_number("decay", self.decay)
        if self.pooling not in ("mean", "max"):
            raise SettingError(f"expected pooling 'mean' or 'max'; got {self.pooling!r}")
