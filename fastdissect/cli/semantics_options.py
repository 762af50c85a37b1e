"""The options of `fastdissect semantics` that `explain` has not, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AllConcepts",
    "Cache",
    "Class",
    "Concepts",
    "Evaluate",
    "EvaluateImages",
    "Layer",
    "Most",
    "NonNegative",
    "Out",
    "Positions",
    "Removals",
    "Ridge",
    "Seed",
    "Seeds",
    "Versus",
]

Layer = Annotated[
    str | None,
    typer.Option("--layer", "-l", help="Of the run; its only one, if not given.", show_default=False),
]
Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="Show this class's concepts; with --image explain it too. By name or number, several times.",
        metavar="NAME",
        show_default=False,
    ),
]
Versus = Annotated[
    str | None,
    typer.Option(
        help="With --image: explain the difference to this class.", metavar="NAME", show_default=False
    ),
]
Concepts = Annotated[
    list[str] | None,
    typer.Option("--concept", help="Only these concepts; several times.", metavar="NAME", show_default=False),
]
Positions = Annotated[
    int, typer.Option(min=20, help="Positions that show a concept, at most, and as many that do not.")
]
Ridge = Annotated[float, typer.Option(help="Of the convex problem.")]
NonNegative = Annotated[bool, typer.Option("--non-negative", help="Only vectors without negative entries.")]
AllConcepts = Annotated[
    bool, typer.Option("--all-concepts", help="Explain by concepts that the layer does not represent, too.")
]
Most = Annotated[int, typer.Option(min=1, help="Concepts that may take part in one score.")]
Removals = Annotated[
    int, typer.Option(min=0, help="Random directions beside each concept's removal; 0: no removals.")
]
Evaluate = Annotated[
    bool,
    typer.Option(
        "--evaluate",
        help="A page of how far the vectors can be trusted: pointing game, removals and residuals over held-out images, "
        "other seeds.",
    ),
]
EvaluateImages = Annotated[
    int | None,
    typer.Option("--images", min=1, help="With --evaluate: held-out images, at most; 300, if not given."),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="With --evaluate: so many times the vectors are found from other positions; 3, if not given.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything drawn.")]
Cache = Annotated[str, typer.Option(help="Folder of packed masks; auto: the user's; none: no cache.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder of the vectors and pages; RUN/semantics/LAYER, if not given.",
        show_default=False,
    ),
]
