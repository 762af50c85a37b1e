"""What a figure was measured on, and how the tables are written."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

import fastdissect

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Processor, cores, versions and commit."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "fastdissect": fastdissect.__version__,
        "commit": commit.stdout.strip() or "unknown",
        "date": time.strftime("%Y-%m-%d"),
    }


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def paired(
    first: Callable[[], object], second: Callable[[], object], repeats: int
) -> list[tuple[float, float]]:
    """(seconds of first, seconds of second), alternating, after one warm-up of each."""
    first()
    second()
    return [(seconds(first), seconds(second)) for _ in range(repeats)]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return low, median(values), high


def write(name: str, rows: list[dict[str, Any]], **beside: Any) -> None:
    """Print the rows as a Markdown table and write bench/results/NAME.json."""
    found = machine()
    columns = list(rows[0])
    print(
        f"\n{name}: {found['processor']}, {found['cores']} cores; numpy {found['numpy']}, commit {found['commit']}\n"
    )
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": found, **beside, "rows": rows}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
