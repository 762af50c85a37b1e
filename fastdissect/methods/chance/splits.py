"""Which images are for choosing labels, and which for scoring them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets import Dataset
from fastdissect.datasets.labelled import LabelledImages
from fastdissect.datasets.naming import TRAIN, split_fraction

__all__ = ["Splits", "splits_of"]


class Splits(NamedTuple):
    train: NDArray[np.bool_]  # [images]; the others are val
    source: str  # who says so, in words


def splits_of(dataset: Dataset, names: Sequence[str]) -> Splits:
    """Return the data set's own splits where it has both train and val, else those of Broden's rule.

    The rule (Broden's joinseg.py; METHODS 1.6): the first 8 bytes of the md5 of an image's name, as a
    fraction, are at most 0.7 in train. It depends on no seed and on no other image.

    Args:
        dataset: of a run, as `run_images` opens it. names: of the run's images.
    """
    whole = dataset.whole if isinstance(dataset, LabelledImages) else dataset
    listed = getattr(whole, "splits", None)
    if listed is not None:
        kept = dataset.kept if isinstance(dataset, LabelledImages) else range(len(names))
        own = [listed[int(i)] for i in kept[: len(names)]]
        if {"train", "val"} == set(own):
            return Splits(np.array([split == "train" for split in own]), "the data set's index")
    written = (name.encode(errors="backslashreplace").decode() for name in names)  # file names of any bytes
    return Splits(np.array([split_fraction(name) <= TRAIN for name in written]), "md5 of the image names")
