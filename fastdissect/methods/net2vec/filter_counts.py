"""`FilterCounts`: a concept's score with F filters, for a list of F; filters needed, and how filters are shared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SHARING", "FilterCounts", "sharing"]

SHARING = ("0", "1", "2-5", "6-9", "10-14", "15-19", "20+")
_EDGES = (0, 1, 2, 6, 10, 15, 20)  # the first of each; the published axis labels (METHODS 3.5)


@dataclass(frozen=True, eq=False)
class FilterCounts:
    """A concept's score with its F strongest filters, retrained.

    Attributes:
        metric: "iou" (IoU_set, segmentation) or "accuracy" (classification).
        units: K.
        names: of the concepts.
        table: a row a concept and F: concept, number, filters (F), train, val; F rises within a concept, the last is K.
        weights: {F: float32 [concepts, units]}, 0 outside the F filters.
        bias: {F: float32 [concepts]}; None: trained without.
        record: settings, digests of the problem and of the vectors: what JSON can hold.
    """

    metric: str
    units: int
    names: tuple[str, ...]
    table: pd.DataFrame
    weights: Mapping[int, NDArray[np.float32]]
    bias: Mapping[int, NDArray[np.float32]] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def filters(self) -> tuple[int, ...]:
        """The list of F."""
        return tuple(sorted({int(f) for f in self.table["filters"]}))

    def scores(self, split: str = "val") -> NDArray[np.float64]:
        """float64 [concepts, F]; NaN: without images of that split."""
        found: NDArray[np.float64] = self.table[split].to_numpy(np.float64)
        return found.reshape(len(self.names), len(self.filters))

    def only(self, filters: Sequence[int]) -> FilterCounts:
        """Return what is known of some F, K among them.

        Raises:
            SettingError: an F that was not trained.
        """
        sizes = {*filters, self.units}
        if not sizes <= {*self.filters}:
            raise SettingError(
                f"expected some of the trained F {', '.join(map(str, self.filters))}; got {sorted(sizes)}"
            )
        return dataclasses.replace(
            self,
            table=self.table[self.table["filters"].isin(sizes)].reset_index(drop=True),
            weights={size: w for size, w in self.weights.items() if size in sizes},
            bias=None if self.bias is None else {size: b for size, b in self.bias.items() if size in sizes},
        )

    def joined(self, other: FilterCounts) -> FilterCounts:
        """Return what both know of the same vectors; of an F that both have, what this one says.

        Raises:
            SettingError: they are of other vectors.
        """
        import pandas as pd

        own, theirs = ((c.metric, c.units, c.names, c.record.get("vectors")) for c in (self, other))
        if own != theirs or (self.bias is None) != (other.bias is None):
            raise SettingError("expected scores with fewer filters of the same vectors; got those of others")
        more = other.table[~other.table["filters"].isin(self.filters)]
        both = pd.concat([self.table, more]) if len(more) else self.table
        place = {int(n): i for i, n in enumerate(self.table["number"].drop_duplicates())}
        order = np.lexsort((both["filters"], both["number"].map(place)))
        bias = None
        if self.bias is not None and other.bias is not None:
            bias = {**other.bias, **self.bias}
        return dataclasses.replace(
            self,
            table=both.iloc[order].reset_index(drop=True),
            weights={**other.weights, **self.weights},
            bias=bias,
        )

    def save(self, folder: str | Path) -> None:
        """Write `filter-counts.safetensors` into a folder, beside and renamed.

        Raises:
            OutputError: it cannot be written. SettingError: weights of an F are missing.
        """
        from fastdissect.methods.net2vec.filter_counts_file import save_filter_counts

        save_filter_counts(self, Path(folder))

    @staticmethod
    def load(folder: str | Path) -> FilterCounts:
        """Read what `save` wrote.

        Raises:
            OutputError: the file is missing or damaged.
        """
        from fastdissect.methods.net2vec.filter_counts_file import load_filter_counts

        return load_filter_counts(Path(folder))

    def needed(self, tau: float = 0.9, *, above_first: bool = False) -> pd.DataFrame:
        """Return the smallest F whose val score reaches a share of that of all K, a row a concept.

        Columns: concept, number, needed (K where none reaches it; 0 where nothing can be said: without images for
        validation, or, our choice, where even all K score 0), best (the F of the highest val score, the smallest of equal
        ones; 0 likewise), val (with `needed`), val_all (with K).

        Args:
            tau: the share, above 0 and at most 1.
            above_first: reach first + tau (all - first), with first the score of F's smallest (the published variant for
                classification), in place of tau all.

        Raises:
            SettingError: tau.

        Source: METHODS 3.5.
        """
        import pandas as pd

        if isinstance(tau, bool) or not 0 < tau <= 1:
            raise SettingError(f"expected tau above 0 and at most 1; got {tau!r}")
        scores, sizes = self.scores(), np.array(self.filters)
        base = scores[:, :1] if above_first else np.zeros((len(scores), 1))
        goal = base + tau * (scores[:, -1:] - base)
        reached = scores >= goal
        first = np.where(reached.any(1), reached.argmax(1), len(sizes) - 1)
        known = ~np.isnan(scores).any(1) & (np.nan_to_num(scores[:, -1]) > 0)
        best = np.where(np.isnan(scores), -1.0, scores).argmax(1)
        rows = np.arange(len(scores))
        own = self.table[self.table["filters"] == self.units]
        return pd.DataFrame(
            {
                "concept": own["concept"].to_numpy(),
                "number": own["number"].to_numpy(),
                "needed": np.where(known, sizes[first], 0),
                "best": np.where(known, sizes[best], 0),
                "val": np.where(known, scores[rows, first], np.nan),
                "val_all": scores[:, -1],
            }
        )

    def curve(self) -> pd.DataFrame:
        """Return a row a F: filters, mean (of val over the concepts that have images there), error (its standard error;
        NaN for one concept), concepts."""
        import pandas as pd

        rows = []
        for size, values in zip(self.filters, self.scores().T, strict=True):
            own = values[~np.isnan(values)]
            error = float(own.std(ddof=1)) / math.sqrt(len(own)) if len(own) > 1 else math.nan
            rows.append((size, float(own.mean()) if len(own) else math.nan, error, len(own)))
        return pd.DataFrame(rows, columns=["filters", "mean", "error", "concepts"])

    def cumulative(self, tau: float = 0.9) -> pd.DataFrame:
        """Return a row a F: filters, share (of the concepts whose `needed` is at most F)."""
        import pandas as pd

        needed = self.needed(tau)["needed"].to_numpy()
        needed = needed[needed > 0]
        share = [float(np.mean(needed <= size)) if len(needed) else math.nan for size in self.filters]
        return pd.DataFrame({"filters": list(self.filters), "share": share})


def sharing(best: NDArray[np.int64], units: int) -> pd.DataFrame:
    """Return by how many concepts filters are chosen as the best one, a row a bin: concepts, filters.

    Args:
        best: int64 [concepts], the best unit of each concept.

    Source: METHODS 3.5; the bins are those of the published axis' labels, 0, 1, 2-5, 6-9, 10-14, 15-19, 20+.
    """
    import pandas as pd

    chosen = np.bincount(np.asarray(best, np.int64), minlength=units)
    of = np.searchsorted(_EDGES, chosen, side="right") - 1
    return pd.DataFrame({"concepts": SHARING, "filters": np.bincount(of, minlength=len(SHARING))})
