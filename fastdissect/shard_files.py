"""A shard on disk: what one process or machine found in its images, until all are merged.

OUT/shards/pilot.safetensors      guessed bounds of every layer, at several tails (pilot.py)
OUT/shards/03-of-16/shard.json    the run's key and record, the images' names, the files' checksums; written last
OUT/shards/03-of-16/layer-0.safetensors    retained cells, bounds, means and maxima of the first layer
OUT/shards/03-of-16/planes/       the label planes of its images
OUT/shards/03-of-16/unfinished/   while it runs
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.plane_files import PlaneStore
from fastdissect.spilling import PART
from fastdissect.storage.tensors_file import read_tensors, write_tensors
from fastdissect.storage.upsampling_tables import tables_arrays, tables_from, tables_record
from fastdissect.types import SparseActivations, Upsampling

__all__ = ["INDEX", "LayerPart", "ShardFiles", "read_shard", "shard_folders", "write_shard"]

FORMAT = 1
INDEX = "shard.json"


@dataclass(frozen=True, eq=False)
class LayerPart:
    """One layer of one shard.

    Attributes:
        cells: all cells within one step of a cell above the bounds, and perhaps others.
        bounds: uint32 keys [units]: nothing above them is missing from `cells`.
        guess: uint32 keys [units]: the bounds that rest on the guess; 0 where none was made.
        at_least: int64 [units]: cells not below the guess, of units whose guess is tied; 0 of the others.
        missing: int64 [units]: unusable values.
        means, maxima: float32 [images, units]; None: not kept.
        thresholds: float32 [units], if they were given.
        checksums: int64 [batches], of what the layer gave.
    """

    name: str
    cells: SparseActivations
    bounds: NDArray[np.uint32]
    guess: NDArray[np.uint32]
    at_least: NDArray[np.int64]
    missing: NDArray[np.int64]
    upsampling: Upsampling
    means: NDArray[np.float32] | None
    maxima: NDArray[np.float32] | None
    thresholds: NDArray[np.float32] | None
    checksums: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ShardFiles:
    """A finished shard: its record, its layers (mapped from disk), its planes (None: of a later round)."""

    folder: Path
    index: dict[str, Any]
    layers: dict[str, LayerPart]
    planes: PlaneStore | None


_KEPT = ("bounds", "guess", "at_least", "missing", "checksums")
_OPTIONAL = ("means", "maxima", "thresholds")


def write_shard(folder: Path, index: Mapping[str, Any], layers: Sequence[LayerPart]) -> None:
    """Write the layers' files, then the index; the planes are there already.

    Args:
        index: key, record, shard, images (first, last), names, concepts.
    """
    files = {}
    for number, part in enumerate(layers):
        text = {
            "format": str(FORMAT),
            "name": part.name,
            "shape": json.dumps(list(part.cells.shape)),
            "kind": part.cells.kind,
            "upsampling": json.dumps(tables_record(part.upsampling)),
        }
        arrays = {field: getattr(part.cells, field) for field in PART}
        arrays |= {name: getattr(part, name) for name in _KEPT} | tables_arrays(part.upsampling)
        arrays |= {name: array for name in _OPTIONAL if (array := getattr(part, name)) is not None}
        files[part.name] = write_tensors(folder / f"layer-{number}.safetensors", arrays, text)
    record = {"format": FORMAT, **index, "layers": files}
    write_bytes(folder / INDEX, (json.dumps(record) + "\n").encode())


def shard_folders(out: Path) -> list[Path]:
    """The folders of all shards in OUT/shards; those that were moved aside are none."""
    found = (out / "shards").iterdir() if (out / "shards").is_dir() else ()
    return sorted(f for f in found if re.fullmatch("[0-9]+-of-[0-9]+", f.name) and f.is_dir())


def read_shard(folder: Path, again: bool = False) -> ShardFiles:
    """Open a finished shard, or what it found when some units were sifted again.

    Raises:
        OutputError: it is unfinished, damaged, or from a newer version.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_bytes())
        if index["format"] > FORMAT:
            raise OutputError(f"{path}: written by a newer version of fastdissect; update to merge it")
        entries = dict(index["layers"])
        seen = index["images"][1] - index["images"][0]
    except FileNotFoundError:
        raise OutputError(
            f"{folder}: this shard is not finished; run it again with the same command, then merge"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} is damaged ({error!r}); run this shard again with --fresh") from error
    layers = {}
    for number, (name, seal) in enumerate(entries.items()):
        layers[name] = _read_part(folder / f"layer-{number}.safetensors", name, seal, seen)
    if again:
        return ShardFiles(folder, index, layers, None)
    planes = PlaneStore(folder / "planes")
    if len(planes) != seen:
        raise OutputError(
            f"{folder / 'planes'}: expected the masks of {seen} images; got {len(planes)}; run this shard again with "
            "--fresh"
        )
    return ShardFiles(folder, index, layers, planes)


def _read_part(path: Path, name: str, seal: str, seen: int) -> LayerPart:
    arrays, text = read_tensors(path, seal)
    try:
        shape, kind = tuple(json.loads(text["shape"])), text["kind"]
        cells = SparseActivations(shape, kind, **{field: arrays[field] for field in PART})  # type: ignore[arg-type]
        upsampling = tables_from(json.loads(text["upsampling"]), arrays)
        kept: dict[str, Any] = {field: np.array(arrays[field]) for field in _KEPT}
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is damaged ({error!r}); run this shard again with --fresh") from error
    if text["name"] != name or shape[0] != seen:
        raise OutputError(
            f"{path}: expected layer {name!r} of {seen} images; got {text['name']!r} of {shape[0]}; run this shard "
            "again with --fresh"
        )
    kept |= {field: arrays.get(field) for field in _OPTIONAL}
    return LayerPart(name, cells, upsampling=upsampling, **kept)
