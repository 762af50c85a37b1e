"""How the pipeline's time grows: with images, units, concepts, map size (the exponent of each), and threads.

Quantile and tally together, without the forward pass; label maps of 16 blocks, 16 labels an image, prepared on
both sides. What is not varied is held: units, concepts, map size as `Sizes.base` has them. Slow peers are given
fewer images, so that only the exponents compare, not the times.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.maps import bump_maps
from fastdissect.benchmarks.peers import CHECKOUTS, Field
from fastdissect.benchmarks.rounds import Contestant, Runs, play
from fastdissect.benchmarks.rows import HERE
from fastdissect.benchmarks.scenes import Blocks, read_labels
from fastdissect.benchmarks.sizes import Sizes
from fastdissect.benchmarks.spreads import slope, spread
from fastdissect.datasets import open_dataset, write_broden

__all__ = ["scaling"]

SHARE = {"netdissect-lite": 4, "dissect": 16}  # ours is given so many times their images
TOLD: dict[str, dict[str, Any]] = {  # masks of 56 x 56 beside the others' 112 x 112, and its tail
    "netdissect-lite": {},
    "dissect": {"label step": 2, "quantile": "1/100"},
}
PEERS = (("netdissect-lite", "lite"), ("dissect", "davidbau"))


def scaling(
    sizes: Sizes,
    field: Field,
    folder: Path,
    *,
    repeats: int,
    threads: int,
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Records: axis, contestant, x, images, seconds (medians), quartiles, slope; or `failed`: why there are none.

    x is the number of images, units, concepts, cells of a map, or threads.
    """
    records = []
    for axis, points in sizes.points.items():
        cases = [_case(axis, point, sizes, folder) for point in points]
        contestants = [_ours(cases)]
        for peer, module in PEERS:
            if peer in field.paths:
                own = tuple((path, max(1, images // SHARE[peer])) for path, images in cases)
                where, settings = f"{HERE}.{module}:pipeline", {"path": str(field.paths[peer])} | TOLD[peer]
                contestants.append(Contestant(CHECKOUTS[peer].title, where, settings, cases=own))
        runs = play(contestants, cases, repeats=repeats, threads=threads, warm=sizes.warm, progress=progress)
        for contestant, own_runs in zip(contestants, runs, strict=True):
            images = [n for _, n in contestant.cases or cases]
            x = images if axis == "images" else [p * p if axis == "maps" else p for p in points]
            records.append(_record(axis, contestant.name, x, images, own_runs))
    records.append(_threads(sizes, folder, repeats=repeats, progress=progress))
    return records


def _ours(cases: list[tuple[Path, int]], threads: int | None = None) -> Contestant:
    name = "fastdissect" if threads is None else f"fastdissect, {threads} threads"
    return Contestant(
        name, f"{HERE}.ours:pipeline", {"profile": "netdissect"}, cases=tuple(cases), threads=threads
    )


def _case(axis: str, point: int, sizes: Sizes, folder: Path) -> tuple[Path, int]:
    """The folder of one point, and its images."""
    values = {**sizes.base, axis: point}
    images, units, concepts, side = (values[name] for name in ("images", "units", "concepts", "maps"))
    if axis == "maps":
        units = sizes.base["units of the largest map"]
    path = folder / f"scaling-{images}-{units}-{concepts}-{side}"
    if not path.exists():
        broden = folder / f"blocks-{images}-{concepts}"
        if not broden.exists():
            write_broden(Blocks(images, concepts, sizes.picture), broden)
        dataset = open_dataset(f"broden:{broden}")  # its order is another one
        labels = read_labels(dataset, (sizes.picture // 2, sizes.picture // 2))
        maps = bump_maps(images, units, side)
        Case(maps, "float32", labels, dataset.concepts, None, broden).save(path)
    return path, images


def _record(axis: str, name: str, x: list[int], images: list[int], runs: Runs) -> dict[str, Any]:
    if runs.failed:
        return {"axis": axis, "contestant": name, "failed": runs.failed}
    spreads = [spread(runs.lap("run", case)) for case in range(len(x))]
    medians = [middle for _, middle, _ in spreads]
    return {
        "axis": axis,
        "contestant": name,
        "x": x,
        "images": images,
        "seconds": medians,
        "quartiles": [[low, high] for low, _, high in spreads],
        "slope": slope(x, medians),
    }


def _threads(sizes: Sizes, folder: Path, *, repeats: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Ours alone, with 1, 2, 4 ... threads up to the cores."""
    cores = os.cpu_count() or 1
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n <= cores]
    case = _case("images", sizes.points["images"][-1], sizes, folder)
    contestants = [_ours([case], n) for n in counts]
    runs = play(contestants, [case], repeats=repeats, threads=1, warm=sizes.warm, progress=progress)
    failed = next((run.failed for run in runs if run.failed), "")
    if failed:
        return {"axis": "threads", "contestant": "fastdissect", "failed": failed}
    spreads = [spread(run.lap("run")) for run in runs]
    medians = [middle for _, middle, _ in spreads]
    return {
        "axis": "threads",
        "contestant": "fastdissect",
        "x": counts,
        "images": [case[1]] * len(counts),
        "seconds": medians,
        "quartiles": [[low, high] for low, _, high in spreads],
        "slope": slope(counts, medians) if len(counts) > 1 else None,
    }
