"""What the page knows about units: one table a layer at once, rankings in chunks when a unit is opened.

    data/layer-<i>.js          columns, a row a unit: enough to search, sort and draw the gallery
    data/detail-<i>-<j>.js     units j * CHUNK ...: every category's best label, the ranking, the top images
    data/concepts.js           every concept's best units over all layers

Values are shown, not computed: scores come from `iou_blocks`, labels from `labels`, images from `Sheets`. The scores
are looked at a block of units at a time, once: for rankings and for the concepts' best units together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.labels import passes
from fastdissect.layer import LayerDissection
from fastdissect.reports.json_scripts import rounded_all
from fastdissect.reports.leading import BestUnits, leading_concepts
from fastdissect.reports.pictures import Sheets
from fastdissect.scores import iou_blocks

__all__ = ["CHUNK", "SHOWN_UNITS", "best_rows", "layer_details", "layer_table"]

CHUNK = 128  # units a detail script: about 60 kB
RANKED = 15  # concepts shown of a unit's ranking
SHOWN_UNITS = 24  # units of a concept, of each kind


def layer_table(layer: LayerDissection, sheets: Sheets | None) -> dict[str, Any]:
    """Return the columns of `units()` that the gallery needs; concepts and categories by number, -1 for none.

    "pictured" has the numbers of the units with pictures; it is left out where all have them, or none.
    """
    found, profile, units = layer.labels, layer.profile, np.arange(layer.units_count)
    if layer.concepts.categories:
        concept, score = found.column[units, found.best], found.score[units, found.best]
    else:
        concept, score = np.full(len(units), -1), np.zeros(len(units))
    table = {
        "concept": concept.tolist(),
        "category": found.best.tolist(),
        "iou": rounded_all(score),
        "threshold": rounded_all(layer.thresholds),
        "area": layer.mask_area.tolist(),
        "detector": passes(score, profile.cut, profile.cut_inclusive).astype(int).tolist(),
    }
    if sheets is not None and len(sheets.units) < len(units):
        table["pictured"] = sheets.units.tolist()
    return table


def layer_details(
    number: int,
    layer: LayerDissection,
    sheets: Sheets | None,
    image_names: Sequence[str],
    best_units: BestUnits,
) -> Iterator[list[dict[str, Any]]]:
    """Yield chunks of units, each with

    best    [category, concept, iou] for every category with an overlap, in the data set's order
    ranking [concept, iou, I, B, G], best first; of equals the lower label number
    top     [image name, maximum], best first; left out without pictures

    The scores are handed to `best_units` on the way, as those of layer `number`.
    """
    rows: list[dict[str, Any]] = []
    tops = _tops(layer, sheets, image_names)
    for first, scores in iou_blocks(layer.counts, layer.concepts, layer.profile):
        best_units.add(number, first, scores)
        best, ranking = _best(layer, first, len(scores)), _ranking(layer, first, scores)
        for i in range(len(scores)):
            row: dict[str, Any] = {"best": best[i], "ranking": ranking[i]}
            if first + i in tops:
                row["top"] = tops[first + i]
            rows.append(row)
        while len(rows) >= CHUNK:
            yield rows[:CHUNK]
            del rows[:CHUNK]
    if rows:
        yield rows


def _tops(layer: LayerDissection, sheets: Sheets | None, names: Sequence[str]) -> dict[int, list[list[Any]]]:
    """The pictures' images and their maxima, by unit."""
    if sheets is None or layer.maxima is None:
        return {}
    found = {}
    for unit, images in zip(sheets.units.tolist(), sheets.images, strict=True):
        maxima = rounded_all(layer.maxima[images, unit], 4)
        found[unit] = [[names[i], maximum] for i, maximum in zip(images.tolist(), maxima, strict=True)]
    return found


def _best(layer: LayerDissection, first: int, units: int) -> list[list[list[Any]]]:
    """Every category's best concept of units first ... first + units - 1, without overlap left out."""
    own = slice(first, first + units)
    column, score = layer.labels.column[own], layer.labels.score[own]
    unit, category = np.nonzero(score > 0)
    rows: list[list[list[Any]]] = [[] for _ in range(units)]
    values = (unit, category, column[unit, category])
    for u, *entry in zip(*(v.tolist() for v in values), rounded_all(score[unit, category]), strict=True):
        rows[u].append(entry)
    return rows


def _ranking(layer: LayerDissection, first: int, scores: NDArray[np.float64]) -> list[list[list[Any]]]:
    """The best concepts of units first ... with the counts behind their scores."""
    row, concept = leading_concepts(scores, RANKED)
    unit = first + row
    counts = (
        layer.intersection[unit, concept],
        layer.unit_area[unit, layer.concepts.category[concept]],
        layer.concept_area[concept],
    )
    rows: list[list[list[Any]]] = [[] for _ in range(len(scores))]
    columns = (
        row.tolist(),
        concept.tolist(),
        rounded_all(scores[row, concept]),
        *(c.tolist() for c in counts),
    )
    for u, *entry in zip(*columns, strict=True):
        rows[u].append(entry)
    return rows


def best_rows(best_units: BestUnits, concepts: int) -> list[list[list[Any]]]:
    """Return for every concept its best units [layer number, unit, IoU] over all layers, best first.

    Whatever the unit's own label is; of equals the earlier layer, then the lower unit.
    """
    found = best_units.found()
    rows: list[list[list[Any]]] = [[] for _ in range(concepts)]
    columns = (found[name].tolist() for name in ("concept", "layer", "unit"))
    for concept, *entry in zip(*columns, rounded_all(found["score"]), strict=True):
        rows[concept].append(entry)
    return rows
