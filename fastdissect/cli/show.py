"""`fastdissect show`: the tables of a finished run."""

from __future__ import annotations

from typing import Annotated

import typer

from fastdissect.cli import summary
from fastdissect.cli.cuts import Cut, Run, recut
from fastdissect.cli.options import Traceback, Verbose, parse_layers
from fastdissect.cli.terminal import output

__all__ = ["show"]

_MANY = 12  # layers up to which every one gets its own tables, unless it is named


def show(
    run: Run,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layers", "-l", help="Only these layers, by name.", show_default=False),
    ] = None,
    cut: Cut = None,
    units: Annotated[
        int, typer.Option(min=0, help="So many of each layer's best units, or of all layers' together.")
    ] = 10,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Show the tables of a finished run: detectors by layer and category, and the best units.

    Of more than 12 layers, those that --layers names get tables of their own.

    \b
    Example:
      fastdissect show out --layers layer4 --units 20
      fastdissect show out --cut 0.1
    """
    del verbose, traceback
    from fastdissect.results import load

    dissection = recut(load(run), run, cut)
    chosen = [dissection[name] for name in parse_layers(layers or [])] or list(dissection.values())
    console = output()
    console.print(summary.headline(dissection), soft_wrap=True)
    console.print(summary.overview(dissection))
    if not layers and len(chosen) > _MANY:
        if units:
            console.print(summary.best_of_all(dissection, units))
        console.print("A layer's own tables: --layers NAME")
        return
    for layer in chosen:
        console.print(summary.categories(layer))
        if units:
            console.print(summary.best_units(layer, units))
