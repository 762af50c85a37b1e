"""Relations and synonyms of several data sets, told in the merged set's names."""

from __future__ import annotations

from collections.abc import Sequence

from fastdissect.datasets.merging.folding import fold
from fastdissect.datasets.merging.unifying import Unified, UnifiedLabel
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.relations import Relation

__all__ = ["merged_relations", "merged_synonyms"]


def merged_relations(sets: Sequence[Dataset], unified: Unified) -> tuple[Relation, ...]:
    """All relations, each once; a name that is no label of its set is that of any label that folds to it, or stays.

    Labels that were left out keep theirs: a poodle is an animal by way of the dog that nobody labelled.
    """
    anywhere: dict[str, str] = {}
    for label in unified.labels:
        anywhere.setdefault(fold(label.name), label.name)
    found: dict[Relation, None] = {}
    for number, data in enumerate(sets):
        own: dict[str, str] = {}
        for label in unified.labels:
            for member in label.members:
                if member.set == number:
                    own.setdefault(member.name, label.name)
        for child, parent, kind in data.relations:
            names = [own.get(name) or anywhere.get(fold(name), name) for name in (child, parent)]
            if names[0] != names[1]:
                found[Relation(names[0], names[1], kind)] = None
    return tuple(found)


def merged_synonyms(labels: Sequence[UnifiedLabel]) -> dict[str, tuple[str, ...]]:
    """{name: its other names}, of the labels that stay."""
    found: dict[str, dict[str, None]] = {}
    for label in labels:
        others = [member.name for member in label.members if fold(member.name) != fold(label.name)]
        others = [name for name in (*others, *label.synonyms) if label.name not in (f"{name}-s", f"{name}-c")]
        if others:
            found.setdefault(label.name, {}).update(dict.fromkeys(others))
    return {name: tuple(others) for name, others in found.items()}
