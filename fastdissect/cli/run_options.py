"""The options of `fastdissect run`, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Activations",
    "BatchSize",
    "Cache",
    "ChannelsLast",
    "CheckpointSeconds",
    "Compile",
    "Device",
    "DryRun",
    "Dtype",
    "Fresh",
    "Images",
    "Layers",
    "Layout",
    "MaskSize",
    "Memory",
    "Nan",
    "Out",
    "Passes",
    "Pictures",
    "PilotImages",
    "ProfileName",
    "Quantile",
    "Report",
    "Settings",
    "ShardOption",
    "Size",
    "Threads",
    "Thresholds",
    "Tokens",
    "TopImages",
    "Workers",
]


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


Layers = Annotated[
    list[str],
    typer.Option(
        "--layers",
        "-l",
        help="Layer names or patterns, several times or with commas; `fastdissect layers` lists them.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        help="Folder for the results. The same command again goes on where it stopped.",
        show_default=False,
    ),
]

_METHOD = "Method"
Quantile = Annotated[
    str | None,
    _option(_METHOD, "Top fraction of activations that makes a mask; the profile's if not given."),
]
ProfileName = Annotated[
    str, _option(_METHOD, "netdissect, netdissect-caffe, netdissect-lite or dissect-2020.")
]
Settings = Annotated[
    list[str] | None,
    _option(_METHOD, "One item of the profile otherwise.", "--set", metavar="ITEM=VALUE"),
]
Thresholds = Annotated[
    Path | None,
    _option(_METHOD, "Count with these thresholds, an array of units a layer.", metavar="FILE.npz"),
]
Nan = Annotated[str, _option(_METHOD, "error, or omit: leave unusable activations out.")]

_INPUT = "Images and network"
Images = Annotated[int | None, _option(_INPUT, "Only the first so many images.")]
Size = Annotated[str | None, _option(_INPUT, "The network's input in pixels, 224 or 224x320.")]
MaskSize = Annotated[str | None, _option(_INPUT, "The masks; half the input if not given.")]
Layout = Annotated[
    str, _option(_INPUT, "How outputs lie: auto, as the network says, or NCHW, NHWC, NTC for all layers.")
]
Tokens = Annotated[
    str | None,
    _option(
        _INPUT,
        "How tokens lie on the image, where the network does not say: tokens before the grid, and the grid.",
        metavar="prefix=5,grid=16x16",
    ),
]

_MACHINE = "Time and memory"
Device = Annotated[str, _option(_MACHINE, "Of the forward pass: auto, cpu, cuda, cuda:1 or mps.")]
Dtype = Annotated[
    str | None,
    _option(
        _MACHINE,
        "bfloat16 or float16: mixed precision; float32: nothing else. As the network is, if not given.",
        metavar="TYPE",
    ),
]
Compile = Annotated[bool, _option(_MACHINE, "Run the network through torch.compile.", "--compile")]
ChannelsLast = Annotated[
    bool, _option(_MACHINE, "Run the network in torch's channels-last memory format.", "--channels-last")
]
BatchSize = Annotated[int, _option(_MACHINE, "Images a forward pass.")]
Workers = Annotated[int | None, _option(_MACHINE, "Processes that decode images; 0: none.")]
Threads = Annotated[int | None, _option(_MACHINE, "Threads of the network and the kernels.", min=1)]
Memory = Annotated[
    str | None,
    _option(
        _MACHINE,
        "For retained activations: 4GB, 500MB, 1GiB; half of what is free if not given.",
        metavar="SIZE",
    ),
]
DeviceMemory = Annotated[
    str | None,
    _option(
        _MACHINE,
        "For retained activations on each GPU; a quarter of what is free if not given. What outgrows it moves to --memory's.",
        "--gpu-memory",
        metavar="SIZE",
    ),
]
Passes = Annotated[str, _option(_MACHINE, "auto, 1, 2 or 3: the results are the same.")]
CheckpointSeconds = Annotated[
    float, _option(_MACHINE, "Time between checkpoints; longer where they take more than 3 % of it.", min=0)
]

DryRun = Annotated[
    bool,
    _option(_MACHINE, "Predict memory, disk and time from a sample of the images, and stop.", "--dry-run"),
]

_SHARDS = "Several machines without a network"
ShardOption = Annotated[
    str | None,
    _option(
        _SHARDS,
        "Run only this part of the images; `fastdissect merge OUT` puts all together.",
        "--shard",
        metavar="3/16",
    ),
]
PilotImages = Annotated[
    int | None,
    _option(
        _SHARDS,
        "Before the shards, once: guess by so many images what they need not keep.",
        "--pilot",
        min=1,
        metavar="IMAGES",
    ),
]

_FILES = "Files"
Cache = Annotated[
    str, _option(_FILES, "Folder for packed masks; auto is your cache folder.", metavar="DIR|none")
]
Activations = Annotated[
    bool,
    _option(_FILES, "Keep the sparse activations, which pictures need.", "--activations/--no-activations"),
]
Report = Annotated[bool, _option(_FILES, "Write OUT/report.", "--report/--no-report")]
TopImages = Annotated[int, _option(_FILES, "Images a unit in the report.", min=1)]
Pictures = Annotated[
    str,
    _option(
        _FILES,
        "Units with pictures in the report: of more, those of the highest IoU, each layer and concept in turn.",
        "--pictures",
        metavar="N|all",
    ),
]
Fresh = Annotated[bool, _option(_FILES, "Move an existing OUT aside and begin again.", "--fresh")]
