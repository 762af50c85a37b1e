"""Concepts on a plane, near where their vectors are alike: t-SNE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.extras import need
from fastdissect.methods.vectors.learned import embedding_of

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.vectors.learned import Vectors

__all__ = ["MAP_LEAST", "concept_map"]

MAP_LEAST = 5  # concepts of a map: with fewer, a place says nothing


def concept_map(
    found: Vectors, *, perplexity: float | None = None, seed: int = 0, unlearned: bool = False
) -> pd.DataFrame:
    """Return a place on a plane for every concept, by t-SNE of the unit vectors (scikit-learn).

    Neighbours on the map are neighbours in the vectors; distances between far groups mean nothing. The seed fixes the
    map: it begins at the vectors' two principal components and runs in one thread.

    Args:
        perplexity: about how many neighbours count; default: 30, or a third of the concepts where there are few.
        seed: of what scikit-learn draws.

    Returns:
        pd.DataFrame: concept, category, x, y; concepts that are not learned are left out unless `unlearned`.

    Raises:
        BackendError: scikit-learn is not installed. SettingError: fewer than five concepts, or a perplexity that is
            not between 1 and their number.

    Source: van der Maaten and Hinton, 2008; that Net2Vec's figure is a t-SNE is from memory (METHODS 3.7).
    """
    import pandas as pd

    embedding = embedding_of(found)
    rows = embedding.rows(unlearned)
    if len(rows) < MAP_LEAST:
        raise SettingError(f"expected at least {MAP_LEAST} concepts for a map; got {len(rows)}")
    near = min(30.0, (len(rows) - 1) / 3) if perplexity is None else float(perplexity)
    if not 1 <= near < len(rows):
        raise SettingError(f"expected a perplexity from 1 to below {len(rows)}; got {near:g}")
    manifold, threads = need("sklearn.manifold"), need("threadpoolctl")
    vectors = embedding.vectors[rows]
    with threads.threadpool_limits(1):  # sums of several threads would come out in another order each time
        places = manifold.TSNE(
            n_components=2, perplexity=near, init=_start(vectors), learning_rate="auto", random_state=seed
        ).fit_transform(vectors.astype(np.float32))
    table = {
        "concept": np.array([*embedding.names, ""], dtype=object)[rows],
        "category": embedding.category_names[rows],
        "x": places[:, 0].astype(np.float64),
        "y": places[:, 1].astype(np.float64),
    }
    return pd.DataFrame(table).astype({"concept": "str", "category": "str"})


def _start(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    """The two principal components, the first with the standard deviation 1e-4, as t-SNE wants to begin."""
    centred = vectors - vectors.mean(0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(vectors), 2))
    count = min(2, len(size))
    places[:, :count] = left[:, :count] * size[:count]
    # the sign of a singular vector is arbitrary: its largest entry is positive
    for column in places.T:
        column *= np.sign(column[np.abs(column).argmax()]) or 1.0
    spread = float(places[:, 0].std())
    return (places / spread * 1e-4 if spread > 0 else places).astype(np.float32)
