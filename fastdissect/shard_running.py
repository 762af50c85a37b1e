"""Running a shard: sift its images, and leave what it found for the merge."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastdissect.caching import cache_folder
from fastdissect.collecting import LayerCollector
from fastdissect.device_arrays import to_host
from fastdissect.errors import OutputError, SettingError
from fastdissect.forward_options import in_channels_last
from fastdissect.guesses import Guess
from fastdissect.image_records import ImageRecords
from fastdissect.opening import OpenedRun
from fastdissect.out_folder import finished_run, prepare, prepare_shared, work_folder
from fastdissect.pilot import Pilot
from fastdissect.plane_files import PlaneWriter
from fastdissect.resifting import read_rounds
from fastdissect.resuming import Checkpoints, refuse_other
from fastdissect.running import Run
from fastdissect.shard_files import INDEX, LayerPart, shard_folders, write_shard
from fastdissect.shards import Shard
from fastdissect.sifting import LayerSifter
from fastdissect.team_units import TeamUnits

__all__ = ["run_shard", "shard_folder"]

log = logging.getLogger("fastdissect")


def run_shard(
    opened: OpenedRun,
    shard: Shard,
    out: Path,
    *,
    pilot: Pilot | None = None,
    fresh: bool = False,
    cache: str | Path | None = "auto",
    checkpoint_seconds: float = 60.0,
    progress: bool | None = None,
    beginning: Callable[[Run], None] | None = None,
    after_batch: Callable[[Run], None] | None = None,
    ending: Callable[[Run], None] | None = None,
    team: TeamUnits | None = None,
) -> Path:
    """Run one shard, alone (`dissect_shard`) or among ranks that communicate.

    Args:
        beginning, after_batch, ending: are called with the run before its first batch, after each, and before its cells are
            written: processes that communicate raise each other's bounds there.
        team: this process's units, where several run the shard together.
    """
    begun = time.perf_counter()
    _check_passes(opened)
    if finished_run(out, opened.key) is not None:  # refuses another run
        log.info("%s is merged already", out)
        return out
    prepare_shared(out)
    _refuse_other_counts(out, shard, team)
    folder = shard_folder(out, shard, team)
    key = {**opened.key, "shard": str(shard), "pilot": None if pilot is None else pilot.digest}
    place = None if cache is None else cache_folder() if cache == "auto" else Path(cache)
    if team is not None:
        key["units"] = f"{team.number + 1}/{team.count}"
    if fresh:
        prepare(folder, fresh=True)
    if (folder / INDEX).exists():
        refuse_other(folder, _key_of(folder), key)
    else:
        with _running(
            opened,
            shard,
            folder,
            key,
            place,
            progress,
            guesses={} if pilot is None else _guesses(opened, pilot),
            after_batch=after_batch,
            team=team,
        ) as run:
            if beginning is not None:
                beginning(run)
            run.collect(checkpoint_seconds)
            if ending is not None:
                ending(run)
            if team is None or team.number == 0:  # one of them keeps the masks
                _keep_planes(run.records, folder / "planes")
            index = _index(opened, shard, key, run, begun)
            if team is not None:
                index["units"] = {name: team.ranges[name] for name in opened.settings.layers}
            write_shard(folder, index, _parts(run))
    for again in read_rounds(out):
        own, key_again = folder / again.folder, {**key, "again": again.round}
        if (own / INDEX).exists():
            refuse_other(own, _key_of(own), key_again)
            continue
        log.info("shard %s: sifting some units again, round %d", shard, again.round)
        begun = time.perf_counter()
        settings = dataclasses.replace(opened.settings, layers=tuple(again.guesses), kept=frozenset())
        fewer = opened._replace(settings=settings)
        with _running(fewer, shard, own, key_again, place, progress, guesses=again.guesses) as run:
            run.collect(checkpoint_seconds)
            write_shard(own, _index(fewer, shard, key_again, run, begun), _parts(run))
    log.info("shard %s is complete", shard)
    return folder


@contextlib.contextmanager
def _running(
    opened: OpenedRun,
    shard: Shard,
    folder: Path,
    key: Mapping[str, Any],
    cache: Path | None,
    progress: bool | None,
    *,
    guesses: Mapping[str, Guess],
    after_batch: Callable[[Run], None] | None = None,
    team: TeamUnits | None = None,
) -> Iterator[Run]:
    """The run of one shard, whose unfinished work lies in its folder."""
    try:  # whatever else is there was left by a process that was killed, or is half of a copy
        (folder / "unfinished").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}; choose another folder") from error
    with (
        work_folder(folder) as work,
        in_channels_last(opened.loaded.module, opened.settings.forward),
        contextlib.closing(
            Run(
                opened.settings,
                opened.loaded,
                opened.source,
                opened.concepts,
                opened.device,
                Checkpoints(work, key),
                cache,
                progress,
                images=shard.images(opened.settings.images, opened.source.batch_size),
                guesses=guesses,
                after_batch=after_batch,
                team=team,
            )
        ) as run,
    ):
        yield run


def shard_folder(out: Path, shard: Shard, team: TeamUnits | None = None) -> Path:
    """OUT/shards/3-of-8; of a team's first process OUT/shards/3-of-8/units-1-of-2."""
    folder = out / "shards" / shard.folder
    return folder if team is None else folder / team.folder


def _index(opened: OpenedRun, shard: Shard, key: Mapping[str, Any], run: Run, begun: float) -> dict[str, Any]:
    concepts, first, last = opened.concepts, run.first, run.first + run.records.images
    return {
        "key": key,
        "shard": [shard.number, shard.count],
        "images": [first, last],
        "names": [opened.source.image_name(i) for i in range(first, last)],
        "vocabulary": {
            "numbers": concepts.numbers.tolist(),
            "names": list(concepts.names),
            "category": concepts.category.tolist(),
            "categories": list(concepts.categories),
        },
        "kept": sorted(opened.settings.kept),
        "record": {**opened.record(), **run.record()},
        "seconds": round(time.perf_counter() - begun, 3),
    }


def _parts(run: Run) -> list[LayerPart]:
    return [_part(name, collector, run) for name, collector in run.collectors.items()]


def _part(name: str, collector: LayerCollector, run: Run) -> LayerPart:
    sifter = collector.stage
    assert isinstance(sifter, LayerSifter)
    cells = sifter.part(collector.spill)
    guess = np.zeros(len(sifter.missing), np.uint32) if sifter.guess is None else sifter.guess.bounds
    means, maxima = run.records.kept(name) if name in run.settings.kept else (None, None)
    return LayerPart(
        name=name,
        cells=cells,
        bounds=to_host(sifter.store.bounds),
        guess=guess,
        at_least=sifter.at_least,
        missing=sifter.missing,
        upsampling=collector.upsampling,
        means=means,
        maxima=maxima,
        thresholds=sifter.known,
        checksums=np.array(collector.checksums, np.int64),
    )


def _keep_planes(records: ImageRecords, folder: Path) -> None:
    """The planes of the shard's images, as a folder of their own."""
    writer = PlaneWriter(folder, records.mask_size)
    for first in range(0, records.images, 256):
        writer.add(records.planes(first, min(first + 256, records.images)))
    writer.finish()


def _guesses(opened: OpenedRun, found: Pilot) -> dict[str, Guess]:
    return {
        name: found.guess(name) for name in opened.settings.layers if name not in opened.settings.thresholds
    }


def _check_passes(opened: OpenedRun) -> None:
    if opened.settings.passes not in (None, 1):
        raise SettingError(
            f"expected one pass in shards (--passes auto or 1); got {opened.settings.passes}: cells that do not fit the "
            "memory go to disk"
        )


def _refuse_other_counts(out: Path, shard: Shard, team: TeamUnits | None) -> None:
    other = sorted({f.name.rpartition("-of-")[2] for f in shard_folders(out)} - {str(shard.count)})
    if other:
        raise OutputError(
            f"{out} holds shards of {other[0]}; got shard {shard}: the number of shards (or of processes) was another one; "
            "go on with that number, or choose another folder"
        )
    folder, members = out / "shards" / shard.folder, 1 if team is None else team.count
    teams = {f.name.rpartition("-of-")[2] for f in folder.glob("units-*-of-*")} | (
        {"1"} if any(folder.glob("*.*")) or (folder / "unfinished").exists() else set()
    )
    if teams - {str(members)}:
        raise OutputError(
            f"{folder} holds units of a network that {max(teams)} process(es) run together; got {members}; go on with that "
            "number, or choose another folder"
        )


def _key_of(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / INDEX).read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{folder / INDEX} is damaged ({error}); run this shard again with --fresh"
        ) from error
