"""`fastdissect compare`: any number of finished runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.cuts import Cut, recut
from fastdissect.cli.options import Traceback, Verbose, parse_layers
from fastdissect.cli.reporting import say_where
from fastdissect.cli.terminal import listing, output, plain
from fastdissect.errors import SettingError

if TYPE_CHECKING:
    from fastdissect.methods.comparison import Comparison, FoundRun
    from fastdissect.reports.studies.page import Table

__all__ = ["compare"]


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of finished runs; RUN@LAYER for one of its layers; a sweep's folder for all of its runs.",
            metavar="RUN...",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the page, figures and tables.", show_default=False)
    ],
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            "-l",
            help="Layers that all runs have; default: all of these, or each run's last one.",
            show_default=False,
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(help="Names of the runs, with commas; default: their folders'.", show_default=False),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(help="Training steps of the runs, with commas, such as 0,100,1000.", show_default=False),
    ] = None,
    accuracy: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the columns accuracy, and run (a name) or step.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs",
            help="Unit by unit, by number: each run against the first, or against the training step before.",
        ),
    ] = False,
    match: Annotated[
        bool,
        typer.Option(
            "--match", help="Match units of different networks by the correlation of their activations."
        ),
    ] = False,
    cut: Cut = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Compare runs over other data or conventions; every figure says so."),
    ] = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Compare finished runs: unique detectors side by side, over layers, over training, unit by unit.

    \b
    Example:
      fastdissect compare places imagenet --layers conv5 --out places-imagenet
      fastdissect compare places@conv5 resnet@layer4 --match --out architectures
      fastdissect compare before after --pairs --out fine-tuned
      fastdissect compare sweep --accuracy accuracy.csv --out training
    """
    del verbose, traceback
    chosen = parse_layers(layers or [])
    numbers = _numbers(steps)

    from fastdissect.methods.comparison import compare as put_together
    from fastdissect.methods.comparison import find_runs
    from fastdissect.methods.comparison.accuracy_file import read_accuracies
    from fastdissect.reports.studies.comparison_page import write_comparison
    from fastdissect.reports.studies.comparison_tables import (
        category_rows,
        change_rows,
        layer_rows,
        match_rows,
    )
    from fastdissect.reports.studies.free import check_study_folder
    from fastdissect.results import load

    check_study_folder(out)
    found, failed = find_runs(runs)
    titles = _names(found, names)
    known = [run.step for run in found] if numbers is None else numbers
    comparison = put_together(
        {title: recut(load(run.folder), run.folder, cut) for title, run in zip(titles, found, strict=True)},
        layers=_layers(found, titles, chosen),
        steps=known,
        accuracy=[run.accuracy for run in found]
        if accuracy is None
        else read_accuracies(accuracy, titles, known),
        own_cuts=cut == "calibrated",
        force=force,
    )
    changes, left = comparison.changes() if pairs else ((), ())
    if pairs and not changes:
        raise SettingError(
            "expected at least two runs with equally many units in a layer for --pairs; "
            f"{'; '.join(left) or 'got one run'}"
        )
    matchings = comparison.matchings() if match else ()
    page = write_comparison(comparison, out, changes=changes, matchings=matchings, left_out=[*failed, *left])
    shown = [layer_rows(comparison), category_rows(comparison)]
    shown += [change_rows(changes)] if changes else []
    shown += [match_rows(matchings)] if matchings else []
    _say(comparison, shown, [*failed, *comparison.left_out, *left])
    say_where(page)


def _say(comparison: Comparison, shown: Sequence[Table], left: Sequence[str]) -> None:
    console = output()
    if comparison.warning:
        console.print(f"warning: {plain(comparison.warning)}", soft_wrap=True)
    for table in shown:
        drawn = listing([plain(name) for name in table.columns], right=[plain(name) for name in table.right])
        for row in table.rows:
            drawn.add_row(*map(plain, row))
        console.print(drawn)
    for sentence in left:
        console.print(f"left out: {plain(sentence)}", soft_wrap=True)


def _names(found: Sequence[FoundRun], names: str | None) -> list[str]:
    from fastdissect.methods.comparison.run_folders import run_names

    if names is None:
        return run_names(found)
    given = [name.strip() for name in names.split(",")]
    if len(given) != len(found) or len(set(given)) != len(given) or "" in given:
        raise typer.BadParameter(
            f"expected {len(found)} names, one for each run, all different; got {plain(names)!r}",
            param_hint="'--names'",
        )
    return given


def _layers(
    found: Sequence[FoundRun], titles: Sequence[str], chosen: list[str]
) -> list[str] | dict[str, str | None] | None:
    """RUN@LAYER names a layer for one run, --layers for all."""
    if not any(run.layer for run in found):
        return chosen or None
    if chosen:
        raise typer.BadParameter(
            "it names layers for all runs, RUN@LAYER for one; give one of the two", param_hint="'--layers'"
        )
    return {title: run.layer for title, run in zip(titles, found, strict=True)}


def _numbers(text: str | None) -> list[float | None] | None:
    """
    >>> _numbers("0, 10,1e3"), _numbers(None)
    ([0.0, 10.0, 1000.0], None)
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas, such as 0,100,1000; got {plain(text)!r}", param_hint="'--steps'"
        ) from None
