"""`Sweep`: what became of each model of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.labels import Summary
    from fastdissect.results import Dissection

__all__ = ["Sweep", "SweepRun"]


@dataclass(frozen=True, eq=False)
class SweepRun:
    """What became of one model."""

    name: str
    model: str
    folder: Path
    step: float | None
    accuracy: float | None
    error: str | None  # why there is no run
    seconds: float = 0.0  # that the run took when it was run
    layers: Mapping[str, Summary] | None = None


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a sweep, in its order."""

    out: Path
    runs: tuple[SweepRun, ...]
    steps: str  # where the steps come from; "" without checkpoints

    @property
    def failed(self) -> tuple[SweepRun, ...]:
        return tuple(run for run in self.runs if run.error is not None)

    def dissections(self) -> Iterator[tuple[str, Dissection]]:
        """Load the runs that did not fail, one after the other: (name, results)."""
        from fastdissect.results import load

        for run in self.runs:
            if run.error is None:
                yield run.name, load(run.folder)

    def table(self) -> pd.DataFrame:
        """Return a row a layer of each run, and one for each run that failed.

        Columns: name, step, accuracy, layer, units, detectors, unique (distinct labels of the units' best
        categories), unique_by_category (each category by itself, added up), undetermined, "<category>-unique" for each
        category, seconds, error. What a failed run lacks is missing (NaN, "").
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for run in self.runs:
            own = {"name": run.name, "step": run.step, "accuracy": run.accuracy}
            end = {"seconds": run.seconds, "error": run.error or ""}
            found_in: Mapping[str, Summary | None] = run.layers or {"": None}
            for layer, found in found_in.items():
                rows.append({**own, "layer": layer, **_counts(found), **end})
        columns = list(dict.fromkeys(name for row in rows for name in row))
        last = ["seconds", "error"]
        return pd.DataFrame(rows, columns=[*(c for c in columns if c not in last), *last])


def _counts(found: Summary | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "units": found.units,
        "detectors": found.detectors,
        "unique": found.unique_detectors,
        "unique_by_category": found.unique_by_category_total,
        "undetermined": found.undetermined,
        **{f"{row.category}-unique": row.unique for row in found.by_category},
    }
