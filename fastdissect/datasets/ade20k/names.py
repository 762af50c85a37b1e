"""Names of ADE20K's classes: comma lists such as "car, auto, automobile", the first the name, the others synonyms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

from fastdissect.datasets.relations import Relation

__all__ = ["class_names", "first_name", "is_a_relations"]


def first_name(listed: str) -> str:
    """The first of a comma list.

    >>> first_name("car, auto, automobile")
    'car'
    """
    return _split(listed)[0]


def _split(listed: str) -> list[str]:
    return [name for part in re.split("[,;]", listed) if (name := part.strip())] or [listed.strip()]


def class_names(listed: Mapping[int, str]) -> tuple[dict[int, str], dict[str, tuple[str, ...]]]:
    """Names and synonyms of classes.

    Several classes may begin alike ("bag", "bag, handbag, purse"): those with a longer list keep it whole as their
    name; should two lists be one, the number follows.

    Args:
        listed: {class number: its comma list}.

    Returns:
        {class number: name}, each name once; {name: the other names of its list}.

    Example:
        >>> names, synonyms = class_names({1: "door, double door", 2: "bag", 3: "bag, handbag"})
        >>> names, synonyms["door"]
        ({1: 'door', 2: 'bag', 3: 'bag, handbag'}, ('double door',))
    """
    parts = {number: _split(text) for number, text in listed.items()}
    firsts = Counter(words[0] for words in parts.values())
    names = {n: words[0] if firsts[words[0]] == 1 else ", ".join(words) for n, words in parts.items()}
    used = Counter(names.values())
    names = {n: name if used[name] == 1 else f"{name} ({n})" for n, name in names.items()}
    synonyms = {names[n]: tuple(word for word in words if word != names[n]) for n, words in parts.items()}
    return names, {name: others for name, others in synonyms.items() if others}


def is_a_relations(chains: Iterable[tuple[str, list[str]]]) -> set[Relation]:
    """WordNet's hypernyms as relations.

    Args:
        chains: (a class's name, the comma lists from itself up to "entity"); without a list there is no relation.

    Example:
        >>> sorted(is_a_relations([("car", ["car, auto", "motor vehicle", "vehicle"])]))[0]
        Relation(child='car', parent='motor vehicle', kind='is-a')
    """
    found = set()
    for name, chain in chains:
        path = [name, *(first_name(each) for each in chain)]
        found |= {Relation(a, b, "is-a") for a, b in pairwise(path) if a != b}
    return found
