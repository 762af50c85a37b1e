"""What became of each label in a merge: merge.csv, and the sums that a command prints."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fastdissect.datasets.label_tables import write_table
from fastdissect.datasets.merging.merged import Merged
from fastdissect.datasets.merging.unifying import UnifiedLabel

__all__ = ["CategoryAccount", "account", "write_account"]


class CategoryAccount(NamedTuple):
    """Sums over the labels of a category."""

    category: str
    before: int  # labels of all sets
    unified: int  # of them after unification
    shared: int  # unified labels that more than one set has
    by_synonym: int  # unified labels that a synonym brought together
    dropped: int  # left out by the filters
    kept: int


def account(merged: Merged) -> list[CategoryAccount]:
    """Sums by category, in the merged set's order and then those that were left out whole."""
    names = [*merged.concepts.categories, *merged.unified.categories]
    rows = []
    for name in dict.fromkeys(names):
        labels = [label for label in merged.unified.labels if label.category == name]
        rows.append(
            CategoryAccount(
                category=name,
                before=sum(len(label.members) for label in labels),
                unified=len(labels),
                shared=sum(len(label.sets()) > 1 for label in labels),
                by_synonym=sum(label.by_synonym for label in labels),
                dropped=sum(bool(label.dropped) for label in labels),
                kept=sum(not label.dropped for label in labels),
            )
        )
    return rows


def write_account(merged: Merged, path: Path) -> None:
    """Write merge.csv: a line a unified label, those that were left out last.

    number,name,category,images,coverage,unified_by,dropped,members; `members` is "set:name (number)", separated by
    ";". Images and coverage are empty where labels were not counted.
    """
    rows: list[tuple[str | int | float, ...]] = [
        _row(merged, number, label) for number, label in enumerate(merged.labels, 1)
    ]
    rows += [_row(merged, "", label) for label in merged.unified.labels if label.dropped]
    columns = ("number", "name", "category", "images", "coverage", "unified_by", "dropped", "members")
    write_table(path, columns, rows)


def _row(merged: Merged, number: int | str, label: UnifiedLabel) -> tuple[str | int | float, ...]:
    counted = label.images >= 0
    by = "synonym" if label.by_synonym else "name" if len(label.members) > 1 else ""
    members = ";".join(f"{merged.prefixes[m.set]}:{m.name} ({m.number})" for m in label.members)
    images: int | str = label.images if counted else ""
    coverage: float | str = label.coverage if counted else ""
    return number, label.name, label.category, images, coverage, by, label.dropped, members
