"""The contestants in turn, A B C A B C ..., each run in a fresh process with a stated number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastdissect.benchmarks.work import Found

__all__ = ["Contestant", "Runs", "play"]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
LIMIT = 1800  # seconds; a process that takes longer hangs


@dataclass(frozen=True)
class Contestant:
    """One line of a table: where its code is, and what it is told."""

    name: str
    where: str  # "module:function", a function of a Case that returns Work
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    cases: tuple[tuple[Path, int], ...] | None = None  # (folder, images) instead of the row's own
    threads: int | None = None  # instead of the row's own


@dataclass
class Runs:
    """What the runs of one contestant gave: laps[repetition][case], and the last run's findings by case."""

    laps: list[list[dict[str, Any]]] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    failed: str = ""  # why, where it did not run through

    def lap(self, name: str, case: int = 0) -> list[float]:
        """Seconds ("run", "arrange") or bytes ("memory") of every repetition."""
        return [float(run[case][name]) for run in self.laps if run[case][name] is not None]


def play(
    contestants: Sequence[Contestant],
    cases: Sequence[tuple[Path, int]],
    *,
    repeats: int,
    threads: int,
    warm: int,
    progress: Callable[[str], None],
) -> list[Runs]:
    """Run all contestants `repeats` times in turn.

    Args:
        cases: (folder, images) each; one process works through all of them.
        warm: images of the first case to warm up on.
        progress: told who runs.

    Returns:
        Runs of each contestant. One that fails is not run again; `failed` says why.
    """
    results = [Runs() for _ in contestants]
    for repetition in range(repeats):
        for contestant, runs in zip(contestants, results, strict=True):
            if runs.failed:
                continue
            progress(f"{repetition + 1}/{repeats} {contestant.name}")
            own = contestant.cases or cases
            _run(contestant, own, contestant.threads or threads, warm, runs)
    return results


def _run(
    contestant: Contestant, cases: Sequence[tuple[Path, int]], threads: int, warm: int, runs: Runs
) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        job = {
            "where": contestant.where,
            "settings": contestant.settings,
            "threads": threads,
            "warm": warm,
            "cases": [{"folder": str(path), "images": images} for path, images in cases],
        }
        (folder / "job.json").write_text(json.dumps(job))
        command = [sys.executable, "-m", "fastdissect.benchmarks.child", str(folder / "job.json")]
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        try:
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            runs.failed = f"took more than {LIMIT} s"
            return
        if ended.returncode:
            lines = ended.stderr.strip().splitlines()
            runs.failed = lines[-1] if lines else f"ended with exit code {ended.returncode}"
            return
        result = json.loads((folder / "result.json").read_text())
        runs.laps.append(result["laps"])
        runs.versions = result["versions"]
        runs.found = [_load(folder / f"found-{number}.npz") for number in range(len(cases))]


def _load(path: Path) -> Found:
    with np.load(path) as saved:
        return {name: saved[name] for name in saved}
