"""Planted co-clusters, and the coupled factorisation's formulas once more, in float64 NumPy, straight from METHODS 4."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.methods.factorization.sweeping import State

Array = NDArray[np.float64]
SIZES = (
    ("red", "pixels", 60),
    ("green", "pixels", 60),
    ("blue", "pixels", 60),
    ("near", "neurons", 80),
    ("far", "neurons", 40),
)


def planted(
    seed: int, shares: tuple[float, ...] = (0.25,) * 4, examples: int = 200, noise: float = 0.02
) -> tuple[list[FeatureMatrix], NDArray[np.int64], list[NDArray[np.int64]]]:
    """Matrices in which each example, pixel and neuron belongs to one of the factors; and which."""
    rng = np.random.default_rng(seed)
    group = _members(shares, examples)
    mixtures = np.eye(len(shares))[group] * rng.uniform(0.5, 1.5, (examples, 1))
    matrices, owners = [], []
    for name, kind, size in SIZES:
        owner = rng.permutation(_members(shares, size))
        x = mixtures @ (np.eye(len(shares))[owner] * rng.uniform(0.5, 1.5, (size, 1))).T
        x += noise * x.std() * np.abs(rng.standard_normal(x.shape))
        matrices.append(FeatureMatrix(name, kind, (1, 1, size), x.astype(np.float32)))
        owners.append(owner)
    return matrices, group, owners


def _members(shares: tuple[float, ...], count: int) -> NDArray[np.int64]:
    ends = np.round(np.cumsum(shares) * count).astype(np.int64)
    return np.searchsorted(ends, np.arange(count), side="right")


def recovered(found: Factorization, group: NDArray[np.int64], owners: list[NDArray[np.int64]]) -> bool:
    """Every example, pixel and neuron is in its own group, up to ONE permutation of the factors for all of them."""
    got = [found.mixtures.argmax(1), *(one.values.argmax(1) for one in found.loadings)]
    return any(
        all((np.array(order)[mine] == true).all() for mine, true in zip(got, [group, *owners], strict=True))
        for order in permutations(range(found.rank))
    )


def small(seed: int = 0, examples: int = 23) -> list[FeatureMatrix]:
    """Three unlike matrices without structure, one neuron dead."""
    rng = np.random.default_rng(seed)
    shapes = (
        ("red", "pixels", (1, 2, 3), 1.0),
        ("green", "pixels", (1, 2, 3), 0.3),
        ("layer", "neurons", (9, 1, 1), 50.0),
    )
    matrices = []
    for name, kind, shape, size in shapes:
        x = (size * rng.gamma(0.7, size=(examples, int(np.prod(shape))))).astype(np.float32)
        if kind == "neurons":
            x[:, 4] = 0
        matrices.append(FeatureMatrix(name, kind, shape, x))
    return matrices


def random_start(problem: Problem, rank: int, seed: int) -> State:
    """A state of uniform values, in the problem's dtype."""
    rng = np.random.default_rng(seed)
    sizes = [problem.examples, *(one.features for one in problem.matrices)]
    mixtures, *loadings = (torch.from_numpy(rng.random((n, rank))).to(problem.dtype) for n in sizes)
    return State(mixtures, loadings)


def scales_and_weights(
    matrices: list[FeatureMatrix], settings: FactorizationSettings
) -> list[tuple[float, float]]:
    """(s_i, w_i) of the objective."""
    pixels = sum(one.kind == "pixels" for one in matrices)
    found = []
    for one in matrices:
        size = np.linalg.norm(one.values.astype(np.float64)) / np.sqrt(one.examples)
        shared = settings.weights == "picture" and one.kind == "pixels"
        found.append((1.0, 1.0) if settings.faithful else (float(size), 1 / pixels if shared else 1.0))
    return found


def penalty_of_loadings(kind: str, settings: FactorizationSettings) -> tuple[float, float]:
    return (settings.pixels, 0.0) if kind == "pixels" else (settings.neurons, settings.neurons)


def groups(examples: int, settings: FactorizationSettings) -> list[slice]:
    size = int(np.ceil(examples / settings.groups))
    return [slice(at, at + size) for at in range(0, examples, size)]


def objective(
    matrices: list[FeatureMatrix], settings: FactorizationSettings, f: Array, bs: list[Array]
) -> float:
    """METHODS 4.2 by brute force, residuals written out."""
    total = 0.0
    for one, b, (s, w) in zip(matrices, bs, scales_and_weights(matrices, settings), strict=True):
        ridge, linear = penalty_of_loadings(one.kind, settings)
        total += w * np.sum((one.values.astype(np.float64) / s - f @ b.T) ** 2)
        total += ridge * np.sum(b**2) + 2 * linear * np.sum(np.abs(b))
    if settings.penalty == "elastic-net":
        return float(total + settings.mixtures * (np.sum(f**2) + 2 * np.sum(np.abs(f))))
    lengths = sum(np.linalg.norm(f[g], axis=0).sum() for g in groups(len(f), settings))
    return float(total + settings.mixtures * lengths)


def iteration(
    matrices: list[FeatureMatrix], settings: FactorizationSettings, f: Array, bs: list[Array]
) -> tuple[Array, list[Array]]:
    """One iteration of the elastic-net branch, default or faithful, element by element."""
    both = scales_and_weights(matrices, settings)
    xs = [one.values.astype(np.float64) / s for one, (s, _) in zip(matrices, both, strict=True)]
    ws = [w for _, w in both]
    ep, repeats = (1e-9, 1) if settings.faithful else (0.0, settings.repeats)
    lam = settings.mixtures
    for _ in range(repeats):
        above = sum(w * x @ b for w, x, b in zip(ws, xs, bs, strict=True))
        below = sum(w * f @ b.T @ b for w, b in zip(ws, bs, strict=True)) + lam * (1 + f) + ep
        f = f * above / below
    new = []
    for one, x, w, b in zip(matrices, xs, ws, bs, strict=True):
        ridge, linear = penalty_of_loadings(one.kind, settings)
        for _ in range(repeats):
            below = w * b @ f.T @ f + ridge * b + linear + ep
            b = np.divide(
                b * (w * x.T @ f), below, out=np.zeros_like(b), where=below > 0
            )  # 0 / 0: a dead neuron
        new.append(b / np.linalg.norm(b, axis=0) if settings.faithful else b)
    return f, new


def released_group(cs: list[Array], bs: list[Array], f: Array, lam: float) -> Array:
    """The released branch G for one group, F as [rank, examples of the group] there; here transposed back."""
    z = mean = f.T.copy()
    sizes = [np.linalg.eigvalsh(b.T @ b).max() for b in bs]
    tau = 1.0
    for _ in range(50):
        before = np.linalg.norm(mean)
        y = tau * z + (1 - tau) * mean
        u = z - sum(
            (b.T @ b @ y - b.T @ c.T) / (len(bs) * tau * s) for b, c, s in zip(bs, cs, sizes, strict=True)
        )
        threshold = lam * sum(1 / s for s in sizes) / tau
        z = np.zeros_like(u)
        for r, row in enumerate(np.maximum(u, 0)):
            if np.linalg.norm(row) > threshold:
                z[r] = row * (1 - threshold / np.linalg.norm(row))
        mean = tau * z + (1 - tau) * mean
        tau = (np.sqrt(1 + 4 * tau) - 1) / (2 * tau)
        if abs(np.linalg.norm(mean) - before) < 1e-2:
            break
    return mean.T


def slow_group_sparse(numerator: Array, gram: Array, lam: float, steps: int = 30_000) -> Array:
    """Plain proximal gradient from a positive start, a short step each time."""
    f, step = np.ones_like(numerator), 0.4 / np.linalg.eigvalsh(gram).max()
    for _ in range(steps):
        f = np.maximum(f - step * 2 * (f @ gram - numerator), 0)
        length = np.linalg.norm(f, axis=0)
        f *= np.maximum(0, 1 - step * lam / np.maximum(length, 1e-300))
    return f
