"""Ranks: several processes, on one machine or many, as one run (torch.distributed; `torchrun`).

    each rank      sifts its shard of the images                     shard_running.py
    now and then   all tell each other their largest values          exchanging.py
    at the end     the first merges what all have written            merging.py

The result is that of one process, bit for bit: same batches, same number of threads a process. Nothing but bounds is sent;
all ranks share the folder of the results.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastdissect import errors
from fastdissect.collecting import LayerCollector
from fastdissect.device_arrays import to_host
from fastdissect.errors import BackendError, FastdissectError, OutputError, SettingError
from fastdissect.exchanging import common_bounds, exchange_points, told_ranks
from fastdissect.files import write_bytes
from fastdissect.interruption import hold_interrupts
from fastdissect.lockstep import Lockstep
from fastdissect.merging import merge
from fastdissect.opening import OpenedRun
from fastdissect.out_folder import finished_run, prepare_shared
from fastdissect.process_group import Ranks, ranks_here
from fastdissect.results import Dissection, load
from fastdissect.resuming import differing
from fastdissect.running import Run
from fastdissect.shard_files import INDEX
from fastdissect.shard_running import run_shard, shard_folder
from fastdissect.sifting import LayerSifter

__all__ = ["dissect_together", "ranks_here"]

PATIENCE = 90.0  # seconds until another machine's file must be seen here


class Exchange:
    """The exchanges of one run, at the batches that all ranks agreed on."""

    def __init__(self, ranks: Ranks, layers: tuple[str, ...]) -> None:
        self.ranks, self.layers = ranks, layers
        self.points: list[int] = []
        self.done = 0

    def begin(self, batches: int) -> None:
        """Agree on when; `batches`: those that this rank has left."""
        most = max(self.ranks.gather(batches))
        self.points = exchange_points(most) if self.ranks.count > 1 else []

    def after_batch(self, run: Run | None) -> None:
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
                with hold_interrupts():
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
                with hold_interrupts():
                    sifter.rise_to(risen)


def _sizes(collector: LayerCollector) -> list[int]:
    assert isinstance(collector.stage, LayerSifter)
    return [collector.shape[0], collector.stage.deepest]


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
    opened = _on_own_device(opened)
    _check_alike(ranks, opened)
    lockstep, folder = Lockstep(opened, ranks), out.resolve()
    own = shard_folder(folder, lockstep.shard, lockstep.team)
    if _first_does(ranks, lambda: _is_finished(folder, opened, fresh)):
        return _load(folder)
    _check_shared(ranks, folder)
    exchange = Exchange(lockstep.peers, opened.settings.layers)

    def beginning(run: Run) -> None:
        exchange.begin(lockstep.begin(run))

    with _terminated_as_interrupted():
        done = (own / INDEX).exists()
        needed = lockstep.anyone_runs(done)
        if done:
            if needed:
                lockstep.run_along(exchange.begin, lambda: exchange.after_batch(None))
            else:
                exchange.begin(0)
            exchange.end(None)
        run_shard(
            opened,
            lockstep.shard,
            folder,
            cache=cache,
            checkpoint_seconds=checkpoint_seconds,
            progress=progress if ranks.number == 0 else False,
            beginning=beginning,
            after_batch=exchange.after_batch,
            ending=exchange.end,
            team=lockstep.team,
        )
        written = ranks.gather(str(own.relative_to(folder)))
        _first_does(ranks, lambda: _merge([folder / name for name in written], folder, progress))
    return _load(folder)


def _merge(written: Sequence[Path], folder: Path, progress: bool | None) -> bool:
    for own in written:
        appears(own / INDEX)
    return bool(merge(folder, progress=progress))


def _load(folder: Path) -> Dissection:
    appears(folder / "run.json")
    return load(folder)


def _on_own_device(opened: OpenedRun) -> OpenedRun:
    """Each process of a machine on a GPU of its own, unless it says which; which one is not of the run's key."""
    device, number = opened.device, os.environ.get("LOCAL_RANK", "")
    general = device.type == "cuda" and device.index is None and number.isdigit()
    if general and torch.cuda.current_device() == 0:  # nobody has chosen one yet
        device = torch.device("cuda", int(number) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    settings = dataclasses.replace(opened.settings, device=str(device))
    return opened._replace(device=device, settings=settings, key={**opened.key, "device": device.type})


def _check_shared(ranks: Ranks, folder: Path) -> None:
    """All ranks see one folder: else the first would wait for the others' parts in vain.

    Raises:
        SettingError: a rank does not.
    """
    mark = folder / "shards" / f"together-{os.getpid()}-{time.time_ns()}"
    names = ranks.gather(mark.name)

    def begin() -> bool:
        write_bytes(mark, b"")
        return True

    _first_does(ranks, begin)
    blind = [
        number for number, sees in enumerate(ranks.gather(appears(mark.with_name(names[0])))) if not sees
    ]
    if ranks.number == 0:
        mark.unlink(missing_ok=True)
    if blind:
        raise SettingError(
            f"expected {folder} to be one folder for all processes; rank {blind[0]} of {ranks.count} does not see what rank 0 "
            "writes there; give a folder on a disk that all machines share"
        )


def appears(path: Path) -> bool:
    """True once another machine's file is seen here: a shared disk may take its time."""
    until = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _check_alike(ranks: Ranks, opened: OpenedRun) -> None:
    keys = ranks.gather(opened.key)
    for number, key in enumerate(keys):
        different = differing(keys[0], key)
        if different:
            what = "; ".join(text.replace(" then,", " in rank 0,").removesuffix(" now") for text in different)
            raise SettingError(
                f"expected all ranks to do the same; rank {number} differs in {what} in rank {number}; give all the same "
                "arguments, files, versions and threads"
            )


def _is_finished(folder: Path, opened: OpenedRun, fresh: bool) -> bool:
    prepare_shared(folder, fresh)
    return finished_run(folder, opened.key) is not None


def _first_does(ranks: Ranks, work: Callable[[], bool]) -> bool:
    """The first rank does it; all get its answer, or its error."""
    answer: dict[str, Any] = {}
    if ranks.number == 0:
        try:
            answer = {"done": work()}
        except FastdissectError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
    answer = ranks.gather(answer)[0]
    if "error" in answer:
        raise getattr(errors, answer["error"], OutputError)(answer["message"])
    return bool(answer["done"])


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
