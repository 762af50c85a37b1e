"""The convex problem behind a semantic vector, for many concepts in one batched Newton iteration.

    minimise over s, b    1/2 mean_P log(1 + exp(-(s.a + b))) + 1/2 mean_N log(1 + exp(s.a + b)) + ridge/2 |s|^2

It is strictly convex: one answer, whatever the start or the order. Each step solves the Newton equations by conjugate
gradients, by products with the features alone. With features of mean norm 1 the curvature lies between `ridge` and
about 1/4 + `ridge`, so a few dozen products reach the tolerance.

Our formulation (the published abstract names an optimisation problem, not which).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from fastdissect.errors import SettingError
from fastdissect.methods.semantics.nonnegative import solve_nonnegative

__all__ = ["Samples", "Solution", "solve"]

# Bytes of features in float64 at a time, or one concept's: what a core's cache holds, as every product reads all of them
# (61 concepts of 6,000 samples and 96 units: several times as fast as by 256 MB). A GPU wants more to do at once.
_MEMORY = {"cpu": 4 << 20, "cuda": 1 << 30}
_STEPS, _PRODUCTS, _HALVINGS = 100, 500, 40


class Samples(NamedTuple):
    """Rows of the features of one concept."""

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]


class Solution(NamedTuple):
    """Of features (a - centre) / scale."""

    weights: NDArray[np.float64]  # [concepts, units], s
    bias: NDArray[np.float64]  # [concepts], b
    gradient: NDArray[np.float64]  # [concepts], its norm at the end


class _Batch(NamedTuple):
    x: Tensor  # [concepts, samples, units]
    sign: Tensor  # [concepts, samples], 1 or -1; 0: no sample
    share: Tensor  # [concepts, samples], weight in the loss
    ridge: float

    def margins(self, s: Tensor, b: Tensor) -> Tensor:
        return torch.baddbmm(b[:, None, None], self.x, s[:, :, None]).squeeze(2)

    def loss(self, s: Tensor, z: Tensor) -> Tensor:
        return (self.share * softplus(-self.sign * z)).sum(1) + self.ridge / 2 * s.square().sum(1)

    def gradient(self, s: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        slope = -self.share * self.sign * torch.sigmoid(-self.sign * z)
        return self._pulled(slope) + self.ridge * s, slope.sum(1)

    def curvature(self, z: Tensor) -> Tensor:
        return self.share * torch.sigmoid(z) * torch.sigmoid(-z)

    def product(self, h: Tensor, s: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The Hessian times (s, b)."""
        hz = h * self.margins(s, b)
        return self._pulled(hz) + self.ridge * s, hz.sum(1)

    def _pulled(self, values: Tensor) -> Tensor:
        return torch.bmm(values[:, None], self.x).squeeze(1)


def solve(
    features: NDArray[np.float32],
    samples: Sequence[Samples],
    centre: NDArray[np.float64],
    scale: float,
    *,
    ridge: float = 1e-2,
    nonnegative: bool = False,
    tolerance: float = 1e-6,
    device: torch.device | str = "cpu",
) -> Solution:
    """Solve the problem of every concept, in float64.

    Args:
        features: float32 [positions, units]. samples: of each concept, both kinds at least once.
        nonnegative: under s >= 0.
        tolerance: norm of the gradient at which a concept is done.

    Raises:
        SettingError: a tolerance that float64 does not reach.

    Example:
        >>> a = np.array([[1, 0], [0, 1]], np.float32)
        >>> found = solve(a, [Samples(np.array([0]), np.array([1]))], np.zeros(2), 1.0)
        >>> bool(np.allclose(found.weights[0], [-found.weights[0, 1], found.weights[0, 1]]))
        True
    """
    units = features.shape[1]
    weights, bias = np.zeros((len(samples), units)), np.zeros(len(samples))
    norm = np.zeros(len(samples))
    target = torch.device(device)
    for own in _together(samples, units, _MEMORY.get(target.type, 4 << 20)):
        batch = _batch(features, [samples[i] for i in own], centre, scale, ridge, target)
        if nonnegative:
            x, sign, share = (tensor.cpu().numpy() for tensor in batch[:3])
            for place, i in enumerate(own.tolist()):
                weights[i], bias[i], norm[i] = solve_nonnegative(
                    x[place], sign[place], share[place], ridge, tolerance
                )
            continue
        s, b, g = _newton(batch, tolerance)
        weights[own], bias[own], norm[own] = s.cpu().numpy(), b.cpu().numpy(), g.cpu().numpy()
    if not (norm <= tolerance).all():
        raise SettingError(
            f"expected a gradient of {tolerance:g} at most; got {norm.max():.2g}; give a larger tolerance or ridge"
        )
    return Solution(weights, bias, norm)


def _together(samples: Sequence[Samples], units: int, memory: int) -> Iterator[NDArray[np.int64]]:
    """Concepts of like numbers of samples, as many as fit."""
    count = np.array([len(s.positives) + len(s.negatives) for s in samples], np.int64)
    order = np.argsort(-count, kind="stable")
    while len(order):
        fit = max(1, memory // max(1, int(count[order[0]]) * units * 8))
        yield order[:fit]
        order = order[fit:]


def _batch(
    features: NDArray[np.float32],
    samples: Sequence[Samples],
    centre: NDArray[np.float64],
    scale: float,
    ridge: float,
    device: torch.device,
) -> _Batch:
    longest = max(len(s.positives) + len(s.negatives) for s in samples)
    x = np.zeros((len(samples), longest, features.shape[1]))
    sign, share = np.zeros((2, len(samples), longest))
    for i, (positives, negatives) in enumerate(samples):
        p, n = len(positives), len(negatives)
        x[i, :p], x[i, p : p + n] = features[positives], features[negatives]
        x[i, : p + n] -= centre
        sign[i, :p], sign[i, p : p + n] = 1, -1
        share[i, :p], share[i, p : p + n] = 0.5 / p, 0.5 / n
    x /= scale
    on = [torch.from_numpy(array).to(device) for array in (x, sign, share)]
    return _Batch(on[0], on[1], on[2], ridge)


def _newton(batch: _Batch, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
    concepts, _, units = batch.x.shape
    s, b = batch.x.new_zeros(concepts, units), batch.x.new_zeros(concepts)
    z = batch.margins(s, b)
    for step in range(_STEPS + 1):
        gs, gb = batch.gradient(s, z)
        norm = (gs.square().sum(1) + gb.square()).sqrt()
        if step == _STEPS or bool((norm <= tolerance).all()):
            break
        ds, db = _conjugate(batch, batch.curvature(z), gs, gb, norm)
        s, b, z, moved = _down(batch, s, b, z, ds, db, gs, gb)
        if not bool((moved | (norm <= tolerance)).any()):
            break  # rounding: no step lowers any loss
    return s, b, norm


def _conjugate(batch: _Batch, h: Tensor, gs: Tensor, gb: Tensor, norm: Tensor) -> tuple[Tensor, Tensor]:
    """The Newton direction, up to a residual that falls with the gradient (so that steps converge superlinearly)."""
    ds, db = torch.zeros_like(gs), torch.zeros_like(gb)
    rs, rb = -gs, -gb
    ps, pb = rs, rb
    rr = norm.square()
    enough = (norm * norm.sqrt().clamp(max=0.1)).square()
    for _ in range(_PRODUCTS):
        if bool((rr <= enough).all()):
            break
        hs, hb = batch.product(h, ps, pb)
        curved = (ps * hs).sum(1) + pb * hb
        alpha = torch.where((rr > enough) & (curved > 0), rr / curved.clamp(min=1e-300), 0)
        ds, db = ds + alpha[:, None] * ps, db + alpha * pb
        rs, rb = rs - alpha[:, None] * hs, rb - alpha * hb
        new = rs.square().sum(1) + rb.square()
        beta = torch.where(alpha > 0, new / rr.clamp(min=1e-300), 0)
        ps, pb, rr = rs + beta[:, None] * ps, rb + beta * pb, new
    return ds, db


def _down(
    batch: _Batch, s: Tensor, b: Tensor, z: Tensor, ds: Tensor, db: Tensor, gs: Tensor, gb: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Go along the direction, each concept by the first halving that lowers its loss enough."""
    before = batch.loss(s, z)
    falls = (gs * ds).sum(1) + gb * db  # below 0
    dz = batch.margins(ds, db)
    length, done = torch.ones_like(b), torch.zeros_like(b, dtype=torch.bool)
    for _ in range(_HALVINGS):
        after = batch.loss(s + length[:, None] * ds, z + length[:, None] * dz)
        # near the optimum the loss cannot tell any more: its own rounding is let pass
        done = after <= before + 1e-4 * length * falls + 4e-16 * before
        if bool(done.all()):
            break
        length = torch.where(done, length, length / 2)
    length = torch.where(done, length, 0)
    s, b = s + length[:, None] * ds, b + length * db
    return s, b, batch.margins(s, b), length > 0
