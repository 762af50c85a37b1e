"""Sharding: run one shard of a data set, and leave what it found for the merge."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
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
from fastdissect.opening import OpenedRun, open_run
from fastdissect.out_folder import finished_run, prepare, set_aside, work_folder
from fastdissect.pilot import IMAGES, Pilot, read_pilot, run_pilot
from fastdissect.plane_files import PlaneWriter
from fastdissect.resifting import read_again
from fastdissect.resuming import Checkpoints, refuse_other
from fastdissect.running import Run
from fastdissect.shard_files import INDEX, LayerPart, write_shard
from fastdissect.shards import Shard, parse_shard
from fastdissect.sifting import LayerSifter

__all__ = ["dissect_shard", "pilot", "run_shard"]

log = logging.getLogger("fastdissect")


def pilot(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    out: str | Path,
    sample: int = IMAGES,
    progress: bool | None = None,
    **options: Any,
) -> Path:
    """Guess the bounds that shards sift from, by a sample of the whole data set; returns OUT.

    Run it once, before the shards, with the shards' own arguments.

    Args:
        out: the folder that all shards share. sample: images, spread evenly over the data set.
        options: as `dissect` takes them.

    Raises:
        FastdissectError: any of its kinds.
    """
    opened = open_run(model, data, layers, **options)
    run_pilot(opened, Path(out), sample, progress)
    return Path(out)


def dissect_shard(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    shard: str | Shard,
    *,
    out: str | Path,
    fresh: bool = False,
    cache: str | Path | None = "auto",
    checkpoint_seconds: float = 60.0,
    progress: bool | None = None,
    **options: Any,
) -> Path:
    """Run one shard of a data set, for `merge`: a job of its own, that needs no other.

    Every shard is given the same arguments but its number. A shard that was interrupted goes on; a finished one answers
    at once. With a pilot (`pilot`) it keeps little more than its share of what a whole run retains.

    Args:
        shard: "3/16", the third of sixteen.
        out: the folder that all shards share; this one's is OUT/shards/03-of-16.
        options: as `dissect` takes them; `passes` is 1.

    Returns:
        The shard's folder.

    Raises:
        FastdissectError: any of its kinds.

    Example:
        >>> fd.pilot("builtin:shapes", "shapes", "conv5", out="out")                # doctest: +SKIP
        >>> for i in range(1, 17):                                                  # doctest: +SKIP
        ...     fd.dissect_shard("builtin:shapes", "shapes", "conv5", f"{i}/16", out="out")
        >>> fd.merge("out")                                                         # doctest: +SKIP
    """
    own = parse_shard(shard) if isinstance(shard, str) else shard
    opened = open_run(model, data, layers, **options)
    found = read_pilot(Path(out), opened.key)
    if found is None and opened.settings.thresholds == {}:
        log.warning(
            "shard %s: there is no pilot in %s: it will retain far more than its share; make one first (--pilot)",
            own,
            out,
        )
    return run_shard(
        opened,
        own,
        Path(out),
        pilot=found,
        fresh=fresh,
        cache=cache,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )


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
) -> Path:
    """Run one shard; see `dissect_shard`.

    Args:
        beginning, after_batch, ending: are called with the run before its first batch, after each, and before its cells are
            written: processes that communicate raise each other's bounds there.
    """
    _check_passes(opened)
    if (out / "run.json").exists():
        finished_run(out, opened.key)  # refuses another run
        log.info("%s is merged already", out)
        return out
    _refuse_other_counts(out, shard)
    folder = out / "shards" / shard.folder
    images = shard.images(opened.settings.images, opened.source.batch_size)
    key = {**opened.key, "shard": str(shard), "pilot": None if pilot is None else pilot.digest}
    if fresh:
        set_aside(folder)
    wanted = read_again(out)
    if (folder / INDEX).exists():
        refuse_other(folder, _key_of(folder), key)
        if wanted is None or (folder / wanted.folder / INDEX).exists():
            log.info("shard %s is complete", shard)
            return folder
        folder, key = folder / wanted.folder, {**key, "again": wanted.round}
        settings = dataclasses.replace(opened.settings, layers=tuple(wanted.guesses), kept=frozenset())
        opened, guesses = opened._replace(settings=settings), dict(wanted.guesses)
    else:
        guesses = {} if pilot is None else _guesses(opened, pilot)
    prepare(folder, fresh=False)
    place = None if cache is None else cache_folder() if cache == "auto" else Path(cache)
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
                place,
                progress,
                images=images,
                guesses=guesses,
                after_batch=after_batch,
            )
        ) as run,
    ):
        if beginning is not None:
            beginning(run)
        run.collect(checkpoint_seconds)
        if ending is not None:
            ending(run)
        _write(opened, shard, folder, key, images[0], run)
    return folder


def _write(
    opened: OpenedRun, shard: Shard, folder: Path, key: Mapping[str, Any], first: int, run: Run
) -> None:
    layers = [_part(name, collector, run) for name, collector in run.collectors.items()]
    _keep_planes(run.records, folder / "planes")
    concepts, last = opened.concepts, first + run.records.images
    index = {
        "key": key,
        "shard": [shard.number, shard.count],
        "images": [first, last],
        "whole": opened.settings.images,
        "names": [opened.source.image_name(i) for i in range(first, last)],
        "vocabulary": {
            "numbers": concepts.numbers.tolist(),
            "names": list(concepts.names),
            "category": concepts.category.tolist(),
            "categories": list(concepts.categories),
        },
        "kept": sorted(opened.settings.kept),
        "record": {**opened.record(), **run.record()},
        "finished": round(time.time(), 3),
    }
    write_shard(folder, index, layers)


def _part(name: str, collector: LayerCollector, run: Run) -> LayerPart:
    sifter = collector.stage
    assert isinstance(sifter, LayerSifter)
    cells = sifter.part(collector.spill)
    guess = np.zeros(len(sifter.missing), np.uint32) if sifter.guess is None else sifter.guess.bounds
    means, maxima = run.records.kept(name) if name in run.settings.kept else (None, None)
    return LayerPart(
        name,
        cells,
        to_host(sifter.store.bounds),
        guess,
        sifter.at_least,
        sifter.missing,
        collector.upsampling,
        means,
        maxima,
        sifter.known,
    )


def _keep_planes(records: ImageRecords, folder: Path) -> None:
    """The planes of the shard's images, as a folder of their own."""
    assert records.store is not None
    shutil.rmtree(folder, ignore_errors=True)
    if records.whole:
        shutil.copytree(records.store.folder, folder)
        return
    writer = PlaneWriter(folder, records.mask_size)
    for first in range(0, records.images, 256):
        writer.add(records.planes(first, min(first + 256, records.images)))
    writer.finish()


def _guesses(opened: OpenedRun, found: Pilot) -> dict[str, Guess]:
    ties = opened.settings.profile.population == "raw"  # ties are counted in cells, not in pixels
    return {
        name: found.guess(name, ties=ties)
        for name in opened.settings.layers
        if name not in opened.settings.thresholds
    }


def _check_passes(opened: OpenedRun) -> None:
    if opened.settings.passes not in (None, 1):
        raise SettingError(
            f"expected one pass in shards (--passes auto or 1); got {opened.settings.passes}: cells that do not fit the "
            "memory go to disk"
        )


def _refuse_other_counts(out: Path, shard: Shard) -> None:
    folders = (out / "shards").glob("*-of-*") if (out / "shards").is_dir() else ()
    other = sorted({f.name.rpartition("-of-")[2] for f in folders} - {str(shard.count)})
    if other:
        raise OutputError(
            f"{out} holds shards of {other[0]}; got shard {shard}: the number of shards (or of processes) was another one; "
            "go on with that number, or choose another folder"
        )


def _key_of(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / INDEX).read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{folder / INDEX} is damaged ({error}); run this shard again with --fresh"
        ) from error
