"""Shards side by side, as the last stages read them: one layer, one set of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.packing import join_blocks
from fastdissect.planning import available_memory
from fastdissect.ranks import rank_bounds
from fastdissect.readout import usable
from fastdissect.resifting import Again
from fastdissect.resuming import refuse_other
from fastdissect.shard_files import LayerPart, ShardFiles, read_shard
from fastdissect.shards import Shard
from fastdissect.sifting import LayerSifter, Sieved
from fastdissect.types import Planes, Profile, SparseActivations

__all__ = ["MergedLayer", "MergedRecords", "find_shards"]

_OWN = ("shard", "pilot", "again")  # of a shard's key, what is not the whole run's


@dataclass(frozen=True, eq=False)
class _Found(ShardFiles):
    again: tuple[ShardFiles, ...] = ()


def find_shards(out: Path, rounds: Sequence[Again]) -> list[Any]:
    """All shards of a folder, in the images' order, checked against each other.

    Raises:
        OutputError: one is missing, unfinished, damaged, or differs from the first.
    """
    folders = [f for f in (out / "shards").glob("*-of-*") if f.is_dir()] if (out / "shards").is_dir() else []
    if not folders:
        raise OutputError(
            f"{out}: expected shards in {out / 'shards'}; there are none; run them first (--shard 1/N)"
        )
    counts = sorted({f.name.rpartition("-of-")[2] for f in folders})
    if len(counts) > 1 or not counts[0].isdigit():
        raise OutputError(
            f"{out / 'shards'} holds shards of different runs: of {', '.join(counts)}; remove those that do not belong here"
        )
    count = int(counts[0])
    wanted = [Shard(number, count) for number in range(1, count + 1)]
    here = {f.name for f in folders}
    missing = [str(shard) for shard in wanted if shard.folder not in here]
    if missing or len(here) != count:
        raise OutputError(
            f"{out / 'shards'}: expected {count} shards; missing: {', '.join(missing) or 'none'}"
            f"{_foreign(here, wanted)}; run those with --shard, then merge again"
        )
    found = []
    for shard in wanted:
        own = read_shard(out / "shards" / shard.folder)
        again = tuple(read_shard(own.folder / one.folder) for one in rounds)
        found.append(_Found(own.folder, own.index, own.layers, own.planes, again))
    _check_alike(found)
    return found


def _foreign(here: set[str], wanted: Sequence[Shard]) -> str:
    foreign = sorted(here - {shard.folder for shard in wanted})
    return f"; foreign: {', '.join(foreign)}" if foreign else ""


def _check_alike(shards: Sequence[ShardFiles]) -> None:
    """The same run, one behind the other."""
    first, at = shards[0].index, 0
    for shard in shards:
        key = {k: v for k, v in shard.index["key"].items() if k != "shard"}
        refuse_other(shard.folder, {k: v for k, v in first["key"].items() if k != "shard"}, key)
        if shard.index["vocabulary"] != first["vocabulary"] or list(shard.layers) != list(shards[0].layers):
            raise OutputError(
                f"{shard.folder} belongs to another run: its concepts or layers are not the first shard's"
            )
        begin, end = shard.index["images"]
        if begin != at:
            raise OutputError(
                f"{shard.folder}: expected images from {at} on, where the shard before it ends; got {begin}; run the shard "
                "before it again"
            )
        at = end


class MergedLayer:
    """One layer of all shards.

    Args:
        parts: the shards' parts, in the images' order.

    Attributes:
        spill: folder for the joined cells, where they do not fit the memory.
    """

    def __init__(self, name: str, parts: Sequence[LayerPart], profile: Profile) -> None:
        self.layer, self.profile, self.upsampling = name, profile, parts[0].upsampling
        self.shape: tuple[int, int, int] = parts[0].cells.shape[1:]
        self.kind = parts[0].cells.kind
        self.cells = [part.cells for part in parts]
        self.images = sum(part.cells.shape[0] for part in parts)
        self.missing: NDArray[np.int64] = np.sum([part.missing for part in parts], axis=0, dtype=np.int64)
        self.bounds: NDArray[np.uint32] = np.max([part.bounds for part in parts], axis=0)
        self.guess: NDArray[np.uint32] = np.max([part.guess for part in parts], axis=0)
        self.at_least: NDArray[np.int64] = np.sum([part.at_least for part in parts], axis=0, dtype=np.int64)
        self.known = None if parts[0].thresholds is None else np.array(parts[0].thresholds)
        self.spill: Path | None = None

    def replace_units(self, units: NDArray[np.int64], parts: Sequence[LayerPart]) -> None:
        """Take some units from a later round."""
        self.cells = [
            _with_units(old, part.cells, units) for old, part in zip(self.cells, parts, strict=True)
        ]
        later = np.zeros(self.shape[0], bool)
        later[units] = True
        for name, value in (
            ("bounds", np.max([part.bounds for part in parts], axis=0)),
            ("guess", np.max([part.guess for part in parts], axis=0)),
            ("at_least", np.sum([part.at_least for part in parts], axis=0)),
        ):
            setattr(self, name, np.where(later, value, getattr(self, name)))

    def _sifter(self) -> LayerSifter:
        sifter = LayerSifter(
            self.layer,
            self.shape,
            self.kind,
            self.images,
            self.profile,
            self.upsampling,
            thresholds=self.known,
        )
        sifter.images, sifter.missing = self.images, self.missing
        sifter.store.parts = list(self.cells)
        sifter.store.bounds = self.bounds
        return sifter

    def unproved(self) -> NDArray[np.int64]:
        """Units whose threshold may lie below the bound: fewer values than its rank are above it, and it was guessed."""
        suspects = (self.bounds == self.guess) & (self.guess > 0)
        if not suspects.any():
            return np.zeros(0, np.int64)
        sifter = self._sifter()
        seen = usable(self.layer, self.images * sifter.values_per_image, self.missing)
        rank = np.array([rank_bounds(self.profile, int(n)).deepest for n in seen], np.int64)
        above = sifter.store.select(rank[:, None])[:, 0] > self.bounds
        return np.flatnonzero(suspects & ~above & (self.at_least < rank))

    def finish(self) -> Sieved:
        """Thresholds, values seen, canonical cells."""
        sifter = self._sifter()
        held = sum(cells.nbytes for cells in self.cells)
        return sifter.finish(self.spill if 4 * held > available_memory() else None)


def _with_units(
    old: SparseActivations, new: SparseActivations, units: NDArray[np.int64]
) -> SparseActivations:
    """`old`, with some units' records from `new`."""
    later = np.zeros(old.shape[1], bool)
    later[units] = True
    pieces: dict[str, list[NDArray[Any]]] = {name: [] for name in ("images", "cells", "values", "lengths")}
    counts = np.zeros(old.shape[1], np.int64)
    for unit in range(old.shape[1]):
        source = new if later[unit] else old
        first, last = int(source.unit_start[unit]), int(source.unit_start[unit + 1])
        counts[unit] = last - first
        pieces["images"].append(source.images[first:last])
        pieces["lengths"].append(np.diff(source.cell_start[first : last + 1]))
        low, high = int(source.cell_start[first]), int(source.cell_start[last])
        pieces["cells"].append(source.cells[low:high])
        pieces["values"].append(source.values[low:high])
    joined = {name: np.concatenate(arrays) for name, arrays in pieces.items()}
    return SparseActivations(
        old.shape,
        old.kind,
        unit_start=np.concatenate([[0], counts]).cumsum(),
        images=joined["images"],
        cell_start=np.concatenate([[0], joined["lengths"]]).cumsum(),
        cells=joined["cells"],
        values=joined["values"],
    )


class MergedRecords:
    """What all shards wrote down of their images."""

    def __init__(self, shards: Sequence[ShardFiles]) -> None:
        self.shards = shards
        self.starts = np.cumsum([0, *(len(shard.planes) for shard in shards)])
        self.names = tuple(name for shard in shards for name in shard.index["names"])

    @property
    def images(self) -> int:
        return int(self.starts[-1])

    def planes(self, first: int, last: int) -> Planes:
        blocks = []
        for shard, start, end in zip(self.shards, self.starts[:-1], self.starts[1:], strict=True):
            low, high = max(first, int(start)), min(last, int(end))
            if low < high:
                blocks.append(shard.planes.block(low - int(start), high - int(start)))
        return blocks[0] if len(blocks) == 1 else join_blocks(blocks, self.shards[0].planes.planes.size)

    def kept(self, layer: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """float32 [images, units] each."""
        parts = [shard.layers[layer] for shard in self.shards]
        means = [part.means for part in parts if part.means is not None]
        maxima = [part.maxima for part in parts if part.maxima is not None]
        return np.concatenate(means), np.concatenate(maxima)
