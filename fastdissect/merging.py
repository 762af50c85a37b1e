"""Merging: several shards' cells -> the thresholds of the whole set, counts, one result; as if one process had run it.

parts      each shard's cells above its own bounds, mapped from disk
bounds     the highest of the shards' bounds: nothing above it is missing anywhere
check      the threshold's rank is found above it, or the bound is proved not to exceed the threshold; else the bound
           was guessed too high: those units are listed, and sifted again from a lower one
result     exact thresholds, canonical cells, counts: the files of a run of one process, byte for byte
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.concluding import conclude
from fastdissect.conventions import profile_from_record
from fastdissect.counting import concept_area
from fastdissect.errors import OutputError
from fastdissect.guesses import Guess
from fastdissect.merged_shards import FoundShard, MergedLayer, MergedRecords, find_shards
from fastdissect.out_folder import work_folder
from fastdissect.pilot import read_pilot
from fastdissect.progress import progress_bar
from fastdissect.resifting import NOTHING, Again, read_rounds, write_again
from fastdissect.results import Dissection, load
from fastdissect.types import Concepts

__all__ = ["merge"]

log = logging.getLogger("fastdissect")
LISTED = 10  # units that a message names


def merge(out: str | Path, *, keep_shards: bool = False, progress: bool | None = None) -> Dissection:
    """Merge the shards in OUT/shards into one run in OUT.

    The files are those that one process would have written, byte for byte (but run.json): same batches, same number of
    threads in every shard, which is checked.

    Args:
        keep_shards: leave OUT/shards there; they go otherwise.

    Raises:
        OutputError: a shard is missing, unfinished, damaged, or of another run (the difference is named); or units must be
            sifted again: run every shard once more with the same command, which does just that, and merge again.

    Example:
        >>> merge("out")["layer4"].summary().detectors        # doctest: +SKIP
    """
    folder = Path(out)
    if not (folder / "shards").is_dir():
        if not (folder / "run.json").exists():
            find_shards(folder, ())  # says what is expected
        log.info("%s is merged already", folder)
        return load(folder)
    with _alone(folder) as work:
        if not (folder / "run.json").exists():
            _merge(folder, work, progress)
        else:
            log.info("%s is merged already", folder)
    if not keep_shards:
        shutil.rmtree(folder / "shards", ignore_errors=True)
    return load(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """A folder to work in, for one process at a time; gone afterwards."""
    try:
        (folder / "unfinished").mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}") from error
    with work_folder(folder) as work:
        yield work


def _merge(folder: Path, work: Path, progress: bool | None) -> None:
    begun, rounds = time.perf_counter(), read_rounds(folder)
    shards = find_shards(folder, rounds)
    first = shards[0].index
    profile = profile_from_record(first["key"]["profile"])
    concepts = _concepts(first["vocabulary"])
    layers = {
        name: MergedLayer(name, [s.layers[name] for s in shards], profile, work / f"layer-{number}")
        for number, name in enumerate(shards[0].layers)
    }
    for again in rounds:
        for name, levels in again.levels.items():
            parts = [s.again[again.round - 1].layers[name] for s in shards]
            layers[name].replace_units(np.flatnonzero(levels >= 0), parts)
    _check(folder, layers, rounds, first["key"])
    records = MergedRecords(shards, work)
    area = np.zeros(len(concepts), np.int64)
    for store in records.stores:
        area += concept_area(store.planes, len(concepts))
    results = {}
    counting = time.perf_counter()
    with progress_bar("counting", records.images * len(layers), show=progress) as advance:
        for name, layer in layers.items():
            keep = name in first["kept"]
            results[name] = conclude(layer, records, concepts, profile, area, keep=keep, progress=advance)
    run = _record(shards)
    run["count seconds"] = round(time.perf_counter() - counting, 3)
    run["seconds"] = round(run["seconds"] + time.perf_counter() - begun, 3)
    Dissection(results, profile, concepts, records.names, run).save(folder)


def _check(
    out: Path, layers: Mapping[str, MergedLayer], rounds: Sequence[Again], key: Mapping[str, Any]
) -> None:
    """Refuse to go on while a threshold may lie below what was guessed."""
    failed = {name: layer.unproved() for name, layer in layers.items()}
    failed = {name: units for name, units in failed.items() if len(units)}
    if not failed:
        return
    found = read_pilot(out, _whole_key(key))
    if found is None:
        raise OutputError(
            f"{out / 'shards'} lacks the pilot that its shards were run with; restore it, or begin again"
        )
    guesses, levels = {}, {}
    for name, units in failed.items():
        level = np.zeros(layers[name].shape[0], np.int64)
        for again in rounds:
            level = np.maximum(level, again.levels.get(name, level))
        idle = np.ones(len(level), bool)
        idle[units] = False
        level = np.where(idle, -1, found.deeper(name, level))
        guess = found.guess(name, np.maximum(level, 0))
        guesses[name] = Guess(np.where(idle, NOTHING, guess.bounds), np.where(idle, False, guess.tied))
        levels[name] = level
    write_again(out, Again(len(rounds) + 1, guesses, levels))
    what = "; ".join(f"layer {name}: {_listed(units)}" for name, units in failed.items())
    raise OutputError(
        f"{out}: the bounds guessed by the pilot were too high for {what}. Run every shard again with the same command: "
        "it sifts only these units; then merge again"
    )


def _listed(units: NDArray[np.int64]) -> str:
    named = ", ".join(str(u) for u in units[:LISTED].tolist())
    return f"unit{'s' * (len(units) > 1)} {named}" + (
        f" and {len(units) - LISTED} more" if len(units) > LISTED else ""
    )


def _concepts(record: Mapping[str, Any]) -> Concepts:
    return Concepts(
        np.array(record["numbers"], np.int64),
        tuple(record["names"]),
        np.array(record["category"], np.int64),
        tuple(record["categories"]),
    )


def _record(shards: Sequence[FoundShard]) -> dict[str, Any]:
    """What run.json says: the first shard's record, sums of the network's times, the longest time and largest memory of
    any."""
    records = [one.index["record"] for shard in shards for one in (shard, *shard.again)]
    sums = {
        name: round(sum(record[name] for record in records), 3)
        for name in ("forward seconds", "sift seconds")
    }
    peak = max((record["peak memory"] or 0 for record in records), default=0)
    longest = max(sum(one.index["seconds"] for one in (shard, *shard.again)) for shard in shards)
    return {
        **records[0],
        **sums,
        "seconds": longest,
        "peak memory": peak or None,
        "resumed": max(record["resumed"] for record in records),
        "key": _whole_key(shards[0].index["key"]),
        "shards": len(shards),
        "rounds": len(shards[0].again),
    }


def _whole_key(key: Mapping[str, Any]) -> dict[str, Any]:
    """A shard's key without what is not the whole run's."""
    return {name: value for name, value in key.items() if name not in ("shard", "pilot", "again")}
