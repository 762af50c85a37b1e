"""Which unit of one network behaves as which of another: correlation over the same images, one to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.comparison.excess import common_grid, excess
from fastdissect.methods.extras import need

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UnitMatching", "correlations", "match_units"]

_NO_VARIANCE = 1e-12  # of the mean square: rounding leaves about 1e-16 of it where all values are equal


@dataclass(frozen=True, eq=False)
class UnitMatching:
    """The units of two layers, matched one to one."""

    units: pd.DataFrame
    """A row a unit of the first layer, then a row each of the second's that are left: unit_a, unit_b (missing: not
    matched), correlation, then label, category, iou and detector of each ("_a", "_b"), same_label (both are detectors
    and have one label; missing where one of them is not a detector or not matched)."""
    correlations: NDArray[np.float64]  # [units of the first, units of the second]
    grid: tuple[int, int]  # fields an image, (height, width), on which the correlations were taken

    @property
    def matched(self) -> int:
        """Pairs of units."""
        return int((self.units["unit_a"].notna() & self.units["unit_b"].notna()).sum())

    @property
    def mean(self) -> float:
        """Mean correlation of the pairs; NaN where there are none."""
        return float(self.units["correlation"].mean())

    @property
    def detector_pairs(self) -> int:
        """Pairs of two detectors."""
        return int(self.units["same_label"].notna().sum())

    @property
    def agreement(self) -> float:
        """Share of the pairs of two detectors that have the same label; NaN where there are none."""
        known = self.units["same_label"].dropna()
        return float(known.astype(bool).mean()) if len(known) else float("nan")

    @property
    def chance(self) -> float:
        """The share to expect if those detectors were paired at random; NaN where there are none."""
        pairs = self.units[self.units["same_label"].notna()]
        shares = [pairs.value_counts([f"label_{s}", f"category_{s}"], normalize=True) for s in ("a", "b")]
        for own in shares:
            own.index.names = ["label", "category"]
        return float((shares[0] * shares[1]).sum()) if len(pairs) else float("nan")

    def histogram(self, bins: int = 20) -> pd.DataFrame:
        """Return the pairs by correlation: low, high (edges from 0 to 1) and pairs."""
        import pandas as pd

        counts, edges = np.histogram(self.units["correlation"].dropna(), bins, (0.0, 1.0))
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "pairs": counts})


def match_units(a: LayerDissection, b: LayerDissection) -> UnitMatching:
    """Match the units of two layers, of any two networks, over the same images.

    A unit's signal is max(a_k - T_k, 0), by how much it is above its own threshold; it is 0 at 99.5 % of the positions,
    and known exactly from the retained cells. Where the maps are of different sizes, it is summed over the fields of the
    finest grid that divides both (at worst, over each image). Pearson correlation over all images and fields, then the
    one-to-one matching with the largest sum (Hungarian). A unit without variance has correlation 0 with all; a pair that
    does not correlate positively is no match, and both its units are left unmatched.

    Memory: 24 bytes a cell above threshold of the larger layer and 12 of the other, and 40 bytes a pair of units; never
    images x positions x units.

    Raises:
        SettingError: a run without activations, or over another number of images.
        BackendError: scipy is not installed.

    Example:
        >>> match_units(fd.load("a")["conv5"], fd.load("b")["conv5"]).agreement    # doctest: +SKIP

    Source: our formulation; Li, Yosinski et al. 2016 (Convergent Learning) match units by the correlation of their
    dense activations.
    """
    if a.shape[0] != b.shape[0]:
        raise SettingError(
            f"expected layers over the same images to match; got {a.shape[0]} of {a.name!r} and {b.shape[0]} of {b.name!r}"
        )
    grid = common_grid(a.shape[2:], b.shape[2:])
    found = correlations(excess(a, grid), excess(b, grid))
    # A pair below 0 counts as none, so that it never costs another pair its match.
    first, second = need("scipy.optimize").linear_sum_assignment(np.maximum(found, 0), maximize=True)
    real = found[first, second] > 0
    return UnitMatching(_table(a, b, first[real], second[real], found), found, grid)


def correlations(a: Any, b: Any) -> NDArray[np.float64]:
    """Return the Pearson correlations of the rows of two sparse matrices, float64 [rows of a, rows of b].

    A row without variance has correlation 0 with every other.
    """
    positions = a.shape[1]
    products = (a @ b.T).toarray() / positions
    mean, deviation = zip(*(_moments(matrix) for matrix in (a, b)), strict=True)
    products -= np.multiply.outer(mean[0], mean[1])
    scale = np.multiply.outer(deviation[0], deviation[1])
    found: NDArray[np.float64] = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return found.clip(-1, 1)


def _moments(matrix: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every row; a deviation that is rounding alone is 0."""
    squares = type(matrix)((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape)
    mean, square = (np.asarray(m.sum(axis=1)).ravel() / matrix.shape[1] for m in (matrix, squares))
    variance = square - mean * mean
    variance[variance <= _NO_VARIANCE * square] = 0.0
    return mean, np.sqrt(variance)


def _table(
    a: LayerDissection,
    b: LayerDissection,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    found: NDArray[np.float64],
) -> pd.DataFrame:
    import pandas as pd

    left = np.setdiff1d(np.arange(b.units_count), second)
    partner = np.full(a.units_count + len(left), -1)  # -1: no unit
    partner[first], partner[a.units_count :] = second, left
    unit_a = np.concatenate([np.arange(a.units_count), np.full(len(left), -1)])
    table = pd.DataFrame({"unit_a": _numbers(unit_a), "unit_b": _numbers(partner)})
    paired = (unit_a >= 0) & (partner >= 0)
    table["correlation"] = np.where(paired, found[unit_a, partner], np.nan)
    for side, layer, units in (("a", a, unit_a), ("b", b, partner)):
        own = layer.units()[["label", "category", "iou", "detector"]].astype({"detector": "boolean"})
        own = own.reindex(units).reset_index(drop=True)  # a row a unit, and -1 is no row's number
        table = table.join(own.add_suffix(f"_{side}"))
    both = table["detector_a"].fillna(False) & table["detector_b"].fillna(False)
    one = (table["label_a"] == table["label_b"]) & (table["category_a"] == table["category_b"])
    table["same_label"] = one.astype("boolean").where(both.astype(bool))
    return table


def _numbers(units: NDArray[np.int64]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(units, dtype="Int64").mask(units < 0)
