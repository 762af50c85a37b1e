"""The options that `fastdissect rotate` has beside those of `run`, and what is written in them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fastdissect.cli.terminal import plain

__all__ = [
    "Alphas",
    "Cut",
    "Layer",
    "Permutations",
    "RandomModel",
    "RandomWeights",
    "Seeds",
    "parse_numbers",
    "parse_seeds",
]


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Study", **more)


Layer = Annotated[
    str,
    typer.Option(
        "--layer",
        "-l",
        help="The layer to rotate; `fastdissect layers` lists them.",
        show_default=False,
    ),
]
Alphas = Annotated[str, _option("0 is the layer's own basis, 1 a random one.", metavar="LIST")]
Seeds = Annotated[str, _option("Random rotations: how many, or their seeds with commas.", metavar="N|LIST")]
Cut = Annotated[
    float | None,
    _option(
        "IoU above which a unit is a detector; the profile's if not given. Another cut needs no new run."
    ),
]
RandomWeights = Annotated[
    bool,
    _option("Dissect the same network with its parameters drawn anew too.", "--random-weights"),
]
RandomModel = Annotated[
    str | None,
    _option("The untrained network, where its modules cannot draw their parameters anew.", metavar="MODEL"),
]
Permutations = Annotated[
    int | None,
    _option("Test the layer's units against so many permutations of the images.", min=1),
]


def parse_numbers(text: str, option: str, kind: type) -> list[Any]:
    """Return the numbers of "0,0.5,1"."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas between them; got {plain(text)!r}", param_hint=f"'{option}'"
        ) from None


def parse_seeds(text: str) -> int | list[int]:
    """ "3" is how many, "0,4" is which.

    >>> parse_seeds("3"), parse_seeds("0,4")
    (3, [0, 4])
    """
    numbers = parse_numbers(text, "--seeds", int)
    return numbers if "," in text else int(numbers[0])
