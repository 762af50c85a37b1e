"""`fastdissect run`: dissect, save, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fastdissect.cli import reporting, summary
from fastdissect.cli import run_options as given
from fastdissect.cli.dissecting import going_on, parse_items, parse_machine, use_threads
from fastdissect.cli.forecast import say_forecast
from fastdissect.cli.merge import is_first_rank, run_pilot, run_shard
from fastdissect.cli.options import (
    Data,
    Model,
    Traceback,
    Verbose,
    check_dtype,
    check_layout,
    parse_layers,
    parse_tokens,
)
from fastdissect.cli.terminal import output, plain
from fastdissect.errors import SettingError

if TYPE_CHECKING:
    from fastdissect.results import Dissection

__all__ = ["run"]

_TABLES = 6  # layers up to which every one gets its own table


def run(
    model: Model,
    data: Data,
    layers: given.Layers,
    out: given.Out,
    quantile: given.Quantile = None,
    profile: given.ProfileName = "netdissect",
    settings: given.Settings = None,
    thresholds: given.Thresholds = None,
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
    dry_run: given.DryRun = False,
    shard: given.ShardOption = None,
    pilot: given.PilotImages = None,
    cache: given.Cache = "auto",
    activations: given.Activations = True,
    report: given.Report = True,
    top_images: given.TopImages = 8,
    pictures: given.Pictures = reporting.DEFAULT_PICTURES,
    fresh: given.Fresh = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Dissect a network: thresholds, counts, labels, tables and a report.

    Under torchrun the processes share the images and write one result.

    \b
    Example:
      fastdissect run torchvision:resnet18 broden:broden1_224 --layers layer3,layer4 --out out
      fastdissect run net.py:build folder:photos --layers "**.relu" --out out --memory 4GB
      torchrun --nproc-per-node 4 -m fastdissect run ... --out out
    """
    del verbose, traceback  # their callbacks have seen them
    chosen: dict[str, Any] = {
        "layers": parse_layers(layers),
        **parse_machine(memory, device_memory, passes, cache),
    }
    cache = chosen.pop("cache")
    reporting.parse_pictures(pictures)  # before anything runs
    check_layout(layout)
    check_dtype(dtype)
    grid, items = parse_tokens(tokens), parse_items(settings, quantile=quantile)

    from fastdissect import conventions

    convention = conventions.profile(profile, **items)  # before torch is loaded: a wrong name answers at once
    known = None if thresholds is None else _read_thresholds(thresholds)
    if shard is not None and pilot is not None:
        raise typer.BadParameter("expected --pilot alone, once, before the shards", param_hint="'--shard'")
    complete = (out / "run.json").exists() and not fresh
    if complete and is_first_rank():
        output().print(f"{plain(out)} holds a finished run; checking that it is this one")

    import fastdissect
    from fastdissect.models import TokenGrid

    use_threads(threads)
    chosen |= {
        "profile": convention,
        "device": device,
        "dtype": dtype,
        "compile": compile,
        "channels_last": channels_last,
        "thresholds": known,
        "batch_size": batch_size,
        "workers": workers,
        "size": size,
        "mask_size": mask_size,
        "images": images,
        "nan": nan,
        "layout": layout,
        "tokens": None if grid is None else TokenGrid(*grid),
        "activations": activations,
    }
    going: dict[str, Any] = {"fresh": fresh, "checkpoint_seconds": checkpoint_seconds, "cache": cache}
    with going_on(fresh):
        if dry_run:
            say_forecast(model, data, chosen)
            return
        if pilot is not None:
            run_pilot(model, data, out, pilot, chosen | {"fresh": fresh})
            return
        if shard is not None:
            run_shard(model, data, out, shard, chosen | going)
            return
        dissection = fastdissect.dissect(model, data, out=out, **chosen, **going)
        if not is_first_rank():
            return
        _say(dissection, complete)
        if report:
            from fastdissect.cli.run_data import run_dataset

            page = reporting.write(dissection, run_dataset(dissection), out, top_images, pictures)
            reporting.say_where(page)


def _read_thresholds(path: Path) -> dict[str, Any]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        zipfile.BadZipFile,
    ) as error:  # TypeError: one array, no archive
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError(
            f"{path}: expected thresholds as numpy.savez writes them, an array of units for each layer; got: {reason}"
        ) from error


def _say(dissection: Dissection, complete: bool) -> None:
    console = output()
    console.print(summary.headline(dissection), soft_wrap=True)
    console.print(summary.overview(dissection))
    if len(dissection) <= _TABLES:
        for layer in dissection.values():
            console.print(summary.categories(layer))
    record = dissection.run
    took = summary.seconds(float(record.get("seconds", 0)))
    parts = ", ".join(
        f"{name} {summary.seconds(float(record[key]))}"
        for name, key in (
            ("network", "forward seconds"),
            ("sifting", "sift seconds"),
            ("counting", "count seconds"),
        )
        if key in record
    )
    console.print(f"{'It was complete already; it took' if complete else 'Dissected in'} {took} ({parts})")
