"""`RotationStudy`: what is left of a layer's detectors along the way from its own basis to a random one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect import conventions
from fastdissect.labels import Summary, passes, summarize

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.layer import LayerDissection
    from fastdissect.methods.chance.level import ChanceLevel
    from fastdissect.results import Dissection

__all__ = ["TOTALS", "RotationStudy", "mean_iou", "summary_at"]

# What is counted over all categories, and in each (labels.Summary and CategorySummary say how).
TOTALS = ("detectors", "unique_detectors", "unique_by_category_total", "mean_iou")
_OF_A_CATEGORY = ("detectors", "unique", "best_detectors", "best_unique")


@dataclass(frozen=True, eq=False)
class RotationStudy:
    """A layer and its rotations Q^alpha f(x), with baselines where they were asked for.

    Counts follow from the results and `cut` when they are asked for: `with_cut` costs nothing. Where `undetermined` is
    set in a table there were too few images for the quantile, and 0 detectors means nothing.
    """

    dissection: Dissection  # the layer and its rotations
    layer: str
    alphas: tuple[float, ...]  # ascending
    seeds: tuple[int, ...]
    names: Mapping[
        tuple[float, int], str
    ]  # (alpha, seed) -> layer of `dissection`; alpha 0 is the layer itself
    cut: float  # IoU above which a unit is a detector
    random: LayerDissection | None = None  # the same layer with random weights
    chance: ChanceLevel | None = None  # of the layer's own units, under permuted images

    def with_cut(self, cut: float) -> RotationStudy:
        """The same study, with detectors counted at another IoU.

        Raises:
            SettingError: no number from 0 to 1.
        """
        return dataclasses.replace(self, cut=conventions.profile(self.dissection.profile, cut=cut).cut)

    def results(self) -> Iterator[tuple[float, int, LayerDissection]]:
        """(alpha, seed, what was found there), by rising alpha."""
        for alpha in self.alphas:
            for seed in self.seeds:
                yield alpha, seed, self.dissection[self.names[alpha, seed]]

    def table(self) -> pd.DataFrame:
        """Return a row for each alpha and seed.

        Columns: alpha, seed, units, detectors and unique_detectors (of the units' best categories),
        unique_by_category_total (each category by itself, added up: the papers' figures), mean_iou (of the units' best
        IoU), undetermined; then for each category "<category>-unique" and "<category>-best_unique" by the two ways of
        counting. At alpha 0 all seeds are the layer itself.
        """
        import pandas as pd

        rows = []
        for alpha, seed, layer in self.results():
            found = summary_at(layer, self.cut)
            row = {"alpha": alpha, "seed": seed, "units": found.units, **_totals(layer, found)}
            row["undetermined"] = found.undetermined
            for own in found.by_category:
                row[f"{own.category}-unique"] = own.unique
                row[f"{own.category}-best_unique"] = own.best_unique
            rows.append(row)
        return pd.DataFrame(rows)

    def by_category(self) -> pd.DataFrame:
        """Return a row for each alpha, seed and category, in the data set's order of categories.

        Columns: alpha, seed, category, detectors and unique (the category by itself), best_detectors and best_unique
        (units whose best category it is), mean_iou (of the units' best IoU in it).
        """
        import pandas as pd

        columns = ("alpha", "seed", "category", *_OF_A_CATEGORY, "mean_iou")
        rows = []
        for alpha, seed, layer in self.results():
            found, score = summary_at(layer, self.cut), layer.labels.score
            for q, own in enumerate(found.by_category):
                counts = (getattr(own, name) for name in _OF_A_CATEGORY)
                rows.append((alpha, seed, own.category, *counts, float(score[:, q].mean())))
        return pd.DataFrame(rows, columns=list(columns))

    def curve(self) -> pd.DataFrame:
        """Return how each number goes with alpha: mean, min, max and sd over the seeds.

        Columns: alpha, category (None: over all of them), measure (a column of `table` or, for a category, of
        `by_category`), mean, min, max, sd (of the sample; NaN for one seed), seeds.
        """
        import pandas as pd

        total = self.table().melt(("alpha", "seed"), list(TOTALS), "measure").assign(category=None)
        own = self.by_category().melt(("alpha", "seed", "category"), [*_OF_A_CATEGORY, "mean_iou"], "measure")
        parts = []
        for rows, keys in ((total, ["alpha", "measure"]), (own, ["alpha", "category", "measure"])):
            over = rows.groupby(keys, sort=False)["value"]
            part = over.agg(["mean", "min", "max", "std"]).rename(columns={"std": "sd"}).reset_index()
            parts.append(part if "category" in part else part.assign(category=None))
        columns = ["alpha", "category", "measure", "mean", "min", "max", "sd"]
        # lists, and no concatenation: pandas would guess the type of an empty or all-None column
        values = {name: [v for part in parts for v in part[name]] for name in columns}
        return pd.DataFrame(values).assign(seeds=len(self.seeds))

    def baselines(self) -> pd.DataFrame:
        """Return a row for the layer itself, and one for each baseline that was asked for.

        Columns: baseline, units, and the totals of `table`. Under permuted images `detectors` is the expected number,
        `mean_iou` the mean over units and permutations; which labels would be found is not kept (NaN).
        """
        import pandas as pd

        layers = {"own basis": self.dissection[self.layer], "random weights": self.random}
        rows = []
        for name, layer in layers.items():
            if layer is not None:
                found = summary_at(layer, self.cut)
                rows.append({"baseline": name, "units": found.units, **_totals(layer, found)})
        if self.chance is not None:
            null = self.chance.null
            above = passes(null, self.cut, self.dissection.profile.cut_inclusive)
            totals = {"detectors": above.sum(1).mean(), "mean_iou": null.mean()}
            rows.append({"baseline": "permuted images", "units": null.shape[1], **totals})
        return pd.DataFrame(rows, columns=["baseline", "units", *TOTALS])

    def __repr__(self) -> str:
        return (
            f"<RotationStudy {self.layer!r}: alpha {', '.join(f'{a:g}' for a in self.alphas)}; "
            f"{len(self.seeds)} seeds; detectors above IoU {self.cut:g}>"
        )


def summary_at(layer: LayerDissection, cut: float) -> Summary:
    """A layer's detectors at another cut than its profile's."""
    inclusive = layer.profile.cut_inclusive
    return summarize(layer.labels, layer.concepts.categories, cut, inclusive, layer.undetermined)


def mean_iou(layer: LayerDissection) -> float:
    """The mean over units of their best IoU with any concept; 0 without concepts."""
    return float(np.mean(layer.iou().max(axis=1, initial=0)))


def _totals(layer: LayerDissection, found: Summary) -> dict[str, Any]:
    counts = {name: getattr(found, name) for name in TOTALS if name != "mean_iou"}
    return {**counts, "mean_iou": mean_iou(layer)}
