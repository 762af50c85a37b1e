"""The pointing game: does a vector's largest value in an image lie inside the concept? (our formulation)

A concept's evidence for a class is beta u.a(p) with one beta for all positions of an image under a linear head, so its
largest cell is that of u.a. It is a hit if the concept has a pixel in that cell: the layer tells no finer. Cells of equal
value share the hit. Beside it stand the best single unit, random directions that vary as the features do, and a cell
picked blindly. Images whose every cell shows the concept are left out: nothing misses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.semantics.cell_areas import CellAreas
from fastdissect.methods.semantics.gathering import Features

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.net2vec.result import ConceptVectors

__all__ = ["images_to_point_at", "pointing_game"]

Floats = NDArray[np.float64]
_BLOCK = 1 << 22  # values of a block, in float64: 32 MB


def images_to_point_at(
    areas: CellAreas, columns: Sequence[int], images: NDArray[np.bool_]
) -> dict[int, NDArray[np.int64]]:
    """Return, for each concept, the pairs (rows of `areas`) to play with: some of the cells show it, not all.

    Args:
        columns: of the concepts. images: bool [images], those to play on.
    """
    found = {}
    for column in columns:
        pairs = np.flatnonzero((areas.concept == column) & images[areas.image])
        inside = areas.of(pairs) > 0
        found[column] = pairs[inside.any(1) & ~inside.all(1)]
    return found


def pointing_game(
    vectors: ConceptVectors,
    columns: Sequence[int],
    areas: CellAreas,
    pairs: dict[int, NDArray[np.int64]],
    features: Features,
    random: Floats,
) -> pd.DataFrame:
    """Return a row a concept: concept, category, images, vector, single_unit, random, blind (shares of hits).

    Args:
        columns: of the vectors' concepts, in their order. pairs: from `images_to_point_at`.
        features: every cell of the images of all pairs.
        random: float64 [directions, units], of any length.
    """
    import pandas as pd

    cells = areas.cells[0] * areas.cells[1]
    images = features.positions[::cells] // cells
    maps = features.values.reshape(len(images), cells, features.values.shape[1])
    rows = []
    for place, (column, category) in enumerate(zip(columns, vectors.category_names(), strict=True)):
        single = np.zeros(vectors.units)
        table = vectors.table.iloc[place]
        single[int(table["single_unit"])] = float(table["single_sign"])
        directions = np.stack([vectors.weights[place].astype(np.float64), single, *random])
        own = pairs[column]
        hits, blind = np.zeros(len(directions)), 0.0
        block = max(1, _BLOCK // (cells * max(vectors.units, len(directions))))
        for start in range(0, len(own), block):
            some = own[start : start + block]
            inside = areas.of(some) > 0
            values = maps[np.searchsorted(images, areas.image[some])].astype(np.float64) @ directions.T
            top = values == values.max(1, keepdims=True)  # [images, cells, directions]
            hits += ((top & inside[:, :, None]).sum(1) / top.sum(1)).sum(0)
            blind += float(inside.mean(1).sum())
        share = hits / len(own) if len(own) else np.full(len(hits), np.nan)
        rows.append({
            "concept": vectors.names[place],
            "category": category,
            "images": len(own),
            "vector": share[0],
            "single_unit": share[1],
            "random": share[2:].mean() if len(random) else np.nan,
            "blind": blind / len(own) if len(own) else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows).astype({"concept": "str", "category": "str"})
