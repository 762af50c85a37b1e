"""What a factor's examples show: its weight divided among the concepts of a mask data set (our formulation).

    w[r, c] ~ sum over n of F[r, n] s[n, c]        s[n, c]: share of example n's pixels that concept c has

Where each example is wholly of one concept this is the class profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.contributions import shares
from fastdissect.methods.factorization.profiles import Profiles
from fastdissect.methods.factorization.result import Factorization

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["concept_lift", "concept_profiles"]

_BLOCK = 4096  # examples whose shares are widened to float64 at a time


def concept_profiles(
    f: Factorization | NDArray[np.floating], pixels: ArrayLike, names: Sequence[str]
) -> Profiles:
    """Divide each factor's weight among concepts, by the pixels that they have in its examples.

    Args:
        f: a factorisation, or weights >= 0 [examples, rank].
        pixels: floats [examples, concepts] from 0 to 1: share of each example's pixels. A pixel may have several
            concepts, or none: rows need not sum to 1.
        names: of the concepts.

    Raises:
        SettingError: another shape, NaN, or a share that is none.

    >>> concept_profiles(np.array([[1.0], [1.0]]), [[0.5, 0.1], [0.0, 0.2]], ["sky", "dog"]).weights.round(3).tolist()
    [[0.625, 0.375]]
    """
    mixtures = f.mixtures if isinstance(f, Factorization) else f
    given = np.asarray(pixels)
    if given.shape != (len(mixtures), len(names)) or given.dtype.kind not in "fiub":
        raise SettingError(
            f"expected a share of the pixels for each of {len(mixtures):,} examples and {len(names):,} concepts; "
            f"got shape {list(given.shape)} of {given.dtype}"
        )
    if given.size and not (given.min() >= 0 and given.max() <= 1):  # NaN fails both
        raise SettingError(
            f"expected shares of pixels from 0 to 1; got {given.min():g} to {given.max():g}; divide the counts by the "
            "number of an example's pixels"
        )
    found, sizes = np.zeros((mixtures.shape[1], len(names))), np.zeros(len(names))
    for start in range(0, len(mixtures), _BLOCK):
        part = given[start : start + _BLOCK].astype(np.float64)
        found += mixtures[start : start + _BLOCK].astype(np.float64).T @ part
        sizes += part.sum(0)
    return Profiles("concept", tuple(names), shares(found), sizes)


def concept_lift(profiles: Profiles) -> pd.DataFrame:
    """Return factor, concept, weight, lift: weight over the concept's weight in the whole data set, largest lift first.

    Large concepts (sky, background) have weight in every factor; lift says of which a factor has more than its part.
    Concepts of no pixel are left out.
    """
    table = profiles.table()
    whole = dict(
        zip(profiles.names, (profiles.sizes / max(profiles.sizes.sum(), 1e-300)).tolist(), strict=True)
    )
    table["lift"] = table["weight"] / table["concept"].map(whole).astype(float)
    table = table.sort_values(["factor", "lift"], ascending=[True, False], kind="stable")
    return table[["factor", "concept", "weight", "lift"]].reset_index(drop=True)
