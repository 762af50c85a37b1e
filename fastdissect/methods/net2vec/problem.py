"""A layer's active cells and the concepts' masks: all that training of segmentation vectors reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest
from fastdissect.kernels.concept_masks import ActiveCells
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec.checks import check_masks, checked_split
from fastdissect.methods.net2vec.features import active_cells, require_activations
from fastdissect.methods.net2vec.first_category import FirstCategoryPlanes
from fastdissect.methods.net2vec.interpolation import mask_upsampling
from fastdissect.methods.net2vec.sealed_file import array_digest
from fastdissect.methods.net2vec.settings import SegmentationSettings
from fastdissect.methods.net2vec.targets import Targets, make_targets
from fastdissect.types import Concepts, Planes, Upsampling

__all__ = ["Problem", "chosen_columns", "make_problem"]

Skipped = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Problem:
    """What is trained, on what. Everything in it is in the order of `targets.columns`."""

    layer: LayerDissection
    cells: ActiveCells
    targets: Targets
    upsampling: Upsampling
    skipped: Skipped

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def concepts(self) -> Concepts:
        return self.layer.concepts

    @property
    def numbers(self) -> NDArray[np.int64]:
        return self.concepts.numbers[self.targets.columns]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.concepts.names[c] for c in self.targets.columns)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Concepts by their number of training images, most first: so that no thread is left with a large one."""
        return np.argsort(-self.targets.counts(True), kind="stable").astype(np.int64)

    @cached_property
    def digest(self) -> str:
        """Of everything that training and scoring read: blake2b, 16 bytes, hexadecimal."""
        cells, train, val = self.cells, self.targets.train, self.targets.val
        return array_digest(
            *(np.array([*cells.shape, *self.upsampling.size]), cells.image_start, cells.unit, cells.cell),
            *(self.numbers, train.concept_start, train.image, train.row, train.words),
            *(val.concept_start, val.image, val.row),
        )


def make_problem(
    layer: LayerDissection,
    planes: Planes,
    train: NDArray[np.bool_],
    settings: SegmentationSettings,
    concepts: Sequence[str | int] | None = None,
) -> Problem:
    """Gather what training needs.

    Args:
        planes: of the run's images (`methods.chance.planes_of`), with `first_category` those of
            `first_category_planes`.
        train: bool [images] (`methods.chance.splits_of`); the others are for validation.
        concepts: names or numbers; None: all that have pixel masks. A concept that only ever covers whole images
            (scenes, textures) is left out unless it is named: it has nothing to segment.

    Raises:
        SettingError: the run kept no activations; unknown concepts; not one flag an image.
        DataError: the planes are not the run's.

    Memory: the active cells (`active_cells`), 32 bytes a concept and image that shows it; the masks' words are the
    planes' own (those of several channels are joined: once more in memory). Nothing has images x units x pixels.
    """
    require_activations(layer)
    train = checked_split(train, layer)
    check_masks(layer, planes)
    if settings.first_category != isinstance(planes, FirstCategoryPlanes):
        wanted = "first_category_planes(dataset, planes)" if settings.first_category else "planes_of(run)"
        raise SettingError(
            f"expected the planes of {wanted} for first_category={settings.first_category}; got "
            f"{'those of all categories' if settings.first_category else 'those of first categories'}"
        )
    columns = chosen_columns(layer.concepts, concepts)
    cells = active_cells(layer)
    found = make_targets(planes, columns, train, max_train=settings.max_train, max_val=settings.max_val)
    reasons = _reasons(found, settings.min_train, named=concepts is not None)
    if reasons:
        left = np.array([i for i in range(len(columns)) if i not in reasons], np.int64)
        found = make_targets(
            planes, columns[left], train, max_train=settings.max_train, max_val=settings.max_val
        )
    skipped = tuple((layer.concepts.names[columns[i]], reason) for i, reason in reasons.items())
    return Problem(layer, cells, found, mask_upsampling(settings.upsampling, layer.upsampling), skipped)


def chosen_columns(concepts: Concepts, asked: Sequence[str | int] | None) -> NDArray[np.int64]:
    """Columns of concepts by name or number, rising; of all of them without.

    A number may be given in text, where no concept is called so.

    Raises:
        SettingError: an unknown one (the message lists the nearest), or a name that several concepts have.
    """
    if asked is None:
        return np.arange(len(concepts))
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        asked = [asked]
    names: dict[str, list[int]] = {}
    for column, name in enumerate(concepts.names):
        names.setdefault(name, []).append(column)
    numbers = {int(number): column for column, number in enumerate(concepts.numbers)}
    found = sorted({_column(concepts, names, numbers, one) for one in asked})
    if not found:
        raise SettingError("expected at least one concept; got none")
    return np.array(found, np.int64)


def _column(concepts: Concepts, names: dict[str, list[int]], numbers: dict[int, int], one: Any) -> int:
    if isinstance(one, str):
        own = names.get(one, [])
        if len(own) > 1:
            listed = ", ".join(str(concepts.numbers[column]) for column in own)
            raise SettingError(
                f"expected one concept; {len(own)} are called {one!r}: give one of the numbers {listed}"
            )
        if own:
            return own[0]
        number = int(one) if one.isascii() and one.isdecimal() and len(one) < 10 else None
    else:
        number = int(one) if isinstance(one, (int, np.integer)) and not isinstance(one, bool) else None
    if number is None or number not in numbers:
        raise SettingError(
            f"expected names or numbers of the run's {len(concepts):,} concepts; got {one!r}"
            f"{nearest(one, concepts.names) if isinstance(one, str) else ''}"
        )
    return numbers[number]


def _reasons(targets: Targets, least: int, *, named: bool) -> dict[int, str]:
    """Row of a concept that cannot be trained -> why."""
    reasons = {}
    train, val = targets.counts(True), targets.counts(False)
    for i, (images, held) in enumerate(zip(train, val, strict=True)):
        if images == 0:
            where = f"{held:,} for validation" if held else "none at all"
            reasons[i] = f"no images for training show it ({where})"
        elif images < least:
            reasons[i] = f"only {images:,} images for training show it, fewer than {least:,}"
        elif not named and _only_whole(targets, i):
            reasons[i] = (
                "it only ever covers whole images: nothing to segment (name it, or train kind 'classification')"
            )
    return reasons


def _only_whole(targets: Targets, i: int) -> bool:
    return all(
        bool((pixels[part.concept_start[i] : part.concept_start[i + 1]] == targets.mask_pixels).all())
        for part, pixels in ((targets.train, targets.train_pixels), (targets.val, targets.val_pixels))
    )
