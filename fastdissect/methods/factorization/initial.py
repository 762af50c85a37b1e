"""Where a restart begins.

default rule   the first: NNDSVDa of all matrices side by side; later ones: random, seed + restart
faithful       each: F ~ U(0, 1), seed + restart; each matrix's loadings by its own NNDSVDa

`initial` says otherwise: "random" (the first restart too; faithful: F and loadings ~ U(0, 1)), or "nndsvd", whose zeros stay.
The released code keeps these zeros (values below 1e-6). Nothing makes factor r of one matrix that of another then: where groups
are of like size the matrices' orders differ, the zeros hold them apart, and planted groups are found in 0 of 10 seeds. With
the zeros filled the same rule finds them in 10 of 10, of like and of unlike sizes, so that is the default for it as well.
From random loadings it finds groups of like size in 8 to 10 of 10 seeds, of unlike sizes in none (all measured with both
penalties, of weight 0 and 1).

NNDSVD (Boutsidis & Gallopoulos 2008) splits each pair of singular vectors into its dominant signed part. Exact zeros would
stay zero under multiplicative updates: in NNDSVDa they become a hundredth of the array's mean (METHODS 4.3, our choice;
scikit-learn takes the mean of X, which has another unit than either side). Factors beyond what the singular vectors give
(more factors than features, or than the data's own rank) begin at random.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.methods.factorization.streamed_svd import Singular, streamed_svd
from fastdissect.methods.factorization.sweeping import State

__all__ = ["initial", "nndsvd"]

_ZERO = 1e-6
# Readings for the singular vectors: from 2 to 8 the converged objective is the same but for 2 % either way (measured on planted
# data, digits and a network), and a start costs three readings.
_PASSES = 2


def initial(problem: Problem, settings: FactorizationSettings, restart: int) -> State:
    """The state that a restart begins with; the same on every device and for any block, up to rounding."""
    rng = np.random.default_rng(settings.seed + restart)
    sizes = [one.features for one in problem.matrices]
    filled = _zeros_filled if settings.initial == "nndsvda" else _small_to_zero
    if settings.faithful and settings.initial == "random":
        mixtures, *loadings = (
            _there(problem, rng.random((n, settings.rank))) for n in (problem.examples, *sizes)
        )
    elif settings.faithful:
        mixtures = _there(problem, rng.random((problem.examples, settings.rank)))
        each = streamed_svd(
            problem, [[i] for i in range(len(sizes))], settings.rank, settings.seed + restart, _PASSES
        )
        loadings = [filled(_small_to_zero(_filled_up(nndsvd(one)[1], settings.rank, rng))) for one in each]
    elif restart == 0 and settings.initial != "random":
        (joint,) = streamed_svd(problem, [list(range(len(sizes)))], settings.rank, settings.seed, _PASSES)
        mixtures, stacked = nndsvd(joint)
        mixtures = filled(_filled_up(mixtures, settings.rank, rng))
        parts = torch.split(_filled_up(stacked, settings.rank, rng), sizes)
        loadings = [filled(one) / (side.weight**0.5) for one, side in zip(parts, problem.sides, strict=True)]
    else:
        mixtures, loadings = _random(problem, settings.rank, rng)
    # row after row, as files hold them: sums over what was found, and over what is read again, are the same bits
    found = [one.to(problem.dtype).contiguous() for one in (mixtures, *loadings)]
    return State(found[0], found[1:])


def nndsvd(found: Singular) -> tuple[Tensor, Tensor]:
    """Return the non-negative parts, float64 [examples, k] and [features, k], of balanced lengths."""
    left, right = torch.zeros_like(found.left), torch.zeros_like(found.right)
    for j, value in enumerate(found.values.tolist()):
        u, v = found.left[:, j], found.right[:, j]
        if j == 0:  # of one sign already
            left[:, 0], right[:, 0] = value**0.5 * u.abs(), value**0.5 * v.abs()
            continue
        sides = [(u.clamp(min=0), v.clamp(min=0)), ((-u).clamp(min=0), (-v).clamp(min=0))]
        lengths = [(float(a.norm()), float(b.norm())) for a, b in sides]
        best = 0 if lengths[0][0] * lengths[0][1] > lengths[1][0] * lengths[1][1] else 1
        (a, b), (length_a, length_b) = sides[best], lengths[best]
        if length_a * length_b == 0:
            continue  # left to the filling of zeros
        root = (value * length_a * length_b) ** 0.5
        left[:, j], right[:, j] = root * a / length_a, root * b / length_b
    return left, right


def _zeros_filled(array: Tensor) -> Tensor:
    mean = float(array.mean())
    return torch.where(array == 0, mean / 100, array)


def _small_to_zero(array: Tensor) -> Tensor:
    return torch.where(array < _ZERO, 0.0, array)


def _filled_up(array: Tensor, rank: int, rng: np.random.Generator) -> Tensor:
    """Random columns of the array's own mean (1/2 without any) behind those that it has."""
    missing = rank - array.shape[1]
    if missing <= 0:
        return array
    mean = float(array.mean()) if array.numel() else 0.5
    drawn = torch.from_numpy(rng.random((len(array), missing))).to(array.device)
    return torch.cat([array, 2 * mean * drawn], 1)


def _random(problem: Problem, rank: int, rng: np.random.Generator) -> tuple[Tensor, list[Tensor]]:
    """F and loadings uniform, of such a size that F B^T has the mean of each matrix, and both sides the same length.

    Sides of unlike lengths would meet unlike penalties, and could be driven to 0 where better factors are.
    """
    mixtures = _there(problem, rng.random((problem.examples, rank)))
    loadings = [
        _there(problem, rng.random((one.features, rank)) * (4 * side.mean / rank))
        for one, side in zip(problem.matrices, problem.sides, strict=True)
    ]
    length = sum(float(b.square().sum()) for b in loadings) ** 0.5
    share = (length / float(mixtures.norm())) ** 0.5
    return mixtures * share, [b / share for b in loadings]


def _there(problem: Problem, drawn: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(drawn).to(problem.device)
