"""`fastdissect data broden`: how to get Broden, and whether a folder is it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.data_write import steps
from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from fastdissect.datasets.broden_totals import BrodenFinding

__all__ = ["broden"]

_HOW = """Broden 1.1 (Bau et al., "Network Dissection", CVPR 2017): 63,305 images with 1,197 labels in six categories.

Nothing is downloaded by this command. The released archives are those that NetDissect's script/dlbroden.sh fetches:

  http://netdissect.csail.mit.edu/data/broden1_224.zip    images 224 x 224, masks 112 x 112
  http://netdissect.csail.mit.edu/data/broden1_227.zip    images 227 x 227, masks 113 x 113 (for AlexNet)
  http://netdissect.csail.mit.edu/data/broden1_384.zip    images 384 x 384, masks 192 x 192

Each is 1 GB or more. The host speaks http only and is often down: try again another day, or ask somebody who has a copy.
No checksum of the archives is known to us, so compare yours with a second copy: --fingerprint below.

Unpack one anywhere, for example as data/broden1_224, so that these files lie there:

  broden1_224/index.csv, category.csv, label.csv, c_color.csv, c_object.csv, ..., images/...

  fastdissect data broden data/broden1_224                 is it whole?
  fastdissect run MODEL broden:data/broden1_224 -l LAYER   dissect with it

Without Broden: `shapes:images=2000` needs no download, `folder:PATH` takes your own masks, and
`data merge ... --recipe broden` makes a set as Broden was made, of those that can still be had."""


def broden(
    path: Annotated[
        Path | None, typer.Argument(help="A folder to check, such as data/broden1_224.", show_default=False)
    ] = None,
    fingerprint: Annotated[
        bool,
        typer.Option(
            "--fingerprint", help="Read every file, and print a digest of all that two people can compare."
        ),
    ] = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Say how to get Broden and where it must lie; with PATH, hold a folder against what is known of Broden 1.1.

    The exit code is 1 if the folder differs from the released set or files are missing. Nothing is downloaded.

    \b
    Example:
      fastdissect data broden
      fastdissect data broden data/broden1_224
    """
    del verbose, traceback
    if path is None:
        if fingerprint:
            raise typer.BadParameter("expected a folder, PATH, with it", param_hint="'--fingerprint'")
        output().print(_HOW, soft_wrap=True)
        return
    from fastdissect.datasets.broden_totals import IMAGES, check_broden, content_fingerprint
    from fastdissect.progress import progress_bar

    with progress_bar("looking for files", IMAGES) as advance:
        found = check_broden(path, steps(advance))
    _show(found)
    if fingerprint and not found.missing_count:
        with progress_bar("reading", found.images) as advance:
            text = content_fingerprint(path, progress=steps(advance))
        output().print(f"Fingerprint of tables and files: {text}", soft_wrap=True)
    if not found.ok:
        raise typer.Exit(1)


def _show(found: BrodenFinding) -> None:
    from fastdissect.datasets.broden_totals import CATEGORIES, IMAGES, LABELS, REMEMBERED

    console = output()
    columns = ("here", "Broden 1.1")
    table = listing(("", *columns), title=f"{found.path}", right=columns)
    table.add_row("images", f"{found.images:,}", f"{IMAGES:,}")
    table.add_row("labels", f"{found.labels:,}", f"{LABELS:,}")
    for name in dict.fromkeys((*CATEGORIES, *found.categories)):
        count = found.categories.get(name)
        known = f"{REMEMBERED[name]:,} (from memory)" if name in REMEMBERED else ""
        table.add_row(f"labels of {plain(name)}", "" if count is None else f"{count:,}", known)
    for split, count in found.splits.items():
        table.add_row(f"images of split {plain(split)}", f"{count:,}", "")
    console.print(table)
    for text in found.differences:
        console.print(f"Differs: {plain(text)}", soft_wrap=True)
    if found.hints and not found.differences:
        console.print(
            f"Not as remembered, which may be the memory's fault: {plain('; '.join(found.hints))}",
            soft_wrap=True,
        )
    if found.missing_count:
        console.print(f"{found.missing_count:,} files are missing, such as:", style="bold red")
        for name in found.missing:
            console.print(f"  {plain(name)}", soft_wrap=True)
    console.print(
        f"Fingerprint of its tables: {found.fingerprint} (no official one is known; compare copies)"
    )
    if found.ok:
        console.print(
            f"Broden 1.1 in size and form, no file is missing; open it as broden:{plain(found.path)}. "
            "`fastdissect data check` decodes every file.",
            soft_wrap=True,
        )
    elif not found.missing_count:
        console.print(
            "A data set in Broden's format, but not Broden 1.1; it can be used all the same.", soft_wrap=True
        )
