"""A layer's feature space, and the concepts' vectors in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.files import atomic_write
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.semantics.gathering import Features
from fastdissect.methods.semantics.quality import COLUMNS
from fastdissect.storage.tensors_file import read_tensors, write_tensors

__all__ = ["FeatureSpace", "SemanticVectors", "check_folder", "kept_vectors", "space_of"]

_FILE = "features.safetensors"
_INDEX = "vectors.json"  # of the vectors, written last
_VECTORS = (_INDEX, "vectors.csv", "vectors.safetensors")
_BLOCK = 4096


class FeatureSpace(NamedTuple):
    """The features at the training positions of all concepts that were asked for, each once."""

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
        folder, space = Path(folder), self.space
        arrays = {"mean": space.mean, "covariance": space.covariance, "scale": np.array([space.scale])}
        check_folder(folder)
        # a save that is interrupted leaves no index, so that new files are never read with an older one
        (folder / _INDEX).unlink(missing_ok=True)
        write_tensors(
            folder / _FILE, arrays, {"layer": self.vectors.layer, "digest": _digest(self.vectors, space)}
        )
        self.vectors.save(folder)

    @staticmethod
    def load(folder: str | Path) -> SemanticVectors:
        """Read what `save` wrote.

        Raises:
            OutputError: a file is missing or damaged.
        """
        vectors = ConceptVectors.load(folder)
        if vectors.kind != "semantic":
            raise OutputError(
                f"expected semantic vectors in {folder}; got vectors of {vectors.kind} (Net2Vec): give another folder"
            )
        try:
            arrays, text = read_tensors(Path(folder) / _FILE)
        except OutputError as error:
            raise _damaged(
                folder,
                "it is missing"
                if not (Path(folder) / _FILE).is_file()
                else "its length or header makes no sense",
            ) from error
        units = vectors.units
        shapes = {"mean": (units,), "covariance": (units, units), "scale": (1,)}
        found = {name: array.shape for name, array in arrays.items()}
        if found != shapes or any(array.dtype != np.float64 for array in arrays.values()):
            raise _damaged(folder, f"expected the space of {units} units in float64")
        space = FeatureSpace(
            np.array(arrays["mean"]), np.array(arrays["covariance"]), float(arrays["scale"][0])
        )
        if text.get("digest") != _digest(vectors, space):
            raise _damaged(folder, "its values changed, or it belongs to other vectors")
        missing = [name for name in COLUMNS if name not in vectors.table]
        if missing:
            raise OutputError(
                f"{Path(folder) / 'vectors.csv'} lacks the columns {', '.join(missing)}: another version of fastdissect "
                f"wrote it; delete {Path(folder) / _INDEX} and find the vectors anew"
            )
        return SemanticVectors(vectors, space)


def check_folder(folder: str | Path) -> None:
    """Refuse, before the work is done, a folder that `SemanticVectors.save` would refuse after it. It is made.

    Raises:
        OutputError: it cannot be written, or a file's name is a folder's.
    """
    folder = Path(folder)
    for name in (_FILE, *_VECTORS):
        if (folder / name).is_dir():
            raise OutputError(f"{folder / name} cannot be written: it is a folder; choose another folder")
    with contextlib.suppress(_Free), atomic_write(folder / _INDEX):
        raise _Free  # it was begun beside, and is taken away again


class _Free(Exception):
    pass


def kept_vectors(folder: str | Path, settings: Mapping[str, Any]) -> SemanticVectors | None:
    """Return the vectors that a folder holds, if they were found under these settings; None otherwise.

    Args:
        settings: from `settings_of`.

    Raises:
        OutputError: a file is damaged.
    """
    if not (Path(folder) / _INDEX).is_file():
        return None
    record = ConceptVectors.load(folder).record
    same = all(record.get(name) == value for name, value in settings.items())
    return SemanticVectors.load(folder) if same else None


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


def _digest(vectors: ConceptVectors, space: FeatureSpace) -> str:
    """Of the numbers that belong together."""
    found = hashlib.blake2b(digest_size=16)
    for array in (vectors.numbers, vectors.weights, space.mean, space.covariance, np.array([space.scale])):
        found.update(np.ascontiguousarray(array).tobytes())
    words = [vectors.layer, vectors.names, vectors.categories, vectors.skipped, dict(vectors.record)]
    found.update(json.dumps(words, sort_keys=True).encode())
    return found.hexdigest()


def _damaged(folder: str | Path, why: str) -> OutputError:
    return OutputError(
        f"{Path(folder) / _FILE} is damaged: {why}; restore it, or delete {Path(folder) / _INDEX} and find the vectors anew"
    )
