"""What is written in the options of `fastdissect factorize`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import typer

from fastdissect.cli.options import parse_layers, parse_settings
from fastdissect.cli.terminal import plain

__all__ = ["checked_arguments", "parse_items", "parse_pools", "parse_rank", "parse_ranks", "parse_side"]

_WHOLE_NUMBERS = ("groups", "iterations", "block", "repeats")


def checked_arguments(
    what: list[str], layers: list[str] | None, out: Path | None, model: str | None
) -> tuple[str, str, list[str], Path]:
    """Return network, data set, layers and folder, all of them given."""
    if len(what) != 2:
        raise typer.BadParameter(
            f"expected a network and a data set; got {len(what)}: {plain(' '.join(what))}",
            param_hint="'MODEL DATA'",
        )
    if model is not None:
        raise typer.BadParameter("expected with --project only", param_hint="'--model'")
    names = parse_layers(layers or [])
    if not names:
        raise typer.BadParameter(
            "expected at least one layer; `fastdissect layers` lists them", param_hint="'--layers'"
        )
    if out is None:
        raise typer.BadParameter("expected a folder for the factors and the page", param_hint="'--out'")
    return what[0], what[1], names, out


def parse_rank(text: str) -> int | str:
    """Return a rank, or "auto"."""
    if text == "auto":
        return text
    return _whole(text, "--rank", "a whole number of at least 1, or auto")


def parse_side(text: str) -> int | None:
    """Return a side in pixels; None of "none"."""
    if text == "none":
        return None
    return _whole(text, "--pixels", "a side in pixels, such as 32, or none")


def _whole(text: str, option: str, expected: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text)):
        raise typer.BadParameter(f"expected {expected}; got {plain(text)!r}", param_hint=f"'{option}'")
    return int(text)


def parse_ranks(text: str | None) -> list[int] | None:
    """Return the numbers of "5,10,20"."""
    if text is None:
        return None
    return [
        _whole(part.strip(), "--ranks", "numbers with commas, such as 5,10,20") for part in text.split(",")
    ]


def parse_pools(texts: list[str]) -> dict[str, str]:
    """Return {pattern: how} of "how" (all layers) and "layer=how"; in `resolve_pools`, later ones go before earlier ones.

    >>> parse_pools(["layer4=full", "max"])
    {'**': 'max', 'layer4': 'full'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, how = (part.strip() for part in text.rpartition("="))
        if equals and not name:
            raise typer.BadParameter(f"expected LAYER=HOW; got {plain(text)!r}", param_hint="'--pool'")
        if (name or "**") in found:
            raise typer.BadParameter(
                f"{plain(name) or 'all layers'}: expected once; got twice", param_hint="'--pool'"
            )
        found[name or "**"] = how
    return {**({"**": found["**"]} if "**" in found else {}), **found}


def parse_items(texts: list[str]) -> dict[str, Any]:
    """Return the settings that have no option of their own."""
    from fastdissect.methods.factorization.settings import FactorizationSettings

    own = {field.name for field in dataclasses.fields(FactorizationSettings)}
    own -= {"rank", "penalty", "faithful", "restarts", "seed"}
    items = parse_settings(texts)
    for name, value in items.items():
        if name not in own:
            raise typer.BadParameter(
                f"expected one of {', '.join(sorted(own))}; got {plain(name)!r}", param_hint="'--set'"
            )
        if name in _WHOLE_NUMBERS and isinstance(value, float) and value.is_integer():
            items[name] = int(value)
    return items
