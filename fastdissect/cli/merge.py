"""`fastdissect merge`, and the parts of `run` that it puts together: `--pilot` and `--shard`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from fastdissect.cli import reporting, summary
from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.terminal import output, plain

__all__ = ["is_first_rank", "merge", "run_pilot", "run_shard"]


def merge(
    out: Annotated[Path, typer.Argument(help="The folder that the shards share.", show_default=False)],
    keep_shards: Annotated[
        bool, typer.Option("--keep-shards", help="Leave OUT/shards there when they are merged.")
    ] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write OUT/report.")] = True,
    top_images: Annotated[int, typer.Option(help="Images a unit in the report.", min=1)] = 8,
    pictures: reporting.Pictures = reporting.DEFAULT_PICTURES,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Merge the shards of a run into one result: that of a run in one process, byte for byte.

    \b
    Example:
      fastdissect run MODEL DATA --layers layer4 --out out --pilot 1000
      fastdissect run MODEL DATA --layers layer4 --out out --shard 1/3     (and 2/3, 3/3, anywhere)
      fastdissect merge out
    """
    del verbose, traceback
    from fastdissect.merging import merge as merge_shards
    from fastdissect.reopening import reopen_data

    reporting.parse_pictures(pictures)  # a wrong one answers at once
    dissection = merge_shards(out, keep_shards=keep_shards)
    console = output()
    console.print(summary.headline(dissection), soft_wrap=True)
    console.print(summary.overview(dissection))
    if report:
        page = reporting.write(dissection, reopen_data(dissection), out, top_images, pictures)
        reporting.say_where(page)


def run_pilot(model: str, data: str, out: Path, images: int, options: dict[str, Any]) -> None:
    """`run --pilot`."""
    from fastdissect.sharding import pilot

    pilot(model, data, out=out, sample=images, **options)
    following = "now run the shards (--shard 1/N ... N/N)"
    if (out / "run.json").exists():
        following = "it is merged already, and needs no pilot; --fresh begins again"
    output().print(f"Pilot: {plain(out / 'shards')}; {following}", soft_wrap=True)


def run_shard(model: str, data: str, out: Path, shard: str, options: dict[str, Any]) -> None:
    """`run --shard`."""
    from fastdissect.sharding import dissect_shard

    folder = dissect_shard(model, data, shard=shard, out=out, **options)
    following = f"when all are there: fastdissect merge {plain(out)}"
    if (out / "run.json").exists():
        following = "merged already"
    output().print(f"Shard {plain(shard)}: {plain(folder)}; {following}", soft_wrap=True)


def is_first_rank() -> bool:
    """True but in the second and later processes of torchrun: one of them speaks for all."""
    return os.environ.get("RANK", "0") == "0"
