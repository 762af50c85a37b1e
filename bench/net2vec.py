"""Net2Vec: all concepts at once against the released procedure, one concept after the other in torch.

    python bench/net2vec.py [--quick] [--images N] [--side 7|14|28] [--every-concept] [--retrain]

A layer of 512 units of 7 x 7 (as the last layers of VGG16 and ResNet18 are; or finer, with --side), 1,197 concepts, masks of 112 x 112, some
ten concepts an image, their numbers of images spread as in Broden (few frequent ones, many rare ones). Units 7 c mod 512
and the next fire on concept c.

The released procedure keeps dense float32 features and trains one concept after the other: weighted sum, bilinear
upsampling, sigmoid, loss, autograd, SGD, the same batches. It is timed over whole trainings of some concepts (its
features and masks are gathered before, untimed), and its weights must equal ours. Both sides run with 1 thread and with
all; each is shown at its best.

The bound (net2vec_pixels.cpp, needs a C++ compiler): interpolation, sigmoid and loss of every pixel, nothing else.

A run over all of Broden would be `us a pair` x images that show a concept x epochs: time goes with the pairs.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import seconds, spread, write
from numpy.typing import NDArray
from torch.nn import functional

from fastdissect.conventions import profile
from fastdissect.kernels import backend, set_num_threads
from fastdissect.kernels.concept_masks import map_tables
from fastdissect.kernels.keys import keys
from fastdissect.layer import LayerDissection
from fastdissect.methods.net2vec import SegmentationSettings, retrain_top_filters
from fastdissect.methods.net2vec.one_concept import dense_features, dense_masks
from fastdissect.methods.net2vec.problem import Problem, make_problem
from fastdissect.methods.net2vec.segmentation import train_segmentation
from fastdissect.methods.net2vec.settings import first_weights
from fastdissect.methods.net2vec.training import train_tasks
from fastdissect.packing import join_planes, pack_channels
from fastdissect.types import ActivationView, Concepts, Counts, LabelChannel, Planes
from fastdissect.upsampling import make_upsampling

UNITS, SIZE, CONCEPTS, AN_IMAGE = 512, (112, 112), 1197, 10


def make_layer(images: int, concepts: int, side: int) -> tuple[LayerDissection, Planes, NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    share = 1 / (np.arange(concepts) + 10.0)
    columns = np.arange(-1, concepts, dtype=np.int32)
    x = rng.random((images, UNITS, side, side), np.float32)
    step = SIZE[0] // side
    high = np.float32(0.9985)  # 0.0015 of the cells fire by themselves, some 0.005 in all
    packed = []
    for n in range(images):
        channels = []
        for c in rng.choice(concepts, AN_IMAGE, replace=False, p=share / share.sum()):
            labels = np.zeros(SIZE, np.uint16)
            y, at = rng.integers(0, 96, 2)
            height, width = rng.integers(12, 70, 2)
            labels[y : y + height, at : at + width] = c + 1
            channels.append(LabelChannel(0, labels))
            rows, lines = (
                slice(y // step, -(-min(y + height, 112) // step)),
                slice(at // step, -(-min(at + width, 112) // step)),
            )
            cells = (rows, lines)
            for unit in (7 * c % UNITS, (7 * c + 1) % UNITS):
                own = x[n, unit][cells]
                own[rng.random(own.shape) < 0.5] = 1
        packed.append(pack_channels(channels, columns, SIZE, once=False))
    planes = join_planes(iter(packed), SIZE)
    table = make_upsampling("half-pixel", (side, side), SIZE)
    thresholds = np.full(UNITS, high, np.float32)
    cells = backend().sift(ActivationView(x, "float32"), keys(thresholds), table.reach, False, False, 1).cells
    area = np.zeros(concepts, np.int64)
    np.add.at(area, planes.concept, planes.pixels)
    vocabulary = Concepts(
        np.arange(1, concepts + 1),
        tuple(f"c{i}" for i in range(concepts)),
        np.zeros(concepts, np.int64),
        ("q",),
    )
    none = np.zeros((UNITS, concepts), np.int64), np.zeros((UNITS, 1), np.int64)
    layer = LayerDissection(
        name="maps",
        profile=profile("netdissect"),
        concepts=vocabulary,
        shape=x.shape,
        thresholds=thresholds,
        seen=np.full(UNITS, images * side * side),
        counts=Counts(*none, area, np.ones(UNITS, np.int64)),
        upsampling=table,
        activations=cells,
    )
    return layer, planes, rng.random(images) < 0.7


def released(
    features: torch.Tensor, masks: torch.Tensor, start: NDArray[np.float32], alpha: float, rate: float,
    settings: SegmentationSettings, epochs: int,
) -> NDArray[np.float32]:  # fmt: skip
    """One concept: features [images, units, h, w], masks [images, H, W], both float32 and in memory."""
    weights = torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.SGD([weights], rate, settings.momentum)
    for _ in range(epochs):
        for z, label in zip(features.split(settings.batch), masks.split(settings.batch), strict=True):
            combined = torch.einsum("k,nkhw->nhw", weights, z)[:, None]  # faster than products and their sum
            s = functional.interpolate(combined, SIZE, mode="bilinear", align_corners=True)[:, 0]
            m = torch.sigmoid(s)
            loss = -(alpha * label * m + (1 - alpha) * (1 - label) * (1 - m)).sum() / len(z)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return weights.detach().numpy()


def time_released(
    problem: Problem, settings: SegmentationSettings, rows: list[int], epochs: int, threads: int
) -> tuple[float, list[NDArray[np.float32]]]:
    """(microseconds a pair and epoch, weights) over whole trainings of some concepts."""
    torch.set_num_threads(threads)
    shown, total, pairs, found = problem.targets.train, 0.0, 0, []
    start, alpha = first_weights(settings, problem.numbers, UNITS), problem.targets.alpha()
    rate = settings.rule(problem.targets.mask_pixels).rate
    for row in rows:
        own = range(shown.concept_start[row], shown.concept_start[row + 1])
        features = torch.from_numpy(dense_features(problem, [int(shown.image[p]) for p in own]))
        masks = torch.from_numpy(np.stack([dense_masks(problem, p) for p in own]))
        released(features[:1], masks[:1], start[row], alpha[row], rate, settings, 1)
        begin = time.perf_counter()
        found.append(released(features, masks, start[row], alpha[row], rate, settings, epochs))
        total += time.perf_counter() - begin
        pairs += len(own) * epochs
    return total / pairs * 1e6, found


def time_ours(problem: Problem, settings: SegmentationSettings, threads: int) -> tuple[float, Any]:
    set_num_threads(threads)
    kept = np.ones((len(problem), UNITS), bool)
    start = first_weights(settings, problem.numbers, UNITS)
    begin = time.perf_counter()
    trained = train_tasks(problem, settings, np.arange(len(problem)), kept, start)
    return time.perf_counter() - begin, trained


class Bound:
    """Pixel arithmetic alone, on one core."""

    def __init__(self, problem: Problem) -> None:
        here, folder = Path(__file__).parent, Path(tempfile.mkdtemp(prefix="fastdissect-"))
        library = folder / "pixels.so"
        flags = ["-O3", "-march=native", "-ffp-contract=off", "-std=c++17", "-shared", "-fPIC"]
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, *flags, str(here / "net2vec_pixels.cpp"), "-o", str(library)], check=True)
        self.call = ctypes.CDLL(str(library)).pixels
        self.call.restype = ctypes.c_float
        rng, tables = np.random.default_rng(0), map_tables(problem.upsampling)
        side = self.side = problem.upsampling.cells[0]
        self.rows = rng.normal(0, 0.3, (side, SIZE[1])).astype(np.float32)
        self.fraction = np.ascontiguousarray(tables.row_fraction)
        self.first = np.searchsorted(tables.row_start, np.arange(side + 1)).astype(np.int32)
        self.label = rng.integers(0, 1 << 16, (SIZE[0], SIZE[1] // 16)).astype(np.uint16)

    def seconds(self, repeats: int) -> float:
        """For one mask."""
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (self.rows, self.fraction, self.first)]
        sizes, label = (
            (ctypes.c_ssize_t(self.side), ctypes.c_ssize_t(SIZE[1])),
            ctypes.c_void_p(self.label.ctypes.data),
        )
        ends = ctypes.c_float(0.9), ctypes.c_float(0.1)
        begin = time.perf_counter()
        for _ in range(repeats):
            self.call(*pointers, *sizes, label, *ends)
        return (time.perf_counter() - begin) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="150 concepts, 400 images, 3 epochs")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument(
        "--side", type=int, default=7, choices=(7, 14, 28), help="cells along a map's side (7)"
    )
    parser.add_argument(
        "--every-concept", action="store_true", help="the released procedure in full, not on five"
    )
    parser.add_argument("--retrain", action="store_true", help="also with the top 1, 2, 4, ... filters")
    options = parser.parse_args()
    concepts, images = (150, 400) if options.quick else (CONCEPTS, options.images)
    settings = SegmentationSettings(epochs=3 if options.quick else 30)
    layer, planes, train = make_layer(images, concepts, options.side)
    prepared = seconds(lambda: make_problem(layer, planes, train, settings))
    problem = make_problem(layer, planes, train, settings)
    pairs = int(problem.targets.counts(True).sum())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = sorted({1, cores})
    by_size = np.argsort(problem.targets.counts(True), kind="stable")
    # of every size: those at the 10th, 30th, ... 90th hundredth
    rows = [
        int(by_size[len(by_size) * i // 100]) for i in ((50, 90) if options.quick else (10, 30, 50, 70, 90))
    ]
    bound = Bound(problem)
    bound.seconds(200)
    rounds: list[dict[str, float]] = []
    short = dataclasses.replace(settings, epochs=max(1, settings.epochs // 10))
    for _ in range(3 if options.quick else 5):  # alternating, so that a busy moment falls on all of them
        one: dict[str, float] = {"bound": bound.seconds(2000) * 1e6}
        for threads in counts:
            took, _ = time_ours(problem, short, threads)
            one[f"ours {threads}"] = took / (pairs * short.epochs) * 1e6
            one[f"released {threads}"], _ = time_released(problem, settings, rows, short.epochs, threads)
        rounds.append(one)
    found = {name: spread([one[name] for one in rounds]) for name in rounds[0]}
    best = {who: min(counts, key=lambda t, who=who: found[f"{who} {t}"][1]) for who in ("ours", "released")}
    took, trained = time_ours(problem, settings, best["ours"])
    if options.every_concept:
        rows = list(range(len(problem)))
    each, weights = time_released(problem, settings, rows, settings.epochs, best["released"])
    worst = max(float(np.abs(trained.weights[row] - w).max()) for row, w in zip(rows, weights, strict=True))
    scale = float(np.abs(trained.weights).max())
    assert worst < 1e-3 * scale, (worst, scale)
    ratio = [one[f"released {best['released']}"] / one[f"ours {best['ours']}"] for one in rounds]
    over = [one["ours 1"] / one["bound"] for one in rounds]
    table = [
        {"what": name, "us a pair": middle, "lower quartile": low, "upper quartile": high}
        for name, (low, middle, high) in found.items()
    ]
    table += [
        {"what": what, "us a pair": middle, "lower quartile": low, "upper quartile": high}
        for what, (low, middle, high) in {
            "released over ours, each at its best": spread(ratio),
            "ours over the bound, 1 thread": spread(over),
        }.items()
    ]
    active = len(problem.cells.unit)
    beside = {
        "concepts": len(problem), "images": images, "pairs of train": pairs, "units": UNITS, "cells": options.side, "size": SIZE,
        "active share": active / (images * UNITS * options.side**2), "epochs": settings.epochs, "best threads": best,
        "preparing, s": prepared, "all epochs, s": took, "largest difference of a weight": worst,
        "largest weight": scale, "torch": torch.__version__,
    }  # fmt: skip
    if options.retrain:
        vectors = train_segmentation(problem, settings)
        begin = time.perf_counter()
        retrain_top_filters(vectors, layer, planes, train)
        beside["retraining with 1, 2, 4, ... 224 filters, s"] = time.perf_counter() - begin
    if options.every_concept:
        beside["released, every concept and epoch, s"] = each * pairs * settings.epochs / 1e6
    write("net2vec" if options.side == 7 else f"net2vec-{options.side}", table, **beside)
    for name, value in beside.items():
        sys.stdout.write(f"{name}: {value}\n")


if __name__ == "__main__":
    main()
