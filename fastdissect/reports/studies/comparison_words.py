"""Names and numbers of a comparison, as its figures and tables show them."""

from __future__ import annotations

import math

from fastdissect.methods.comparison.comparing import Comparison
from fastdissect.methods.comparison.entries import Entry
from fastdissect.reports.studies.figures import printable

__all__ = ["UNDETERMINED", "layer_name", "row_name", "short", "shown_share", "slot_entries", "slot_title"]

UNDETERMINED = "undetermined"
_LONGEST = 30  # characters of a name beside a bar; the tables have all of it


def short(text: str, most: int = _LONGEST) -> str:
    """Return a name as far as there is room; both ends stay, since runs often differ at the end.

    >>> short("resnet18", 10), short("a-very-long-name", 11)
    ('resnet18', 'a-ver…-name')
    """
    shown = printable(text)
    end = (most - 1) // 2
    return shown if len(shown) <= most else f"{shown[: most - 1 - end]}…{shown[len(shown) - end :]}"


def layer_name(name: str) -> str:
    return name or "the network itself"


def slot_entries(comparison: Comparison) -> list[list[Entry]]:
    """The entries that stand beside each other, slot by slot."""
    slots = dict.fromkeys(entry.slot for entry in comparison.entries)
    return [[entry for entry in comparison.entries if entry.slot == slot] for slot in slots]


def slot_title(entries: list[Entry]) -> str:
    """The layer's name, or all names where the runs name it differently."""
    return ", ".join(layer_name(name) for name in dict.fromkeys(entry.layer for entry in entries))


def row_name(entry: Entry, entries: list[Entry], most: int = _LONGEST) -> str:
    """The run's name; its layer too, where the entries beside it are of other layers."""
    plain = len({e.layer for e in entries}) == 1 or entry.run.endswith(f"@{entry.layer}")
    return short(entry.run if plain else f"{entry.run} · {layer_name(entry.layer)}", most)


def shown_share(value: float) -> str:
    """A share in per cent; "-" where there is nothing to have a share of.

    >>> shown_share(0.125), shown_share(float("nan"))
    ('12.5 %', '-')
    """
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"
