"""One layer's folder: units.csv, units.parquet, tally.csv, counts.npz and activations.safetensors."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastdissect.arrays_file import read_arrays, write_arrays
from fastdissect.errors import OutputError, SettingError
from fastdissect.files import atomic_write, write_bytes
from fastdissect.layer import LayerDissection
from fastdissect.storage.counts_file import counts_arrays, layer_from
from fastdissect.storage.mapped_arrays import map_arrays
from fastdissect.storage.tally_file import write_tally
from fastdissect.storage.tensors_file import read_tensors, write_tensors
from fastdissect.types import SparseActivations

__all__ = ["LayerEntry", "digest", "read_layer", "write_layer"]

_SPARSE = ("unit_start", "images", "cell_start", "cells", "values")
_DENSE = ("means", "maxima")


def digest(path: Path) -> str:
    """Hex digest (blake2b, 16 bytes) of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read: {error.strerror or error}; run again, or restore the file"
        ) from error


class LayerEntry(NamedTuple):
    """What run.json says of a layer's files, so that a file of another run or a damaged one is noticed."""

    counts: str  # digest of counts.npz
    activations: str | None  # digest of the header of activations.safetensors; None: not kept


def write_layer(layer: LayerDissection, folder: Path) -> LayerEntry:
    """Write one layer's files and return what run.json says of them."""
    _write_units(layer, folder)
    counts = folder / "counts.npz"
    write_arrays(counts, counts_arrays(layer))
    seal = digest(counts)
    return LayerEntry(seal, _write_activations(layer, folder / "activations.safetensors", seal))


def _write_activations(layer: LayerDissection, path: Path, counts: str) -> str | None:
    """Write what there is of sparse activations, means and maxima; return the header's digest."""
    arrays = {name: array for name in _DENSE if (array := getattr(layer, name)) is not None}
    # with the counts' digest, headers of equal shapes differ: the one in run.json seals the pair
    text = {"format": "1", "counts": counts, "shape": json.dumps(list(layer.shape))}
    if layer.activations is not None:
        arrays |= {name: getattr(layer.activations, name) for name in _SPARSE}
        text["kind"] = layer.activations.kind
    if arrays:
        return write_tensors(path, arrays, text)
    with contextlib.suppress(FileNotFoundError):  # an older save's, which would not belong to these counts
        path.unlink()
    return None


def _write_units(layer: LayerDissection, folder: Path) -> None:
    table = layer.units()
    # RFC 4180 throughout: with "\n" alone, Python before 3.13 leaves a "\r" in a name unquoted
    write_bytes(folder / "units.csv", table.to_csv(index=False, lineterminator="\r\n").encode())
    with atomic_write(folder / "units.parquet") as file:
        table.to_parquet(file, engine="pyarrow", index=False)
    tally = io.StringIO(newline="")
    write_tally(layer, tally)
    write_bytes(folder / "tally.csv", tally.getvalue().encode())


def read_layer(folder: Path, entry: LayerEntry) -> LayerDissection:
    """Read one layer's folder; `entry` is what `write_layer` returned.

    Activations and large counts are mapped, not read.

    Raises:
        OutputError: a file is missing, truncated, damaged, or of another run.
    """
    path = folder / "counts.npz"
    if not path.is_file():
        raise OutputError(f"{path} is missing; the run is incomplete: run again, or restore the file")
    if digest(path) != entry.counts:
        read_arrays(path)  # says what is damaged, if it is
        raise OutputError(f"{path} is not the file that run.json describes; run again, or restore the file")
    arrays = map_arrays(path)
    try:
        stored = _read_activations(folder / "activations.safetensors", entry)
        return layer_from(arrays, stored)
    except (KeyError, TypeError, ValueError, AttributeError, SettingError) as error:
        raise OutputError(f"{folder} does not hold what it should: {error!r}; run again") from error


def _read_activations(path: Path, entry: LayerEntry) -> dict[str, Any]:
    if entry.activations is None:
        return {}
    arrays, text = read_tensors(path, entry.activations)
    stored: dict[str, Any] = {name: arrays[name] for name in _DENSE if name in arrays}
    if "kind" in text:
        kind: Any = text["kind"]
        sparse = SparseActivations(
            shape=tuple(json.loads(text["shape"])), kind=kind, **{name: arrays[name] for name in _SPARSE}
        )
        _check_records(path, sparse)
        stored["sparse"] = sparse
    return stored


def _check_records(path: Path, sparse: SparseActivations) -> None:
    """Offsets that rise and end where the arrays do: what keeps compiled loops inside them."""
    for name, offsets, length in (
        ("unit_start", sparse.unit_start, len(sparse.images)),
        ("cell_start", sparse.cell_start, len(sparse.cells)),
    ):
        rises = (
            len(offsets)
            and offsets[0] == 0
            and offsets[-1] == length
            and bool(np.all(offsets[1:] >= offsets[:-1]))
        )
        if not rises:
            raise OutputError(f"{path} is damaged: {name} does not rise from 0 to {length}; run again")
    sizes = (len(sparse.unit_start) == sparse.shape[1] + 1, len(sparse.cell_start) == len(sparse.images) + 1)
    if not all(sizes) or len(sparse.values) != len(sparse.cells):
        raise OutputError(
            f"{path} is damaged: its arrays do not fit together; run again, or restore the file"
        )
    if sparse.images.max(initial=0) >= max(1, sparse.shape[0]):
        raise OutputError(
            f"{path} is damaged: image {int(sparse.images.max())} of {sparse.shape[0]}; run again, or restore the file"
        )
