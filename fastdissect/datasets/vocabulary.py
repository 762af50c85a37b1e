"""Broden's label tables -> the vocabulary: numbers, names, and each label's primary category.

Source: Bau, Zhou, Khosla, Oliva, Torralba, "Network Dissection", CVPR 2017; the rule is that of the released
loadseg.py (`primary_categories_per_index`): the category of largest coverage, ties to the one listed later.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from fastdissect.datasets.relations import Relation
from fastdissect.datasets.tables import Table, read_table, real_number, whole_number
from fastdissect.errors import DataError
from fastdissect.types import Concepts

__all__ = [
    "MAX_LABEL",
    "make_concepts",
    "read_categories",
    "read_relations",
    "read_vocabulary",
    "split_synonyms",
]

MAX_LABEL = 65535  # R + 256 G

_KINDS: dict[str, Literal["part-of", "is-a"]] = {"part-of": "part-of", "is-a": "is-a"}
_COUNT = re.compile(r"\([0-9]+\)$")


def make_concepts(labels: dict[int, tuple[str, int]], categories: tuple[str, ...]) -> Concepts:
    """Build `Concepts` from {number: (name, index of the primary category)}, ascending by number."""
    numbers = sorted(labels)
    return Concepts(
        numbers=np.array(numbers, dtype=np.int64),
        names=tuple(labels[n][0] for n in numbers),
        category=np.array([labels[n][1] for n in numbers], dtype=np.int64),
        categories=categories,
    )


def read_categories(path: Path) -> tuple[tuple[str, ...], Table]:
    """Read category.csv; its order is the order of the categories, and of score columns."""
    table = read_table(path, ["name"])
    column = table.columns.index("name")
    names = []
    for line, fields in table.rows():
        name = fields[column]
        if not name or name in names or name in (".", "..") or re.search(r"[/\\\0]", name):
            raise DataError(f"{table.place(line)}: the category {name!r} is empty, repeated or no file name.")
        names.append(name)
    if not names:
        raise DataError(f"{path} lists no category. Every label belongs to one.")
    return tuple(names), table


def _coverages(folder: Path, category: str) -> tuple[dict[int, float], Table]:
    table = read_table(folder / f"c_{category}.csv", ["number", "coverage"])
    number, coverage = table.columns.index("number"), table.columns.index("coverage")
    found = {}
    for line, fields in table.rows():
        label = whole_number(fields[number], table.place(line), "number", 0, MAX_LABEL)
        found[label] = real_number(fields[coverage], table.place(line), "coverage")
    return found, table


def split_synonyms(cell: str, name: str) -> tuple[str, ...]:
    """The other names of a label, from a cell in which ";" separates them; its own name is none of them.

    >>> split_synonyms("car;auto; automobile", "car")
    ('auto', 'automobile')
    """
    found = dict.fromkeys(item.strip() for item in cell.split(";"))
    return tuple(item for item in found if item and item != name)


def read_relations(folder: Path) -> tuple[tuple[Relation, ...], list[Table]]:
    """Read relations.csv (child,parent,kind) where the folder has one, and the table that was read.

    Raises:
        DataError: a column is missing, a name empty, a label its own parent, or a kind that is none.
    """
    if not (folder / "relations.csv").exists():
        return (), []
    table = read_table(folder / "relations.csv", ["child", "parent", "kind"])
    where = [table.columns.index(column) for column in ("child", "parent", "kind")]
    found: dict[Relation, None] = {}
    for line, fields in table.rows():
        child, parent, kind = (fields[i] for i in where)
        if not child or not parent or child == parent:
            raise DataError(
                f"{table.place(line)}: expected two different labels; got {child!r} and {parent!r}."
            )
        if kind not in _KINDS:
            raise DataError(f"{table.place(line)}: kind is {kind!r}; expected part-of or is-a.")
        found[Relation(child, parent, _KINDS[kind])] = None
    return tuple(found), [table]


def read_vocabulary(folder: Path, used: set[str]) -> tuple[Concepts, list[Table], dict[str, tuple[str, ...]]]:
    """Read category.csv, label.csv and the c_<category>.csv files of a Broden folder.

    Args:
        folder: the data set's folder.
        used: categories that index.csv has columns for; their c_<category>.csv must exist.

    Returns:
        The concepts, one a line of label.csv, the tables that were read, in a fixed order, and the synonyms that
        label.csv's column `syns` lists: {label name: its other names}.

    Raises:
        DataError: a table is missing or malformed, a number repeated, or a label in no category.
    """
    categories, category_table = read_categories(folder / "category.csv")
    tables = [category_table]
    coverage: list[dict[int, float]] = []
    for name in categories:
        if name not in used and not (folder / f"c_{name}.csv").exists():
            coverage.append({})  # a category that this copy of the data set left out
            continue
        found, table = _coverages(folder, name)
        coverage.append(found)
        tables.append(table)
    table = read_table(folder / "label.csv", ["number", "name"])
    tables.append(table)
    number, name_column = table.columns.index("number"), table.columns.index("name")
    listed = table.columns.index("category") if "category" in table.columns else None
    also = table.columns.index("syns") if "syns" in table.columns else None
    synonyms: dict[str, tuple[str, ...]] = {}
    labels: dict[int, tuple[str, int]] = {}
    for line, fields in table.rows():
        label = whole_number(fields[number], table.place(line), "number", 0, MAX_LABEL)
        if label == 0:
            continue  # "no label", which released files leave out and some loaders add
        if label in labels:
            raise DataError(f"{table.place(line)}: label number {label} is listed twice. Remove one.")
        # Only categories that list the label compete, so that a label of coverage 0 keeps a category it is in.
        candidates = [(cover[label], index) for index, cover in enumerate(coverage) if label in cover]
        if candidates:
            primary = max(candidates)[1]
        else:
            primary = _stated(fields[listed] if listed is not None else "", categories)
        if primary < 0:
            raise DataError(
                f"{table.place(line)}: label {label} ({fields[name_column]!r}) is in no c_<category>.csv and its "
                f"own category is none of {', '.join(categories)}. List it in one or remove it."
            )
        labels[label] = (fields[name_column], primary)
        others = split_synonyms(fields[also], fields[name_column]) if also is not None else ()
        if others:
            synonyms[fields[name_column]] = tuple(
                dict.fromkeys((*synonyms.get(fields[name_column], ()), *others))
            )
    if not labels:
        raise DataError(f"{folder / 'label.csv'} lists no label. There is nothing to score against.")
    return make_concepts(labels, categories), tables, synonyms


def _stated(cell: str, categories: tuple[str, ...]) -> int:
    """First known category of a cell such as "material(36);object(3)"; -1 if none."""
    for item in cell.split(";"):
        name = _COUNT.sub("", item)
        if name in categories:
            return categories.index(name)
    return -1
