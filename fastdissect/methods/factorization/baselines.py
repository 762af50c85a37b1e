"""The same number of clusters by K-means and by plain NMF, measured alike."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.extras import need
from fastdissect.methods.factorization.class_profiles import checked_classes, class_profiles
from fastdissect.methods.factorization.contributions import contributions
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.result import Factorization

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COUPLED", "factor_scores", "factorization_baselines"]

COUPLED = "coupled factorisation"
_COPIES = 4  # of the concatenated matrix, while scikit-learn works on it


def factorization_baselines(
    f: Factorization,
    matrices: Sequence[FeatureMatrix],
    classes: ArrayLike,
    names: Sequence[str],
    *,
    seed: int = 0,
    iterations: int = 200,
    memory: int = 4 << 30,
) -> pd.DataFrame:
    """Return how pure K-means, NMF and the factorisation are, at the same rank.

    Both baselines see all matrices side by side, each as the fit scaled and weighed it. K-means is of ten
    starts; NMF of NNDSVDa (random where the rank exceeds the features) by coordinate descent, without penalties.

    Args:
        matrices: those that were factorised, in any order.
        classes, names: see `class_profiles`.
        seed: of both. iterations: of NMF, at most.
        memory: bytes that the concatenated matrix and its copies may take.

    Returns:
        `factor_scores` a method, behind `method`; converged: it stopped before its last iteration.

    Raises:
        SettingError: other matrices or classes, or the matrix would not fit. BackendError: scikit-learn is not installed.
    """
    import pandas as pd

    numbers = checked_classes(classes, names, len(f.mixtures))
    x = _side_by_side(f, matrices, memory)
    decomposition, cluster = need("sklearn.decomposition"), need("sklearn.cluster")
    quiet = need("sklearn.exceptions").ConvergenceWarning
    rank = f.mixtures.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", quiet)  # `converged` says it
        means = cluster.KMeans(rank, n_init=10, random_state=seed).fit(x)
        start = "nndsvda" if rank <= min(x.shape) else "random"  # it has no more vectors than the matrix has
        nmf = decomposition.NMF(rank, init=start, max_iter=iterations, random_state=seed)
        weights = nmf.fit_transform(x)
    lengths = np.sqrt(np.square(nmf.components_, dtype=np.float64).sum(1))
    found = [
        (COUPLED, contributions(f), bool(f.restarts["converged"][f.restarts["kept"]].all())),
        ("K-means", np.eye(rank)[means.labels_], bool(means.n_iter_ < means.max_iter)),
        ("NMF of all matrices", weights.astype(np.float64) * lengths, bool(nmf.n_iter_ < iterations)),
    ]
    rows = [
        {"method": name, **factor_scores(own, numbers, names), "converged": done} for name, own, done in found
    ]
    return pd.DataFrame(rows)


def factor_scores(
    weights: NDArray[np.float64], classes: ArrayLike, names: Sequence[str]
) -> dict[str, float | int]:
    """Measure a clustering, soft or hard, against classes.

    Args:
        weights: float64 [examples, rank], >= 0, in one scale (`contributions`); one-hot rows for a hard clustering.

    Returns:
        factors (that have a profile); purity, entropy: means over them, of the class profiles; clusters (factors that are
        the largest of an example); cluster_purity: share of the examples that are of the commonest class of their
        cluster; cluster_entropy: nats, mean over the examples; nmi: normalised mutual information (arithmetic) of
        cluster and class. Means of nothing are 0. Examples without a class or without a weight are left out.
    """
    numbers = checked_classes(classes, names, len(weights))
    profiles = class_profiles(weights, numbers, names)
    used = (numbers >= 0) & weights.any(1)
    cluster, known = weights[used].argmax(1), numbers[used]
    hard = class_profiles(np.eye(weights.shape[1])[cluster], known, names)
    size = np.bincount(cluster, minlength=weights.shape[1])[hard.live] / max(len(cluster), 1)
    score: Any = need("sklearn.metrics").normalized_mutual_info_score
    return {
        "factors": len(profiles.live),
        "purity": float(profiles.purity.mean()) if len(profiles.live) else 0.0,
        "entropy": float(profiles.entropy.mean()) if len(profiles.live) else 0.0,
        "clusters": len(hard.live),
        "cluster_purity": float((size * hard.purity).sum()),
        "cluster_entropy": float((size * hard.entropy).sum()),
        "nmi": float(score(known, cluster)) if len(known) else 0.0,
    }


def _side_by_side(f: Factorization, matrices: Sequence[FeatureMatrix], memory: int) -> NDArray[np.float32]:
    """All matrices as one, float32 [examples, features]."""
    given = {one.name: one for one in matrices}
    for own in f.loadings:
        matrix = given.get(own.name)
        if matrix is None or matrix.values.shape != (len(f.mixtures), len(own.values)):
            shape = "nothing" if matrix is None else f"shape {list(matrix.values.shape)}"
            raise SettingError(
                f"expected the matrix {own.name!r} that was factorised, [{len(f.mixtures)}, {len(own.values)}]; got {shape}"
            )
    features = sum(len(own.values) for own in f.loadings)
    needed = 4 * len(f.mixtures) * features * _COPIES
    if needed > memory:
        raise SettingError(
            f"expected a matrix that fits into {memory / 2**30:.2g} GiB with its copies; {len(f.mixtures):,} examples x "
            f"{features:,} features take {needed / 2**30:.2g} GiB; pool the layers, take fewer examples, or raise memory="
        )
    x, start = np.empty((len(f.mixtures), features), np.float32), 0
    for own in f.loadings:
        stop = start + len(own.values)
        factor = np.sqrt(own.weight) / own.scale if own.scale > 0 else 1.0  # a matrix of zeros has no scale
        np.multiply(given[own.name].values, np.float32(factor), out=x[:, start:stop])
        start = stop
    return x
