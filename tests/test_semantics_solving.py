"""The convex problem: planted vectors, scipy one by one, rotations, batches."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from semantics_cases import orthonormal

from fastdissect.errors import SettingError
from fastdissect.methods.semantics import Samples, Solution, solve, solving

UNITS, CONCEPTS, POSITIONS = 64, 6, 6000


def planted(
    noise: float, vectors: NDArray[np.float64], seed: int = 0
) -> tuple[NDArray[np.float64], list[Samples]]:
    """a = sum_c v_c y_c + isotropic noise (METHODS 5.6.1)."""
    rng = np.random.default_rng(seed)
    shown = rng.random((POSITIONS, len(vectors))) < 0.3
    features = shown @ vectors + noise * rng.normal(size=(POSITIONS, vectors.shape[1]))
    samples = [
        Samples(own := np.flatnonzero(shown[:, c]), np.flatnonzero(~shown[:, c])[: len(own)])
        for c in range(len(vectors))
    ]
    return features, samples


def solved(features: NDArray[np.float64], samples: list[Samples], **more: object) -> Solution:
    centre = features.mean(0)
    scale = float(np.linalg.norm(features - centre, axis=1).mean())
    return solve(features.astype(np.float32), samples, centre, scale, **more)  # type: ignore[arg-type]


def units_of(found: Solution) -> NDArray[np.float64]:
    return found.weights / np.linalg.norm(found.weights, axis=1, keepdims=True)


@pytest.mark.parametrize(("noise", "least"), [(0.02, 0.999), (0.1, 0.998), (0.2, 0.99)])
def test_planted_vectors_are_found(noise: float, least: float) -> None:
    vectors = orthonormal(CONCEPTS, UNITS)
    found = solved(*planted(noise, vectors))
    assert ((units_of(found) * vectors).sum(1) > least).all()
    assert (found.gradient <= 1e-6).all()


def test_a_planted_unit_is_that_unit() -> None:
    found = units_of(solved(*planted(0.1, np.eye(CONCEPTS, UNITS))))
    assert np.abs(found).argmax(1).tolist() == list(range(CONCEPTS))
    assert (found[range(CONCEPTS), range(CONCEPTS)] > 0.99).all()


def by_scipy(
    features: NDArray[np.float32], one: Samples, centre: NDArray[np.float64], scale: float, ridge: float
) -> NDArray[np.float64]:
    """s and b of one concept, by another method, from the definition."""
    x = (features[np.concatenate([one.positives, one.negatives])].astype(float) - centre) / scale
    p, n = len(one.positives), len(one.negatives)
    sign = np.r_[np.ones(p), -np.ones(n)]
    share = np.r_[np.full(p, 0.5 / p), np.full(n, 0.5 / n)]

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = sign * (x @ at[:-1] + at[-1])
        slope = -share * sign * expit(-z)
        value = (share * np.logaddexp(0, -z)).sum() + ridge / 2 * at[:-1] @ at[:-1]
        return value, np.append(x.T @ slope + ridge * at[:-1], slope.sum())

    start = np.random.default_rng(3).normal(size=x.shape[1] + 1)  # the optimum is one, whatever the start
    return minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x  # type: ignore[no-any-return]


@pytest.mark.parametrize("ridge", [1e-1, 1e-2, 1e-3])
def test_the_optimum_is_that_of_scipy_one_by_one(ridge: float) -> None:
    rng = np.random.default_rng(5)
    features = rng.gamma(1.0, 1.0, (300, 9)).astype(np.float32)  # not centred, skewed
    samples = []
    for p, n in ((20, 20), (41, 33), (7, 120), (1, 1), (100, 99)):
        order = rng.permutation(300)
        samples.append(Samples(order[:p], order[p : p + n]))
    centre, scale = features.mean(0, dtype=float), 2.5
    found = solve(features, samples, centre, scale, ridge=ridge)
    for c, one in enumerate(samples):
        expected = by_scipy(features, one, centre, scale, ridge)
        np.testing.assert_allclose(found.weights[c], expected[:-1], atol=2e-5)
        np.testing.assert_allclose(found.bias[c], expected[-1], atol=1e-4)


def test_concepts_do_not_depend_on_those_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    features, samples = planted(0.2, orthonormal(CONCEPTS, UNITS))
    samples = [Samples(s.positives[: 30 * (i + 1)], s.negatives[:50]) for i, s in enumerate(samples)]
    together = solved(features, samples)
    monkeypatch.setattr(solving, "_MEMORY", {"cpu": 1})  # one at a time
    alone = solved(features, samples)
    np.testing.assert_allclose(alone.weights, together.weights, atol=2e-5)
    again = solved(features, samples)
    np.testing.assert_array_equal(again.weights, alone.weights)
    np.testing.assert_array_equal(solved(features, samples[2:3]).weights[0], alone.weights[2])


def test_vectors_turn_with_the_features() -> None:
    features, samples = planted(0.1, orthonormal(CONCEPTS, UNITS))
    q = orthonormal(UNITS, UNITS, seed=9)
    centre = features.mean(0)
    scale = float(np.linalg.norm(features - centre, axis=1).mean())
    # float64 features: the rounding of a rotation in float32 is not the solver's
    turned = features @ q.T
    tight = {"tolerance": 1e-11}
    one = solve(features, samples, centre, scale, **tight)  # type: ignore[arg-type]
    other = solve(turned, samples, centre @ q.T, scale, **tight)  # type: ignore[arg-type]
    np.testing.assert_allclose(other.weights, one.weights @ q.T, atol=1e-9)
    np.testing.assert_allclose(other.bias, one.bias, atol=1e-9)


def test_dead_units_get_nothing() -> None:
    features, samples = planted(0.1, orthonormal(CONCEPTS, UNITS))
    features[:, 5] = 0
    assert not solved(features, samples).weights[:, 5].any()


def test_non_negative_vectors_are_the_best_of_their_kind() -> None:
    features, samples = planted(0.2, orthonormal(3, 12))
    free, bounded = solved(features, samples), solved(features, samples, nonnegative=True)
    assert (bounded.weights >= 0).all()
    assert (free.weights < -0.01).any()
    assert (bounded.gradient <= 1e-6).all()
    # no allowed step from it is better: the loss falls nowhere along a coordinate
    centre = features.mean(0)
    scale = float(np.linalg.norm(features - centre, axis=1).mean())

    def loss(s: NDArray[np.float64], b: float, one: Samples) -> float:
        x = (features.astype(np.float32) - centre) / scale
        p, n = x[one.positives] @ s + b, x[one.negatives] @ s + b
        return float(np.logaddexp(0, -p).mean() / 2 + np.logaddexp(0, n).mean() / 2 + 0.005 * s @ s)

    for c, one in enumerate(samples):
        best = loss(bounded.weights[c], bounded.bias[c], one)
        for k in range(12):
            for step in (1e-3, -1e-3):
                s = bounded.weights[c].copy()
                s[k] = max(s[k] + step, 0)
                assert loss(s, bounded.bias[c], one) >= best


def test_a_positive_plant_needs_no_bound() -> None:
    features, samples = planted(0.05, np.eye(3, 12))
    free = solved(features, samples)
    bounded = solved(features, samples, nonnegative=True)
    assert ((units_of(free) * units_of(bounded)).sum(1) > 0.99).all()


def test_a_tolerance_beyond_float64_is_said() -> None:
    features, samples = planted(0.2, orthonormal(2, UNITS))
    with pytest.raises(SettingError, match="expected a gradient of 1e-30 at most"):
        solved(features, samples, tolerance=1e-30)
