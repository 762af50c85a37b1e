"""`fastdissect rotate`: a layer in its own basis and in random ones."""

from __future__ import annotations

import os
from typing import Any

from fastdissect.cli import reporting, rotate_table
from fastdissect.cli import rotate_options as own
from fastdissect.cli import run_options as given
from fastdissect.cli.dissecting import going_on, parse_items, parse_machine, use_threads
from fastdissect.cli.options import (
    Data,
    Model,
    Traceback,
    Verbose,
    check_dtype,
    check_layout,
    parse_tokens,
)
from fastdissect.errors import OutputError

__all__ = ["rotate"]


def rotate(
    model: Model,
    data: Data,
    layer: own.Layer,
    out: given.Out,
    alphas: own.Alphas = "0,0.2,0.4,0.6,0.8,1",
    seeds: own.Seeds = "3",
    cut: own.Cut = None,
    random_weights: own.RandomWeights = False,
    random_model: own.RandomModel = None,
    permutations: own.Permutations = None,
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
    report: given.Report = True,
    fresh: given.Fresh = False,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Are units special directions? Dissect a layer in its own basis and in random ones, in one forward pass.

    OUT/run holds the run, OUT/random-weights the baseline, OUT/report the page with curves and tables.

    \b
    Example:
      fastdissect rotate builtin:shapes shapes:images=500 --layer conv5 --out out --random-weights
      fastdissect rotate torchvision:alexnet broden:broden1_224 --layer features.10 --out out --seeds 5
    """
    del verbose, traceback  # their callbacks have seen them
    check_layout(layout)
    check_dtype(dtype)
    grid, items = parse_tokens(tokens), parse_items(settings, quantile=quantile, cut=cut)
    chosen: dict[str, Any] = {
        "alphas": own.parse_numbers(alphas, "--alphas", float),
        "seeds": own.parse_seeds(seeds),
        "cut": items.pop("cut", None),  # of the study: its run serves every cut
        **parse_machine(memory, device_memory, passes, cache),
    }

    from fastdissect import conventions

    convention = conventions.profile(profile, **items)  # before torch is loaded: a wrong name answers at once
    if chosen["cut"] is not None:
        conventions.profile(cut=chosen["cut"])

    if os.path.exists(out / "run.json"):  # noqa: PTH110 (a name that is too long is said where it is made)
        raise OutputError(
            f"{out}: expected a folder of this study's own; it holds a run, whose report would go; choose another"
        )

    from fastdissect.methods.extras import need

    for library in ("scipy.linalg", "matplotlib") if report else ("scipy.linalg",):
        need(library)

    from fastdissect.methods import rotation
    from fastdissect.models import TokenGrid
    from fastdissect.reports.studies.free import check_study_folder

    if report:
        check_study_folder(out / "report")
    use_threads(threads)
    with going_on(fresh):
        study = rotation.rotate(
            model,
            data,
            layer,
            random_weights=random_weights,
            random_model=random_model,
            permutations=permutations,
            out=out,
            profile=convention,
            nan=nan,
            images=images,
            size=size,
            mask_size=mask_size,
            layout=layout,
            tokens=None if grid is None else TokenGrid(*grid),
            device=device,
            dtype=dtype,
            compile=compile,
            channels_last=channels_last,
            batch_size=batch_size,
            workers=workers,
            checkpoint_seconds=checkpoint_seconds,
            fresh=fresh,
            **chosen,
        )
        rotate_table.say(study)
        if report:
            from fastdissect.reports.studies.rotation_page import write_rotation_study

            reporting.say_where(write_rotation_study(study, out / "report"))
