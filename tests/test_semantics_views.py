"""Scores as sums over concepts: planted heads, additivity, rotations, sparse weights, groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import nnls
from semantics_cases import orthonormal

from fastdissect.methods.semantics import Group, groups_of, sparse_weights, split_score

UNITS = 24


def groups(vectors: NDArray[np.float64]) -> tuple[Group, ...]:
    return tuple(Group(f"c{i}", (i,), vector) for i, vector in enumerate(vectors))


def test_a_planted_head_is_read() -> None:
    rng = np.random.default_rng(0)
    v = orthonormal(6, 64)
    near = v + 0.02 * rng.normal(size=v.shape)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    found = sparse_weights(near, 2 * v[0] + v[2])
    assert found.mu == 0  # six concepts: all could take part
    np.testing.assert_allclose(found.beta, [2, 0, 1, 0, 0, 0], atol=0.1)
    left = 2 * v[0] + v[2] - found.beta @ near
    assert np.linalg.norm(left) < 0.2 * np.linalg.norm(2 * v[0] + v[2])


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6))
def test_sparse_weights_are_the_minimiser(concepts: int, units: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(concepts, units))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    w = rng.normal(size=units) * 10 ** rng.uniform(-3, 3)
    found = sparse_weights(u, w, most)
    assert (found.beta > 0).sum() <= most
    assert (found.shrunk > 0).sum() <= most
    assert (found.shrunk >= 0).all()
    # Karush, Kuhn and Tucker: an active concept pulls by mu / 2, no other by more
    pull = u @ (w - found.shrunk @ u)
    size = max(np.linalg.norm(w), 1e-300)
    assert (pull <= found.mu / 2 + 1e-8 * size).all()
    np.testing.assert_allclose(pull[found.shrunk > 0], found.mu / 2, atol=1e-8 * size)
    if found.mu == 0:
        best = nnls(u.T, w)[1]
        assert np.linalg.norm(w - found.shrunk @ u) <= best + 1e-7 * size
    on = found.shrunk > 0
    if on.any():  # without mu the fit among them is at least as good
        assert np.linalg.norm(w - found.beta @ u) <= np.linalg.norm(w - found.shrunk @ u) + 1e-9 * size


def test_one_more_concept_would_be_too_many() -> None:
    rng = np.random.default_rng(1)
    u = rng.normal(size=(40, 30))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    w = rng.normal(size=30)
    assert (nnls(u.T, w)[0] > 0).sum() > 10
    found = sparse_weights(u, w, 10)
    assert found.mu > 0
    assert (found.shrunk > 1e-12).sum() == 10


def test_nothing_in_favour_gives_no_concepts() -> None:
    found = sparse_weights(np.eye(3), -np.ones(3))
    assert not found.beta.any()
    assert not sparse_weights(np.zeros((0, 3)), np.ones(3)).beta.size
    assert not sparse_weights(np.eye(3), np.zeros(3)).beta.any()


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_the_parts_add_up_for_any_image(seed: int, height: int, width: int, linear: bool) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.gamma(1.0, 1.0, (UNITS, height, width))
    u = rng.normal(size=(15, UNITS))  # no matter what the vectors are
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    if linear:
        w, b = rng.normal(size=UNITS), float(rng.normal())
        gradient = np.broadcast_to(w[:, None, None] / (height * width), maps.shape)
        score = float(w @ maps.mean((1, 2)) + b)
        found = split_score(maps, gradient, score, b, groups(u), 10)
        np.testing.assert_allclose(
            found.contributions, found.beta * (u[list(found.active)] @ maps.mean((1, 2))), atol=1e-9
        )
    else:
        gradient, score = rng.normal(size=maps.shape), float(rng.normal())
        found = split_score(maps, gradient, score, None, groups(u), 10)
    total = found.contributions.sum() + found.residual + found.rest
    assert total == pytest.approx(score, abs=1e-6)
    assert found.error < 1e-12
    np.testing.assert_allclose(found.maps.sum((1, 2)), found.contributions, atol=1e-9)
    assert (np.diff(found.contributions) <= 0).all()
    size = np.abs(found.contributions).sum() + abs(found.residual)
    assert found.residual_share == pytest.approx(abs(found.residual) / size)
    assert found.explained == (found.residual_share <= 0.5)


def test_a_wrong_sum_shows() -> None:
    maps = np.ones((UNITS, 1, 1))
    w = np.arange(UNITS, dtype=float)
    found = split_score(maps, w[:, None, None], float(w.sum()) + 1.0, 0.0, groups(np.eye(UNITS)), 5)
    assert found.error > 1e-3


def test_absent_concepts_contribute_nothing() -> None:
    v = orthonormal(5, UNITS)
    rng = np.random.default_rng(4)
    maps = (v[0][:, None, None] * 1.0 + v[2][:, None, None] * 1.0) + 0.01 * rng.normal(size=(UNITS, 4, 4))
    w = 2 * v[0] + v[1] + v[2]  # concept 1 counts, but is not there
    found = split_score(
        maps,
        np.broadcast_to(w[:, None, None] / 16, maps.shape),
        float(w @ maps.mean((1, 2))),
        0.0,
        groups(v),
        10,
    )
    of = dict(zip(found.active, found.contributions.tolist(), strict=True))
    assert of[0] == pytest.approx(2, abs=0.05)
    assert of[2] == pytest.approx(1, abs=0.05)
    assert of[1] == pytest.approx(0, abs=0.05)


def test_views_turn_with_the_space() -> None:
    rng = np.random.default_rng(6)
    q = orthonormal(UNITS, UNITS, 8)
    u = rng.normal(size=(12, UNITS))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    maps, w = rng.gamma(1.0, 1.0, (UNITS, 3, 4)), rng.normal(size=UNITS)
    turned = np.tensordot(q, maps, 1)
    views = [
        split_score(
            m, np.broadcast_to(x[:, None, None] / 12, m.shape), float(x @ m.mean((1, 2))), 0.0, groups(g), 10
        )
        for m, x, g in ((maps, w, u), (turned, q @ w, u @ q.T))
    ]
    assert views[0].active == views[1].active
    np.testing.assert_allclose(views[1].beta, views[0].beta, atol=1e-9)
    np.testing.assert_allclose(views[1].contributions, views[0].contributions, atol=1e-9)
    np.testing.assert_allclose(views[1].maps, views[0].maps, atol=1e-9)
    assert views[1].residual == pytest.approx(views[0].residual, abs=1e-9)


def test_a_gradient_of_nothing() -> None:
    found = split_score(np.ones((4, 2, 2)), np.zeros((4, 2, 2)), 0.5, None, groups(np.eye(4)), 10)
    assert found.rest == 0.5
    assert found.active == ()
    assert np.isnan(found.residual_share)
    assert found.explained


def test_collinear_concepts_are_one_group() -> None:
    base = orthonormal(3, UNITS)
    near = 0.97 * base[0] + np.sqrt(1 - 0.97**2) * base[1]
    vectors = np.stack([base[0], base[2], near, np.zeros(UNITS)])
    names = ["sea", "sky", "sea-s", "nothing"]
    found = groups_of(vectors, names, range(4))
    assert [g.name for g in found] == ["sea / sea-s", "sky"]
    assert found[0].members == (0, 2)
    assert np.linalg.norm(found[0].vector) == pytest.approx(1)
    assert found[0].vector @ base[0] == pytest.approx(found[0].vector @ near)
    assert [g.name for g in groups_of(vectors, names, range(4), above=0.98)] == ["sea", "sky", "sea-s"]
    assert [g.name for g in groups_of(vectors, names, [1])] == ["sky"]
    # without groups their share would be split by chance
    w = 3 * base[0]
    assert sparse_weights(np.stack([g.vector for g in found]), w).beta[0] > 2.9
