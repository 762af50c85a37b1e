"""Made-up factorisations whose factors are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.result import Factorization, Loadings
from fastdissect.methods.factorization.settings import FactorizationSettings

SIDE = 6


def factorization(
    mixtures: NDArray[np.floating],
    loadings: dict[str, NDArray[np.floating]],
    shapes: dict[str, tuple[int, int, int]] | None = None,
    names: tuple[str, ...] = (),
) -> Factorization:
    """A factorisation of these mixtures and loadings; "red", "green" and "blue" are pixels."""
    own = []
    for name, values in loadings.items():
        kind = "pixels" if name in ("red", "green", "blue") else "neurons"
        shape = (shapes or {}).get(name, (len(values), 1, 1))
        dead = np.flatnonzero(~values.any(1))
        own.append(Loadings(name, kind, shape, 1.0, values.astype(np.float32), 0.1, 1.0, dead))
    history = pd.DataFrame(
        {
            "restart": [0, 0, 1, 1],
            "iteration": [0, 1, 0, 1],
            "objective": [2.0, 1.0, 2.5, 1.5],
            "fit": [0.4, 0.2, 0.5, 0.3],
            "neurons_fit": [0.5, 0.3, 0.5, 0.3],
        }
    )
    restarts = pd.DataFrame(
        {
            "restart": [0, 1],
            "iterations": [2, 2],
            "objective": [1.0, 1.5],
            "fit": [0.2, 0.3],
            "converged": [True, False],
            "kept": [True, False],
        }
    )
    settings = FactorizationSettings(rank=mixtures.shape[1])
    return Factorization(settings, mixtures.astype(np.float32), tuple(own), history, restarts, names)


def planted(
    rank: int = 4,
    each: int = 12,
    seed: int = 0,
    noise: float = 0.02,
    units: int = 5,
    dead: tuple[int, ...] = (),
) -> tuple[Factorization, NDArray[np.int64]]:
    """Factor r has the examples, pixels and units of block r, and a little of the others; and the examples' blocks."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(rank), each)
    mixtures = np.eye(rank)[group] * rng.uniform(0.5, 1, (len(group), 1)) + noise * rng.random(
        (len(group), rank)
    )
    loadings, shapes = {}, {}
    for name in ("red", "green", "blue"):
        block = np.arange(SIDE * SIDE) * rank // (SIDE * SIDE)
        loadings[name] = np.eye(rank)[block] + noise * rng.random((SIDE * SIDE, rank))
        shapes[name] = (1, SIDE, SIDE)
    for name, place in (("early", 2), ("late", 1)):
        features = rank * units * place
        block = np.arange(features) // (units * place)
        loadings[name] = np.eye(rank)[block] + noise * rng.random((features, rank))
        shapes[name] = (rank * units, place, 1)
    mixtures[:, list(dead)] = 0
    names = tuple(f"folder/{i:04d}.png" for i in range(len(group)))
    return factorization(mixtures, loadings, shapes, names), group


def matrices_of(f: Factorization) -> list[FeatureMatrix]:
    """What the factorisation reconstructs exactly."""
    mixtures = f.mixtures.astype(np.float64)
    return [
        FeatureMatrix(one.name, one.kind, one.shape, (mixtures @ one.values.T).astype(np.float32))
        for one in f.loadings
    ]
