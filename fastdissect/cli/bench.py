"""`fastdissect bench`: ours and the peers on the same arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastdissect.cli.options import Traceback, Verbose, parse_layers
from fastdissect.cli.terminal import output, plain

__all__ = ["bench"]


def bench(
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="quantile, tally, pipeline, forward, scaling; several with commas. All if not given.",
            show_default=False,
        ),
    ] = None,
    netdissect_lite: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A checkout of CSAILVision/NetDissect-Lite.", show_default=False),
    ] = None,
    dissect: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A checkout of davidbau/dissect.", show_default=False)
    ] = None,
    baukit: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A checkout of davidbau/baukit.", show_default=False)
    ] = None,
    images: Annotated[
        int, typer.Option(min=40, help="Images of the NetDissect-Lite rows; the others follow.")
    ] = 500,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of every contestant, in turn.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads on every side.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the results; bench/results of a checkout, else ./fastdissect-bench.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: see that everything runs.")] = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Measure fastdissect beside its peers, on the same arrays: time, memory, and how right each is.

    \b
    Example:
      fastdissect bench --netdissect-lite NetDissect-Lite --dissect dissect --baukit baukit
      fastdissect bench --rows quantile --quick

    A peer that is only a repository is given by its folder, or does not take part; those on PyPI come with
    pip install 'fastdissect\\[bench]'. The exit code is 1 if a contestant fails.
    """
    del verbose, traceback
    from fastdissect.benchmarks.bench import check_groups, require_writable, run_benchmark, write_result
    from fastdissect.benchmarks.machine import default_out
    from fastdissect.benchmarks.peers import field_of
    from fastdissect.benchmarks.sizes import quick_sizes, sizes_for
    from fastdissect.benchmarks.tables import markdown

    groups = check_groups(parse_layers(rows or []))
    field = field_of({"netdissect-lite": netdissect_lite, "dissect": dissect, "baukit": baukit})
    folder = out or default_out()
    require_writable(folder)
    console = output()
    for name, why in field.skipped.items():
        console.print(f"{plain(name)} does not take part: {plain(why)}", soft_wrap=True)
    sizes = quick_sizes() if quick else sizes_for(images)
    with output(stderr=True).status("measuring") as status:
        result = run_benchmark(
            groups,
            sizes,
            field,
            repeats=repeats,
            threads=threads,
            quick=quick,
            progress=lambda text: status.update(plain(text)),
        )
    files = write_result(result, folder)
    console.print(plain_lines(markdown(result)), soft_wrap=True)
    for path in files:
        console.print(f"wrote {plain(path)}", soft_wrap=True)
    if any("failed" in record for record in (*result["rows"], *result["scaling"])):
        raise typer.Exit(1)


def plain_lines(text: str) -> str:
    """Return text whose lines are safe to show."""
    return "\n".join(plain(line) for line in text.splitlines())
