"""The tables that `fastdissect sweep` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastdissect.cli import summary
from fastdissect.cli.terminal import listing, plain

if TYPE_CHECKING:
    from rich.table import Table

    from fastdissect.methods.sweeps.result import Sweep

__all__ = ["categories", "counts"]


def counts(done: Sweep) -> Table:
    """A row a layer of each run. "unique": distinct labels of the units' best categories, or of each category by
    itself, added up."""
    numbers = ("step", "units", "detectors", "unique (best)", "unique (sum)", "time")
    table = listing(("name", "step", "layer", *numbers[1:]), right=numbers)
    for run in done.runs:
        begin = (plain(run.name), "" if run.step is None else f"{run.step:g}")
        if run.layers is None:
            table.add_row(*begin, "failed")
        for name, found in (run.layers or {}).items():
            counts = (found.detectors, found.unique_detectors, found.unique_by_category_total)
            shown = ("undetermined",) * 3 if found.undetermined else tuple(f"{n:,}" for n in counts)
            table.add_row(*begin, plain(name), f"{found.units:,}", *shown, summary.seconds(run.seconds))
    return table


def categories(done: Sweep) -> Table:
    """A row a layer of each run: distinct labels of each category by itself."""
    from fastdissect.reports.palette import display_order

    found = [(run, name, one) for run in done.runs for name, one in (run.layers or {}).items()]
    names = display_order(row.category for *_, one in found for row in one.by_category)
    shown = tuple(plain(category) for category in names)
    table = listing(("name", "layer", *shown), title="distinct labels by category", right=shown)
    for run, name, one in found:
        unique = {row.category: f"{row.unique:,}" for row in one.by_category}
        if not one.undetermined:
            table.add_row(plain(run.name), plain(name), *(unique.get(category, "") for category in names))
    return table
