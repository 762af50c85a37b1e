"""The options of `fastdissect factorize`, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "BatchSize",
    "Classes",
    "Device",
    "Faithful",
    "Images",
    "Layers",
    "Layout",
    "Masks",
    "Matrices",
    "NetworkGiven",
    "Out",
    "Penalty",
    "Perturb",
    "Pictures",
    "Pixels",
    "Pool",
    "Project",
    "Rank",
    "Ranks",
    "Rectify",
    "Restarts",
    "Seed",
    "Settings",
    "Size",
    "Threads",
    "Tokens",
    "What",
    "Workers",
]


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


What = Annotated[
    list[str],
    typer.Argument(
        help="The network and the images: as `run` takes them, or folder:PATH of images alone, without masks or labels. "
        "With --project: the new images, files or folders.",
        metavar="MODEL DATA",
        show_default=False,
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layers",
        "-l",
        help="Layer names or patterns, several times or with commas; `fastdissect layers` lists them.",
        show_default=False,
    ),
]
Rank = Annotated[
    str,
    typer.Option(
        "--rank", "-r", help="Number of factors, or auto: chosen by fit and stability.", metavar="N|auto"
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder for the factors and the page. The same command again finds them there.",
        show_default=False,
    ),
]
Project = Annotated[
    Path | None,
    typer.Option(
        help="Find how much new images have of the factors in this folder.", metavar="OUT", show_default=False
    ),
]

_METHOD = "Method"
Ranks = Annotated[
    str | None,
    _option(_METHOD, "Draw fit and stability for these; what auto chooses from.", metavar="5,10,20,..."),
]
Penalty = Annotated[
    str,
    _option(
        _METHOD,
        "Of the mixtures; --set mixtures=0.1 is its weight.",
        metavar="elastic-net|group-sparse",
    ),
]
Faithful = Annotated[bool, _option(_METHOD, "The released update rule.", "--faithful")]
Restarts = Annotated[int, _option(_METHOD, "Initialisations; the best is kept.", min=1)]
Settings = Annotated[
    list[str] | None,
    _option(
        _METHOD,
        "groups, mixtures, pixels, neurons, iterations, tolerance, weights, initial or repeats otherwise.",
        "--set",
        metavar="ITEM=VALUE",
    ),
]
Seed = Annotated[int, _option(_METHOD, "Of the initialisations, and of what perturbations draw.", min=0)]

_FEATURES = "What is gathered"
Pool = Annotated[
    list[str] | None,
    _option(
        _FEATURES,
        "mean, max, or full: every position of every unit is a neuron. LAYER=full for some layers; several times.",
        metavar="HOW|LAYER=HOW",
        show_default="mean",
    ),
]
Pixels = Annotated[
    str, _option(_FEATURES, "Side of the latent images, or none: layers alone.", metavar="SIDE|none")
]
Rectify = Annotated[bool, _option(_FEATURES, "Take max(x, 0) of layers that can be negative.", "--rectify")]
Perturb = Annotated[
    list[str] | None,
    _option(
        _FEATURES,
        "Each image also so: noise, blur, brightness, contrast, occlusion, fgsm, with =STRENGTH or alone; several times.",
        metavar="KIND[=X]",
    ),
]
Classes = Annotated[
    Path | None,
    _option(
        _FEATURES,
        "A table with columns image and class; the data set's own if not given.",
        metavar="FILE.csv",
    ),
]
Masks = Annotated[bool, _option(_FEATURES, "Read a mask data set's concepts.", "--masks/--no-masks")]

_INPUT = "Images and network"
Images = Annotated[int | None, _option(_INPUT, "Only the first so many images.", min=1)]
Size = Annotated[str | None, _option(_INPUT, "The network's input in pixels, 224 or 224x320.")]
Layout = Annotated[str, _option(_INPUT, "How outputs lie: auto, NCHW, NHWC or NTC.")]
Tokens = Annotated[str | None, _option(_INPUT, "How tokens lie on the image.", metavar="prefix=1,grid=14x14")]
NetworkGiven = Annotated[
    str | None, _option(_INPUT, "With --project: the network, if it has moved.", "--model", metavar="MODEL")
]

_MACHINE = "Time, memory and files"
Device = Annotated[str, _option(_MACHINE, "auto, cpu, cuda, cuda:1 or mps.")]
BatchSize = Annotated[int, _option(_MACHINE, "Images a forward pass.", min=1)]
Workers = Annotated[int | None, _option(_MACHINE, "Processes that decode images; 0: none.", min=0)]
Threads = Annotated[int | None, _option(_MACHINE, "Threads of the network and the updates.", min=1)]
Matrices = Annotated[
    Path | None,
    _option(
        _MACHINE,
        "Keep what the forward pass gathers here, for other ranks and settings; else it is removed.",
        metavar="FOLDER",
    ),
]
Pictures = Annotated[bool, _option(_MACHINE, "Draw the examples on the page.", "--pictures/--no-pictures")]
