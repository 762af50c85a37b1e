"""Writing a run's report, and saying where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.datasets import Dataset
    from fastdissect.results import Dissection

__all__ = ["DEFAULT_PICTURES", "Pictures", "parse_pictures", "say_where", "write"]

DEFAULT_PICTURES = "4000"  # reports.pictured.PICTURED, which a command's help does not load
Pictures = Annotated[
    str,
    typer.Option(
        "--pictures",
        help="Units with pictures in the report: of more, those of the highest IoU, each layer and concept in turn.",
        metavar="N|all",
    ),
]


def parse_pictures(text: str) -> int | None:
    """Return the number of units that get pictures; None: all.

    >>> parse_pictures("500"), parse_pictures("all")
    (500, None)
    """
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise typer.BadParameter(
            f"expected a number of units from 0, or all; got {plain(text)!r}", param_hint="'--pictures'"
        )
    return int(text)


def write(
    dissection: Dissection,
    dataset: Dataset | None,
    out: Path,
    top_images: int,
    pictures: str = DEFAULT_PICTURES,
) -> Path:
    """Write OUT/report with a progress bar; returns its page."""
    from fastdissect.progress import progress_bar
    from fastdissect.reports import write_report

    most = parse_pictures(pictures)
    units = sum(layer.units_count for layer in dissection.values())
    with progress_bar("report", units if most is None else min(units, most)) as advance:
        done = 0

        def progress(now: int, _total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        return write_report(
            dissection, dataset, out / "report", top_images=top_images, pictures=most, progress=progress
        )


def say_where(page: Path) -> None:
    """Print the page's path and its URL, on lines of their own, so that both can be copied."""
    page = page.absolute()
    console = output()
    console.print(f"Report: {plain(page)}", soft_wrap=True)
    console.print(f"        {page.as_uri()}", soft_wrap=True)
