"""Unit parts: a shard of a tensor-parallel network, whose units several processes have sifted, as one shard.

    OUT/shards/1-of-1/units-1-of-3   units 0 ... 9 of a layer of 29      the team's first process; it has the planes
    OUT/shards/1-of-1/units-2-of-3   units 10 ... 19
    OUT/shards/1-of-1/units-3-of-3   units 20 ... 28

Cells lie in the order of their units: parts are joined end to end, and nothing is sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.planning import available_memory
from fastdissect.resuming import refuse_other
from fastdissect.shard_files import LayerPart, ShardFiles, read_shard
from fastdissect.streams import Stream
from fastdissect.types import SparseActivations

__all__ = ["read_shard_units"]


def read_shard_units(folder: Path) -> ShardFiles:
    """Open a finished shard; of a team, the units of all its processes.

    Raises:
        OutputError: a part is missing, unfinished, damaged, or of another run.
    """
    here = sorted(folder.glob("units-*-of-*"))
    if not here:
        return read_shard(folder)
    count = here[0].name.rpartition("-of-")[2]
    wanted = [folder / f"units-{n + 1:0{len(count)}d}-of-{count}" for n in range(int(count))]
    missing = [path.name for path in wanted if path not in here]
    if missing or len(here) != len(wanted):
        raise OutputError(
            f"{folder}: expected the units of {count} processes; missing: {', '.join(missing) or 'none'}; foreign: "
            f"{', '.join(path.name for path in here if path not in wanted) or 'none'}; run them again together"
        )
    parts = [read_shard(path, again=path != wanted[0]) for path in wanted]  # the first has the planes
    first = parts[0]
    for part in parts[1:]:
        own, other = ({k: v for k, v in p.index["key"].items() if k != "units"} for p in (first, part))
        refuse_other(part.folder, own, other)
    layers = {name: _joined(name, parts, folder) for name in first.layers}
    key = {k: v for k, v in first.index["key"].items() if k != "units"}
    record = {**first.index["record"], "team": len(parts)}
    seconds = max(part.index["seconds"] for part in parts)
    index = {**first.index, "key": key, "record": record, "seconds": seconds}
    return ShardFiles(folder, index, layers, first.planes)


def _joined(name: str, shards: Sequence[ShardFiles], folder: Path) -> LayerPart:
    parts, at = [shard.layers[name] for shard in shards], 0
    for shard in shards:
        begin, end, units = shard.index["units"][name]
        if (
            begin != at
            or end - begin != shard.layers[name].cells.shape[1]
            or (shard is shards[-1] and end != units)
        ):
            raise OutputError(
                f"{shard.folder}: expected the units of layer {name!r} from {at} on; got {begin} to {end - 1} of {units}; run all "
                "processes again with --fresh"
            )
        at = end
    first = parts[0]

    def along(field: str, axis: int = 0) -> Any:
        arrays = [getattr(part, field) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays, axis=axis)

    return LayerPart(
        name,
        _joined_cells(
            [part.cells for part in parts], folder / "joined" / str(list(shards[0].layers).index(name))
        ),
        along("bounds"),
        along("guess"),
        along("at_least"),
        along("missing"),
        first.upsampling,
        along("means", 1),
        along("maxima", 1),
        along("thresholds"),
        first.checksums,
    )


def _joined_cells(parts: Sequence[SparseActivations], folder: Path) -> SparseActivations:
    """In memory, or in files of the folder where they would take too much of it."""
    images, _, height, width = parts[0].shape
    on_disk = sum(part.nbytes for part in parts) > available_memory() / 8

    def joined(field: str, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        if not on_disk:
            return np.concatenate(arrays)
        stream = Stream(folder / f"{field}.raw", arrays[0].dtype)
        for array in arrays:
            stream.append(array)
        return np.asarray(stream.close())

    def starts(field: str) -> list[NDArray[Any]]:
        found, base = [np.zeros(1, np.int64)], 0
        for part in parts:
            found.append(getattr(part, field)[1:] + base)
            base += int(getattr(part, field)[-1])
        return found

    return SparseActivations(
        (images, sum(part.shape[1] for part in parts), height, width),
        parts[0].kind,
        unit_start=joined("unit_start", starts("unit_start")),
        images=joined("images", [part.images for part in parts]),
        cell_start=joined("cell_start", starts("cell_start")),
        cells=joined("cells", [part.cells for part in parts]),
        values=joined("values", [part.values for part in parts]),
    )
