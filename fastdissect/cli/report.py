"""`fastdissect report`: write the report of a finished run again."""

from __future__ import annotations

from typing import Annotated

import typer

from fastdissect.cli import reporting
from fastdissect.cli.cuts import Cut, Run, recut
from fastdissect.cli.options import Traceback, Verbose

__all__ = ["Run", "report"]


def report(
    run: Run,
    data: Annotated[
        str | None,
        typer.Option(help="The run's data set, if it has moved; none: no pictures.", show_default=False),
    ] = None,
    cut: Cut = None,
    top_images: Annotated[int, typer.Option(min=1, help="Images a unit.")] = 8,
    pictures: reporting.Pictures = reporting.DEFAULT_PICTURES,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Write the report of a finished run, in RUN/report.

    \b
    Example:
      fastdissect report out --top-images 12
      fastdissect report out --cut calibrated
      fastdissect report out --pictures all
    """
    del verbose, traceback
    reporting.parse_pictures(pictures)  # a wrong one answers at once
    from fastdissect.cli.run_data import run_dataset
    from fastdissect.datasets import open_dataset
    from fastdissect.results import load

    dissection = recut(load(run), run, cut)
    dataset = None if data == "none" else run_dataset(dissection) if data is None else open_dataset(data)
    reporting.say_where(reporting.write(dissection, dataset, run, top_images, pictures))
