"""Class numbers, names, parts and relations of the two releases of the full ADE20K."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.datasets.ade20k.names import class_names, is_a_relations
from fastdissect.datasets.files import read_file
from fastdissect.datasets.matfiles import elements, field, read_mat, text
from fastdissect.datasets.relations import Relation
from fastdissect.errors import DataError

__all__ = ["MAX_CLASS", "Vocabulary", "read_2016", "read_2021"]

MAX_CLASS = 25 * 256 + 255  # (R // 10) * 256 + G

log = logging.getLogger("fastdissect")


class Vocabulary(NamedTuple):
    names: dict[int, str]
    synonyms: dict[str, tuple[str, ...]]
    parts: set[int]  # classes that are parts more often than objects
    relations: tuple[Relation, ...]


def read_2016(path: Path) -> Vocabulary:
    """index_ade20k.mat of ADE20K_2016_07_26: its objectnames in order are the classes from 1; "-" is none.

    Raises:
        BackendError: scipy is not installed.
        DataError: missing, damaged, or another file.
    """
    what = f"the table {path.name}"
    index = read_mat(read_file(path, what), what, "index")
    listed = [
        text(each, f"{what}, objectnames").strip() for each in elements(field(index, "objectnames", what))
    ]
    shares = elements(field(index, "proportionClassIsPart", what))
    chains = elements(field(index, "wordnet_hypernym", what))
    if not 0 < len(listed) == len(shares) == len(chains) <= MAX_CLASS:
        raise DataError(
            f"{what} has {len(listed)} names, {len(shares)} shares of parts and {len(chains)} chains of hypernyms; "
            f"expected as many of each, at most {MAX_CLASS}."
        )
    named = {number: name for number, name in enumerate(listed, 1) if name not in ("", "-")}
    names, synonyms = class_names(named)
    hypernyms = ((names[n], [text(each, what) for each in elements(chains[n - 1])]) for n in names)
    try:
        parts = {number for number in names if float(shares[number - 1]) > 0.5}
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what}: proportionClassIsPart holds something else than numbers ({error}). Restore it."
        ) from error
    return Vocabulary(names, synonyms, parts, tuple(sorted(is_a_relations(hypernyms))))


def read_2021(annotations: Iterable[Path]) -> Vocabulary:
    """The JSON files of ADE20K_2021_17_01, one an image: names with their numbers, what is part of what, hypernyms.

    Should a class be named in two ways, the way used more often counts, then the first in the alphabet.

    Raises:
        DataError: a file is missing, no JSON, or not of this form.
    """
    listed: dict[int, Counter[str]] = defaultdict(Counter)
    as_part: Counter[int] = Counter()
    part_of: set[tuple[int, int]] = set()
    chains: dict[int, list[str]] = {}
    orphans = 0
    for path in annotations:
        objects = _objects(path)
        for each in objects.values():
            listed[each.number][each.name] += 1
            as_part[each.number] += 1 if each.is_part else -1
            chains.setdefault(each.number, each.hypernyms)
            if each.parent is not None:
                if each.parent in objects:
                    part_of.add((each.number, objects[each.parent].number))
                else:
                    orphans += 1
    if orphans:
        log.warning(
            "%d parts name an object that their file lacks: no part-of relation is kept for them", orphans
        )
    names, synonyms = class_names({n: min(c, key=lambda name: (-c[name], name)) for n, c in listed.items()})
    relations = {Relation(names[a], names[b], "part-of") for a, b in part_of if a != b}
    relations |= is_a_relations((names[n], chain) for n, chain in chains.items())
    return Vocabulary(names, synonyms, {n for n in names if as_part[n] > 0}, tuple(sorted(relations)))


class _Object(NamedTuple):
    number: int
    name: str
    is_part: bool
    parent: int | None  # id of the object that it is part of
    hypernyms: list[str]


def _objects(path: Path) -> dict[int, _Object]:
    """The objects of one image by id."""
    what = f"annotation {path.name!r}"
    data = read_file(path, what)
    try:
        found = json.loads(_decoded(data))["annotation"]["object"]
        # An image with one object has it without a list, as MATLAB's writers do.
        found = found if isinstance(found, list) else [found]
        objects = {_whole(each["id"]): _object(each) for each in found}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{what} ({path}) is no annotation of ADE20K 2021: {type(error).__name__} {error}; expected "
            "annotation.object[] with id, name, name_ndx and parts. Restore the file."
        ) from error
    if len(objects) < len(found):
        raise DataError(f"{what} ({path}) has two objects with one id. Restore the file.")
    return objects


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # some names have accents in this code; every byte is valid in it


def _object(found: Any) -> _Object:
    number, parts = _whole(found["name_ndx"]), found["parts"]
    if not 1 <= number <= MAX_CLASS or not isinstance(found["name"], str) or not found["name"].strip():
        raise ValueError(f"name_ndx {number} with the name {found['name']!r}")
    parent = parts["ispartof"]
    parent = parent[0] if isinstance(parent, list) and parent else parent
    hypernyms = found.get("hypernym", [])
    return _Object(
        number,
        found["name"],
        _whole(parts["part_level"]) > 0,
        _whole(parent) if not isinstance(parent, list) else None,
        [hypernyms] if isinstance(hypernyms, str) else [str(each) for each in hypernyms],
    )


def _whole(value: Any) -> int:
    """A whole number, be it written as 3, 3.0 or "3"."""
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError(f"{value} is no whole number")
    return number
