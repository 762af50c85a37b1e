"""One unit and one concept: is their overlap more than chance? In closed form, without drawing a permutation."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.masks import unit_masks
from fastdissect.methods.chance.moments import exact_moments, moments, upper_tail
from fastdissect.methods.chance.permuting import Laid, check_planes
from fastdissect.types import Planes

__all__ = ["PairChance", "pair_chance"]


@dataclass(frozen=True)
class PairChance:
    """A pair's overlap under all permutations of the images."""

    unit: int
    concept: str
    intersection: int  # observed I_kc
    mean: Fraction  # of I_kc over all N! permutations, exact
    variance: Fraction  # likewise
    skewness: float
    iou: float  # observed
    p_intersection: float  # P(I >= observed), approximated
    p_iou: float  # P(IoU >= observed), approximated
    mask_images: int  # images with a mask of the unit
    concept_images: int  # images with the concept

    @property
    def z(self) -> float:
        """Standard deviations by which the overlap exceeds its mean; 0 where it cannot vary."""
        spread = float(self.variance) ** 0.5
        return float(self.intersection - self.mean) / spread if spread else 0.0


def pair_chance(
    layer: LayerDissection, planes: Planes, unit: int, concept: str | int, *, laid: Laid | None = None
) -> PairChance:
    """Return mean and variance of a pair's overlap over all permutations, and the tail beyond what was observed.

    I_kc is a sum X[n, pi(n)], X[n, m] the pixels of the unit's mask in image n that the concept covers in
    image m, so its moments are closed sums over X (`moments.py`). IoU >= t is the same as I - t (B + G - I) >= 0,
    which is such a sum too, also where B changes with the permutation: its tail is taken at the observed t.

    Cost: every mask of the unit meets every plane of the concept (with presence "under-mask": of its category), and
    a few matrices of the unit's masks times all images. When the tail fails, `moments.upper_tail` says. Both p are of
    this pair alone: over many concepts, `chance_level` corrects for the choice.

    Args:
        unit: number from 0. concept: its name, or its column.
        laid: the layer's masks and planes, made once for many pairs.

    Raises:
        SettingError: no such unit or concept; or as `unit_masks`. DataError: the planes are not the run's.
        BackendError: scipy is not installed.

    Example:
        >>> pair_chance(d["layer4"], planes_of(d), 12, "sky").z              # doctest: +SKIP
    """
    names = layer.concepts.names
    column = names.index(concept) if isinstance(concept, str) and concept in names else concept
    if isinstance(column, str) or not 0 <= column < len(names):
        raise SettingError(
            f"expected a concept of the run, by name or column 0 to {len(names) - 1}; got {concept!r}"
        )
    if not 0 <= unit < layer.units_count:
        raise SettingError(f"expected unit 0 to {layer.units_count - 1}; got {unit}")
    if laid is None:
        laid = Laid(layer, unit_masks(layer), planes)
        check_planes(laid)
    words, area = _dense(laid, unit)
    shared = _overlaps(words, area, laid.planes, np.array([column]))
    counted = _counted(laid, words, area, int(layer.concepts.category[column]))
    size = layer.shape[0]
    mean, variance = exact_moments(shared[:, shared.any(0)], size)
    found = moments(shared, size)
    observed = int(layer.intersection[unit, column])
    iou = float(layer.iou()[unit, column])
    cover = int(layer.counts.concept_area[column])
    linear = moments((1 + iou) * shared - iou * counted, size)
    return PairChance(
        unit=unit,
        concept=names[column],
        intersection=observed,
        mean=mean,
        variance=variance,
        skewness=found.skewness,
        iou=iou,
        p_intersection=upper_tail(observed, found._replace(variance=float(variance))),
        p_iou=1.0 if not observed else upper_tail(iou * cover, linear),
        mask_images=len(area),
        concept_images=_images_with(laid.planes, np.array([column])).size,
    )


def _dense(laid: Laid, unit: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The unit's masks, uint64 [masks, words], and their areas."""
    masks, length = laid.masks, laid.planes.words.shape[1]
    own = np.flatnonzero(masks.unit == unit)
    words = np.zeros((len(own), length), np.uint64)
    for row, r in enumerate(own):
        part = masks.words[masks.word_start[r] : masks.word_start[r + 1]]
        words[row, masks.first_word[r] : masks.first_word[r] + len(part)] = part
    return words, masks.area[own]


def _overlaps(
    words: NDArray[np.uint64], area: NDArray[np.int64], planes: Planes, columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Pixels of every mask that the concepts cover in every image, int64 [masks, images]."""
    shared = np.zeros((len(words), planes.images), np.int64)
    image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    for p in np.flatnonzero(np.isin(planes.concept, columns)):
        row = planes.word_row[p]
        shared[:, image[p]] += (
            area if row < 0 else np.bitwise_count(words & planes.words[row]).sum(1, dtype=np.int64)
        )
    return shared


def _counted(
    laid: Laid, words: NDArray[np.uint64], area: NDArray[np.int64], category: int
) -> NDArray[np.int64]:
    """What every mask adds to B in every image, int64 [masks, images]."""
    layer, _, planes = laid
    if layer.profile.presence == "all":
        return np.repeat(area[:, None], planes.images, axis=1)
    own = np.flatnonzero(layer.concepts.category == category)
    if layer.profile.presence == "under-mask":
        return area[:, None] * (_overlaps(words, area, planes, own) > 0)
    return area[:, None] * np.isin(np.arange(planes.images), _images_with(planes, own))


def _images_with(planes: Planes, columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The images that hold a pixel of any of these concepts, each once (a label may stand in several channels)."""
    image = np.repeat(np.arange(planes.images), np.diff(planes.plane_start))
    return np.unique(image[np.isin(planes.concept, columns) & (planes.pixels > 0)])
