"""Layers whose masks are exactly those that a test draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from chance_cases import planes_from

from fastdissect.conventions import profile
from fastdissect.counting import Counter, concept_area
from fastdissect.kernels import backend
from fastdissect.kernels.keys import keys
from fastdissect.layer import LayerDissection
from fastdissect.packing import slice_planes
from fastdissect.results import Dissection
from fastdissect.types import ActivationView, Concepts
from fastdissect.upsampling import make_upsampling

SIDE = 10  # images of SIDE x SIDE pixels; a cell is a pixel


def layer_with(masks: Any, labels: Any, names: Sequence[str], name: str = "layer", **items: Any) -> Any:
    """(layer, planes): unit k fires exactly on masks[:, k]; bool [images, units or labels, height, width]."""
    units, height, width = masks.shape[1:]
    planes = planes_from(labels)
    items.setdefault("category", [0] * len(names))
    category = np.array(items.pop("category"))
    concepts = Concepts(np.arange(1, len(names) + 1), tuple(names), category, ("object", "part", "scene"))
    convention, table = (
        profile("netdissect", **items),
        make_upsampling("half-pixel", (height, width), planes.size),
    )
    cuts = np.full(units, 0.5, np.float32)
    x = masks.astype(np.float32)
    cells = backend().sift(ActivationView(x, "float32"), keys(cuts), table.reach, table.ring, True, 1).cells
    counter = Counter(cuts, table, concepts, convention)
    counter.add(cells, lambda first, last: slice_planes(planes, first, last))
    layer = LayerDissection(
        name=name, profile=convention, concepts=concepts, shape=masks.shape, thresholds=cuts, seen=np.full(units, 10**6),
        counts=counter.counts(concept_area(planes, len(concepts))), upsampling=table, activations=cells,
    )  # fmt: skip
    return layer, planes


def run_of(*layers: LayerDissection) -> Dissection:
    """A run of layers that no network made."""
    first = layers[0]
    names = tuple(f"{i:03d}" for i in range(first.shape[0]))
    return Dissection(
        {one.name: one for one in layers}, first.profile, first.concepts, names, {"model": "planted"}
    )


def drawn(rows: dict[str, Sequence[tuple[int, slice]]], names: Sequence[str], images: int) -> Any:
    """bool [images, names, SIDE, SIDE]: each name covers rows of images: {name: [(image, rows), ...]}."""
    found = np.zeros((images, len(names), SIDE, SIDE), bool)
    for i, name in enumerate(names):
        for image, own in rows.get(name, ()):
            found[image, i, own] = True
    return found


def union(*masks: Any) -> Any:
    return np.logical_or.reduce(masks)
