"""Ranks in a test: processes that torch is loaded in already, each of which may be told to die somewhere."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

Fault = tuple[str, int]  # where, and the how manieth time it is come to there


class Rank(NamedTuple):
    process: ForkServerProcess
    log: Path


def server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "torch.distributed", "fastdissect.dissection", "fastdissect.cli"]
    )
    return context


def free_port() -> str:
    with contextlib.closing(socket.socket()) as own:
        own.bind(("127.0.0.1", 0))
        return str(own.getsockname()[1])


def start(
    work: Path,
    count: int,
    target: Callable[..., int],
    *arguments: Any,
    each: Sequence[Sequence[Any]] | None = None,
    faults: Mapping[int, Fault] | None = None,
) -> list[Rank]:
    """Start `target(*arguments, *each[rank])` in `count` processes; what they say goes to files in `work`."""
    context, port, ranks = server(), free_port(), []
    for rank in range(count):
        log = work / f"{port}-rank-{rank}.log"
        environment = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        own = (*arguments, *(each[rank] if each else ()))
        fault = (faults or {}).get(rank)
        process = context.Process(target=_run, args=(log, environment, fault, target, own))
        process.start()
        ranks.append(Rank(process, log))
    return ranks


def end(ranks: Sequence[Rank]) -> list[tuple[int, str]]:
    """(exit code, what was said) of each; one that has not ended after two minutes is killed."""
    until, ended = time.monotonic() + 120, []
    for rank in ranks:
        rank.process.join(max(0.0, until - time.monotonic()))
        if rank.process.exitcode is None:
            rank.process.kill()
            rank.process.join()
        code = rank.process.exitcode
        assert code is not None
        ended.append((code, rank.log.read_text() if rank.log.exists() else ""))
    return ended


def command(*arguments: str) -> int:
    """The command line."""
    from fastdissect.cli import main

    return main(arguments)


def slow_command(*arguments: str) -> int:
    """The command line, with a pause after each batch."""
    os.environ["TEST_PAUSE"] = "0.3"
    return command(*arguments)


def of_a_script(out: str, grouped: bool) -> int:
    """A script of the user's own, perhaps with a process group that it set up; its loader ends early."""
    import torch
    import torch.distributed as dist

    import fastdissect as fd

    if grouped:
        dist.init_process_group("gloo")
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(22, 3, 16, 16, generator=generator)
    labels = torch.randint(0, 3, (22, 16, 16), generator=generator)
    batches: Any = [(images[i : i + 4], labels[i : i + 4]) for i in range(0, 22, 4)]
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(inplace=True)).eval()
    loader = _Loader(batches)
    d = fd.dissect(
        net,
        loader,
        ["0"],
        out=out,
        images=30,
        concepts=["one", "two"],
        quantile=0.05,
        progress=False,
        device="cpu",
    )
    assert d["0"].shape[0] == 22
    assert not grouped or d.run["shards"] == 2
    return 0


class _Loader:
    """Batches, and no word of how many."""

    batch_size = 4

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)


def _run(
    log: Path,
    environment: Mapping[str, str],
    fault: Fault | None,
    target: Callable[..., int],
    arguments: Sequence[Any],
) -> None:
    import torch

    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server of processes leaves it out
    os.environ.update(environment)
    torch.set_num_threads(1)
    if fault is not None:
        _plant(*fault)
    code = target(*arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _plant(where: str, nth: int) -> None:
    """Kill this process as it comes to a place for the nth time, or spoil what it does there."""
    from fastdissect import distributed, merging, running, shard_running

    if where == "impatient":
        distributed.PATIENCE = 0.5
        return
    owner, name = {
        "open": (running.Run, "__init__"),
        "batch": (running.Run, "_one_batch"),
        "nan": (running.Run, "_one_batch"),
        "exchange": (distributed.Exchange, "_tell"),
        "end": (shard_running, "write_shard"),
        "merge": (merging, "conclude"),
    }[where]
    original, calls = getattr(owner, name), 0

    def planted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and where == "nan":
            args[1].images[0] = float("nan")
        elif calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, planted)
