"""Counts of unions of labels, from a finished run's retained cells and label planes.

A union's counts are those of a data set whose label maps held it as one more label, bit for bit. Sums of its labels'
counts are not: labels may overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect import scores
from fastdissect.layer import LayerDissection
from fastdissect.methods.hierarchy.counting import count_planes
from fastdissect.methods.hierarchy.graph import Hierarchy
from fastdissect.methods.hierarchy.uniting import Unions
from fastdissect.types import Concepts, Counts, Planes

__all__ = ["UnionCounts", "count_unions"]


@dataclass(frozen=True, eq=False)
class UnionCounts:
    """Counts of `Hierarchy.unions`; a union's category is the set of its labels' categories."""

    counts: Counts  # intersection int64 [units, unions], unit_area [units, sets of categories], concept_area [unions]
    concepts: Concepts  # one a union

    def iou(self, layer: LayerDissection, units: slice) -> NDArray[np.float64]:
        """float64 [units of the slice, labels + unions]: the columns that `Hierarchy.extent` numbers."""
        own = [
            Counts(c.intersection[units], c.unit_area[units], c.concept_area, c.mask_area[units])
            for c in (layer.counts, self.counts)
        ]
        both = zip(own, (layer.concepts, self.concepts), strict=True)
        return np.concatenate([scores.iou(c, vocabulary, layer.profile) for c, vocabulary in both], axis=1)


def count_unions(
    layer: LayerDissection,
    planes: Planes,
    hierarchy: Hierarchy,
    progress: Callable[[int], None] | None = None,
) -> UnionCounts:
    """Count every union of labels under every unit's masks.

    The images that count in a unit's area (`Profile.presence`) are for a union those of its labels' category. Where
    its labels are of several, those of any. A pixel counts once, also under `repeats="per-channel"`.

    Raises:
        SettingError, DataError, OutputError: as `counting.count_planes`.
    """
    categories = layer.concepts.category
    of = [tuple(dict.fromkeys(sorted(categories[list(own)].tolist()))) for own in hierarchy.unions]
    kinds = list(dict.fromkeys(of))
    mixed = [kind for kind in kinds if len(kind) > 1]
    # All labels of a mixed set of categories as one more plane: it tells which images carry any of them.
    whole = [np.flatnonzero(np.isin(categories, kind)).tolist() for kind in mixed]
    names = tuple("-".join(layer.concepts.categories[q] for q in kind) for kind in kinds)
    sets = [*hierarchy.unions, *whole]
    vocabulary = Concepts(
        np.arange(1, len(sets) + 1),
        tuple(str(i) for i in range(len(sets))),
        np.array([kinds.index(kind) for kind in (*of, *mixed)], np.int64),
        names,
    )
    unite = Unions(sets, len(layer.concepts))
    found, area = count_planes(layer, planes, unite, vocabulary, layer.profile.presence, progress)
    unions = len(hierarchy.unions)
    unit_area = found.unit_area.copy()
    for i, kind in enumerate(kinds):
        if len(kind) == 1:  # the run counted it; here only images with a union would have
            unit_area[:, i] = layer.unit_area[:, kind[0]]
    counts = Counts(
        np.ascontiguousarray(found.intersection[:, :unions]), unit_area, area[:unions], layer.mask_area
    )
    concepts = Concepts(
        vocabulary.numbers[:unions], vocabulary.names[:unions], vocabulary.category[:unions], names
    )
    return UnionCounts(counts, concepts)
