"""Pooled activations and which images show which concept: all that training of classification vectors reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.balanced_fit import PooledData
from fastdissect.methods.net2vec.checks import check_masks, checked_split
from fastdissect.methods.net2vec.classification_settings import ClassificationSettings
from fastdissect.methods.net2vec.first_category import FirstCategoryPlanes
from fastdissect.methods.net2vec.problem import chosen_columns
from fastdissect.methods.net2vec.sealed_file import array_digest
from fastdissect.types import Concepts, Planes

__all__ = ["ClassificationProblem", "make_classification"]


@dataclass(frozen=True, eq=False)
class ClassificationProblem:
    """What is trained, on what."""

    layer: LayerDissection
    data: PooledData
    settings: ClassificationSettings
    columns: NDArray[np.int64]  # [concepts], of the run
    skipped: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def concepts(self) -> Concepts:
        return self.layer.concepts

    @property
    def numbers(self) -> NDArray[np.int64]:
        return self.layer.concepts.numbers[self.columns]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.layer.concepts.names[c] for c in self.columns)

    @cached_property
    def digest(self) -> str:
        """Of everything that training reads."""
        return array_digest(self.data.x, self.data.shows[:, self.columns], self.data.train, self.numbers)


def make_classification(
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    settings: ClassificationSettings | None = None,
    concepts: Sequence[str | int] | None = None,
) -> ClassificationProblem:
    """Gather what training needs; the errors are those of `classification_vectors`."""
    chosen = settings or ClassificationSettings()
    data = _pooled(layer, planes, train, chosen)
    skipped, kept = _skipped(layer, data, chosen_columns(layer.concepts, concepts), chosen.min_train)
    return ClassificationProblem(layer, data, chosen, kept, skipped)


def _pooled(
    layer: LayerDissection, planes: Planes, train: Any, settings: ClassificationSettings
) -> PooledData:
    pooled = layer.means if settings.pooling == "mean" else layer.maxima
    if pooled is None:
        raise SettingError(
            f"layer {layer.name!r}: classification vectors need each image's {settings.pooling}, which this run did not "
            "keep; run `fastdissect run` again without --no-activations (activations=True)"
        )
    flags = checked_split(train, layer)
    check_masks(layer, planes)
    if isinstance(planes, FirstCategoryPlanes):
        planes = planes.whole  # whether an image shows a concept does not depend on its target
    shows = np.zeros((planes.images, len(layer.concepts)), np.bool_)
    image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    held = planes.pixels > 0
    shows[image[held], planes.concept[held]] = True
    x = np.ascontiguousarray(pooled, np.float32)
    nothing = np.isnan(x)  # nan="omit", and no cell of the map was usable
    return PooledData(np.where(nothing, np.float32(0), x) if nothing.any() else x, shows, flags)


def _skipped(
    layer: LayerDissection, data: PooledData, columns: NDArray[np.int64], least: int
) -> tuple[tuple[tuple[str, str], ...], NDArray[np.int64]]:
    skipped, kept = [], []
    for column in columns:
        own = data.shows[:, column]
        positive, negative = np.count_nonzero(own & data.train), np.count_nonzero(~own & data.train)
        name = layer.concepts.names[column]
        if positive == 0:
            held = np.count_nonzero(own)
            where = f"{held:,} for validation" if held else "none at all"
            skipped.append((name, f"no images for training show it ({where})"))
        elif positive < least:
            skipped.append((name, f"only {positive:,} images for training show it, fewer than {least:,}"))
        elif negative == 0:
            skipped.append((name, "all images for training show it: there are no negatives"))
        else:
            kept.append(column)
    return tuple(skipped), np.array(kept, np.int64)
