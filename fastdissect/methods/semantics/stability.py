"""Stability: the vectors found again from other positions, and held against themselves (our formulation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.methods.semantics.space import SemanticVectors
from fastdissect.methods.semantics.vectors import semantic_vectors
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STABLE", "stability_of"]

STABLE = 0.95  # cosine between the vectors of two seeds that is wanted


def stability_of(d: Dissection, study: SemanticVectors, seeds: int, options: dict[str, Any]) -> pd.DataFrame:
    """Return the cosines of each concept's vector with those of other seeds: concept, category, cosine (mean), least.

    Args:
        seeds: how many others, those that follow the vectors' own. options: for `semantic_vectors`.
    """
    import pandas as pd

    vectors, record = study.vectors, study.vectors.record
    unit = vectors.unit_vectors().astype(np.float64)
    cosines = []
    for more in range(1, seeds + 1):
        again = semantic_vectors(
            d,
            vectors.layer,
            concepts=None if record["concepts"] == "all" else record["concepts"],
            positions=record["positions"],
            cover=record["cover"],
            ridge=record["ridge"],
            nonnegative=record["nonnegative"],
            shifts=20,  # the control is not looked at
            seed=record["seed"] + more,
            **options,
        )
        cosines.append((unit * again.vectors.unit_vectors()).sum(1))
    found = np.stack(cosines)
    return pd.DataFrame({
        "concept": list(vectors.names),
        "category": list(vectors.category_names()),
        "cosine": found.mean(0),
        "least": found.min(0),
    }).astype({"concept": "str", "category": "str"})  # fmt: skip
