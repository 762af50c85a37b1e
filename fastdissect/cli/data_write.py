"""`data convert` and `data write`: any data set -> a folder in one of our formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.options import Data, Traceback, Verbose
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.datasets import Dataset

__all__ = ["MASK_SCALE", "convert", "steps", "write", "write_as"]

MASK_SCALE = 0.5  # Broden's
_Scale = Annotated[
    float | None,
    typer.Option(
        help="Sides of the masks over those of the images, with --to broden. [default: 0.5]",
        show_default=False,
    ),
]


def convert(
    spec: Data,
    out: Annotated[Path, typer.Argument(help="The folder to make; it must not exist.", show_default=False)],
    to: Annotated[str, typer.Option(metavar="broden|folder", help="The format.", show_default=False)],
    mask_scale: _Scale = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Write a data set in Broden's format, or as a plain folder of images and masks.

    `broden` shrinks the masks to half their images' sides and splits the images 70 : 30; `folder` keeps the masks' size.

    \b
    Example:
      fastdissect data convert coco:instances_val2017.json coco_val --to folder
      fastdissect data convert folder:mine mine_broden --to broden
    """
    del verbose, traceback
    from fastdissect.datasets import open_dataset

    check_format(to, ("broden", "folder"))
    check_scale(to, mask_scale)
    dataset = open_dataset(spec)
    folder = write_as(dataset, out, to, mask_scale)
    output().print(f"{len(dataset):,} images; open them as {to}:{plain(folder)}", soft_wrap=True)


def write(
    spec: Data,
    path: Annotated[Path, typer.Argument(help="The folder to make; it must not exist.", show_default=False)],
    mask_scale: Annotated[
        float, typer.Option(help="Sides of the masks over those of the images.")
    ] = MASK_SCALE,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Write a data set as a folder in the format of Broden 1.1: `convert --to broden`.

    \b
    Example:
      fastdissect data write shapes:images=2000,size=224 shapes_broden
    """
    convert(spec, path, "broden", mask_scale, verbose, traceback)


def check_format(to: str, known: tuple[str, ...]) -> None:
    """Refuse a format that there is not."""
    if to not in known:
        raise typer.BadParameter(f"expected {', '.join(known)}; got {plain(to)!r}", param_hint="'--to'")


def check_scale(to: str, mask_scale: float | None) -> None:
    """Refuse --mask-scale where it has no meaning."""
    if to != "broden" and mask_scale is not None:
        raise typer.BadParameter("only --to broden shrinks masks", param_hint="'--mask-scale'")


def write_as(dataset: Dataset, out: Path, to: str, mask_scale: float | None) -> Path:
    """Write a data set, with a progress bar; returns the folder."""
    from fastdissect.datasets import write_broden
    from fastdissect.datasets.writing_folder import write_folder
    from fastdissect.progress import progress_bar

    with progress_bar("writing", len(dataset)) as advance:
        if to == "folder":
            return write_folder(dataset, out, progress=steps(advance))
        scale = MASK_SCALE if mask_scale is None else mask_scale
        return write_broden(dataset, out, mask_scale=scale, progress=steps(advance))


def steps(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """A progress bar as the package's functions call it: (done, total)."""
    return lambda _done, _total: advance(1)
