"""What `run --dry-run` predicts beside what the run then needs; and the run beside the bare forward loop.

    python bench/forecast.py [--cases resnet18,vit-large] [--quick]

Each row: the forecast, half of the bare loop (the same images decoded, the full forward pass, nothing else), the run, the
other half of the bare loop, each in a process of its own. Memory is the process's peak, disk the bytes under OUT/layers.
The forecasts are wanted right within 20 % on memory and disk, within 50 % on time.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import write

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A run: model, layers, images of the built-in set, further options of `dissect`."""

    model: str
    layers: list[str]
    images: int
    size: int | None = 224
    options: dict[str, Any] = field(default_factory=dict)


RESNET = "fastdissect.benchmarks.networks:resnet18"
VIT = f"{HERE / 'vision_transformers.py'}"
CASES = {
    "resnet18": Case(RESNET, ["layer1", "layer2", "layer3", "layer4"], 1000),
    "resnet18 without cells": Case(RESNET, ["layer3", "layer4"], 1000, options={"activations": False}),
    "resnet18 in 100 MB": Case(RESNET, ["layer1", "layer4"], 1000, options={"memory": 100_000_000}),
    "shapes": Case("builtin:shapes", ["conv3", "conv5"], 3000, None),
    "vit-base": Case(f"{VIT}:base", ["**.mlp.activation_fn"], 256, options={"batch_size": 8}),
    "vit-large": Case(f"{VIT}:large", ["**.mlp.activation_fn"], 640, options={"batch_size": 8}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="all", help="names with commas: " + ", ".join(CASES))
    parser.add_argument("--quick", action="store_true", help="a tenth of the images")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(part(json.loads(options.part))))
        return
    names = list(CASES) if options.cases == "all" else options.cases.split(",")
    rows = []
    for name in names:
        case = dict(vars(CASES[name]))
        case["images"] = max(96, case["images"] // 10) if options.quick else case["images"]
        rows.append(row(name, case))
        print(rows[-1], flush=True)
    write("forecast" if options.cases == "all" else f"forecast-{'-'.join(names)}".replace(" ", ""), rows)


def row(name: str, case: dict[str, Any]) -> dict[str, Any]:
    predicted = child("forecast", case)
    before = child("bare", case)
    found = child("run", case)
    after = child("bare", case)
    bare = before["seconds"] + after["seconds"]
    return {
        "case": name,
        "units": predicted["units"],
        "images": case["images"],
        "passes": predicted["passes"],
        "memory MB": found["memory"] / 1e6,
        "predicted MB": predicted["memory"] / 1e6,
        "memory, ratio": predicted["memory"] / found["memory"],
        "disk MB": found["disk"] / 1e6,
        "disk, ratio": predicted["disk"] / found["disk"],
        "seconds": found["seconds"],
        "time, ratio": predicted["seconds"] / found["seconds"],
        "bare seconds": bare,
        "run / bare": found["seconds"] / bare,
        "sift s": found["sift"],
        "count s": found["count"],
        "retained cells": found["cells"],
        "of all cells": found["cells"] / max(found["all cells"], 1),
    }


def child(kind: str, case: dict[str, Any]) -> dict[str, Any]:
    asked = json.dumps({"kind": kind, **case})
    command = [sys.executable, str(Path(__file__)), "--part", asked]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def part(asked: dict[str, Any]) -> dict[str, Any]:
    model, data, layers = asked["model"], f"shapes:images={asked['images']}", asked["layers"]
    options = {"size": asked["size"], "device": "cpu", **asked["options"]}
    return {"forecast": forecast_of, "bare": bare, "run": run}[asked["kind"]](model, data, layers, options)


def forecast_of(model: str, data: str, layers: list[str], options: dict[str, Any]) -> dict[str, Any]:
    from fastdissect.forecasting import forecast
    from fastdissect.opening import open_run

    found = forecast(open_run(model, data, layers, **options))
    return {
        "memory": found.memory + found.base,
        "disk": found.disk,
        "seconds": found.seconds,
        "passes": found.passes,
        "units": sum(layer.units for layer in found.layers.values()),
    }


def bare(model: str, data: str, layers: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Half of the images, once."""
    import torch

    from fastdissect.opening import open_run

    opened = open_run(model, data, layers, **options)
    network, source = opened.loaded.module, opened.source
    half, seen, begun = source.images // 2, 0, time.perf_counter()
    with torch.inference_mode():
        for batch in source.batches(0, planes=False):
            network(batch.images)
            seen += len(batch.images)
            if seen >= half:
                break
    return {"seconds": (time.perf_counter() - begun) * half / seen}


def run(model: str, data: str, layers: list[str], options: dict[str, Any]) -> dict[str, Any]:
    import fastdissect as fd

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        out = Path(folder) / "out"
        d = fd.dissect(model, data, layers, out=out, cache=None, progress=False, **options)
        seconds = time.perf_counter() - begun
        disk = sum(file.stat().st_size for file in (out / "layers").rglob("*") if file.is_file())
        kept = [layer.activations for layer in d.values() if layer.activations is not None]
        cells, every = sum(a.values.size for a in kept), sum(math.prod(a.shape) for a in kept)
        record = d.run
    return {
        "seconds": seconds,
        "memory": record["peak memory"],
        "disk": disk,
        "cells": cells,
        "all cells": every,
        "sift": record["sift seconds"],
        "count": record["count seconds"],
    }


if __name__ == "__main__":
    main()
