"""`fastdissect chance`: which units of a finished run detect more than chance does."""

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

    from fastdissect.methods.chance import LayerChance

__all__ = ["chance"]


def chance(
    run: Run,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layers", "-l", help="Only these layers, by name.", show_default=False),
    ] = None,
    permutations: Annotated[int, typer.Option(min=1, help="Random pairings of images and labels.")] = 1000,
    bootstrap: Annotated[int, typer.Option(min=0, help="Replicates of the images; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of both.")] = 0,
    level: Annotated[float, typer.Option(help="Of significance, and of the calibrated cut.")] = 0.05,
    data: Annotated[
        str | None, typer.Option(help="The run's data set, if it has moved.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the page; RUN/chance if not given, where --cut calibrated looks.",
            show_default=False,
        ),
    ] = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Hold the units of a finished run against chance: p, q, a calibrated cut, intervals, train against val.

    \b
    Example:
      fastdissect chance out --layers layer4
      fastdissect show out --cut calibrated
    """
    del verbose, traceback
    from fastdissect.methods.chance import layer_chance, planes_of, run_images, splits_of, write_cuts
    from fastdissect.methods.chance.cut import CUTS
    from fastdissect.methods.chance.level import check_count, check_level
    from fastdissect.progress import progress_bar
    from fastdissect.reports.studies.chance_page import write_chance_study
    from fastdissect.reports.studies.free import check_study_folder
    from fastdissect.results import load

    check_level(level)
    check_count("permutations", permutations)
    if bootstrap:
        check_count("bootstrap replicates", bootstrap)
    dissection, folder = load(run), run / "chance" if out is None else out
    check_study_folder(folder)
    chosen = {name: dissection[name] for name in parse_layers(layers or [])} or dict(dissection)
    images = run_images(dissection, data)
    planes, splits = planes_of(dissection, images), splits_of(images, dissection.image_names)
    found = {}
    for name, layer in chosen.items():
        with progress_bar(plain(name), permutations + bootstrap) as advance:
            found[name] = layer_chance(
                layer,
                planes,
                splits,
                permutations=permutations,
                replicates=bootstrap,
                seed=seed,
                level=level,
                progress=advance,
            )
    page = write_chance_study(dissection, found, folder)
    write_cuts(folder / CUTS, {name: one.level for name, one in found.items()})
    output().print(_table(found))
    reporting.say_where(page)


def _table(found: dict[str, LayerChance]) -> Table:
    first = next(iter(found.values())).level
    sign = ">=" if first.layer.profile.cut_inclusive else ">"
    numbers = (
        "units",
        f"IoU {sign} {first.layer.profile.cut:g}",
        "expected by chance",
        "calibrated cut",
        f"IoU {sign} that",
        f"q <= {first.level:g}",
    )
    table = listing(("layer", *numbers), title="Units beyond chance", right=numbers)
    for name, one in found.items():
        row = one.level.summary()
        counts = (
            f"{row.units:,}",
            f"{row.detectors:,}",
            f"{row.chance_detectors:,.0f}" if row.chance_detectors >= 10 else f"{row.chance_detectors:.2g}",
            f"{one.level.cut:.4f}",
        )
        table.add_row(plain(name), *counts, f"{row.calibrated:,}", f"{row.significant:,}")
    return table
