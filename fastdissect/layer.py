"""`LayerDissection`: what was found in one layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect import labels, scores
from fastdissect.errors import SettingError
from fastdissect.labels import Labels, Summary
from fastdissect.top_images import top_images
from fastdissect.types import Concepts, Counts, Profile, SparseActivations, Upsampling
from fastdissect.unit_masks import unit_mask
from fastdissect.upsampling import make_upsampling

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LayerDissection"]


@lru_cache(8)  # a report asks for thousands of masks of one size
def _enlarged(cells: tuple[int, int], size: tuple[int, int]) -> Upsampling:
    return make_upsampling("half-pixel", cells, size)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LayerDissection:
    """Thresholds and counts of one layer, and what follows from them.

    Everything that is stored is an integer count or a float32 threshold; scores, labels and tables are
    computed from them when asked for.
    """

    name: str  # dotted, as in model.named_modules()
    profile: Profile
    concepts: Concepts
    shape: tuple[int, int, int, int]  # images, units, height, width of the dense layer
    thresholds: NDArray[np.float32]  # [units]
    seen: NDArray[np.int64]  # [units], values the threshold was read from
    counts: Counts
    upsampling: Upsampling  # map -> mask
    activations: SparseActivations | None = None  # canonical retained cells
    means: NDArray[np.float32] | None = None  # [images, units]
    maxima: NDArray[np.float32] | None = None  # [images, units]

    def __post_init__(self) -> None:
        images, units, height, width = self.shape
        sizes: dict[str, tuple[NDArray[Any] | None, tuple[int, ...]]] = {
            "thresholds": (self.thresholds, (units,)),
            "seen": (self.seen, (units,)),
            "intersection": (self.intersection, (units, len(self.concepts))),
            "unit_area": (self.unit_area, (units, len(self.concepts.categories))),
            "concept_area": (self.concept_area, (len(self.concepts),)),
            "mask_area": (self.mask_area, (units,)),
            "means": (self.means, (images, units)),
            "maxima": (self.maxima, (images, units)),
        }
        for what, (array, expected) in sizes.items():
            if array is not None and array.shape != expected:
                raise SettingError(
                    f"layer {self.name!r}: expected {what} of shape {expected}; got {array.shape}"
                )
        if self.upsampling.cells != (height, width):
            raise SettingError(
                f"layer {self.name!r}: expected an upsampling of {height} x {width} cells; "
                f"got {self.upsampling.cells}"
            )
        if self.activations is not None and self.activations.shape != self.shape:
            raise SettingError(
                f"layer {self.name!r}: expected activations of shape {self.shape}; got {self.activations.shape}"
            )

    @property
    def intersection(self) -> NDArray[np.int64]:
        """I_kc, int64 [units, concepts]: pixels of the concept under the unit's mask."""
        return self.counts.intersection

    @property
    def unit_area(self) -> NDArray[np.int64]:
        """B_kq, int64 [units, categories]: mask pixels over the images that count for the category."""
        return self.counts.unit_area

    @property
    def concept_area(self) -> NDArray[np.int64]:
        """G_c, int64 [concepts]: pixels of the concept."""
        return self.counts.concept_area

    @property
    def mask_area(self) -> NDArray[np.int64]:
        """int64 [units]: mask pixels over all images, labelled or not."""
        return self.counts.mask_area

    @property
    def units_count(self) -> int:
        return self.shape[1]

    @property
    def concept_numbers(self) -> NDArray[np.int64]:
        """int64 [concepts]: the data set's own label numbers, in the columns' order."""
        return self.concepts.numbers

    @property
    def undetermined(self) -> bool:
        """True where no unit has seen enough values for the quantile: floor(q n) is 0, so no mask exists."""
        return int(self.profile.quantile * int(self.seen.max(initial=0))) == 0

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union, float64 [units, concepts] (METHODS 1.4)."""
        return scores.iou(self.counts, self.concepts, self.profile)

    @cached_property
    def labels(self) -> Labels:
        """Every unit's best concept in every category, and its best category (METHODS 1.5)."""
        blocks = scores.iou_blocks(self.counts, self.concepts, self.profile)
        found = [labels.label_units(block, self.concepts, self.profile) for _, block in blocks]
        return labels.joined(found) if found else labels.label_units(self.iou(), self.concepts, self.profile)

    def units(self) -> pd.DataFrame:
        """Return a row a unit.

        Columns: unit (from 0), label, category, iou, threshold, area (mask pixels over all images), detector,
        label_number (0: no overlap with any concept), then "<category>-label" and "<category>-iou" for each
        category in the data set's order.
        """
        import pandas as pd

        found, concepts, profile = self.labels, self.concepts, self.profile
        names = np.array([*concepts.names, ""], dtype=object)  # column -1 reads as ""
        rows = np.arange(self.units_count)
        if concepts.categories:
            column, score = found.column[rows, found.best], found.score[rows, found.best]
            number = found.numbers[rows, found.best]
        else:
            column, score, number = np.full(len(rows), -1), np.zeros(len(rows)), np.zeros(len(rows), np.int64)
        table = {
            "unit": rows,
            "label": names[column],
            "category": np.array([*concepts.categories, ""], dtype=object)[found.best],
            "iou": score,
            "threshold": self.thresholds,
            "area": self.mask_area,
            "detector": labels.passes(score, profile.cut, profile.cut_inclusive),
            "label_number": number,
        }
        for q, category in enumerate(concepts.categories):
            table[f"{category}-label"] = names[found.column[:, q]]
            table[f"{category}-iou"] = found.score[:, q]
        text = [c for c in table if c in ("label", "category") or c.endswith("-label")]
        return pd.DataFrame(table).astype(dict.fromkeys(text, "str"))

    def summary(self) -> Summary:
        """Return the numbers of detectors and of unique detectors, both counting conventions."""
        profile = self.profile
        return labels.summarize(
            self.labels, self.concepts.categories, profile.cut, profile.cut_inclusive, self.undetermined
        )

    def top_images(self, count: int) -> NDArray[np.int64]:
        """Return int64 [units, count]: images by maximum, descending; ties: the lower image number first.

        Raises:
            SettingError: the run kept no maxima, or the count is not positive.
        """
        if self.maxima is None:
            raise self._left_out("maxima")
        return top_images(self.maxima, count)

    def unit_mask(self, unit: int, image: int, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
        """Return where the unit is active in an image: `upsample(a_k) > T_k`, bool [height, width].

        Args:
            unit, image: numbers from 0.
            size: (height, width); the masks' own size if not given, where the result is exactly what was
                counted. At any other size the map is interpolated with half-pixel centres.

        Raises:
            SettingError: no such unit or image, or the run kept no activations.
        """
        if self.activations is None:
            raise self._left_out("activations")
        tables = self.upsampling
        if size is not None and tuple(size) != tables.size:
            tables = _enlarged(tables.cells, (int(size[0]), int(size[1])))
        return unit_mask(self.activations, self.thresholds, tables, unit, image)

    def _left_out(self, what: str) -> SettingError:
        return SettingError(
            f"layer {self.name!r}: this needs the {what}, which this run did not keep; "
            f"dissect without --no-activations (activations=True)"
        )

    def __repr__(self) -> str:
        images, units, height, width = self.shape
        found = self.summary()
        return (
            f"<LayerDissection {self.name!r}: {units} units of {height} x {width}, {images} images, "
            f"{found.detectors} detectors, {found.unique_detectors} unique>"
        )
