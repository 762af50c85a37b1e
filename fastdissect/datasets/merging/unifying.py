"""Several vocabularies -> one: which labels of which sets are the same.

    ade20k   object  traffic light          \\
    coco     object  Traffic_light           >  object  traffic light   by name
    lvis     object  stoplight (synonym: traffic light)  /              by synonym

1. Labels whose names fold to one key (folding.py) are one label: inside a category, or across categories if asked.
2. A label whose name is listed as the synonym of exactly one other label becomes that label, unless one set has both:
   two labels of a set are two labels. A name that is a synonym of several is left alone, and reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fastdissect.datasets.merging.folding import fold
from fastdissect.datasets.merging.options import MergeOptions
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import SettingError, nearest

__all__ = ["Member", "Unified", "UnifiedLabel", "merged_categories", "unify"]

_ENDINGS = {"scene": "-s", "color": "-c", "colour": "-c"}


class Member(NamedTuple):
    """A label of one of the sets."""

    set: int
    number: int
    name: str


@dataclass(eq=False)
class UnifiedLabel:
    """A label of the merged set."""

    name: str  # as the first set spells it
    category: str  # its primary category
    members: list[Member] = field(default_factory=list)
    synonyms: dict[str, None] = field(default_factory=dict)  # other names, in order
    by_synonym: bool = False  # whether a synonym brought labels together
    images: int = -1  # as counted; -1: not counted
    coverage: float = -1.0
    dropped: str = ""  # why it was left out

    def absorb(self, other: UnifiedLabel) -> None:
        """Take over the labels and names of another one."""
        self.members += other.members
        self.synonyms.update({other.name: None, **other.synonyms})
        self.by_synonym = True

    def sets(self) -> set[int]:
        return {member.set for member in self.members}


class Unified(NamedTuple):
    """What became of several vocabularies."""

    categories: tuple[str, ...]
    labels: tuple[UnifiedLabel, ...]  # in the order in which the sets first name them
    ambiguous: tuple[tuple[str, tuple[str, ...]], ...]  # (name, labels that it is a synonym of)
    unused: tuple[str, ...]  # synonyms that were given and name no label


def merged_categories(datasets: Sequence[Dataset], options: MergeOptions) -> dict[str, str]:
    """{category as a set writes it: category of the merged set}, spelled as the first set does.

    Raises:
        SettingError: the mapping names a category that no set has.
    """
    names = list(dict.fromkeys(name for data in datasets for name in data.concepts.categories))
    known = {fold(name) for name in names}
    for given in options.categories:
        if fold(given) not in known:
            raise SettingError(
                f"no data set has the category {given!r}; there are {', '.join(names)}{nearest(given, names)}."
            )
    renamed = {fold(old): new for old, new in options.categories.items()}
    spelled: dict[str, str] = {}
    return {
        name: spelled.setdefault(fold(to), to) for name in names for to in [renamed.get(fold(name), name)]
    }


def unify(datasets: Sequence[Dataset], options: MergeOptions) -> Unified:
    """Bring the vocabularies of several data sets together.

    Raises:
        SettingError: the mapping names a category that no set has.

    Example:
        >>> from fastdissect.datasets import Shapes
        >>> len(unify([Shapes(1), Shapes(1, seed=2)], MergeOptions()).labels)
        61
    """
    into = merged_categories(datasets, options)
    given = {fold(other): (other, name) for other, name in options.synonyms.items()}
    used: set[str] = set()
    found: dict[tuple[str, str], UnifiedLabel] = {}
    for number_of_set, data in enumerate(datasets):
        concepts = data.concepts
        for column, own in enumerate(concepts.names):
            category = into[concepts.categories[int(concepts.category[column])]]
            other, name = given.get(fold(own), ("", own))
            if other:
                used.add(other)
            name = _ended(name, category, options)
            label = found.setdefault(_key(name, category, options), UnifiedLabel(name, category))
            label.members.append(Member(number_of_set, int(concepts.numbers[column]), own))
            label.by_synonym |= bool(other)
            also = [own, *data.synonyms.get(own, ())] if other else data.synonyms.get(own, ())
            label.synonyms.update(dict.fromkeys(also))
    labels, ambiguous = _join_synonyms(found, options)
    for label in labels:
        label.synonyms = {name: None for name in label.synonyms if fold(name) != fold(label.name)}
    return Unified(
        categories=tuple(dict.fromkeys(into.values())),
        labels=tuple(labels),
        ambiguous=tuple(ambiguous),
        unused=tuple(other for other in options.synonyms if other not in used),
    )


def _ended(name: str, category: str, options: MergeOptions) -> str:
    """The name as Broden ends it; a set in Broden's format has done so already."""
    ending = _ENDINGS.get(fold(category), "") if options.broden_names else ""
    return name if name.endswith(ending) else name + ending


def _key(name: str, category: str, options: MergeOptions) -> tuple[str, str]:
    return ("" if options.across_categories else fold(category)), fold(name)


def _join_synonyms(
    found: dict[tuple[str, str], UnifiedLabel], options: MergeOptions
) -> tuple[list[UnifiedLabel], list[tuple[str, tuple[str, ...]]]]:
    """Rule 2. A label that was joined to another answers for it from then on."""
    listed_by: dict[tuple[str, str], list[UnifiedLabel]] = {}
    for key, label in found.items():
        keys = {
            _key(_ended(name, label.category, options), label.category, options) for name in label.synonyms
        }
        for also in keys - {key}:
            listed_by.setdefault(also, []).append(label)
    joined: dict[int, UnifiedLabel] = {}

    def root(label: UnifiedLabel) -> UnifiedLabel:
        while id(label) in joined:
            label = joined[id(label)]
        return label

    place = {id(label): number for number, label in enumerate(found.values())}
    ambiguous = []
    for key, label in found.items():
        one = root(label)
        others = {id(other): other for other in map(root, listed_by.get(key, ())) if other is not one}
        if len(others) > 1:
            ambiguous.append((label.name, tuple(other.name for other in others.values())))
        elif others:
            (other,) = others.values()
            if not one.sets() & other.sets():
                first, second = (one, other) if place[id(one)] < place[id(other)] else (other, one)
                first.absorb(second)
                joined[id(second)] = first
    return [label for label in found.values() if id(label) not in joined], ambiguous
