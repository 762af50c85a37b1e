"""What counts.npz holds: thresholds, counts, vocabulary and upsampling tables, and back.

Everything that scores need is here, so that a layer's folder is whole without its activations. `record` is
JSON: format, name, shape, profile and the upsampling's mode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.conventions import profile_from_record, profile_record
from fastdissect.layer import LayerDissection
from fastdissect.storage.upsampling_tables import tables_arrays, tables_from, tables_record
from fastdissect.types import Concepts, Counts

__all__ = ["counts_arrays", "layer_from"]


def counts_arrays(layer: LayerDissection) -> dict[str, NDArray[Any]]:
    """The arrays of counts.npz, in the file's order."""
    concepts, tables = layer.concepts, layer.upsampling
    record = {
        "format": 1,
        "name": layer.name,
        "shape": list(layer.shape),
        "profile": profile_record(layer.profile),
        "upsampling": tables_record(tables),
    }
    return {
        "record": np.array(json.dumps(record)),
        "thresholds": layer.thresholds,
        "seen": layer.seen,
        "intersection": layer.intersection,
        "unit_area": layer.unit_area,
        "concept_area": layer.concept_area,
        "mask_area": layer.mask_area,
        "concept_numbers": concepts.numbers,
        "concept_names": _text(concepts.names),
        "concept_category": concepts.category,
        "categories": _text(concepts.categories),
        **tables_arrays(tables),
    }


def _text(names: tuple[str, ...]) -> NDArray[np.str_]:
    return np.array(names, dtype=np.str_) if names else np.empty(0, "<U1")


def layer_from(arrays: Mapping[str, NDArray[Any]], stored: Mapping[str, Any]) -> LayerDissection:
    """Build a layer from its arrays; `stored` may hold "sparse", "means" and "maxima"."""
    record = json.loads(str(arrays["record"]))
    return LayerDissection(
        name=record["name"],
        profile=profile_from_record(record["profile"]),
        concepts=Concepts(
            numbers=arrays["concept_numbers"],
            names=tuple(arrays["concept_names"].tolist()),
            category=arrays["concept_category"],
            categories=tuple(arrays["categories"].tolist()),
        ),
        shape=tuple(record["shape"]),
        thresholds=arrays["thresholds"],
        seen=arrays["seen"],
        counts=Counts(
            intersection=arrays["intersection"],
            unit_area=arrays["unit_area"],
            concept_area=arrays["concept_area"],
            mask_area=arrays["mask_area"],
        ),
        upsampling=tables_from(record["upsampling"], arrays),
        activations=stored.get("sparse"),
        means=stored.get("means"),
        maxima=stored.get("maxima"),
    )
