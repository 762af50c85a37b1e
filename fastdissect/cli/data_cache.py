"""`fastdissect data cache`: what the plane cache holds, and making room in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.options import Traceback, Verbose, parse_memory
from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from fastdissect.cache_entries import CacheEntry

__all__ = ["cache"]


def cache(
    limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Remove the entries used longest ago until the rest fits, such as 10GB.",
            show_default=False,
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all entries.")] = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """List the packed masks that are kept between runs, and make room.

    The masks of a data set are packed once and found again by content. FASTDISSECT_CACHE says where, and
    FASTDISSECT_CACHE_LIMIT how much is kept: 20GB if not set, or none. A finished run needs nothing of it.

    \b
    Example:
      fastdissect data cache
      fastdissect data cache --limit 10GB
    """
    del verbose, traceback
    from fastdissect import cache_entries
    from fastdissect.caching import cache_folder

    if clear and limit is not None:
        raise typer.BadParameter(
            "--clear removes everything; leave one of the two out", param_hint="'--limit'"
        )
    size = None if limit is None else parse_memory(limit, "--limit")
    allowed = cache_entries.cache_limit()
    folder = cache_folder()
    if clear or size is not None:
        removed = cache_entries.clear(folder) if size is None else cache_entries.make_room(folder, size)
        output().print(f"Removed {len(removed):,} entries, {_size(sum(entry.bytes for entry in removed))}")
    _show(cache_entries.list_entries(folder), allowed, str(folder))


def _show(entries: list[CacheEntry], allowed: int | None, folder: str) -> None:
    console = output()
    if entries:
        table = listing(("data set", "masks", "images", "size", "last used"), right=("images", "size"))
        for entry in entries:
            table.add_row(
                plain(entry.name) or f"not known ({entry.folder.name[:8]})",
                "" if entry.mask_size is None else f"{entry.mask_size[0]} x {entry.mask_size[1]}",
                "" if entry.images is None else f"{entry.images:,}",
                _size(entry.bytes),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
            )
        console.print(table)
    bound = "no limit" if allowed is None else f"limit {_size(allowed)}"
    total = _size(sum(entry.bytes for entry in entries))
    console.print(f"{len(entries):,} entries, {total} ({bound}) in {plain(folder)}", soft_wrap=True)


def _size(count: int) -> str:
    from fastdissect.cli.layers import memory

    return memory(count)
