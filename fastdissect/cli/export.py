"""`fastdissect export`: a finished run as another program's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.options import Traceback, Verbose, parse_layers
from fastdissect.cli.report import Run
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.datasets import Dataset
    from fastdissect.exporting import Format
    from fastdissect.results import Dissection

__all__ = ["export"]

_MANY = 8  # files of one folder that are listed one by one


def export(
    run: Run,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="netdissect-lite, netdissect, dissect, clip-dissect or milan.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the files; RUN/export/FORMAT.", show_default=False),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layers", "-l", help="Only these layers, by name.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="The run's data set, if it has moved; none: no pictures (format dissect).",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(help="Images a unit; milan 15, dissect 5.", show_default=False)
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Pictures in pixels, 224 or 224x320; milan 224, dissect 100.", show_default=False),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Move an earlier export to OUT.1 and write again.")
    ] = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Write a finished run as files that another program reads: a table, pictures, masks.

    \b
    netdissect-lite   <layer>/tally.csv, quantile.npy
    netdissect        <layer>-result.csv, as NetDissect's plots read it
    dissect           <layer>/report.json and pictures, as davidbau/dissect
    clip-dissect      descriptions.csv, NetDissect_results/<layer>.csv
    milan             <layer>/images.npy, masks.npy, ids.csv, activations.csv

    \b
    Example:
      fastdissect export out --format netdissect-lite --layers layer4 --out lite
    """
    del verbose, traceback
    from fastdissect.exporting import export as write
    from fastdissect.exporting import find_format
    from fastdissect.progress import progress_bar
    from fastdissect.results import load
    from fastdissect.settings import parse_size

    chosen, pixels = find_format(format_), parse_size(size, "--size")
    dissection = load(run)
    names = parse_layers(layers or [])
    units = sum(layer.units_count for name, layer in dissection.items() if not names or name in names)
    with progress_bar(f"export {chosen.name}", units) as advance:
        shown = 0

        def progress(done: int, _total: int) -> None:
            nonlocal shown
            advance(done - shown)
            shown = done

        written = write(
            dissection,
            out or run / "export" / chosen.name,
            chosen.name,
            layers=names or None,
            dataset=_dataset(dissection, chosen, data),
            top=top,
            size=pixels,
            fresh=fresh,
            progress=progress,
        )
    console = output()
    for line in _listed(written):
        console.print(plain(line), soft_wrap=True)


def _dataset(dissection: Dissection, chosen: Format, data: str | None) -> Dataset | None:
    from fastdissect.cli.run_data import run_dataset
    from fastdissect.datasets import open_dataset

    if chosen.pictures == "none" or data == "none":
        return None
    return run_dataset(dissection) if data is None else open_dataset(data)


def _listed(written: Iterable[Path]) -> list[str]:
    """A line a file; a folder of many files is one line.

    >>> _listed([Path("a/b.csv"), *(Path(f"a/image/{k}.jpg") for k in range(20))]) == [
    ...     str(Path("a/b.csv")), f"{Path('a/image')} (20 files)"]
    True
    """
    many = Counter(path.parent for path in written)
    lines = (
        str(path) if many[path.parent] <= _MANY else f"{path.parent} ({many[path.parent]} files)"
        for path in written
    )
    return list(dict.fromkeys(lines))
