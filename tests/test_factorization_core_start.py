"""Where restarts begin: the streamed singular vectors and NNDSVD against libraries, restarts apart and repeatable."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from factorization_cases import planted, scales_and_weights, small

from fastdissect.methods.factorization.initial import initial, nndsvd
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.products import moments_of, projected
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings
from fastdissect.methods.factorization.streamed_svd import Singular, streamed_svd


def _stacked(matrices, settings):
    both = scales_and_weights(matrices, settings)
    return np.concatenate(
        [np.sqrt(w) / s * one.values.astype(np.float64) for one, (s, w) in zip(matrices, both, strict=True)],
        1,
    )


@pytest.mark.parametrize("block", [16, 1000])
@pytest.mark.parametrize("matrices", [small(), planted(0, (0.4, 0.3, 0.2, 0.1))[0]])
def test_streamed_singular_vectors_are_the_library_s(matrices, block):
    settings = Settings(rank=4)
    with Problem(matrices, block) as problem:
        problem.survey(settings)
        joint, last = streamed_svd(problem, [range(len(matrices)), [len(matrices) - 1]], 4, 0)
    own = matrices[-1].values / scales_and_weights(matrices, settings)[-1][0]
    for found, x in ((joint, _stacked(matrices, settings)), (last, own)):
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        np.testing.assert_allclose(found.values, s[:4], rtol=1e-5)
        np.testing.assert_allclose(np.abs(np.sum(found.left.numpy() * u[:, :4], 0)), 1, atol=1e-4)
        np.testing.assert_allclose(np.abs(np.sum(found.right.numpy() * vh[:4].T, 0)), 1, atol=1e-4)


def test_nndsvd_is_the_library_s():
    from sklearn.decomposition import _nmf

    x = _stacked(small(), Settings())
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    found = Singular(*(torch.from_numpy(a) for a in (u[:, :5].copy(), s[:5].copy(), vh[:5].T.copy())))
    left, right = nndsvd(found)
    w, h = _nmf._initialize_nmf(x, 5, init="nndsvd", random_state=0)
    np.testing.assert_allclose(left, w, atol=2e-6)  # the library sets what is below 1e-6 to 0
    np.testing.assert_allclose(right.T, h, atol=2e-6)


@pytest.mark.parametrize("faithful", [False, True])
def test_starts_have_no_zeros_unless_asked_for(faithful):
    matrices = small()
    with Problem(matrices, 8) as problem:
        settings = Settings(rank=5, faithful=faithful)
        problem.survey(settings)
        state = initial(problem, settings, 0)
        kept = initial(problem, dataclasses.replace(settings, initial="nndsvd"), 0)
    assert all(bool((one > 0).all()) for one in (state.mixtures, *state.loadings))
    assert all(bool((one == 0).any()) for one in kept.loadings)
    for one, other in zip(state.loadings, kept.loadings, strict=True):
        where = other > 0
        assert torch.equal(one[where], other[where])
    if faithful:
        assert all(bool(((one == 0) | (one >= 1e-6)).all()) for one in kept.loadings)
        for one in (state, kept):
            assert 0 < float(one.mixtures.min()) < 0.1
            assert 0.9 < float(one.mixtures.max()) < 1


@pytest.mark.parametrize("faithful", [False, True])
def test_more_factors_than_features_begin_at_random(faithful):
    matrices = small()[:1]  # 6 features
    with Problem(matrices, 8) as problem:
        settings = Settings(rank=9, faithful=faithful)
        problem.survey(settings)
        state = initial(problem, settings, 0)
    assert state.loadings[0].shape == (6, 9)
    assert np.linalg.matrix_rank(state.loadings[0][:, 6:].numpy()) == 3
    found = factorize_matrices(matrices, settings)
    assert np.isfinite(found.mixtures).all()


@pytest.mark.parametrize("rule", [{}, {"faithful": True}, {"initial": "random"}])
def test_restarts_differ_and_can_be_repeated(rule):
    settings = Settings(rank=3, seed=7, **rule)
    with Problem(small(), 8) as problem:
        problem.survey(settings)
        states = [initial(problem, settings, i) for i in range(3)]
        again = [initial(problem, settings, i) for i in range(3)]
        later = initial(problem, Settings(rank=3, seed=8, **{**rule, "initial": "random"}), 1)
    for i in range(3):
        assert torch.equal(states[i].mixtures, again[i].mixtures)
        assert all(torch.equal(a, b) for a, b in zip(states[i].loadings, again[i].loadings, strict=True))
        assert not torch.equal(states[i].mixtures, states[i - 1].mixtures)
    assert torch.equal(later.mixtures, states[2].mixtures), "restart i draws with seed + i"


def test_random_starts_have_the_data_s_mean_and_balanced_sides():
    settings = Settings(rank=3, initial="random")
    matrices = planted(0)[0]
    with Problem(matrices, 64) as problem:
        problem.survey(settings)
        state = initial(problem, settings, 0)
    for one, b, (s, _) in zip(matrices, state.loadings, scales_and_weights(matrices, settings), strict=True):
        assert float((state.mixtures @ b.T).mean()) == pytest.approx(one.values.mean() / s, rel=0.25)
    size = sum(float(b.square().sum()) for b in state.loadings)
    assert size == pytest.approx(float(state.mixtures.square().sum()), rel=1e-4)


def test_the_restart_of_lowest_objective_is_kept():
    told = []
    settings = Settings(rank=5, restarts=4, initial="random", iterations=8)
    found = factorize_matrices(small(), settings, progress=told.append)
    table = found.restarts
    assert table["restart"].tolist() == [0, 1, 2, 3]
    assert table["kept"].sum() == 1
    assert table["objective"][table["kept"]].item() == table["objective"].min()
    assert table["objective"].nunique() == 4
    last = found.history.groupby("restart").last()
    assert last["objective"].tolist() == table["objective"].tolist()
    assert last["iteration"].tolist() == table["iterations"].tolist()
    assert sum(told) == len(found.history) == 4 * 9
    alone = factorize_matrices(
        small(),
        Settings(rank=5, initial="random", iterations=8, seed=int(table["restart"][table["kept"]].item())),
    )
    assert alone.mixtures.tobytes() == found.mixtures.tobytes()


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e13, 1e30])
def test_scales_means_and_dead_features_of_any_size(size):
    rng = np.random.default_rng(0)
    x = (size * rng.random((37, 50))).astype(np.float32)
    x[:, [3, 17]] = 0
    with Problem([FeatureMatrix("x", "features", (50, 1, 1), x)], 16) as problem:
        problem.survey(Settings(rank=2))
        (side,) = problem.sides
    wide = x.astype(np.float64)
    assert side.scale == pytest.approx(np.linalg.norm(wide) / np.sqrt(37), rel=1e-6)
    assert side.square == pytest.approx(37, rel=1e-6)
    assert side.mean * side.scale == pytest.approx(wide.mean(), rel=1e-6)
    assert side.dead.tolist() == [3, 17]


@pytest.mark.parametrize(("rows", "features", "rank"), [(1, 1, 1), (7, 3, 5), (64, 200, 4)])
def test_the_products_are_x_b_and_x_transposed_f(rows, features, rank):
    rng = np.random.default_rng(0)
    x, b, f = (
        torch.from_numpy(rng.random(shape)) for shape in ((rows, features), (features, rank), (rows, rank))
    )
    torch.testing.assert_close(projected(x, b), x @ b)
    torch.testing.assert_close(moments_of(x, f), (x.T @ f).T)
