"""Coupled factorisation: seconds an iteration and memory, beside scikit-learn's NMF of the same matrices side by side.

    python bench/factorization.py [--examples 50000] [--rank 20] [--iterations 6] [--beside 5000] [--threads N] [--folder DIR]

Matrices of the paper's size: three of 32 x 32 pixels, layers of 256 x 8 x 8, 512 x 4 x 4 and 512 neurons; non-negative, planted:
factors times loadings, most of them zero, and noise. 50,000 examples are 5.6 GB, written block by block into a temporary folder
(--folder: on another disk) and read back in blocks; they are removed at the end.

`ours`: the default rule (ten multiplicative updates of a factor for each reading of the data), and with one update, which is
what scikit-learn's solver "mu" does. scikit-learn gets the matrices side by side in memory, scaled and weighed as ours are, and
the same start; after the same iterations its error must be ours within 1 %. An iteration's time is the difference of two runs there, and the
time between two iterations here; setup is scales and NNDSVDa (four readings of the data), closing the last solution of the
mixtures. Our fit is that after closing, scikit-learn's is without.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from machine import spread, write
from numpy.typing import NDArray
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from fastdissect.benchmarks import memory
from fastdissect.methods.factorization.gathering_files import MatrixFile, check_room
from fastdissect.methods.factorization.initial import initial
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings

SHAPES = {
    "red": ("pixels", (1, 32, 32)),
    "green": ("pixels", (1, 32, 32)),
    "blue": ("pixels", (1, 32, 32)),
    "conv4": ("neurons", (256, 8, 8)),
    "conv5": ("neurons", (512, 4, 4)),
    "pool": ("neurons", (512, 1, 1)),
}
BLOCK = 512


def planted(folder: Path, examples: int, rank: int) -> list[FeatureMatrix]:
    """Factors of which an example has few, loadings of which a feature has few, and a tenth of noise."""
    loadings = {}
    for number, (name, (_, shape)) in enumerate(SHAPES.items()):
        rng = np.random.default_rng([1, number])
        features = math.prod(shape)
        values = rng.random((features, rank), np.float32) * (rng.random((features, rank)) < 2 / rank)
        loadings[name] = values.astype(np.float32)
    files = {
        name: MatrixFile(folder / f"{name}.npy", examples, len(values)) for name, values in loadings.items()
    }
    for first in range(0, examples, BLOCK):
        rng = np.random.default_rng([2, first])
        count = min(BLOCK, examples - first)
        mixtures = rng.random((count, rank), np.float32) * (rng.random((count, rank)) < 3 / rank)
        for name, values in loadings.items():
            noise = rng.random((count, len(values)), np.float32)
            files[name].append(
                (mixtures.astype(np.float32) @ values.T + np.float32(0.1) * noise).astype(np.float32)
            )
    return [FeatureMatrix(name, kind, shape, files[name].finish()) for name, (kind, shape) in SHAPES.items()]


def ours(
    matrices: list[FeatureMatrix], settings: FactorizationSettings
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Times in seconds, memory in MB; and the objective after each iteration."""
    memory.begin()
    at = [time.perf_counter()]
    found = factorize_matrices(matrices, settings, progress=lambda _: at.append(time.perf_counter()))
    end = time.perf_counter()
    peak = (memory.peak() or 0) / 1e6
    took = np.diff(at)
    low, middle, high = spread(took[1:-1].tolist())
    times = {
        "s an iteration": middle, "lower quartile": low, "upper quartile": high,
        "setup s": float(took[0]) - middle, "closing s": float(took[-1]), "total s": end - at[0],
        "peak MB": peak, "fit": float(found.restarts["fit"].iloc[0]),
    }  # fmt: skip
    return times, found.history["objective"].to_numpy()


def beside(
    matrices: list[FeatureMatrix], settings: FactorizationSettings, runs: int
) -> tuple[dict[str, Any], float]:
    """scikit-learn's times, and its squared error after the same iterations."""
    with Problem(matrices, settings.block) as problem:
        problem.survey(settings)
        start = initial(problem, settings, 0)
        roots = [math.sqrt(side.weight) for side in problem.sides]
        parts = [
            one.values * np.float32(root / side.scale)
            for one, side, root in zip(matrices, problem.sides, roots, strict=True)
        ]
    memory.begin()
    x = np.concatenate(parts, 1)
    del parts
    w = start.mixtures.numpy().astype(np.float32)
    h = np.concatenate([root * one.numpy() for root, one in zip(roots, start.loadings, strict=True)]).T
    h = np.ascontiguousarray(h, np.float32)
    few, many = settings.most_iterations, 3 * settings.most_iterations
    error, differences = 0.0, []
    for _ in range(runs):
        times = []
        for iterations in (few, many):
            model = NMF(settings.rank, init="custom", solver="mu", max_iter=iterations, tol=0)
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it has not converged
                model.fit_transform(x, W=w.copy(), H=h.copy())
            times.append(time.perf_counter() - begin)
            if iterations == few:
                error = float(model.reconstruction_err_) ** 2
        differences.append((times[1] - times[0]) / (many - few))
    low, middle, high = spread(differences)
    nothing = {"setup s": "", "closing s": "", "total s": ""}
    peak = (memory.peak() or 0) / 1e6
    fit = error / float(np.square(x, dtype=np.float64).sum())
    return {
        "s an iteration": middle, "lower quartile": low, "upper quartile": high, **nothing, "peak MB": peak, "fit": fit,
    }, error  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--rank", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument(
        "--beside", type=int, default=5_000, help="examples for scikit-learn; 0: leave it out (5,000)"
    )
    parser.add_argument("--runs", type=int, default=3, help="of scikit-learn (3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--folder", type=Path, help="where the matrices are written; the system's temporary folder"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    features = sum(math.prod(shape) for _, shape in SHAPES.values())
    few = min(options.beside, options.examples)
    folder = Path(tempfile.mkdtemp(prefix="fastdissect-", dir=options.folder))
    rows = []
    settings = FactorizationSettings(rank=options.rank, iterations=options.iterations, tolerance=0.0)
    once = dataclasses.replace(settings, repeats=1)
    try:
        with threadpool_limits(options.threads):
            check_room(folder, 4 * options.examples * features)
            begin = time.perf_counter()
            matrices = planted(folder, options.examples, options.rank)
            print(
                f"wrote {4 * options.examples * features / 1e9:.1f} GB in {time.perf_counter() - begin:.0f} s"
            )
            for name, own in (("ours", settings), ("ours, one update", once)):
                times, _ = ours(matrices, own)
                rows.append({"what": name, "examples": options.examples, **times})
            if few:
                part = [
                    dataclasses.replace(one, values=np.ascontiguousarray(one.values[:few]))
                    for one in matrices
                ]
                for name, own in (("ours, in memory", settings), ("ours, in memory, one update", once)):
                    times, objective = ours(part, own)
                    rows.append({"what": name, "examples": few, **times})
                times, error = beside(part, once, options.runs)
                # the last value is of the closing solution; scikit-learn has none
                assert abs(error - objective[-2]) < 1e-2 * error, (error, objective[-3:])
                rows.append({"what": "scikit-learn NMF, mu", "examples": few, **times})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write(
        "factorization", rows, features=features, rank=options.rank, iterations=options.iterations,
        threads=options.threads, torch=torch.__version__, sklearn=sklearn.__version__,
    )  # fmt: skip


if __name__ == "__main__":
    main()
