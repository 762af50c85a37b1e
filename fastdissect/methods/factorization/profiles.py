"""Profiles: how each factor's weight is divided among classes, groups or concepts, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Profiles", "entropies"]

_ROUNDING = 1e-12  # a weight of exactly 1 / classes may come out a little smaller


@dataclass(frozen=True, eq=False)
class Profiles:
    """How each factor's weight is divided among classes or concepts.

    Attributes:
        what: "class", "super-class", "group" or "concept": one entry of it.
        names: of the entries.
        weights: float64 [rank, entries]: rows that sum to 1; a row of zeros where a factor has no weight on any entry.
        sizes: float64 [entries]: examples of each entry (for concepts: their pixels, in whole examples).
        unknown: examples without a class; they are in no sum.
    """

    what: str
    names: tuple[str, ...]
    weights: NDArray[np.float64]
    sizes: NDArray[np.float64]
    unknown: int = 0

    @property
    def live(self) -> NDArray[np.int64]:
        """The factors that have a profile."""
        return np.flatnonzero(self.weights.any(1))

    @property
    def without(self) -> tuple[int, ...]:
        """The factors that have none: dead, or of examples that belong to no entry."""
        return tuple(np.flatnonzero(~self.weights.any(1)).tolist())

    @property
    def present(self) -> int:
        """Entries that have an example. One alone makes every profile trivial: purity 1, entropy 0."""
        return int(np.count_nonzero(self.sizes))

    @property
    def covered(self) -> NDArray[np.bool_]:
        """bool [rank, entries]: the factor covers the entry, w >= 1 / entries; those without an example do not count."""
        found: NDArray[np.bool_] = (self.weights > 0) & (self.weights * self.present >= 1 - _ROUNDING)
        return found

    @property
    def uncovered(self) -> tuple[str, ...]:
        """The entries that have examples and that no factor covers."""
        missed = (self.sizes > 0) & ~np.any(self.covered, axis=0)
        return tuple(self.names[i] for i in np.flatnonzero(missed))

    @property
    def purity(self) -> NDArray[np.float64]:
        """float64 [live]: the largest weight of a profile (the term is ours)."""
        largest: NDArray[np.float64] = self.weights[self.live].max(1, initial=0.0)
        return largest

    @property
    def entropy(self) -> NDArray[np.float64]:
        """float64 [live], nats: - sum of w ln w; 0 where all weight is on one entry, ln(entries) where it is even."""
        return entropies(self.weights[self.live])

    def table(self) -> pd.DataFrame:
        """Return factor, <what>, weight, covered: the entries of each factor, largest first, those of weight 0 left out."""
        import pandas as pd

        covered, rows = self.covered, []
        for factor in self.live.tolist():
            order = np.argsort(-self.weights[factor], kind="stable")
            for entry in order[self.weights[factor][order] > 0].tolist():
                rows.append(
                    (factor, self.names[entry], self.weights[factor, entry], bool(covered[factor, entry]))
                )
        return pd.DataFrame(rows, columns=["factor", self.what, "weight", "covered"])

    def summary(self) -> pd.DataFrame:
        """Return factor, <what> (of largest weight), purity, entropy (nats), covers (entries): a row a factor with a profile."""
        import pandas as pd

        live = self.live
        first = self.weights[live].argmax(1) if len(live) else np.zeros(0, np.int64)
        return pd.DataFrame(
            {
                "factor": live,
                self.what: pd.Series([self.names[i] for i in first], dtype="str"),
                "purity": self.purity,
                "entropy": self.entropy,
                "covers": self.covered[live].sum(1),
            }
        )

    def coverage(self) -> pd.DataFrame:
        """Return <what>, size, factors (that cover it), factor (of largest weight there), weight: a row an entry."""
        import pandas as pd

        return pd.DataFrame(
            {
                self.what: pd.Series(list(self.names), dtype="str"),
                "size": self.sizes,
                "factors": self.covered.sum(0),
                "factor": self.weights.argmax(0),
                "weight": self.weights.max(0),
            }
        )


def entropies(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return - sum of w ln w of each row, nats; 0 ln 0 is 0."""
    logs = np.log(weights, out=np.zeros(weights.shape), where=weights > 0)
    found: NDArray[np.float64] = np.maximum(-(weights * logs).sum(1), 0.0)
    return found
