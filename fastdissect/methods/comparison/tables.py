"""Entries -> tables: a row a layer of a run, a row a category of it, a row a training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastdissect.methods.comparison.entries import Entry

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["category_table", "layer_table", "training_table"]


def layer_table(
    entries: Sequence[Entry], steps: Mapping[str, float], accuracy: Mapping[str, float]
) -> pd.DataFrame:
    """Return a row a layer of a run.

    Columns: run, layer, depth (place among the run's layers, from 0), step and accuracy (missing: not given), units,
    cut, detectors (units whose best score passes the cut), detector_share (of the units), unique_best (distinct best
    labels, convention B), unique_sum (sum over the categories of distinct labels, convention A), undetermined. The
    counts of an undetermined layer are missing, not 0.
    """
    import pandas as pd

    rows = []
    for entry in entries:
        found = entry.result.summary()
        known = not found.undetermined
        rows.append(
            {
                "run": entry.run,
                "layer": entry.layer,
                "depth": entry.depth,
                "step": steps.get(entry.run),
                "accuracy": accuracy.get(entry.run),
                "units": found.units,
                "cut": entry.result.profile.cut,
                "detectors": found.detectors if known else None,
                "detector_share": found.detectors / found.units if known else None,
                "unique_best": found.unique_detectors if known else None,
                "unique_sum": found.unique_by_category_total if known else None,
                "undetermined": found.undetermined,
            }
        )
    types = dict.fromkeys(("run", "layer"), "str") | dict.fromkeys(("depth", "units"), "int64")
    types |= dict.fromkeys(("detectors", "unique_best", "unique_sum"), "Int64")
    types |= dict.fromkeys(("step", "accuracy", "cut", "detector_share"), "float64") | {
        "undetermined": "bool"
    }
    return pd.DataFrame(rows).astype(types)


def category_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return a row a category of a layer of a run.

    Columns: run, layer, category, then as in `CategorySummary`: detectors and unique (each category for itself,
    convention A), best_detectors and best_unique (units' best categories alone, convention B); missing where the
    layer is undetermined.
    """
    import pandas as pd

    counts = ("detectors", "unique", "best_detectors", "best_unique")
    rows: list[dict[str, Any]] = []
    for entry in entries:
        found = entry.result.summary()
        for row in found.by_category:
            values = {name: None if found.undetermined else getattr(row, name) for name in counts}
            rows.append({"run": entry.run, "layer": entry.layer, "category": row.category, **values})
    names = ("run", "layer", "category")
    table = pd.DataFrame(rows, columns=[*names, *counts])
    return table.astype(dict.fromkeys(names, "str") | dict.fromkeys(counts, "Int64"))


def training_table(layers: pd.DataFrame, categories: pd.DataFrame) -> pd.DataFrame:
    """Return unique detectors over training steps, from the two tables above.

    A row a layer, a step and a category ("" is the sum over the categories): layer, category, step, unique (mean of
    the runs of that step), least, most, runs, accuracy (mean of those given). Undetermined layers and runs without
    a step have none.
    """
    import pandas as pd

    known = layers[layers["step"].notna() & ~layers["undetermined"]]
    keys = ["run", "layer", "step", "accuracy"]
    total = known[[*keys, "unique_sum"]].rename(columns={"unique_sum": "unique"}).assign(category="")
    single = categories[["run", "layer", "category", "unique"]].merge(known[keys], on=["run", "layer"])
    groups = pd.concat([total, single]).groupby(["layer", "category", "step"], sort=False)
    table = groups.agg(
        unique=("unique", "mean"),
        least=("unique", "min"),
        most=("unique", "max"),
        runs=("unique", "size"),
        accuracy=("accuracy", "mean"),
    ).reset_index()
    table = table.astype({"unique": "float64"}).sort_values("step", kind="stable")
    order = pd.Categorical(table["layer"], categories=list(dict.fromkeys(layers["layer"])))
    return table.iloc[order.codes.argsort(kind="stable")].reset_index(drop=True)
