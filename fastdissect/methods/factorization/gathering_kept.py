"""Gathered matrices, and those that lie in a folder: kept, and found again by the same pass."""

from __future__ import annotations

import json
import logging
import shutil
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.methods.factorization.gathering_examples import ClassTable, Examples
from fastdissect.methods.factorization.gathering_files import read_matrix
from fastdissect.methods.factorization.matrices import FeatureMatrix

__all__ = ["Gathered", "keep_gathered", "load_gathered"]

log = logging.getLogger("fastdissect")
_RECORD = "gathered.json"


@dataclass(frozen=True, eq=False)
class Gathered:
    """Matrices of one forward pass.

    Temporary files go when this does, or at the end of a `with` block.

    Attributes:
        matrices: pixels first, then the layers; memory maps.
        examples: what their rows are.
        record: how they were gathered: network, data set, layers, pools, sizes, versions.
    """

    matrices: tuple[FeatureMatrix, ...]
    examples: Examples
    record: Mapping[str, Any]

    @property
    def example_names(self) -> tuple[str, ...]:
        """The rows' names."""
        return self.examples.names

    @property
    def classes(self) -> ClassTable | None:
        """The rows' classes, where something says what they are."""
        return self.examples.classes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove temporary files."""
        temporary = getattr(self, "_temporary", None)
        if temporary is not None:
            temporary()

    def rest_on(self, folder: Path) -> None:
        """Remove this folder at the end."""
        object.__setattr__(self, "_temporary", weakref.finalize(self, shutil.rmtree, folder, True))


def keep_gathered(found: Gathered, folder: Path, key: Mapping[str, Any], files: Sequence[str]) -> None:
    """Write what stands beside the matrices' files; gathered.json is last: with it the folder is whole."""
    found.examples.save(folder)
    entries = [
        {"name": one.name, "kind": one.kind, "shape": list(one.shape), "file": file}
        for one, file in zip(found.matrices, files, strict=True)
    ]
    text = json.dumps({"key": key, "matrices": entries, "record": found.record}, indent=1)
    write_bytes(folder / _RECORD, text.encode())


def load_gathered(folder: str | Path, key: Mapping[str, Any] | None = None) -> Gathered | None:
    """Read kept matrices.

    Args:
        key: of the pass that is wanted (`Gathering.key`); None: whichever is there.

    Returns:
        None: the folder is empty, not there, or what an interrupted pass left.

    Raises:
        OutputError: it holds another pass's matrices, or something else, or is damaged.
    """
    place = Path(folder)
    if not (place / _RECORD).exists():
        if place.exists() and (not place.is_dir() or any(_foreign(place))):
            raise OutputError(
                f"{place}: expected a folder for gathered matrices, empty or new; it holds something else; choose another"
            )
        return None
    try:
        kept = json.loads((place / _RECORD).read_text(encoding="utf-8"))
        theirs, entries, record = kept["key"], kept["matrices"], kept["record"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{place / _RECORD} is damaged ({error}); remove the folder and gather again"
        ) from error
    if key is not None:
        key = json.loads(json.dumps(key))
        differing = [name for name in {**key, **theirs} if key.get(name) != theirs.get(name)]
        if differing:
            raise OutputError(
                f"{place} holds matrices of another pass: {', '.join(differing)} differ; choose another folder, or remove it"
            )
    examples = Examples.load(place)
    matrices = []
    for entry in entries:
        shape: tuple[int, int, int] = tuple(entry["shape"])
        values: NDArray[np.float32] = read_matrix(
            place / entry["file"], (len(examples), shape[0] * shape[1] * shape[2])
        )
        matrices.append(FeatureMatrix(entry["name"], entry["kind"], shape, values))
    log.info("found gathered matrices in %s", place)
    return Gathered(tuple(matrices), examples, record)


def _foreign(folder: Path) -> list[Path]:
    """What an interrupted pass does not leave."""
    return [
        path
        for path in folder.iterdir()
        if not (path.name.startswith("examples.") or path.suffix == ".npy" or path.name.endswith(".part"))
    ]
