"""What is measured of a network while units are changed: accuracy, by class, and logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.errors import SettingError
from fastdissect.methods.classes import UNKNOWN, predictions, targets_of

__all__ = ["Measured", "Tally", "Targets", "targets_for"]


@dataclass(frozen=True, eq=False)
class Targets:
    """Which classes the images are of.

    belongs   bool [images, classes]; a decision is right if the class that the image is of has the highest logit
              among those of which a decision is one ("one"), or if the sign of a class's logit says whether the
              image is of it ("many")
    """

    kind: str  # "one" class an image, "many", or "none": not known
    belongs: NDArray[np.bool_]
    known: NDArray[np.bool_]  # [images]
    said: str  # where they come from, for people


def targets_for(dataset: Any, images: int, names: Sequence[str], given: Any = None) -> Targets:
    """Return the targets: as given, or as the data set has them.

    Args:
        dataset: a Dataset, or None (a DataLoader). Its `targets(i)`, bool [concepts], count where the network's
            classes are its concepts; else its `target(i)`.
        given: a class for each image, {image name: class}, or bool [images, classes] for networks whose logits are
            decisions of their own.

    Raises:
        SettingError: another number of images or classes, an unknown class.
    """
    if given is not None and np.ndim(given) == 2 and not hasattr(given, "keys"):
        return _many(np.asarray(given), images, len(names), "as given")
    if given is not None:
        return _one(targets_of(dataset, images, names, given), len(names), "as given")
    own = getattr(dataset, "targets", None)
    if callable(own) and tuple(names) == tuple(dataset.concepts.names):
        shown = np.stack([own(i) for i in range(images)])
        return _many(shown, images, len(names), "the data set's: which concepts an image shows")
    try:
        if dataset is not None:
            return _one(targets_of(dataset, images, names), len(names), "the data set's")
    except SettingError as error:
        reason = str(error)
    else:
        reason = "a DataLoader does not say which class an image is of; give targets"
    empty = np.zeros((images, len(names)), bool)
    return Targets("none", empty, np.zeros(images, bool), f"no accuracy: {reason}")


def _one(targets: NDArray[np.int64], classes: int, said: str) -> Targets:
    known = targets != UNKNOWN
    if not known.any():
        raise SettingError("targets: expected the class of at least one image; got none that is known")
    left = (
        f"; {int((~known).sum())} images without a known class are left out of accuracies"
        if not known.all()
        else ""
    )
    return Targets("one", targets[:, None] == np.arange(classes), known, said + left)


def _many(given: NDArray[Any], images: int, classes: int, said: str) -> Targets:
    if given.shape != (images, classes) or not np.isin(given, (0, 1)).all():
        raise SettingError(
            f"targets: expected True or False for each of {images} images and {classes} classes; got shape "
            f"{given.shape} of {given.dtype}"
        )
    return Targets("many", given.astype(bool), np.ones(images, bool), f"{said}; a logit above 0 says yes")


@dataclass(frozen=True, eq=False)
class Measured:
    """Accuracies (NaN where not known) and mean logits, over all images."""

    accuracy: float
    class_accuracy: NDArray[np.float64]  # [classes]; "one": over the class's images, "many": over all
    logit: NDArray[np.float64]  # [classes], mean over all images
    own_logit: NDArray[np.float64]  # [classes], mean over the class's images; NaN where there are none
    shift: float  # mean of |logit - intact logit| over images and classes


class Tally:
    """Adds up what is measured, a batch at a time, for some conditions; the first is the network as it is.

    Args:
        among: the classes of which a decision is one, int64, as `decision_classes` gives them.
    """

    def __init__(self, targets: Targets, conditions: int, among: NDArray[np.int64]) -> None:
        self.targets, self.images, self.among = targets, 0, among
        classes = targets.belongs.shape[1]
        self.right = np.zeros((conditions, classes), np.int64)
        self.logit = np.zeros((conditions, classes))
        self.own = np.zeros((conditions, classes))
        self.shift = np.zeros(conditions)
        self._intact: NDArray[np.float64] = np.empty((0, classes))

    def add(self, condition: int, first: int, logits: Tensor) -> None:
        """Take float64 [n, classes] of images `first` ...; the intact ones of a batch come before the others."""
        values = logits.numpy()
        rows = slice(first, first + len(values))
        belongs, known = self.targets.belongs[rows], self.targets.known[rows]
        if condition == 0:
            self._intact = values
            self.images += len(values)
        if self.targets.kind == "one":
            decided = predictions(values, self.among)[:, None] == np.arange(values.shape[1])
            self.right[condition] += (belongs & decided).sum(0)
        elif self.targets.kind == "many":
            self.right[condition] += ((values > 0) == belongs)[known].sum(0)
        self.logit[condition] += values.sum(0)
        self.own[condition] += np.where(belongs, values, 0).sum(0)
        self.shift[condition] += np.abs(values - self._intact).sum()

    def support(self) -> NDArray[np.int64]:
        """int64 [classes]: images of each class."""
        counts: NDArray[np.int64] = self.targets.belongs[: self.images].sum(0)
        return counts

    def measured(self, condition: int) -> Measured:
        support, kind = self.support(), self.targets.kind
        known = int(self.targets.known[: self.images].sum())
        classes = len(support)
        among = support if kind == "one" else np.full(classes, known)
        right = self.right[condition]
        with np.errstate(invalid="ignore", divide="ignore"):
            by_class = right / among if kind != "none" else np.full(classes, np.nan)
            own = self.own[condition] / support
        total = float(among.sum())
        return Measured(
            accuracy=float(right.sum() / total) if kind != "none" and total else float("nan"),
            class_accuracy=by_class,
            logit=self.logit[condition] / self.images,
            own_logit=own,
            shift=float(self.shift[condition] / (self.images * classes)),
        )
