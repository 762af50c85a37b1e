"""What a factor is of: its weight divided among the classes (METHODS 4.5).

    w[r, y] = sum of F[r, n] over the examples n of class y / sum of F[r, n] over all n

The same for super-classes, and for groups of examples such as clean and perturbed copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.contributions import shares
from fastdissect.methods.factorization.profiles import Profiles
from fastdissect.methods.factorization.result import Factorization

__all__ = ["checked_classes", "class_profiles"]


def class_profiles(
    f: Factorization | NDArray[np.floating],
    classes: ArrayLike,
    names: Sequence[str],
    *,
    what: str = "class",
) -> Profiles:
    """Divide each factor's weight among classes.

    Args:
        f: a factorisation, or weights >= 0 [examples, rank] of another method.
        classes: whole numbers [examples], numbers of `names`; -1 is unknown, and is left out.
        names: of the classes; those without an example stay, with weight 0.
        what: what a class is called: "class", "super-class", "group".

    Raises:
        SettingError: another number of classes than of examples, or a number that is no class's.

    Source: Saini and Papalexakis 2021, released code; METHODS 4.5.

    >>> class_profiles(np.array([[1.0, 0], [1, 0], [0, 4]]), [0, 1, 1], ["cat", "dog"]).weights.tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    mixtures = f.mixtures if isinstance(f, Factorization) else f
    numbers = checked_classes(classes, names, len(mixtures), what)
    known = numbers >= 0
    found = np.zeros((mixtures.shape[1], len(names)))
    for factor, weights in enumerate(mixtures.T.astype(np.float64)):
        found[factor] = np.bincount(numbers[known], weights[known], minlength=len(names))
    sizes = np.bincount(numbers[known], minlength=len(names)).astype(np.float64)
    return Profiles(what, tuple(names), shares(found), sizes, int(len(known) - np.count_nonzero(known)))


def checked_classes(
    classes: ArrayLike, names: Sequence[str], examples: int, what: str = "class"
) -> NDArray[np.int64]:
    """Return a class for each example, int64 [examples]; SettingError where that is not what came."""
    numbers = np.asarray(classes)
    if numbers.shape != (examples,) or numbers.dtype.kind not in "iu":
        raise SettingError(
            f"expected a {what} for each of the {examples:,} examples, whole numbers; got shape "
            f"{list(numbers.shape)} of {numbers.dtype}"
        )
    if examples and not -1 <= int(numbers.min()) <= int(numbers.max()) < len(names):
        raise SettingError(
            f"expected numbers of the {len(names):,} {what} names, from 0, or -1 for unknown; got "
            f"{int(numbers.min())} to {int(numbers.max())}"
        )
    return numbers.astype(np.int64)
