"""What a webdataset's labels are called: labels.csv, beside the shards or in them, and a list of classes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fastdissect.datasets.files import digest, read_file
from fastdissect.datasets.folder_tables import read_labels
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.datasets.webdataset.shards import Shards
from fastdissect.errors import DataError
from fastdissect.types import Concepts

__all__ = ["read_names"]


def read_names(
    shards: Shards, labels: Path | None, classes: Path | None, category: str
) -> tuple[Concepts, int | None, list[str]]:
    """The vocabulary, the label number of class 0 (None without `classes`), and digests of what it was read from.

    Args:
        labels: a CSV file; None: the shards' member labels.csv, if there is one.
        classes: a file of names, a line each.
        category: of the classes.

    Raises:
        DataError: neither is there, or one is not what was expected.
    """
    content = []
    concepts = None
    if labels is not None:
        concepts, tables = read_labels(labels)
        content.append(digest(tables[0].data))
    elif shards.labels is not None:
        place, data = shards.labels
        concepts = _read_member(place, data)
        content.append(digest(data))
    if classes is None:
        if concepts is None:
            raise DataError(
                f"{shards.paths[0].parent}: nothing names the labels; expected the option labels=FILE.csv (number,name,"
                "category), a member labels.csv in a shard, or classes=FILE.txt (a class name a line)."
            )
        return concepts, None, content
    data = read_file(classes, "the list of classes")
    try:
        names = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{classes} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    while names and not names[-1].strip():
        names.pop()
    if not names or not all(name.strip() for name in names):
        raise DataError(
            f"{classes} is empty or has an empty line; expected the name of class 0, 1, ... on each."
        )
    known: dict[int, tuple[str, int]] = {}
    categories: tuple[str, ...] = ()
    if concepts is not None:
        categories = concepts.categories
        listed = zip(concepts.numbers.tolist(), concepts.names, concepts.category.tolist(), strict=True)
        known = {number: (name, own) for number, name, own in listed}
    first = max(known, default=0) + 1
    if first + len(names) - 1 > MAX_LABEL:
        raise DataError(f"{classes} takes the label numbers beyond {MAX_LABEL:,}. Number labels.csv from 1.")
    if category not in categories:
        categories = (*categories, category)
    known |= {first + rank: (name.strip(), categories.index(category)) for rank, name in enumerate(names)}
    return make_concepts(known, categories), first, [*content, digest(data)]


def _read_member(place: str, data: bytes) -> Concepts:
    """Read a labels.csv that lies in a shard; tables are read from files, so it becomes one for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        path.write_bytes(data)
        try:
            return read_labels(path)[0]
        except DataError as error:
            raise DataError(str(error).replace(str(path), place)) from error
