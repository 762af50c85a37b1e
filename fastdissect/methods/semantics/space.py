"""A layer's feature space, and the concepts' vectors in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.semantics.gathering import Features
from fastdissect.storage.tensors_file import read_tensors, write_tensors

__all__ = ["FeatureSpace", "SemanticVectors", "kept_vectors", "space_of"]

_FILE = "features.safetensors"
_BLOCK = 4096


class FeatureSpace(NamedTuple):
    """The features at the training positions, each once."""

    mean: NDArray[np.float64]  # [units]
    covariance: NDArray[np.float64]  # [units, units]
    scale: float  # mean distance from the mean: the one global scale


@dataclass(frozen=True, eq=False)
class SemanticVectors:
    """The vectors of a layer's concepts, and the space that they lie in (our formulation).

    Attributes:
        vectors: kind "semantic": weights are unit vectors u_c; u_c.a + bias > 0 where the concept is likelier than not.
    """

    vectors: ConceptVectors
    space: FeatureSpace

    def save(self, folder: str | Path) -> None:
        """Write the vectors' files, and features.safetensors.

        Raises:
            OutputError: a file cannot be written.
        """
        space = self.space
        arrays = {"mean": space.mean, "covariance": space.covariance, "scale": np.array([space.scale])}
        write_tensors(Path(folder) / _FILE, arrays, {"layer": self.vectors.layer})
        self.vectors.save(folder)

    @staticmethod
    def load(folder: str | Path) -> SemanticVectors:
        """Read what `save` wrote.

        Raises:
            OutputError: a file is missing or damaged.
        """
        vectors = ConceptVectors.load(folder)
        arrays, _ = read_tensors(Path(folder) / _FILE)
        units = vectors.units
        shapes = {"mean": (units,), "covariance": (units, units), "scale": (1,)}
        if {name: array.shape for name, array in arrays.items()} != shapes:
            raise OutputError(
                f"{Path(folder) / _FILE} is damaged: expected the space of {units} units; find the vectors again"
            )
        space = FeatureSpace(
            np.array(arrays["mean"]), np.array(arrays["covariance"]), float(arrays["scale"][0])
        )
        return SemanticVectors(vectors, space)


def kept_vectors(folder: str | Path, settings: Mapping[str, Any]) -> SemanticVectors | None:
    """Return the vectors that a folder holds, if they were found under these settings; None otherwise.

    Args:
        settings: from `settings_of`.

    Raises:
        OutputError: a file is damaged.
    """
    if not (Path(folder) / "vectors.json").is_file():
        return None
    found = SemanticVectors.load(folder)
    same = all(found.vectors.record.get(name) == value for name, value in settings.items())
    return found if same else None


def space_of(features: Features, rows: NDArray[np.int64]) -> FeatureSpace:
    """Mean, covariance and scale over some rows, in float64; a space without any spread has scale 1."""
    mean = features.means(rows)
    units = len(mean)
    covariance, distance = np.zeros((units, units)), 0.0
    for start in range(0, len(rows), _BLOCK):
        block = features.values[rows[start : start + _BLOCK]] - mean
        covariance += block.T @ block
        distance += float(np.linalg.norm(block, axis=1).sum())
    count = max(len(rows), 1)
    return FeatureSpace(mean, covariance / count, distance / count or 1.0)
