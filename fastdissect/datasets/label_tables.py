"""Broden's label tables, written from a tally: label.csv, category.csv and c_<category>.csv.

Source of the format: Bau et al., "Network Dissection", CVPR 2017, as the released joinseg.py writes it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from fastdissect.datasets.tallying import LabelTally
from fastdissect.errors import DataError

__all__ = ["synonyms_cell", "write_label_tables", "write_table"]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | int | float]]) -> None:
    """Write a CSV file: UTF-8, lines ended by a line feed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def synonyms_cell(synonyms: Mapping[str, Sequence[str]], name: str) -> str:
    """A label's other names, separated by ";".

    Raises:
        DataError: one of them has a ";" in it.
    """
    others = synonyms.get(name, ())
    for other in others:
        if ";" in other:
            raise DataError(
                f"{other!r}, a synonym of {name!r}, holds ';', which separates synonyms. Rename it."
            )
    return ";".join(others)


def write_label_tables(
    folder: Path, tally: LabelTally, synonyms: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> None:
    """Write the tables of all labels; one that never occurs is listed, with its primary category.

    Frequency is the number of images that hold the label, coverage the sum of the fractions of their area;
    label.csv adds up over categories.
    """
    concepts = tally.concepts
    members: list[list[int]] = []
    for index, category in enumerate(concepts.categories):
        listed = (tally.images[:, index] > 0) | (
            (tally.images.sum(axis=1) == 0) & (concepts.category == index)
        )
        columns = np.flatnonzero(listed).tolist()
        columns.sort(key=lambda c: (-tally.images[c, index], -tally.coverage[c, index], c))
        members.append(columns)
        rows = [
            (
                code,
                int(concepts.numbers[c]),
                concepts.names[c],
                int(tally.images[c, index]),
                float(tally.coverage[c, index]),
            )
            for code, c in enumerate(columns, 1)
        ]
        write_table(folder / f"c_{category}.csv", ("code", "number", "name", "frequency", "coverage"), rows)
    labels = []
    for c, (number, name) in enumerate(zip(concepts.numbers.tolist(), concepts.names, strict=True)):
        counts = [(int(tally.images[c, i]), i) for i, columns in enumerate(members) if c in columns]
        counts.sort(key=lambda item: (-item[0], item[1]))
        cell = ";".join(f"{concepts.categories[i]}({count})" for count, i in counts)
        others = synonyms_cell(synonyms, name)
        labels.append(
            (number, name, cell, int(tally.images[c].sum()), float(tally.coverage[c].sum()), others)
        )
    write_table(folder / "label.csv", ("number", "name", "category", "frequency", "coverage", "syns"), labels)
    categories = [
        (
            name,
            int(concepts.numbers[columns].min()) if columns else 0,
            int(concepts.numbers[columns].max()) if columns else 0,
            len(columns),
            int(tally.images[columns, index].sum()),
        )
        for index, (name, columns) in enumerate(zip(concepts.categories, members, strict=True))
    ]
    write_table(folder / "category.csv", ("name", "first", "last", "count", "frequency"), categories)
