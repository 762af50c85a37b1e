"""One step of bench/gpu.sh: `python bench/gpu STEP OUT [--quick]`.

machine    versions and card into OUT/rows.jsonl; exit status 3 where there is no device
copy, sift, stream, count, whole, tally    measurements, appended to OUT/rows.jsonl as they are made
report     OUT/gpu.json and OUT/gpu.md, printed
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # bench/: this folder is the package `gpu`

from gpu.rows import Rows


def measure(step: str, rows: Rows, quick: bool) -> None:
    import torch
    from gpu.timing import Device

    device = Device(torch)
    if step == "copy":
        from gpu.bandwidth import run
    elif step == "sift":
        from gpu.sift import run
    elif step == "stream":
        from gpu.stream import run
    elif step == "count":
        from gpu.count import run
    elif step == "whole":
        from gpu.whole import run
    else:
        from gpu import tally

        tally.run(device, rows, os.environ["DISSECT"], quick)
        return
    run(device, rows, quick)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = ("machine", "copy", "sift", "stream", "count", "whole", "tally", "report")
    parser.add_argument("step", choices=steps)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run at all?")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(options.out)
    if options.step == "report":
        from gpu.report import report

        print(report(options.out))
        return 0
    if options.step == "machine":
        from gpu.machine import machine

        found = machine()
        rows.add("machine", found)
        if not found["device"]:
            print("no CUDA device here")
            return 3
        return 0
    measure(options.step, rows, options.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
