"""What the page knows about units: one table a layer at once, rankings in chunks when a unit is opened.

    data/layer-<i>.js          columns, a row a unit: enough to search, sort and draw the gallery
    data/detail-<i>-<j>.js     units j * CHUNK ...: every category's best label, the ranking, the top images
    data/concepts.js           every concept's best units over all layers

Values are shown, not computed: scores come from `iou()`, labels from `units()`, images from `top_images()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.layer import LayerDissection
from fastdissect.reports.json_scripts import rounded
from fastdissect.types import Concepts

__all__ = ["CHUNK", "best_units", "layer_details", "layer_table"]

CHUNK = 128  # units a detail script: about 60 kB
RANKED = 15  # concepts shown of a unit's ranking
_SHOWN_UNITS = 24  # units of a concept, of each kind


def layer_table(layer: LayerDissection) -> dict[str, Any]:
    """Return the columns of `units()` that the gallery needs; concepts and categories by number, -1 for none."""
    units, concepts = layer.units(), layer.concepts
    number = units["label_number"].to_numpy()
    place = {q: i for i, q in enumerate(concepts.categories)}
    return {
        "concept": [_column(concepts, int(n)) for n in number],
        "category": [place.get(q, -1) for q in units["category"]],
        "iou": [rounded(float(v)) for v in units["iou"]],
        "threshold": [rounded(float(v)) for v in units["threshold"]],
        "area": [int(v) for v in units["area"]],
        "detector": [int(v) for v in units["detector"]],
    }


def _column(concepts: Concepts, number: int) -> int:
    at = int(np.searchsorted(concepts.numbers, number))
    return at if at < len(concepts) and int(concepts.numbers[at]) == number else -1


def layer_details(
    layer: LayerDissection, images: NDArray[np.int64] | None, image_names: Sequence[str]
) -> list[list[dict[str, Any]]]:
    """Return chunks of units, each with

    best    [category, concept, iou] for every category with an overlap, in the data set's order
    ranking [concept, iou, I, B, G], best first; of equals the lower label number
    top     [image name, maximum], best first; left out without pictures
    """
    table, scores, concepts = layer.units(), layer.iou(), layer.concepts
    columns = {
        (q, name): c
        for c, (q, name) in enumerate(zip(concepts.category.tolist(), concepts.names, strict=True))
    }
    best = [
        (q, table[f"{c}-label"].to_list(), table[f"{c}-iou"].to_list())
        for q, c in enumerate(concepts.categories)
    ]
    ranking = np.argsort(-scores, axis=1, kind="stable")[:, :RANKED]
    rows = []
    for unit in range(len(scores)):
        row: dict[str, Any] = {
            "best": [
                [q, columns.get((q, names[unit]), -1), rounded(float(score[unit]))]
                for q, names, score in best
                if score[unit] > 0
            ],
            "ranking": [
                _ranked(layer, scores, unit, c) for c in ranking[unit].tolist() if scores[unit, c] > 0
            ],
        }
        if images is not None and layer.maxima is not None:
            row["top"] = [
                [image_names[i], rounded(float(layer.maxima[i, unit]), 4)] for i in images[unit].tolist()
            ]
        rows.append(row)
    return [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]


def _ranked(
    layer: LayerDissection, scores: NDArray[np.float64], unit: int, concept: int
) -> list[float | None]:
    category = int(layer.concepts.category[concept])
    return [
        concept,
        rounded(float(scores[unit, concept])),
        int(layer.intersection[unit, concept]),
        int(layer.unit_area[unit, category]),
        int(layer.concept_area[concept]),
    ]


def best_units(layers: Mapping[str, LayerDissection], concepts: Concepts) -> list[list[list[Any]]]:
    """Return for every concept its best units [layer number, unit, IoU] over all layers, best first.

    Whatever the unit's own label is; of equals the earlier layer, then the lower unit.
    """
    found: list[list[tuple[float, int, int]]] = [[] for _ in range(len(concepts))]
    for number, layer in enumerate(layers.values()):
        scores = layer.iou()
        order = np.argsort(-scores, axis=0, kind="stable")[:_SHOWN_UNITS]
        for concept in range(len(concepts)):
            for unit in order[:, concept].tolist():
                if scores[unit, concept] > 0:
                    found[concept].append((float(scores[unit, concept]), number, unit))
    ranked = (sorted(rows, key=lambda row: (-row[0], row[1], row[2]))[:_SHOWN_UNITS] for rows in found)
    return [[[number, unit, rounded(score)] for score, number, unit in rows] for rows in ranked]
