"""`fastdissect demo`: a trained network beside the same one with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli import reporting, summary
from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.terminal import listing, output, plain
from fastdissect.errors import OutputError

if TYPE_CHECKING:
    from fastdissect.results import Dissection

__all__ = ["demo"]

_LAYERS = ("conv3", "conv4", "conv5")
_NETWORKS = {"trained": "builtin:shapes", "random": "builtin:shapes-random"}
_MARK = ".fastdissect-demo"  # a folder without it is not the demo's
_OWN = ("trained", "random", "cache")  # what the demo makes, and may replace


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "fastdissect-demo"
    ),
    images: Annotated[int, typer.Option(min=1, help="Images to show the networks.")] = 500,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Dissect the built-in network, trained and with random weights, on generated images. Needs no network.

    \b
    Example:
      fastdissect demo
    """
    del verbose, traceback
    _make_ready(out)
    console = output()
    console.print(
        f"Showing {images:,} generated images to two networks: one trained on such images, one random."
    )

    import fastdissect
    from fastdissect.datasets import open_dataset

    dataset = open_dataset(f"shapes:images={images}")
    runs = {
        name: fastdissect.dissect(model, dataset, _LAYERS, out=out / name, cache=out / "cache")
        for name, model in _NETWORKS.items()
    }
    trained, random = runs["trained"], runs["random"]
    _compare(trained, random)
    last = _LAYERS[-1]
    console.print(summary.best_units(trained[last], 8, distinct=True))
    console.print(
        f"{last}: trained: {_found(trained)}; random weights: {_found(random)} "
        f"({summary.seconds(sum(float(run.run['seconds']) for run in runs.values()))} for both)",
        soft_wrap=True,
    )
    reporting.say_where(reporting.write(trained, dataset, out / "trained", 8))


def _make_ready(folder: Path) -> None:
    """Make the demo's folder, or clear what an earlier demo put there, and nothing else."""
    try:
        marked = (folder / _MARK).is_file()
        if folder.exists() and not marked and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(
                f"{folder}: expected a new folder, an empty one, or one of an earlier demo; something else is "
                "there; choose another with --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).touch()
        for name in _OWN:
            if (folder / name).is_symlink():
                raise OutputError(
                    f"{folder / name}: expected a folder of an earlier demo, got a link; remove it"
                )
            if (folder / name).exists():
                shutil.rmtree(folder / name)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{folder} cannot be made ready: {error.strerror or error}; choose another with --out"
        ) from error


def _compare(trained: Dissection, random: Dissection) -> None:
    numbers = ("units", "trained: detectors", "unique", "random: detectors", "unique ")
    table = listing(("layer", *numbers), right=numbers)
    for name in trained:
        ours, theirs = trained[name].summary(), random[name].summary()
        table.add_row(
            plain(name),
            str(ours.units),
            str(ours.detectors),
            str(ours.unique_detectors),
            str(theirs.detectors),
            str(theirs.unique_detectors),
        )
    output().print(table)


def _found(dissection: Dissection) -> str:
    found = dissection[_LAYERS[-1]].summary()
    return f"{found.detectors} detectors, {found.unique_detectors} unique"
