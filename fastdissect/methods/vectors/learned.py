"""The embedding behind a result, and which of its vectors were learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.vectors.embedding import Embedding, make_embedding

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.net2vec.result import ConceptVectors

    Vectors: TypeAlias = "ConceptVectors | Embedding"

__all__ = ["embedding_of"]

_NOTHING = {"iou": 0.0, "accuracy": 0.5}  # what a vector scores that knows nothing


def embedding_of(found: Vectors) -> Embedding:
    """Return the embedding behind a result with concept vectors; an `Embedding` is returned as it is.

    A concept counts as learned where its score on the validation images is above that of knowing nothing: IoU_set 0
    (METHODS 3.9: a mask that never meets its concept leaves the weights as they were drawn, and their neighbours are
    meaningless), or accuracy 0.5 (our formulation). Where there are no such images, its score on the training images.
    Semantic vectors say themselves which concepts are represented.
    """
    if isinstance(found, Embedding):
        return found
    return make_embedding(
        found.weights,
        found.names,
        category=found.category,
        categories=found.categories,
        numbers=found.numbers,
        learned=_learned(found.table),
        skipped=found.skipped,
    )


def _learned(table: pd.DataFrame) -> NDArray[np.bool_]:
    """bool [concepts]; True where the table has none of the scores."""
    if "represented" in table:
        return np.asarray(table["represented"], np.bool_)
    for score, nothing in _NOTHING.items():
        if f"{score}_train" in table and f"{score}_val" in table:
            train, val = (table[f"{score}_{split}"].to_numpy(np.float64) for split in ("train", "val"))
            return np.asarray(np.where(np.isnan(val), train, val) > nothing)
    return np.ones(len(table), np.bool_)
