"""One run, in a process of its own: `python -m fastdissect.benchmarks.child JOB.json`, called by rounds.py.

    load the case -> warm up on its first images -> for each case: prepare, arrange (timed), run (timed)

The first run of the code, its imports, page faults of the input and the peer's preparations are outside the clock.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastdissect
from fastdissect.benchmarks import memory
from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.work import Work

__all__ = ["main"]

LIBRARIES = ("numpy", "torch", "scipy", "PIL", "datasketches", "crick")


def main(job_path: str) -> None:
    """Do the job that the file describes and write `result.json` and `found-N.npz` beside it."""
    job = json.loads(Path(job_path).read_text())
    folder = Path(job_path).parent
    os.chdir(folder)  # where peers leave their files
    warnings.simplefilter("ignore")  # of old code on new libraries
    fastdissect.set_num_threads(job["threads"])
    module, _, name = job["where"].partition(":")
    contestant: Callable[[Case], Work] = getattr(importlib.import_module(module), name)
    laps = []
    for number, wanted in enumerate(job["cases"]):
        case = Case.load(Path(wanted["folder"])).first(wanted["images"]).with_settings(**job["settings"])
        if number == 0:
            _warm_up(contestant, case.first(job["warm"]), job["threads"])
        laps.append(_measure(contestant, case, folder / f"found-{number}.npz"))
        del case
    versions = {lib: _version(lib) for lib in LIBRARIES if lib in sys.modules}
    (folder / "result.json").write_text(json.dumps({"laps": laps, "versions": versions}))


def _warm_up(contestant: Callable[[Case], Work], case: Case, threads: int) -> None:
    work = contestant(case)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(threads)
    with np.errstate(all="ignore"):
        work.run(work.arrange())


def _measure(contestant: Callable[[Case], Work], case: Case, path: Path) -> dict[str, Any]:
    work = contestant(case)
    gc.collect()
    before = memory.begin()
    start = time.perf_counter()
    arranged = work.arrange()
    middle = time.perf_counter()
    found: dict[str, Any] = dict(work.run(arranged))
    end = time.perf_counter()
    most = memory.peak()
    np.savez(path, **found)
    return {
        "images": case.images,
        "arrange": middle - start,
        "run": end - middle,
        "memory": None if before is None or most is None else most - before,
    }


def _version(library: str) -> str:
    found = getattr(sys.modules[library], "__version__", None)
    if found is None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(library)
        except PackageNotFoundError:
            return "stand-in"
    return str(found)


if __name__ == "__main__":
    main(sys.argv[1])
