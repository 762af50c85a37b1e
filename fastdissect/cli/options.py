"""Options that several commands share, and what is written in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from fastdissect.cli.failing import TRACEBACK
from fastdissect.cli.terminal import plain, start_logging

__all__ = [
    "Data",
    "Model",
    "Traceback",
    "Verbose",
    "check_dtype",
    "check_layout",
    "parse_image",
    "parse_layers",
    "parse_memory",
    "parse_passes",
    "parse_settings",
    "parse_tokens",
]

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}{end}": 1000**n for n, letter in enumerate("kmgt", 1) for end in ("", "b")},
    **{f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", 1)},
}


def _verbose(ctx: typer.Context, value: int) -> int:
    start_logging(value)
    if value:
        ctx.meta[TRACEBACK] = True
    return value


def _traceback(ctx: typer.Context, value: bool) -> bool:
    if value:
        ctx.meta[TRACEBACK] = True
    return value


Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, callback=_verbose, help="Say what happens; -vv says everything."
    ),
]
Traceback = Annotated[
    bool, typer.Option("--traceback", callback=_traceback, help="Show where an error came from.")
]
Model = Annotated[
    str,
    typer.Argument(
        help="builtin:shapes, path/to/file.py:function, package.module:callable, torchvision:NAME, "
        "timm:NAME or transformers:ID_OR_PATH.",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Argument(
        help="broden:PATH, coco:FILE, folder:PATH, shapes, ...: `fastdissect data formats` lists them.",
        show_default=False,
    ),
]


def parse_memory(text: str | None, option: str = "--memory") -> int | None:
    """Return bytes: "4GB", "1.5 GiB", "500MB" or a plain number.

    >>> parse_memory("4GB"), parse_memory("1GiB"), parse_memory("1000")
    (4000000000, 1073741824, 1000)
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text, re.ASCII)
    unit = match and _UNITS.get(match[2].lower())
    size = int(float(match[1]) * unit) if match and unit and len(match[1]) < 20 else 0
    if size < 1:
        raise typer.BadParameter(
            f"expected a memory size such as 4GB, 500MB, 1GiB or a number of bytes; got {plain(text)!r}",
            param_hint=f"'{option}'",
        )
    return size


def parse_image(text: str) -> str | int:
    """Return the number of a run's image, or a path; a file of that name goes before a number.

    >>> parse_image("17"), parse_image("kitchen.jpg"), parse_image("9" * 5000) == "9" * 5000
    (17, 'kitchen.jpg', True)
    """
    number = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if number and not Path(text).exists() else text


def parse_passes(text: str) -> int | str:
    """Return "auto", 1, 2 or 3."""
    if text not in ("auto", "1", "2", "3"):
        raise typer.BadParameter(f"expected auto, 1, 2 or 3; got {plain(text)!r}", param_hint="'--passes'")
    return text if text == "auto" else int(text)


def check_dtype(text: str | None) -> None:
    """Refuse a dtype that there is not."""
    if text not in (None, "float32", "bfloat16", "float16"):
        raise typer.BadParameter(
            f"expected float32, bfloat16 or float16; got {plain(text)!r}", param_hint="'--dtype'"
        )


def check_layout(text: str) -> None:
    """Refuse a layout that there is not."""
    if text not in ("auto", "NCHW", "NHWC", "NTC"):
        raise typer.BadParameter(
            f"expected auto, NCHW, NHWC or NTC; got {plain(text)!r}", param_hint="'--layout'"
        )


def parse_layers(given: list[str]) -> list[str]:
    """Return the names and patterns of all --layers options, each split at commas."""
    return [name.strip() for text in given for name in text.split(",") if name.strip()]


def parse_tokens(text: str | None) -> tuple[int | None, tuple[int, int] | None] | None:
    """Return the prefix and the grid (height, width) of "prefix=1,grid=14x14"; either may be left out.

    >>> parse_tokens("prefix=1,grid=14x14"), parse_tokens("prefix=5")
    ((1, (14, 14)), (5, None))
    """
    if text is None:
        return None
    parts = dict.fromkeys(part.strip() for part in text.split(","))
    found = [re.fullmatch(r"prefix=(\d{1,9})|grid=(\d{1,9})x(\d{1,9})", part, re.ASCII) for part in parts]
    prefixes = [int(match[1]) for match in found if match and match[1]]
    grids = [(int(match[2]), int(match[3])) for match in found if match and match[2]]
    if None in found or len(prefixes) > 1 or len(grids) > 1:
        raise typer.BadParameter(
            f"expected prefix=N, grid=HEIGHTxWIDTH or both, such as prefix=1,grid=14x14; got {plain(text)!r}",
            param_hint="'--tokens'",
        )
    return (prefixes[0] if prefixes else None), (grids[0] if grids else None)


def parse_settings(given: list[str]) -> dict[str, Any]:
    """Return {item: value} of "item=value" texts: numbers and true or false are what they look like.

    The quantile stays text, so that 0.005 is exactly 1/200.

    >>> parse_settings(["cut=0.1", "cut_inclusive=true", "quantile=0.01"])
    {'cut': 0.1, 'cut_inclusive': True, 'quantile': '0.01'}
    """
    settings: dict[str, Any] = {}
    for text in given:
        item, equals, value = (part.strip() for part in text.partition("="))
        if not item or not equals or item in settings:
            raise typer.BadParameter(
                f"expected item=value, each item once; got {plain(text)!r}", param_hint="'--set'"
            )
        settings[item] = value if item == "quantile" else _value(value)
    return settings


def _value(text: str) -> bool | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text
