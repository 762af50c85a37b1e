"""What a section of the page of concept vectors is made of, and how it is handed to the markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.figures import Figure, printable
from fastdissect.reports.studies.page import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["POINTS", "Listing", "Mix", "Part", "Plot", "figures_of", "section_context"]

# under every Plot
POINTS = "Point at a concept for its name, choose it to open it; the categories above it pick out theirs."

_NAMES = ("concept", "neighbour", "first", "second")  # columns that hold concepts' names


@dataclass(frozen=True)
class Plot:
    """A plot that the page draws itself, every point a link; the figure is the same one for a paper."""

    place: str  # which: "against" or "map"
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Mix:
    """Shares in a bar a row: `category_mix`."""

    table: pd.DataFrame
    caption: str
    csv: str


@dataclass(frozen=True)
class Listing:
    """A list that the page draws itself: of all concepts, or of all units."""

    place: str  # "concepts" or "units"
    placeholder: str  # of its search field
    caption: str
    csv: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A section: a title, paragraphs (separated by blank lines), and what follows them."""

    id: str
    title: str
    text: str = ""
    items: Sequence[Table | Figure | Plot | Mix | Listing] = field(default_factory=tuple)
    short: str = ""  # the title in the list of sections


def figures_of(parts: Sequence[Part]) -> list[Figure]:
    """All figures, in the page's order."""
    items = [item for part in parts for item in part.items]
    return [
        item.figure if isinstance(item, Plot) else item for item in items if isinstance(item, (Plot, Figure))
    ]


def section_context(part: Part, categories: Sequence[str], links: Mapping[str, int]) -> dict[str, Any]:
    """Return a section for the markup.

    Args:
        links: {name of a concept: its number}, for the tables' cells; names that several concepts have are missing.
    """
    paragraphs = [text.strip() for text in part.text.split("\n\n") if text.strip()]
    return {
        "id": part.id,
        "title": printable(part.title),
        "short": printable(part.short),
        "paragraphs": [printable(" ".join(text.split())) for text in paragraphs],
        "items": [_item(item, categories, links) for item in part.items],
    }


def _item(
    item: Table | Figure | Plot | Mix | Listing, categories: Sequence[str], links: Mapping[str, int]
) -> dict[str, Any]:
    if isinstance(item, Figure):
        wide = item.name == "tree"  # its names are small
        return {"kind": "figure", "name": item.name, "caption": item.caption, "wide": wide}
    if isinstance(item, Plot):
        return {
            "kind": "plot",
            "id": f"plot-{item.place}",
            "name": item.figure.name,
            "caption": item.caption,
        }
    if isinstance(item, Mix):
        return _mix(item, categories)
    if isinstance(item, Listing):
        return {
            "kind": "list",
            "id": f"list-{item.place}",
            "placeholder": item.placeholder,
            "caption": item.caption,
            "csv": item.csv,
        }
    linked = [name in _NAMES for name in item.columns]
    return {
        "kind": "table",
        "columns": [printable(c) for c in item.columns],
        "right": [place for place, c in enumerate(item.columns) if c in item.right],
        "rows": [
            [(printable(v), links.get(v) if link else None) for v, link in zip(row, linked, strict=True)]
            for row in item.rows
        ],
        "caption": item.caption,
        "left_out": item.left_out,
        "csv": item.csv,
    }


def _mix(item: Mix, categories: Sequence[str]) -> dict[str, Any]:
    shown = [(categories.index(q), q) for q in display_order(categories)]
    rows = []
    for row in item.table.to_dict("records"):
        own = str(row["category"])
        shares = [(i, printable(q), float(row[f"{q}-share"])) for i, q in shown if row[f"{q}-share"] > 0]
        index = categories.index(own) if own in categories else None
        rows.append((printable(own) if own else "all concepts", index, int(row["concepts"]), shares))
    # in display order; the last row is that of all
    rows[:-1] = sorted(rows[:-1], key=lambda row: [i for i, _ in shown].index(row[1] or 0))
    used = {i for _, _, _, shares in rows for i, _, _ in shares}
    key = [(i, printable(q)) for i, q in shown if i in used]
    return {"kind": "mix", "rows": rows, "key": key, "caption": item.caption, "csv": item.csv}
