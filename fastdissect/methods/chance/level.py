"""The chance level of a layer: each unit's best IoU against what random pairings of masks and labels give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect import labels
from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.masks import unit_masks
from fastdissect.methods.chance.permuting import Laid, check_planes, null_maxima
from fastdissect.methods.extras import need
from fastdissect.types import Planes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ChanceLevel", "ChanceSummary", "calibrated_cut", "chance_level", "check_count", "check_level"]

_MOST = 1_000_000  # permutations or replicates: all are kept, 8 bytes a unit


@dataclass(frozen=True)
class ChanceSummary:
    """A layer in numbers."""

    units: int
    detectors: int  # at the profile's cut
    calibrated: int  # at the calibrated cut
    significant: int  # q <= level
    chance_share: float  # of (unit, permutation) pairs whose best IoU passes the profile's cut
    chance_detectors: float  # expected number of detectors at the profile's cut if no unit detected anything
    prone_units: int  # units that pass the profile's cut by chance more often than `level`


@dataclass(frozen=True, eq=False)
class ChanceLevel:
    """What chance gives in one layer.

    `p` is (1 + #{null >= observed}) / (1 + permutations): valid for any number of permutations, the identity
    not excluded (Phipson and Smyth 2010). `q` is Benjamini and Hochberg's (1995) over the layer's units;
    since every unit meets the same permutations, the tests depend on each other, positively as far as units
    resemble each other, and under positive dependence the procedure still holds its level (Benjamini and
    Yekutieli 2001). With few permutations no q can be small: if r of K units have a q of at most x, then x is
    at least K / (r (1 + permutations)).
    """

    layer: LayerDissection
    null: NDArray[np.float64]  # [permutations, units], best IoU over the concepts
    iou: NDArray[np.float64]  # [units], observed
    p: NDArray[np.float64]  # [units]
    q: NDArray[np.float64]  # [units]
    level: float
    cut: float  # calibrated, over the units that have a mask
    seed: int

    @property
    def permutations(self) -> int:
        return len(self.null)

    @property
    def beyond_chance(self) -> NDArray[np.bool_]:
        """bool [units]: q <= level; the share of false ones among these is expected to be at most the level."""
        return (self.q <= self.level) & (self.iou > 0)

    def table(self) -> pd.DataFrame:
        """Return a row a unit: unit, label, category, iou, p, q, null_mean, null_95, beyond_chance.

        null_mean and null_95 are the mean and the 95 % quantile (inverted CDF) of the unit's own null
        distribution.
        """
        units = self.layer.units()[["unit", "label", "category", "iou"]].copy()
        units["p"], units["q"] = self.p, self.q
        units["null_mean"] = self.null.mean(0)
        units["null_95"] = np.quantile(self.null, 0.95, axis=0, method="inverted_cdf")
        units["beyond_chance"] = self.beyond_chance
        return units

    def summary(self) -> ChanceSummary:
        """Return the layer in numbers: detectors by three rules, and why the profile's cut is what it is."""
        profile = self.layer.profile
        passing = labels.passes(self.null, profile.cut, profile.cut_inclusive)
        return ChanceSummary(
            units=len(self.iou),
            detectors=int(labels.passes(self.iou, profile.cut, profile.cut_inclusive).sum()),
            calibrated=int(labels.passes(self.iou, self.cut, profile.cut_inclusive).sum()),
            significant=int(self.beyond_chance.sum()),
            chance_share=float(passing.mean()),
            chance_detectors=float(passing.sum(1).mean()),
            prone_units=int((passing.mean(0) > self.level).sum()),
        )


def chance_level(
    layer: LayerDissection,
    planes: Planes,
    *,
    permutations: int = 1000,
    seed: int = 0,
    level: float = 0.05,
    progress: Callable[[int], None] | None = None,
    laid: Laid | None = None,
) -> ChanceLevel:
    """Hold each unit's best IoU against random permutations of the images.

    In a permutation pi the labels of image pi(n) are laid under the unit masks of image n, and everything is
    counted as it was (METHODS 1.4), so that the best IoU over all concepts has its null distribution, the
    choice of the best concept included. Masks, labels, and which labels go together in an image stay as they
    are. The null hypothesis is that masks and labels of an image have nothing to do with each other; what
    holds for all images (a unit that fires at the top, skies that lie there) is kept, and so does not count
    as detection. Images are taken as exchangeable: in a set of several sources, such as Broden's scenes and
    textures, a unit that merely tells the sources apart is beyond chance, too.

    Args:
        layer: with its sparse activations.
        planes: of the same images (`planes_of`).
        permutations: 1000 or more for a table; fewer for a look.
        seed: of the permutations, which are the same for all units and layers: the first, second, ... that
            `numpy.random.default_rng(seed).permutation(images)` gives.
        level: of significance, and of the calibrated cut.
        progress: is told the number of permutations done.
        laid: masks and planes that were made already.

    Raises:
        SettingError: the run kept no activations or its masks are undetermined, or a number out of its range.
        DataError: the planes are not the run's.
        BackendError: scipy is not installed.

    Example:
        >>> d = fd.load("out")                                                # doctest: +SKIP
        >>> chance_level(d["layer4"], planes_of(d)).table().head()            # doctest: +SKIP

    Source: permutation test of a maximum statistic (Westfall and Young 1993), our formulation for units and
        concepts.
    """
    check_count("permutations", permutations)
    check_level(level)
    adjust = need("scipy.stats").false_discovery_control
    if laid is None:
        laid = Laid(layer, unit_masks(layer), planes)
    check_planes(laid)
    null = null_maxima(laid, permutations, seed, progress)
    iou = layer.iou().max(1, initial=0)
    p = (1 + (null >= iou).sum(0)) / (1 + permutations)
    cut = calibrated_cut(null[:, layer.mask_area > 0], level, layer.profile.cut_inclusive)
    return ChanceLevel(layer, null, iou, p, adjust(p, method="bh"), level, cut, seed)


def check_count(what: str, count: Any) -> None:
    """Check a number of permutations or replicates.

    Raises:
        SettingError: no whole number of 1 or more, or more than a million.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise SettingError(f"expected {what} of 1 or more, a whole number; got {count!r}")
    if count > _MOST:
        raise SettingError(
            f"expected at most {_MOST:,} {what}; got more; a few thousand are enough for a table"
        )


def check_level(level: Any) -> None:
    """Check a level of significance.

    Raises:
        SettingError: no number between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise SettingError(f"expected a level between 0 and 1, such as 0.05; got {level!r}")


def calibrated_cut(null: NDArray[np.float64], level: float, inclusive: bool) -> float:
    """Return the lowest cut, among the null's values, that at most a share `level` of the null passes.

    The null maxima of all units and permutations are pooled (our formulation): of the units of this layer that fire
    at all, one taken at random passes this cut with a probability of at most about `level` where its masks have
    nothing to do with the labels (as far as so many permutations tell). It is one cut for the layer, so units with
    large masks pass it by chance more often than others; `ChanceLevel.q` judges each by its own null.

    Args:
        null: [permutations, units], of units that have a mask: dead ones, whose null is 0, would lower the cut for
            the others.
        inclusive: a score passes where it equals the cut (`Profile.cut_inclusive`); the cut is then the next number
            above the null's value.

    >>> calibrated_cut(np.arange(1, 101)[:, None] / 1000, 0.05, False)
    0.095
    """
    pooled = np.sort(null, axis=None)
    if not len(pooled):
        return 0.0
    passing = int(level * len(pooled) + 1e-9)  # a share of 0.05 of 100 is 5, whatever the float says
    cut = float(pooled[len(pooled) - 1 - passing])
    return float(np.nextafter(cut, 1)) if inclusive else cut
