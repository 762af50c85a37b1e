"""Shards side by side, as the last stages read them: one layer, one set of records."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.packing import join_blocks
from fastdissect.planning import available_memory
from fastdissect.ranks import rank_bounds
from fastdissect.readout import usable
from fastdissect.resifting import Again
from fastdissect.resuming import refuse_other
from fastdissect.shard_files import LayerPart, ShardFiles, read_shard, shard_folders
from fastdissect.shards import Shard
from fastdissect.sifting import LayerSifter, Sieved
from fastdissect.spilling import PART
from fastdissect.streams import Stream
from fastdissect.types import Planes, Profile, SparseActivations
from fastdissect.unit_parts import read_shard_units

__all__ = ["FoundShard", "MergedLayer", "MergedRecords", "find_shards"]


@dataclass(frozen=True, eq=False)
class FoundShard(ShardFiles):
    """A shard, and what it found in each later round."""

    again: tuple[ShardFiles, ...] = ()


def find_shards(out: Path, rounds: Sequence[Again]) -> list[FoundShard]:
    """All shards of a folder, in the images' order, checked against each other.

    Raises:
        OutputError: one is missing, unfinished, damaged, or differs from the first.
    """
    folders = shard_folders(out)
    if not folders:
        raise OutputError(
            f"{out}: expected shards in {out / 'shards'}; there are none; run them first (--shard 1/N)"
        )
    counts = sorted({f.name.rpartition("-of-")[2] for f in folders})
    if len(counts) > 1:
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
        own = read_shard_units(out / "shards" / shard.folder)
        again = tuple(read_shard(own.folder / one.folder, again=True) for one in rounds)
        for one, later in zip(rounds, again, strict=True):
            _check_later(own, later, one)
        found.append(FoundShard(own.folder, own.index, own.layers, own.planes, again))
    _check_alike(found, wanted)
    return found


def _check_later(own: ShardFiles, later: ShardFiles, again: Again) -> None:
    """A later round of the same shard, over the same activations."""
    refuse_other(later.folder, {**own.index["key"], "again": again.round}, later.index["key"])
    for name in again.guesses:
        part = later.layers.get(name)
        if part is None or not np.array_equal(part.checksums, own.layers[name].checksums):
            raise OutputError(
                f"{later.folder}: expected layer {name!r} to give what it gave before; it differs: are the images and the "
                "network the same, is it deterministic, the number of threads the same? Run this shard again with --fresh"
            )


def _foreign(here: set[str], wanted: Sequence[Shard]) -> str:
    foreign = sorted(here - {shard.folder for shard in wanted})
    return f"; foreign: {', '.join(foreign)}" if foreign else ""


def _check_alike(shards: Sequence[ShardFiles], wanted: Sequence[Shard]) -> None:
    """The same run, one behind the other."""
    first, at = shards[0].index, 0
    for shard, own in zip(shards, wanted, strict=True):
        key = {k: v for k, v in shard.index["key"].items() if k != "shard"}
        refuse_other(shard.folder, {k: v for k, v in first["key"].items() if k != "shard"}, key)
        if shard.index["vocabulary"] != first["vocabulary"] or list(shard.layers) != list(shards[0].layers):
            raise OutputError(
                f"{shard.folder} belongs to another run: its concepts or layers are not the first shard's"
            )
        begin, end = shard.index["images"]
        if shard.index["shard"] != [own.number, own.count]:
            raise OutputError(
                f"{shard.folder}: expected shard {own}; got {'/'.join(map(str, shard.index['shard']))} under its name, which "
                f"has images {begin} to {end - 1}; run shard {own} again with --fresh"
            )
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
        work: folder for cells that are joined.
    """

    def __init__(self, name: str, parts: Sequence[LayerPart], profile: Profile, work: Path) -> None:
        self.layer, self.profile, self.upsampling, self.work = name, profile, parts[0].upsampling, work
        self.shape: tuple[int, int, int] = parts[0].cells.shape[1:]
        self.kind = parts[0].cells.kind
        for part in parts:
            if part.cells.shape[1:] != self.shape or part.cells.kind != self.kind:
                raise OutputError(
                    f"layer {name!r}: expected maps {self.shape} of {self.kind} in all shards; got {part.cells.shape[1:]} of "
                    f"{part.cells.kind}; run all with the same code and data"
                )
        self.cells = [part.cells for part in parts]
        self.images = sum(part.cells.shape[0] for part in parts)
        self.missing: NDArray[np.int64] = np.sum([part.missing for part in parts], axis=0, dtype=np.int64)
        self.bounds: NDArray[np.uint32] = np.max([part.bounds for part in parts], axis=0)
        self.guess: NDArray[np.uint32] = np.max([part.guess for part in parts], axis=0)
        self.at_least: NDArray[np.int64] = np.sum([part.at_least for part in parts], axis=0, dtype=np.int64)
        self.known = None if parts[0].thresholds is None else np.array(parts[0].thresholds)
        self.rounds = 0

    def replace_units(self, units: NDArray[np.int64], parts: Sequence[LayerPart]) -> None:
        """Take some units from a later round."""
        self.rounds += 1
        self.cells = [
            _with_units(old, part.cells, units, self.work / f"round-{self.rounds}-{number}")
            for number, (old, part) in enumerate(zip(self.cells, parts, strict=True))
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
        """Units whose threshold may lie below the bound: it was guessed, fewer values than its rank are above it, and it is
        not known that as many are not below it."""
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
        return sifter.finish(self.work if 4 * held > available_memory() else None)


def _with_units(
    old: SparseActivations, new: SparseActivations, units: NDArray[np.int64], folder: Path
) -> SparseActivations:
    """`old`, with some units' records from `new`; in files, as it may be larger than the memory."""
    later = np.zeros(old.shape[1], bool)
    later[units] = True
    streams = {name: Stream(folder / f"{name}.raw", getattr(old, name).dtype) for name in PART[1:]}
    counts, base = np.zeros(old.shape[1], np.int64), 0
    streams["cell_start"].append(np.zeros(1, np.int64))
    turns = np.flatnonzero(np.diff(later)) + 1
    for begin, end in itertools.pairwise([0, *turns.tolist(), old.shape[1]]):  # units from one of the two
        source = new if later[begin] else old
        first, last = int(source.unit_start[begin]), int(source.unit_start[end])
        low, high = int(source.cell_start[first]), int(source.cell_start[last])
        counts[begin:end] = np.diff(source.unit_start[begin : end + 1])
        streams["images"].append(source.images[first:last])
        streams["cell_start"].append(source.cell_start[first + 1 : last + 1] + (base - low))
        streams["cells"].append(source.cells[low:high])
        streams["values"].append(source.values[low:high])
        base += high - low
    mapped = {name: np.asarray(stream.close()) for name, stream in streams.items()}
    return SparseActivations(old.shape, old.kind, unit_start=np.concatenate([[0], counts]).cumsum(), **mapped)


class MergedRecords:
    """What all shards wrote down of their images.

    Args:
        work: folder for means and maxima that are joined.
    """

    def __init__(self, shards: Sequence[ShardFiles], work: Path) -> None:
        self.shards, self.work = shards, work
        self.stores = [shard.planes for shard in shards if shard.planes is not None]
        self.starts = np.cumsum([0, *(len(store) for store in self.stores)])
        self.names = tuple(name for shard in shards for name in shard.index["names"])

    @property
    def images(self) -> int:
        return int(self.starts[-1])

    def planes(self, first: int, last: int) -> Planes:
        begin = int(np.searchsorted(self.starts, first, "right")) - 1
        blocks = []
        for number in range(begin, int(np.searchsorted(self.starts, last, "left"))):
            start, store = int(self.starts[number]), self.stores[number]
            blocks.append(store.block(max(first - start, 0), min(last - start, len(store))))
        return blocks[0] if len(blocks) == 1 else join_blocks(blocks, self.stores[0].planes.size)

    def kept(self, layer: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """float32 [images, units] each, mapped from files."""
        parts, number = [s.layers[layer] for s in self.shards], list(self.shards[0].layers).index(layer)
        means, maxima = [part.means for part in parts], [part.maxima for part in parts]
        return self._joined(f"means-{number}", means), self._joined(f"maxima-{number}", maxima)

    def _joined(self, name: str, parts: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32]:
        arrays = [array for array in parts if array is not None]
        stream = Stream(self.work / f"{name}.raw", np.float32, arrays[0].shape[1:])
        for array in arrays:
            stream.append(array)
        return stream.close()
