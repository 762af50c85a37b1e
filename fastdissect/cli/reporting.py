"""Writing a run's report, and saying where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.datasets import Dataset
    from fastdissect.results import Dissection

__all__ = ["say_where", "write"]


def write(dissection: Dissection, dataset: Dataset | None, out: Path, top_images: int) -> Path:
    """Write OUT/report with a progress bar; returns its page."""
    from fastdissect.progress import progress_bar
    from fastdissect.reports import write_report

    units = sum(layer.units_count for layer in dissection.values())
    with progress_bar("report", units) as advance:
        done = 0

        def progress(now: int, _total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        return write_report(dissection, dataset, out / "report", top_images=top_images, progress=progress)


def say_where(page: Path) -> None:
    """Print the page's path and its URL, on lines of their own, so that both can be copied."""
    page = page.absolute()
    console = output()
    console.print(f"Report: {plain(page)}", soft_wrap=True)
    console.print(f"        {page.as_uri()}", soft_wrap=True)
