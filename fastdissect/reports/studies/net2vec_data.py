"""What the page of concept vectors knows: columns of concepts and units at once, whole vectors in chunks.

data/study.js          every concept and every unit: enough to list, sort, draw and open them
data/weights-<i>.js    concepts i * CHUNK ...: all weights, read when a concept is opened

Values are shown, not computed: they are the study's tables, rounded to what can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.json_scripts import rounded
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.figures import printable
from fastdissect.reports.studies.net2vec_overviews import score_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHUNK", "concept_places", "study_data", "weight_chunks"]

CHUNK = 64  # concepts a file of weights: about 150 kB with 512 units
_SCALE = 10_000  # a weight of 1 in those files: they are drawn a few pixels high
_WORDS = {"iou_val": "IoU_set", "accuracy_val": "accuracy", "ap_val": "average precision"}
_FLAGS = {
    "one_image": "The vector is that of one image.",
    "nothing_active": "No unit is active in the training images.",
}
_LOST = "The vector means nothing: it tells the concept no better than by chance."


def study_data(
    study: VectorStudy, units: pd.DataFrame | None, pictures: Mapping[int, Sequence[tuple[str, float, str]]]
) -> dict[str, Any]:
    """Return what data/study.js holds; concepts stand for their row in the vectors, None for what is not known.

    Args:
        units: the run's own labels, from `unit_labels`; None: of another run.
        pictures: {row of a concept: (file, IoU, image's name), best first}.
    """
    vectors, score = study.vectors, score_column(study)
    categories = vectors.categories
    return {
        "kind": vectors.kind,
        "layer": printable(vectors.layer),
        "score": _WORDS.get(score or "", "score"),
        "categories": [printable(q) for q in categories],
        "order": [categories.index(q) for q in display_order(categories)],
        "chunk": CHUNK,
        "scale": _SCALE,
        "tau": study.tau,
        "filters": [] if study.counts is None else list(study.counts.filters),
        "concepts": _concepts(study, score, pictures),
        "units": _units(study, units),
    }


def weight_chunks(study: VectorStudy) -> list[list[list[int]]]:
    """Return all weights of the unit vectors, in 1 / `scale`, in chunks of concepts."""
    whole = np.round(study.embedding.vectors * _SCALE).astype(np.int64).tolist()
    return [whole[at : at + CHUNK] for at in range(0, len(whole), CHUNK)]


def concept_places(study: VectorStudy) -> dict[tuple[str, str], int]:
    """Return {(name, category): row}; two concepts that share both have no entry: a link could be wrong."""
    found: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(study.vectors.names, study.vectors.category_names(), strict=True)):
        found.setdefault(key, []).append(row)
    return {key: rows[0] for key, rows in found.items() if len(rows) == 1}


def _concepts(
    study: VectorStudy, score: str | None, pictures: Mapping[int, Sequence[tuple[str, float, str]]]
) -> dict[str, Any]:
    vectors, table, count = study.vectors, study.vectors.table, len(study.vectors)
    near: list[list[Any]] = [[] for _ in range(count)]
    places, rows = concept_places(study), {int(n): row for row, n in enumerate(vectors.numbers)}
    for number, name, category, cosine in _rows(
        study.neighbours, "number", "neighbour", "neighbour_category", "cosine"
    ):
        near[rows[number]].append([places.get((name, category), printable(name)), rounded(cosine, 4)])
    largest: list[list[Any]] = [[] for _ in range(count)]
    for number, unit, weight, share in _rows(study.filters, "number", "unit", "weight", "share"):
        largest[rows[number]].append([unit, rounded(weight, 4), rounded(share, 4)])
    of = {q: i for i, q in enumerate(vectors.categories)}
    data: dict[str, Any] = {
        "number": [int(n) for n in vectors.numbers],
        "name": [printable(name) for name in vectors.names],
        "category": [of[q] for q in vectors.category_names()],
        "train": _ints(table["train_images"]),
        "val": _ints(table["val_images"]),
        "many": _floats(None if score is None else table[score], count),
        "manyTrain": _floats(table.get("" if score is None else score.replace("_val", "_train")), count),
        "one": _floats(None if study.scores is None else study.scores["single"], count),
        "oneTrain": _floats(table.get("single_iou_train"), count),
        "unit": _ints(table["single_unit"]) if "single_unit" in table else [],
        "needed": [] if study.needed is None else _ints(study.needed["needed"]),
        "learned": [int(v) for v in study.embedding.learned],
        "notes": [_notes(study, row) for row in range(count)],
        "largest": largest,
        "near": near,
        "curve": [],
        "place": [None] * count,
        "pictures": [[list(p) for p in pictures.get(row, ())] for row in range(count)],
    }
    if study.counts is not None:
        data["curve"] = [_floats(own, len(own)) for own in study.counts.scores()]
    if study.map is not None:
        for row, x, y in zip(
            study.embedding.rows(study.unlearned).tolist(), study.map["x"], study.map["y"], strict=True
        ):
            data["place"][row] = [rounded(float(x), 5), rounded(float(y), 5)]
    return data


def _units(study: VectorStudy, labels: pd.DataFrame | None) -> dict[str, Any]:
    count, places = study.vectors.units, concept_places(study)
    helps: list[list[Any]] = [[] for _ in range(count)]
    for unit, name, category, weight, rank in _rows(
        study.units, "unit", "concept", "category", "weight", "rank"
    ):
        helps[unit].append([places.get((name, category), printable(name)), rounded(weight, 4), rank])
    data: dict[str, Any] = {"count": count, "helps": helps, "label": []}
    if labels is not None:
        of = {q: i for i, q in enumerate(study.vectors.categories)}
        data["label"] = [printable(name) for name in labels["label"]]
        data["category"] = [of.get(q, -1) for q in labels["category"]]
        data["iou"] = _floats(labels["iou"], count)
        data["detector"] = _ints(labels["detector"])
        data["row"] = [places.get(key) for key in zip(labels["label"], labels["category"], strict=True)]
    return data


def _notes(study: VectorStudy, row: int) -> str:
    table = study.vectors.table
    words = [text for flag, text in _FLAGS.items() if flag in table and bool(table[flag].iloc[row])]
    words += [] if int(table["val_images"].iloc[row]) else ["No images to validate with."]
    return " ".join(words if study.embedding.learned[row] else [*words, _LOST])


def _rows(table: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[c].tolist() for c in columns), strict=True)


def _ints(values: Iterable[Any]) -> list[int]:
    return [int(v) for v in values]


def _floats(values: Iterable[Any] | None, count: int) -> list[float | None]:
    """[count]: four digits, None for what is not known."""
    return [None] * count if values is None else [rounded(float(v), 4) for v in values]
