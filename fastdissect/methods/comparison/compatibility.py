"""May these runs be compared? Same images, vocabulary, conventions and masks; every difference is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastdissect.conventions import profile_record
from fastdissect.results import Dissection
from fastdissect.types import Concepts, Profile

__all__ = ["Difference", "differences", "same_vocabulary"]

_SHOWN = 24  # characters of a digest: enough to tell two apart
_NOT_COMPARED = ("notes",)  # of a profile: words without an effect


class Difference(NamedTuple):
    """One thing that is not the same in all runs."""

    what: str  # "mask size"
    values: tuple[
        tuple[str, tuple[str, ...]], ...
    ]  # (value, names of the runs that have it), first seen first

    def __str__(self) -> str:
        return f"{self.what}: {', '.join(f'{value} ({_listed(names)})' for value, names in self.values)}"


def differences(runs: Mapping[str, Dissection], *, own_cuts: bool = False) -> tuple[Difference, ...]:
    """Return what keeps runs from being compared; nothing where they may be.

    Compared are the data set (its digest in run.json), the number and the names of the images, the vocabulary,
    every item of the profile, and the size of the masks. What makes two networks two networks is not.

    Args:
        own_cuts: each layer may have a cut of its own, such as its chance level.

    >>> differences({})
    ()
    """
    rows: dict[str, Callable[[Dissection], str]] = {
        "images": lambda run: f"{len(run.image_names):,}",
        "mask size": _mask_sizes,
        **{f"profile's {item}": _item(item) for item in _items() if not (own_cuts and item == "cut")},
    }
    found = [difference for what, read in rows.items() if (difference := _differs(what, runs, read))]
    return (*_data_sets(runs), *found, *_names(runs), *_vocabularies(runs))


def same_vocabulary(a: Concepts, b: Concepts) -> bool:
    """Return whether two vocabularies have the same numbers, names and categories, in the same order."""
    return (
        a.names == b.names
        and a.categories == b.categories
        and a.numbers.tolist() == b.numbers.tolist()
        and a.category.tolist() == b.category.tolist()
    )


def _differs(
    what: str, runs: Mapping[str, Dissection], read: Callable[[Dissection], str]
) -> Difference | None:
    values: dict[str, list[str]] = {}
    for name, run in runs.items():
        values.setdefault(read(run), []).append(name)
    if len(values) < 2:
        return None
    return Difference(what, tuple((value, tuple(names)) for value, names in values.items()))


def _data_sets(runs: Mapping[str, Dissection]) -> list[Difference]:
    """The digest of the content decides; the name, which may be a path, is for the reader."""
    found = _differs("data set", runs, _content)
    if found is None:
        return []
    values = tuple(
        (f"{runs[names[0]].run.get('data', 'not recorded')} [{value[:_SHOWN]}]", names)
        for value, names in found.values
    )
    return [Difference("data set", values)]


def _content(run: Dissection) -> str:
    key: Any = run.run.get("key")
    return str(key.get("data set", "no digest recorded") if isinstance(key, dict) else "no digest recorded")


def _mask_sizes(run: Dissection) -> str:
    sizes = dict.fromkeys(layer.upsampling.size for layer in run.values())
    return ", ".join(f"{height} x {width}" for height, width in sizes)


def _items() -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(Profile) if f.name not in _NOT_COMPARED)


def _item(name: str) -> Callable[[Dissection], str]:
    return lambda run: ", ".join(  # the layers' own: each may have a cut of its own
        dict.fromkeys(str(profile_record(layer.profile)[name]) for layer in run.values())
    )


def _names(runs: Mapping[str, Dissection]) -> list[Difference]:
    """The first image under another name; how many there are is a difference of its own."""
    shortest = min((len(run.image_names) for run in runs.values()), default=0)
    lists = {name: run.image_names[:shortest] for name, run in runs.items()}
    if len(set(lists.values())) < 2:
        return []
    at = next(i for i in range(shortest) if len({names[i] for names in lists.values()}) > 1)
    found = _differs(f"name of image {at}", runs, lambda run: repr(run.image_names[at]))
    return [found] if found else []


def _vocabularies(runs: Mapping[str, Dissection]) -> list[Difference]:
    groups: list[tuple[Concepts, list[str]]] = []
    for name, run in runs.items():
        same = next((names for concepts, names in groups if same_vocabulary(concepts, run.concepts)), None)
        if same is None:
            groups.append((run.concepts, [name]))
        else:
            same.append(name)
    if len(groups) < 2:
        return []
    first = groups[0][0]
    values = [(_size(concepts) + _first_other(first, concepts), tuple(names)) for concepts, names in groups]
    return [Difference("vocabulary", tuple(values))]


def _size(concepts: Concepts) -> str:
    return f"{len(concepts):,} concepts in {len(concepts.categories)} categories"


def _first_other(first: Concepts, other: Concepts) -> str:
    """Where another vocabulary of the same size first departs, so that the two values are told apart."""
    for a, b in zip(_entries(first), _entries(other), strict=False):
        if a != b:
            return f", with {b[0]} {b[1]!r} of {b[2]!r} where the first has {a[0]} {a[1]!r} of {a[2]!r}"
    return "" if first.categories == other.categories else f": {', '.join(other.categories)}"


def _entries(concepts: Concepts) -> list[tuple[int, str, str]]:
    return [
        (int(number), name, concepts.categories[q])
        for number, name, q in zip(concepts.numbers, concepts.names, concepts.category, strict=True)
    ]


def _listed(names: tuple[str, ...], most: int = 3) -> str:
    """
    >>> _listed(("a", "b", "c", "d", "e"))
    'a, b, c and 2 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
