"""The global view: concepts and filters, concepts and classes, concepts and concepts (our formulation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.extras import need
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.semantics.class_weights import ClassWeights
from fastdissect.methods.semantics.settings import check_whole
from fastdissect.methods.semantics.space import FeatureSpace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ConceptOrder", "concept_classes", "concept_filters", "concept_order", "strongest"]

Floats = NDArray[np.float64]


def concept_filters(vectors: ConceptVectors, top: int = 8) -> pd.DataFrame:
    """Return the largest entries of each vector: concept, category, rank, unit, weight (the cosine with that unit),
    share (of the vector's squared length)."""
    import pandas as pd

    unit = vectors.unit_vectors().astype(np.float64)
    order = np.argsort(-np.abs(unit), axis=1, kind="stable")[:, :top]
    weight = np.take_along_axis(unit, order, 1)
    count = order.shape[1]
    return pd.DataFrame({
        "concept": np.repeat(np.array(vectors.names, object), count),
        "category": np.repeat(np.array(vectors.category_names(), object), count),
        "rank": np.tile(np.arange(1, count + 1), len(vectors)),
        "unit": order.ravel(),
        "weight": weight.ravel(),
        "share": np.square(weight).ravel(),
    }).astype({"concept": "str", "category": "str"})  # fmt: skip


def concept_classes(
    vectors: ConceptVectors, space: FeatureSpace, classes: ClassWeights, draws: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Return how each concept lies to each class: class, concept, category, cosine, p, q; by class, cosine descending.

    p: how often a random vector with the covariance of the features has a cosine at least as large in size (of
    `draws`, plus one); isotropic vectors would make far more of them look special. q: p under the false discovery rate
    of all pairs (Benjamini and Hochberg).

    Raises:
        SettingError: draws is no whole number of 1 or more. BackendError: scipy is not installed.
    """
    import pandas as pd

    check_whole("draws", draws, 1)
    unit = vectors.unit_vectors().astype(np.float64)
    target = _unit(classes.weights)
    cosine = target @ unit.T
    chance = np.sort(np.abs(_unit(random_vectors(space, draws, seed)) @ target.T), axis=0)
    above = np.stack([
        draws - np.searchsorted(chance[:, j], np.abs(row) - 1e-12) for j, row in enumerate(cosine)
    ])  # fmt: skip
    p = (1 + above) / (1 + draws)
    q = need("scipy.stats").false_discovery_control(p.ravel())
    count = len(vectors)
    table = pd.DataFrame({
        "class": np.repeat(np.array(classes.names, object), count),
        "concept": np.tile(np.array(vectors.names, object), len(classes.names)),
        "category": np.tile(np.array(vectors.category_names(), object), len(classes.names)),
        "cosine": cosine.ravel(),
        "p": p.ravel(),
        "q": q,
    }).astype(dict.fromkeys(("class", "concept", "category"), "str"))  # fmt: skip
    place = np.repeat(np.arange(len(classes.names)), count)
    return table.iloc[np.lexsort((-table["cosine"].to_numpy(), place))].reset_index(drop=True)


def strongest(table: pd.DataFrame, by: str, top: int = 5) -> pd.DataFrame:
    """The concepts of each class (`by` "class"), or the classes of each concept ("concept"), of largest cosine."""
    ranked = table.sort_values("cosine", ascending=False, kind="stable")
    first = ranked.groupby(by, sort=False).head(top)
    order = {name: place for place, name in enumerate(dict.fromkeys(table[by]))}
    return first.sort_values(by, key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class ConceptOrder:
    """The concepts' cosines, and an order in which like ones stand together."""

    cosine: Floats  # [concepts, concepts], in the vectors' order
    order: NDArray[np.int64]  # [concepts], the dendrogram's leaves
    linkage: Floats  # scipy's, average linkage of 1 - cosine; empty of a single concept

    def nearest(self, vectors: ConceptVectors, top: int = 5) -> pd.DataFrame:
        """Return each concept's nearest: concept, rank, nearest, category, cosine."""
        import pandas as pd

        apart = self.cosine.copy()
        np.fill_diagonal(apart, -np.inf)
        order = np.argsort(-apart, axis=1, kind="stable")[:, : min(top, len(apart) - 1)]
        names, categories = np.array(vectors.names, object), np.array(vectors.category_names(), object)
        return pd.DataFrame({
            "concept": np.repeat(names, order.shape[1]),
            "rank": np.tile(np.arange(1, order.shape[1] + 1), len(names)),
            "nearest": names[order.ravel()],
            "category": categories[order.ravel()],
            "cosine": np.take_along_axis(apart, order, 1).ravel(),
        }).astype(dict.fromkeys(("concept", "nearest", "category"), "str"))  # fmt: skip


def concept_order(vectors: ConceptVectors) -> ConceptOrder:
    """Compare all concepts with each other.

    Raises:
        BackendError: scipy is not installed.
    """
    hierarchy, squareform = need("scipy.cluster.hierarchy"), need("scipy.spatial.distance").squareform
    unit = vectors.unit_vectors().astype(np.float64)
    cosine = np.clip(unit @ unit.T, -1, 1)
    if len(unit) < 2:
        return ConceptOrder(cosine, np.arange(len(unit)), np.zeros((0, 4)))
    apart = 1 - (cosine + cosine.T) / 2
    np.fill_diagonal(apart, 0)
    condensed = squareform(np.maximum(apart, 0), checks=False)
    linkage = hierarchy.linkage(condensed, "average", optimal_ordering=len(unit) <= 2000)
    return ConceptOrder(cosine, hierarchy.leaves_list(linkage).astype(np.int64), linkage)


def random_vectors(space: FeatureSpace, count: int, seed: int) -> Floats:
    """float64 [count, units]: normal, of mean 0, with the features' covariance."""
    values, vectors = np.linalg.eigh(space.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    drawn: Floats = np.random.default_rng((seed, 5)).normal(size=(count, len(values))) @ root.T
    return drawn


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = np.divide(vectors, length, out=np.zeros(vectors.shape), where=length > 0)
    return unit
