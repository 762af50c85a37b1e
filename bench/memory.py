"""Memory over 10,000 images through a small network: what is retained, and the process beside it.

    python bench/memory.py [--images 10000] [--memory 16000000] [--quick]

Writes bench/results/memory.json and memory.svg: bytes retained after every batch against the planner's figure, and the
resident memory of the process. The retained bytes must never pass the figure; that is checked, not drawn only.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import psutil
from machine import RESULTS, write

import fastdissect as fd
from fastdissect.collecting import LayerCollector


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--memory", type=int, default=16_000_000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    images = 640 if options.quick else options.images
    process = psutil.Process(os.getpid())
    samples: list[tuple[int, int, int]] = []
    add = LayerCollector.add

    def sampled(self: LayerCollector, view: object):
        result = add(self, view)
        samples.append((len(samples) + 1, self.nbytes, process.memory_info().rss))
        return result

    LayerCollector.add = sampled
    rows = []
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(7, 5))
    for memory in (None, options.memory):
        samples.clear()
        with tempfile.TemporaryDirectory() as folder:
            d = fd.dissect(
                "builtin:shapes",
                f"shapes:images={images}",
                "conv5",
                out=Path(folder) / "run",
                memory=memory,
                cache=None,
                progress=False,
            )
        planned = d.run["planner memory"]
        label = "memory free" if memory is None else f"--memory {memory / 1e6:.0f} MB"
        assert max(held for _, held, _ in samples) <= planned, "more was retained than planned"
        x = [number * 32 for number, _, _ in samples]
        top.plot(x, [held / 1e6 for _, held, _ in samples], label=label)
        bottom.plot(x, [rss / 1e6 for _, _, rss in samples], label=label)
        if memory is not None:
            top.axhline(planned / 1e6, color="grey", linestyle=":", label="the planner's figure")
        half, last = samples[len(samples) // 2], samples[-1]
        rows.append(
            {
                "memory": label,
                "images": images,
                "passes": d.run["passes"]["conv5"],
                "planner MB": planned / 1e6,
                "retained, most MB": max(held for _, held, _ in samples) / 1e6,
                "retained, half-way MB": half[1] / 1e6,
                "resident, half-way MB": half[2] / 1e6,
                "resident, end MB": last[2] / 1e6,
            }
        )
    top.set_ylabel("retained cells, MB")
    bottom.set_ylabel("resident, MB")
    bottom.set_xlabel("images (of all passes)")
    top.legend()
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    if not options.quick:
        figure.savefig(RESULTS / "memory.svg")
    write("memory", rows)


if __name__ == "__main__":
    main()
