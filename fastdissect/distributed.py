"""Ranks: several processes, on one machine or many, as one run (torch.distributed; `torchrun`).

    each rank      sifts its shard of the images                     sharding.py
    now and then   all tell each other their largest values          exchanging.py
    at the end     the first merges what all have written            merging.py

The result is that of one process, bit for bit: same batches, same number of threads a process. Nothing but bounds is sent;
all ranks share the folder of the results.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from fastdissect.collecting import LayerCollector
from fastdissect.device_arrays import to_host
from fastdissect.errors import BackendError, FastdissectError, OutputError, SettingError
from fastdissect.exchanging import common_bounds, exchange_points, told_ranks
from fastdissect.merging import merge
from fastdissect.opening import OpenedRun
from fastdissect.out_folder import finished_run, set_aside
from fastdissect.results import Dissection, load
from fastdissect.resuming import differing
from fastdissect.running import Run
from fastdissect.shard_files import INDEX
from fastdissect.sharding import run_shard
from fastdissect.shards import Shard
from fastdissect.sifting import LayerSifter

__all__ = ["Ranks", "dissect_together", "ranks_here"]

Result = TypeVar("Result")
WAIT = timedelta(hours=6)  # for the slowest rank; a dead one is noticed at once


class Ranks:
    """This process among the others."""

    def __init__(self) -> None:
        self.number, self.count = dist.get_rank(), dist.get_world_size()
        self._group: Any = (
            None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo", timeout=WAIT)
        )

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank, on all of them."""
        found: list[Any] = [None] * self.count
        self._talk(lambda: dist.all_gather_object(found, value, group=self._group))
        return found

    def gather_array(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Arrays of one shape and dtype (32 bits), stacked."""
        own = torch.from_numpy(np.ascontiguousarray(array).view(np.int32))
        found = [torch.empty_like(own) for _ in range(self.count)]
        self._talk(lambda: dist.all_gather(found, own, group=self._group))
        return np.stack([one.numpy() for one in found]).view(array.dtype)

    def _talk(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except RuntimeError as error:
            reason = re.sub(r"\[[^\]]*\.cpp:\d+\] ", "", str(error).strip()).partition(". This is typically")[
                0
            ]
            raise BackendError(
                f"rank {self.number} of {self.count}: expected all processes to go on together; another one ended or cannot "
                f"be reached ({reason:.120}); look at what it said; the same command goes on, and keeps what the others did"
            ) from error


def ranks_here() -> Ranks | None:
    """The ranks that this process belongs to: torchrun's, or a process group that was set up before; None: it is alone."""
    if not dist.is_available():
        return None
    if not dist.is_initialized():
        needed = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
        if not all(name in os.environ for name in needed) or os.environ["WORLD_SIZE"] in ("", "1"):
            return None
        dist.init_process_group("gloo", timeout=WAIT)
    return Ranks() if dist.get_world_size() > 1 else None


class _Exchange:
    """The exchanges of one run, at the batches that all ranks agreed on."""

    def __init__(self, ranks: Ranks, layers: tuple[str, ...]) -> None:
        self.ranks, self.layers = ranks, layers
        self.points: list[int] = []
        self.done = 0

    def begin(self, batches: int) -> None:
        """Agree on when; `batches`: those that this rank has left."""
        self.points = exchange_points(max(self.ranks.gather(batches)))

    def after_batch(self, run: Run) -> None:
        self.done += 1
        if self.points and self.done == self.points[0]:
            self._exchange(run)

    def end(self, run: Run | None) -> None:
        """Take part in those that this rank has no batch for."""
        while self.points:
            self._exchange(run)

    def _exchange(self, run: Run | None) -> None:
        self.points.pop(0)
        try:
            self._tell(run)
        except BackendError:
            if run is not None:
                run.checkpoint()
            raise

    def _tell(self, run: Run | None) -> None:
        if run is not None:
            run.settle()
        sizes = None if run is None else [_sizes(run.collectors[name]) for name in self.layers]
        known = next(found for found in self.ranks.gather(sizes) if found is not None)
        for name, (units, deepest) in zip(self.layers, known, strict=True):
            ranks = told_ranks(deepest)
            sifter = None if run is None else run.collectors[name].stage
            if isinstance(sifter, LayerSifter) and sifter.known is None:
                bounds = to_host(sifter.store.bounds)
                asked = np.broadcast_to(ranks, (units, len(ranks))).copy()
                told = (
                    sifter.store.select(asked)
                    if sifter.store.parts
                    else np.repeat(bounds[:, None], len(ranks), 1)
                )
            else:  # it has nothing to tell: its shard was complete before, or thresholds are given
                bounds, told = np.zeros(units, np.uint32), np.zeros((units, len(ranks)), np.uint32)
            every = self.ranks.gather_array(np.concatenate([told, bounds[:, None]], axis=1))
            risen = common_bounds(every[:, :, :-1], every[:, :, -1], ranks, deepest)
            if isinstance(sifter, LayerSifter) and sifter.known is None:
                sifter.rise_to(risen)


def _sizes(collector: LayerCollector) -> tuple[int, int]:
    assert isinstance(collector.stage, LayerSifter)
    return collector.shape[0], collector.stage.deepest


def dissect_together(
    opened: OpenedRun,
    ranks: Ranks,
    out: Path | None,
    *,
    fresh: bool,
    cache: str | Path | None,
    checkpoint_seconds: float,
    progress: bool | None,
) -> Dissection:
    """`dissect` as one of several ranks; all of them get the result.

    Raises:
        SettingError: no folder to share, or ranks that were asked to do different things.
        BackendError: another rank is gone.
    """
    if out is None:
        raise SettingError(
            f"expected out= with {ranks.count} processes: a folder that all of them can reach; got none"
        )
    opened = opened._replace(key={**opened.key, "device": torch.device(opened.settings.device).type})
    _check_alike(ranks, opened)
    folder, shard = out.resolve(), Shard(ranks.number + 1, ranks.count)
    if _first_does(ranks, lambda: _is_finished(folder, opened, fresh)):
        return load(folder)
    exchange = _Exchange(ranks, opened.settings.layers)

    def beginning(run: Run) -> None:
        exchange.begin(-(-(run.last - run.position) // opened.source.batch_size))

    with _terminated_as_interrupted():
        if (folder / "shards" / shard.folder / INDEX).exists():
            exchange.begin(0)
            exchange.end(None)
        run_shard(
            opened,
            shard,
            folder,
            cache=cache,
            checkpoint_seconds=checkpoint_seconds,
            progress=progress if ranks.number == 0 else False,
            beginning=beginning,
            after_batch=exchange.after_batch,
            ending=exchange.end,
        )
        ranks.gather("sifted")
        _first_does(ranks, lambda: bool(merge(folder, progress=progress)))
    return load(folder)


def _check_alike(ranks: Ranks, opened: OpenedRun) -> None:
    keys = ranks.gather(json.loads(json.dumps(opened.key)))
    for number, key in enumerate(keys):
        different = differing(keys[0], key)
        if different:
            what = "; ".join(text.replace(" then,", " in rank 0,").removesuffix(" now") for text in different)
            raise SettingError(
                f"expected all ranks to do the same; rank {number} differs in {what} in rank {number}; give all the same "
                "arguments, files, versions and threads"
            )


def _is_finished(folder: Path, opened: OpenedRun, fresh: bool) -> bool:
    if fresh:
        set_aside(folder)
    if (folder / "unfinished").is_dir() and not (folder / "shards").is_dir():
        raise OutputError(
            f"{folder} is an unfinished run of one process; go on with it alone, choose another folder, or --fresh"
        )
    return finished_run(folder, opened.key) is not None


def _first_does(ranks: Ranks, work: Callable[[], bool]) -> bool:
    """The first rank does it; all get its answer, or its error."""
    answer: Any = None
    if ranks.number == 0:
        try:
            answer = work()
        except FastdissectError as error:
            answer = error
    answer = ranks.gather(answer)[0]
    if isinstance(answer, FastdissectError):
        raise answer
    return bool(answer)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """torchrun ends the others when a rank fails: they write down what they have, as after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: Any) -> None:
        signal.raise_signal(signal.SIGINT)  # held back until the batch is done, where that is needed

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
