"""What a `folder:` data set lists: its files, labels.csv and image_labels.csv, matched with one another."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fastdissect.datasets.tables import Table, read_table, whole_number
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts, split_synonyms
from fastdissect.errors import DataError, nearest
from fastdissect.types import Concepts

__all__ = ["cannot_list", "list_files", "match_masks", "read_image_labels", "read_labels", "read_synonyms"]

_CHANNEL = re.compile(r"(.+)\.([0-9]{1,3})")


def list_files(folder: Path) -> list[str]:
    """Relative paths with forward slashes of all files below, sorted.

    Raises:
        DataError: a link to a folder, or a folder that cannot be listed.
    """
    found = []
    for root, folders, files in os.walk(folder, onerror=cannot_list):
        for name in folders:
            if (Path(root) / name).is_symlink():
                raise DataError(f"{Path(root) / name} is a link to a folder; put the files themselves there.")
        found += [(Path(root) / name).relative_to(folder).as_posix() for name in files if name[0] != "."]
    return sorted(found)


def cannot_list(error: OSError) -> None:
    # os.walk would pass over the folder, and the set would be smaller without a word
    raise DataError(
        f"{error.filename} cannot be listed ({error.strerror or error}). Make it readable, or move it elsewhere."
    ) from error


def read_labels(path: Path) -> tuple[Concepts, list[Table]]:
    """Read labels.csv; categories are in the order in which they first occur."""
    table = read_table(path, ["number", "name", "category"])
    where = [table.columns.index(column) for column in ("number", "name", "category")]
    categories: list[str] = []
    labels: dict[int, tuple[str, int]] = {}
    for line, fields in table.rows():
        text, name, category = (fields[i] for i in where)
        number = whole_number(text, table.place(line), "number", 1, MAX_LABEL)
        if number in labels:
            raise DataError(f"{table.place(line)}: label number {number} is listed twice. Remove one.")
        if not category or category in (".", "..") or re.search(r"[/\\\0]", category):
            raise DataError(f"{table.place(line)}: category {category!r} is empty or no folder name.")
        if category not in categories:
            categories.append(category)
        labels[number] = (name, categories.index(category))
    if not labels:
        raise DataError(f"{path} lists no label; expected lines such as 1,cat,object.")
    return make_concepts(labels, tuple(categories)), [table]


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the column `synonyms` of labels.csv, where it has one: {label name: its other names}."""
    table = read_table(path, ["name"])
    if "synonyms" not in table.columns:
        return {}
    where, also = table.columns.index("name"), table.columns.index("synonyms")
    found: dict[str, tuple[str, ...]] = {}
    for _, fields in table.rows():
        name = fields[where]
        others = split_synonyms(fields[also], name)
        if others:
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *others)))
    return found


def match_masks(
    folder: Path, images: list[str], categories: tuple[str, ...]
) -> dict[int, list[tuple[int, int, str]]]:
    """Return {image: [(category, channel, path below masks/)]}; a mask that fits no image is an error."""
    stems: dict[str, int] = {}
    for index, image in enumerate(images):
        other = stems.setdefault(image.rpartition(".")[0], index)
        if other != index:
            raise DataError(f"images {images[other]!r} and {image!r} would share a mask. Rename one of them.")
    found: dict[int, list[tuple[int, int, str]]] = {}
    for relative in list_files(folder) if folder.is_dir() else []:
        category, _, name = relative.partition("/")
        if category not in categories:
            raise DataError(
                f"masks/{relative}: {category!r} is no category of labels.csv ({', '.join(categories)})"
                f"{nearest(category, categories)}."
            )
        stem, _, suffix = name.rpartition(".")
        match = _CHANNEL.fullmatch(stem)
        channel = 1
        if stem not in stems and match:
            stem, channel = match.group(1), int(match.group(2))
        if suffix != "png" or stem not in stems:
            raise DataError(
                f"masks/{relative} belongs to no image; expected masks/<category>/<path below images/>.png"
                f"{nearest(name, [f'{s}.png' for s in stems], 2)}."
            )
        found.setdefault(stems[stem], []).append((categories.index(category), channel, relative))
    return {index: sorted(masks) for index, masks in found.items()}


def read_image_labels(
    table: Table, images: list[str], concepts: Concepts
) -> dict[int, list[tuple[int, int]]]:
    """Read image_labels.csv: {image: [(category, label number)]}; a label is named by number or by name."""
    image_column, label_column = table.columns.index("image"), table.columns.index("label")
    position = {name: index for index, name in enumerate(images)}
    category = dict(zip(concepts.numbers.tolist(), concepts.category.tolist(), strict=True))
    named: dict[str, list[int]] = {}
    for number, name in zip(concepts.numbers.tolist(), concepts.names, strict=True):
        named.setdefault(name, []).append(number)
    found: dict[int, list[tuple[int, int]]] = {}
    for line, fields in table.rows():
        image, label = fields[image_column], fields[label_column]
        if image not in position:
            raise DataError(f"{table.place(line)}: there is no images/{image}{nearest(image, images, 2)}.")
        numbers = [int(label)] if re.fullmatch(r"[0-9]{1,9}", label) else named.get(label, [])
        if len(numbers) != 1 or numbers[0] not in category:
            raise DataError(
                f"{table.place(line)}: {label!r} is not the number or name of exactly one label of labels.csv"
                f"{nearest(label, named, 2)}."
            )
        found.setdefault(position[image], []).append((category[numbers[0]], numbers[0]))
    return found
