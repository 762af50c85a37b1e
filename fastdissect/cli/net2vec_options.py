"""The options of `fastdissect net2vec`, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Against",
    "AllConcepts",
    "Arithmetic",
    "Bias",
    "Classification",
    "Concepts",
    "Data",
    "Device",
    "Epochs",
    "Filters",
    "FirstCategory",
    "LayerName",
    "Loss",
    "Neighbours",
    "Out",
    "Pictures",
    "Positive",
    "Seed",
]

LayerName = Annotated[
    str | None,
    typer.Option("--layer", "-l", help="Of the run; its only one, if not given.", show_default=False),
]
Concepts = Annotated[
    str | None,
    typer.Option(
        help="Only these concepts, by name or number, with commas; all, if not given.",
        metavar="a,b",
        show_default=False,
    ),
]
Epochs = Annotated[int, typer.Option(min=1, help="Over each concept's own training images.")]
Loss = Annotated[
    str | None,
    typer.Option(
        help="linear (the released code's) or bce, the true cross-entropy.",
        metavar="linear|bce",
        show_default="linear",
    ),
]
Classification = Annotated[
    bool,
    typer.Option(
        "--classification", help="Vectors that tell whether an image shows a concept, not where: scenes, too."
    ),
]
Positive = Annotated[bool, typer.Option("--positive", help="Weights of at least 0 alone.")]
Bias = Annotated[bool, typer.Option("--bias", help="Learn one for each concept (segmentation).")]
FirstCategory = Annotated[
    bool,
    typer.Option(
        "--first-category",
        help="A label that lives in several categories: only what the first of them says, as the released code; else "
        "all of them (segmentation).",
    ),
]
Filters = Annotated[
    str | None,
    typer.Option(
        help="Train again with the so many largest filters alone: how many does a concept need? all stands for the "
        "published list. Kept, too: only what is missing is trained.",
        metavar="1,2,4,...|all",
        show_default=False,
    ),
]
Neighbours = Annotated[
    list[str] | None,
    typer.Option(
        help="Print the nearest neighbours of this concept; several times.",
        metavar="NAME",
        show_default=False,
    ),
]
Arithmetic = Annotated[
    list[str] | None,
    typer.Option(
        help='What is nearest to a sum, such as "sky + red-c - blue-c"; several times.',
        metavar="SUM",
        show_default=False,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        help="Compare with another run's vectors, trained before: RUN, RUN@LAYER or a folder of vectors.",
        metavar="OTHER",
        show_default=False,
    ),
]
AllConcepts = Annotated[
    bool, typer.Option("--all-concepts", help="Neighbours may be concepts that were not learned, too.")
]
Pictures = Annotated[
    int, typer.Option(min=0, help="Of each concept that the page shows, over the range of IoU.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the first weights, and of the map.")]
Data = Annotated[str | None, typer.Option(help="The run's data set, if it has moved.", show_default=False)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder of the vectors and the page; RUN/net2vec/LAYER, if not given.",
        show_default=False,
    ),
]
