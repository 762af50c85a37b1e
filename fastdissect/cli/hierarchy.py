"""`fastdissect hierarchy`: units at the label that is general enough, and parts under their wholes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli import reporting
from fastdissect.cli.cuts import Run
from fastdissect.cli.options import Traceback, Verbose, parse_layers
from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from rich.table import Table

    from fastdissect.methods.hierarchy import RollUp

__all__ = ["hierarchy"]


def hierarchy(
    run: Run,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layers", "-l", help="Only these layers, by name.", show_default=False),
    ] = None,
    relations: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns child, parent, kind (is-a or part-of), instead of the data set's own "
            "relations. Without kind all are is-a.",
            metavar="FILE.csv",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(help="A more specific label is adequate down to 1 - this share of the best IoU."),
    ] = 0.1,
    share: Annotated[
        float,
        typer.Option(help="Name a whole that holds at least this share of the part under a unit's mask."),
    ] = 0.5,
    data: Annotated[
        str | None, typer.Option(help="The run's data set, if it has moved.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the page; RUN/hierarchy if not given.", show_default=False),
    ] = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Find each unit's most specific adequate label along is-a relations, and what its part is part of.

    \b
    Example:
      fastdissect hierarchy out --layers layer4 --relations animals.csv
    """
    del verbose, traceback
    from fastdissect.methods.hierarchy import roll_up
    from fastdissect.reports.studies.free import check_study_folder
    from fastdissect.reports.studies.hierarchy_page import write_hierarchy_study
    from fastdissect.results import load

    dissection, folder = load(run), run / "hierarchy" if out is None else out
    check_study_folder(folder)
    found = roll_up(
        dissection,
        parse_layers(layers or []) or None,
        data=data,
        relations=relations,
        tolerance=tolerance,
        least_share=share,
    )
    report = run / "report" / "index.html"  # each unit's entry leads there
    page = write_hierarchy_study(dissection, found, folder, report=report if report.is_file() else None)
    output().print(_units(found))
    output().print(_levels(found))
    reporting.say_where(page)


def _units(found: RollUp) -> Table:
    numbers = (
        "units",
        "same label",
        "better further up",
        "in another branch",
        "on a whole",
        "detectors",
        "then",
    )
    table = listing(("layer", *numbers), title="Units at their adequate label", right=numbers)
    for name, one in found.items():
        row = one.summary()
        counts = (row.units, row.same, row.up, row.other, row.parts, row.detectors, row.adequate_detectors)
        table.add_row(plain(name), *(f"{count:,}" for count in counts))
    return table


def _levels(found: RollUp) -> Table:
    """A row a layer and depth."""
    numbers = ("depth", "labels and unions", "that detectors are at", "detectors", "units")
    table = listing(("layer", *numbers), title="By depth", right=numbers)
    for name, one in found.items():
        rows = one.levels()
        for i, row in enumerate(rows.itertuples()):
            counts = (row.depth, row.nodes, row.covering, row.detectors, row.units)
            table.add_row(plain(name) if i == 0 else "", *(f"{count:,}" for count in counts))
        table.add_section()
    return table
