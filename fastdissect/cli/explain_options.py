"""The options of `fastdissect explain`, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Among",
    "By",
    "Class",
    "Classes",
    "Data",
    "Device",
    "Head",
    "Image",
    "Layer",
    "Model",
    "Out",
    "PicturesShown",
    "Segmentation",
    "Top",
    "Versus",
]

Image = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        "-i",
        help="An image file, a folder of them, or the number of an image of the run; several times.",
        metavar="FILE|FOLDER|NUMBER",
        show_default=False,
    ),
]
Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="Explain this class too, by name or number; without --image: its units over the whole run.",
        metavar="NAME",
        show_default=False,
    ),
]
Versus = Annotated[
    str | None,
    typer.Option(help="Explain the difference to this class.", metavar="NAME", show_default=False),
]
Among = Annotated[
    list[str] | None,
    typer.Option(
        help="The prediction is one of these classes; several times. All, if not given.",
        metavar="NAME",
        show_default=False,
    ),
]
By = Annotated[
    str,
    typer.Option(help="Without --image: images that are predicted so, or true.", metavar="predicted|true"),
]
Layer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        "-l",
        help="Of the run; the only one, or the one that a linear head reads, if not given.",
        show_default=False,
    ),
]
Head = Annotated[
    str | None,
    typer.Option(help="The module whose output are the logits.", metavar="NAME", show_default=False),
]
Classes = Annotated[
    Path | None,
    typer.Option(help="Names of the classes, a line each, in the order of the outputs.", metavar="FILE"),
]
Model = Annotated[str | None, typer.Option(help="The run's network, if it has moved.", show_default=False)]
Data = Annotated[str | None, typer.Option(help="The run's data set, if it has moved.", show_default=False)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Top = Annotated[int, typer.Option(min=1, help="Units to show.")]
Segmentation = Annotated[
    str,
    typer.Option(
        help="Where a unit is active: relative to the image's maximum, or above its threshold over the data set.",
        metavar="relative|dataset",
    ),
]
PicturesShown = Annotated[int, typer.Option(min=0, help="Images with pictures on the page.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder of the page; RUN/explanations, or RUN/class-NAME, if not given.",
        show_default=False,
    ),
]
