"""`--cut`: a finished run under another cut."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.results import Dissection

__all__ = ["Cut", "Run", "recut"]

Run = Annotated[
    Path, typer.Argument(help="The --out folder of a finished run.", metavar="RUN", show_default=False)
]
Cut = Annotated[
    str | None,
    typer.Option(
        help="IoU that makes a detector, instead of the run's; calibrated: each layer's chance level, from `fastdissect "
        "chance RUN`.",
        metavar="IOU|calibrated",
        show_default=False,
    ),
]


def recut(dissection: Dissection, run: Path, cut: str | None) -> Dissection:
    """Return the run under the cut that --cut names, and say what that is.

    Raises:
        SettingError, OutputError: no such cut, or no calibrated one.
    """
    if cut is None:
        return dissection
    from fastdissect.methods.chance.cut import read_cuts, with_cut

    if cut == "calibrated":
        cuts = read_cuts(run, dissection)
        given = ", ".join(f"{plain(name)} {value:.4f}" for name, value in cuts.items())
        output().print(f"Calibrated cuts of {plain(run)}: {given}", soft_wrap=True)
        return with_cut(dissection, cuts)
    try:
        number = float(cut)
    except ValueError:
        raise typer.BadParameter(
            f"expected a number from 0 to 1, or calibrated; got {cut!r}", param_hint="'--cut'"
        ) from None
    return with_cut(dissection, number)
