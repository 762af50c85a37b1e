"""A run in a process of its own that is killed at a chosen file operation: nothing is cleaned up behind it."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import shutil
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

IMAGES, SIZE = 20, 32


def small_run(out: Path | str, **options: Any) -> Any:
    """Two layers, five batches, a checkpoint after each; data may be given as a name."""
    import torch
    from dissect_cases import PLAIN, Net

    import fastdissect as fd

    torch.set_num_threads(1)
    defaults = {
        "quantile": 0.05,
        "preprocessing": PLAIN,
        "cache": None,
        "workers": 0,
        "batch_size": 4,
        "progress": False,
        "checkpoint_seconds": 0,
        "memory": 40 << 20,
    }
    data = options.pop("data", f"shapes:images={IMAGES},size={SIZE}")
    return fd.dissect(Net().eval(), data, ["first", "second"], out=out, **{**defaults, **options})


class Killer:
    """Counts file operations and kills the process before the one it was told; 0: never."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def watch(self) -> None:
        """Every write that is made to last, every rename, every removal, every appended row."""
        from fastdissect.streams import Stream

        for owner, name in (
            (os, "fsync"),
            (os, "link"),
            (pathlib.Path, "replace"),
            (pathlib.Path, "rename"),
            (pathlib.Path, "unlink"),
            (pathlib.Path, "mkdir"),
            (shutil, "rmtree"),
            (Stream, "append"),
        ):
            setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return watched


def _child(out: str, at: int, options: dict[str, Any], count: Any) -> None:
    killer = Killer(at)
    killer.watch()
    small_run(out, **options)
    count.value = killer.count


def server() -> ForkServerContext:
    """Processes that have torch loaded already, and no thread pool yet that a fork could break."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "fastdissect.dissection", "dissect_cases"])
    return context


def run_killed(context: ForkServerContext, out: Path, at: int, **options: Any) -> int:
    """Run until the process dies before file operation `at`, or to the end; returns the number of operations."""
    count = context.Value("i", 0)
    process = context.Process(target=_child, args=(str(out), at, options, count))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    assert (process.exitcode == 0) == (count.value > 0)
    return int(count.value)
