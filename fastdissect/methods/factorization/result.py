"""A coupled factorisation: what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.settings import FactorizationSettings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Factorization", "Loadings"]


@dataclass(frozen=True, eq=False)
class Loadings:
    """One matrix's side of the factors: latent images (the paper's P_c) or neurons (O_j).

    Attributes:
        name, kind, shape: the matrix's (`FeatureMatrix`).
        scale: what its values were divided by before they were factorised (1 under faithful).
        values: float32 [features, rank], >= 0: values ~ scale * mixtures @ values.T.
        fit: ||X - its reconstruction||^2 / ||X||^2; NaN: a matrix of zeros.
        weight: of its error in the objective.
        dead: int64, features that are 0 in every example fitted: their loadings are 0.
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    scale: float
    values: NDArray[np.float32]
    fit: float
    weight: float = 1.0
    dead: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class Factorization:
    """Latent factors that examples, pixels and neurons share.

    Attributes:
        settings: how it was found.
        mixtures: float32 [examples, rank], >= 0: how much of each factor an example has (the paper's F, transposed).
        loadings: one for each matrix, in the order given.
        history: a row an iteration: restart, iteration, objective, fit (of all matrices), neurons_fit (of those of kind
            "neurons" alone). Under the default rule a restart's last row is the mixtures solved to convergence.
        restarts: a row a restart: restart, iterations, objective, fit, converged, kept.
        example_names: of the examples, in the rows' order.
        record: of the network, the data set and the versions; may be empty.
    """

    settings: FactorizationSettings
    mixtures: NDArray[np.float32]
    loadings: tuple[Loadings, ...]
    history: pd.DataFrame
    restarts: pd.DataFrame
    example_names: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return self.settings.rank

    @property
    def dead_factors(self) -> tuple[int, ...]:
        """Factors that no example has, or that have no loadings: they explain nothing."""
        alive = (self.mixtures > 0).any(0) & np.any(
            [(one.values > 0).any(0) for one in self.loadings], axis=0
        )
        return tuple(int(r) for r in np.flatnonzero(~alive))

    @property
    def zero_matrices(self) -> tuple[str, ...]:
        """Matrices of zeros alone: they were kept, with loadings of 0."""
        return tuple(one.name for one in self.loadings if len(one.dead) == len(one.values))

    def dead_features(self, name: str) -> NDArray[np.int64]:
        """Features of a matrix (dead neurons) that are 0 in every example fitted, int64, ascending."""
        return self[name].dead

    def reported_mixtures(self) -> NDArray[np.float64]:
        """Each factor's share of an example, float64 [examples, rank]: rows sum to 1.

        An example without any factor keeps zeros. A factor's share depends on how its weight is split between mixtures and
        loadings, which the fit leaves free: before the division each factor is multiplied by the length of its loadings
        over all matrices, each as the fit scaled and weighed it.
        """
        lengths = sum(
            (one.weight * np.square(one.values.astype(np.float64)).sum(0) for one in self.loadings),
            np.zeros(self.rank),
        )
        told = self.mixtures * np.sqrt(lengths)
        total = told.sum(1, keepdims=True)
        shares: NDArray[np.float64] = np.divide(told, total, out=np.zeros_like(told), where=total > 0)
        return shares

    def __getitem__(self, name: str) -> Loadings:
        """The loadings of a matrix."""
        for one in self.loadings:
            if one.name == name:
                return one
        raise KeyError(f"no matrix {name!r}; there are {', '.join(one.name for one in self.loadings)}")

    def save(self, folder: str | Path) -> None:
        """Write factorization.safetensors, history.csv, restarts.csv and factorization.json (`saving`).

        Raises:
            OutputError: a file cannot be written. TypeError, ValueError: a record that JSON cannot hold.
        """
        from fastdissect.methods.factorization.saving import save_factorization

        save_factorization(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Factorization:
        """Read what `save` wrote: every array, number and name as it was.

        Raises:
            OutputError: files that are missing, damaged, or of another version.

        Example:
            >>> Factorization.load("out/factorization").dead_factors                         # doctest: +SKIP
        """
        from fastdissect.methods.factorization.saving import load_factorization

        return load_factorization(Path(folder))
