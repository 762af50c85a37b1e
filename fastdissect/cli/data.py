"""`fastdissect data`: look at data sets, write, merge and cache them. One command a file, data_*.py."""

from __future__ import annotations

import typer

from fastdissect.cli.data_broden import broden
from fastdissect.cli.data_cache import cache
from fastdissect.cli.data_check import check
from fastdissect.cli.data_formats import formats
from fastdissect.cli.data_merge import merge
from fastdissect.cli.data_write import convert, write

__all__ = ["data"]

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look at a data set (check), write it in another format (convert), make one of several (merge).\n\n\b\n"
    "Example:\n"
    "  fastdissect data check broden:broden1_224 --overlay masks.png\n"
    "  fastdissect data merge ade20k:ADE20K dtd:dtd all --to broden",
)

data.command()(formats)
data.command()(check)
data.command()(convert)
data.command()(write)
data.command()(merge)
data.command()(cache)
data.command()(broden)
