"""`fastdissect sweep`: many networks or checkpoints over one data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastdissect.cli import reporting, summary
from fastdissect.cli import run_options as given
from fastdissect.cli.dissecting import going_on, parse_items, parse_machine, use_threads
from fastdissect.cli.options import (
    Traceback,
    Verbose,
    check_dtype,
    check_layout,
    parse_layers,
    parse_tokens,
)
from fastdissect.cli.pairs import read_pairs
from fastdissect.cli.sweep_tables import categories, counts
from fastdissect.cli.terminal import error_line, output, plain
from fastdissect.errors import DataError, FastdissectError

if TYPE_CHECKING:
    from fastdissect.methods.sweeps.result import SweepRun
    from fastdissect.results import Dissection

__all__ = ["sweep"]

_NAMED = re.compile(
    r"([A-Za-z0-9_][\w.+-]*)=(.+)", re.DOTALL
)  # NAME=MODEL; a model's own "=" comes behind a "?"


def sweep(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Models, each MODEL or NAME=MODEL; with --checkpoints one.",
            metavar="MODEL...",
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            help="broden:PATH, coco:FILE, folder:PATH, shapes, ...: `fastdissect data formats` lists them.",
            show_default=False,
        ),
    ],
    layers: given.Layers,
    out: given.Out,
    checkpoints: Annotated[
        list[str] | None,
        typer.Option(
            help="Files of weights for the one model: a file or a quoted pattern, several times.",
            metavar="GLOB",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            help="Steps in the models' order, with commas; else from the files' names.", show_default=False
        ),
    ] = None,
    accuracy: Annotated[
        Path | None,
        typer.Option(
            help="Accuracies, 0 to 1: a table with the columns name and accuracy.",
            metavar="FILE.csv",
            show_default=False,
        ),
    ] = None,
    quantile: given.Quantile = None,
    profile: given.ProfileName = "netdissect",
    settings: given.Settings = None,
    nan: given.Nan = "error",
    images: given.Images = None,
    size: given.Size = None,
    mask_size: given.MaskSize = None,
    layout: given.Layout = "auto",
    tokens: given.Tokens = None,
    device: given.Device = "auto",
    dtype: given.Dtype = None,
    compile: given.Compile = False,
    channels_last: given.ChannelsLast = False,
    batch_size: given.BatchSize = 32,
    workers: given.Workers = None,
    threads: given.Threads = None,
    memory: given.Memory = None,
    device_memory: given.DeviceMemory = None,
    passes: given.Passes = "auto",
    checkpoint_seconds: given.CheckpointSeconds = 60.0,
    cache: given.Cache = "auto",
    activations: given.Activations = True,
    report: given.Report = False,
    top_images: given.TopImages = 8,
    pictures: given.Pictures = reporting.DEFAULT_PICTURES,
    fresh: given.Fresh = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Dissect many networks, or many checkpoints of one; each becomes a run in OUT/NAME.

    A model that fails is reported, and the rest goes on; the same command again goes on where it stopped.

    \b
    Example:
      fastdissect sweep net.py:build --checkpoints "ckpt/*.pt" --data shapes --layers conv5 --out runs
      fastdissect sweep wide=net.py:wide narrow=net.py:narrow --data folder:photos --layers conv5 --out runs
    """
    del verbose, traceback
    check_layout(layout)
    check_dtype(dtype)
    grid, items = parse_tokens(tokens), parse_items(settings, quantile=quantile)
    chosen: dict[str, Any] = {
        **parse_machine(memory, device_memory, passes, cache),
        "steps": None if steps is None else _numbers(steps),
        "accuracy": None if accuracy is None else _accuracies(accuracy),
        "checkpoints": checkpoints or None,
    }

    from fastdissect import conventions
    from fastdissect.datasets import open_dataset

    convention = conventions.profile(profile, **items)  # before torch is loaded: a wrong name answers at once
    dataset = open_dataset(data)

    from fastdissect.methods.sweeps.sweeping import sweep as run_all
    from fastdissect.models import TokenGrid

    use_threads(threads)
    unwritten = []

    def on_run(run: SweepRun, dissection: Dissection | None) -> None:
        if run.error is not None:
            error_line(f"{run.name}: {run.error}")
            return
        output().print(f"{plain(run.name)}: {_found(run)}", soft_wrap=True)
        if report and dissection is not None:
            try:
                reporting.say_where(reporting.write(dissection, dataset, run.folder, top_images, pictures))
            except FastdissectError as error:
                unwritten.append(run.name)
                error_line(f"{run.name}: the report: {error}")

    with going_on(fresh):
        done = run_all(
            _models(models),
            dataset,
            parse_layers(layers),
            out=out,
            profile=convention,
            device=device,
            dtype=dtype,
            compile=compile,
            channels_last=channels_last,
            batch_size=batch_size,
            workers=workers,
            size=size,
            mask_size=mask_size,
            images=images,
            nan=nan,
            layout=layout,
            tokens=None if grid is None else TokenGrid(*grid),
            activations=activations,
            fresh=fresh,
            checkpoint_seconds=checkpoint_seconds,
            on_run=on_run,
            **chosen,
        )
    console = output()
    console.print(counts(done))
    if len(done.failed) < len(done.runs):
        console.print(categories(done))
    if done.steps:
        console.print(done.steps, soft_wrap=True)
    console.print(f"Compare them: fastdissect compare {plain(out)}", soft_wrap=True)
    if done.failed or unwritten:
        count = len(done.failed)
        if count:
            error_line(f"{count} of {len(done.runs)} models failed; the same command tries them again")
        raise typer.Exit(1)


def _models(given_models: list[str]) -> Any:
    """A list of models; {name: model} where one is named."""
    pairs = [match.groups() if (match := _NAMED.fullmatch(text)) else (None, text) for text in given_models]
    if not any(name for name, _ in pairs):
        return given_models
    from fastdissect.methods.sweeps.models import candidates_of

    named: dict[str, str] = {}
    for name, model in pairs:
        own = name or candidates_of(model)[0].name
        if own in named:
            raise typer.BadParameter(
                f"expected each name once; got {plain(own)!r} twice", param_hint="'MODEL...'"
            )
        named[own] = model
    return named


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas, such as 0,100,200; got {plain(text)!r}", param_hint="'--steps'"
        ) from None


def _accuracies(path: Path) -> dict[str, float]:
    """{name: accuracy} of a table.

    Raises:
        DataError: it is none, or holds something that is no number.
    """
    found = {}
    for name, text in read_pairs(path, "name", "accuracy").items():
        try:
            found[name] = float(text)
        except ValueError:
            raise DataError(f"{path}: expected a number for {name!r}; got {text!r}") from None
    return found


def _found(run: SweepRun) -> str:
    parts = (
        f"{plain(name)} undetermined"
        if one.undetermined
        else f"{plain(name)} {one.detectors} of {one.units} units detect {one.unique_detectors} concepts"
        for name, one in (run.layers or {}).items()
    )
    return f"{'; '.join(parts)} ({summary.seconds(run.seconds)})"
