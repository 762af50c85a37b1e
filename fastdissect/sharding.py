"""Shards as jobs of their own, which need no other: a pilot first, then each of them, anywhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastdissect.errors import OutputError, SettingError
from fastdissect.models.parallelism import is_sharded
from fastdissect.opening import OpenedRun, open_run
from fastdissect.out_folder import finished_run, prepare_shared
from fastdissect.pilot import IMAGES, read_pilot, run_pilot
from fastdissect.settings import check_choices
from fastdissect.shard_files import shard_folders
from fastdissect.shard_running import run_shard
from fastdissect.shards import Shard, parse_shard

__all__ = ["dissect_shard", "pilot"]

log = logging.getLogger("fastdissect")


def pilot(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    out: str | Path,
    sample: int = IMAGES,
    fresh: bool = False,
    progress: bool | None = None,
    **options: Any,
) -> Path:
    """Guess the bounds that shards sift from, by a sample of the whole data set; returns OUT.

    Run it once, before the shards, with the shards' own arguments.

    Args:
        out: the folder that all shards share. sample: images, spread evenly over the data set: the more, the less a shard
            keeps, and the less often units must be sifted again.
        fresh: move an existing `out` aside.
        options: as `dissect` takes them.

    Raises:
        FastdissectError: any of its kinds; OutputError if shards were run already, with another pilot or without one.
    """
    check_choices("error", 1, sample=(sample, 1))
    opened, folder = _for_shards(open_run(model, data, layers, **options)), Path(out)
    prepare_shared(folder, fresh)
    if finished_run(folder, opened.key) is not None:
        return folder
    begun = sorted(f.name for f in shard_folders(folder))
    if begun:
        read_pilot(folder, opened.key)  # refuses another run
        raise OutputError(
            f"{folder / 'shards'} holds shards already ({begun[0]}): a pilot comes before them; go on with the shards, or "
            "begin again with --fresh"
        )
    run_pilot(opened, folder, sample, progress)
    return folder


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
        fresh: move what this shard has found aside, and run it anew.
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
    opened = _for_shards(open_run(model, data, layers, **options))
    found = read_pilot(Path(out), opened.key)
    if found is None and set(opened.settings.layers) - set(opened.settings.thresholds):
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


def _for_shards(opened: OpenedRun) -> OpenedRun:
    """The key of all shards: which of a machine's GPUs one of them ran on is its own affair.

    Raises:
        SettingError: the network's forward passes need other processes.
    """
    if is_sharded(opened.loaded.module):
        raise SettingError(
            "expected a network that lies in this process alone, for a shard or a pilot; got one whose weights are sharded over "
            "several; run dissect() in all of them together (torchrun), without a shard"
        )
    return opened._replace(key={**opened.key, "device": opened.device.type})
