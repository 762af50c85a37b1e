"""Planted co-clusters (METHODS 4.7), and what penalties do."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from factorization_cases import planted, recovered, small

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.alignment import align
from fastdissect.methods.factorization.rank_curve import rank_curve
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings

UNEQUAL = (0.4, 0.3, 0.2, 0.1)


@pytest.mark.parametrize("shares", [(0.25,) * 4, UNEQUAL])
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("penalty", ["elastic-net", "group-sparse"])
def test_co_clusters_are_found_in_ten_of_ten_seeds(penalty, weight, shares):
    settings = Settings(rank=4, penalty=penalty, mixtures=weight, iterations=25)
    for seed in range(10):
        matrices, group, owners = planted(seed, shares)
        found = factorize_matrices(matrices, settings)
        assert recovered(found, group, owners), seed
        assert not found.dead_factors


@pytest.mark.parametrize("penalty", ["elastic-net", "group-sparse"])
def test_with_penalties_on_both_sides(penalty):
    settings = Settings(rank=4, penalty=penalty, mixtures=1.0, pixels=1.0, neurons=0.1)
    for seed in range(10):
        matrices, group, owners = planted(seed)
        found = factorize_matrices(matrices, settings)
        assert recovered(found, group, owners), seed
        assert found.restarts["converged"].all()


@pytest.mark.parametrize("shares", [(0.25,) * 4, UNEQUAL])
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("penalty", ["elastic-net", "group-sparse"])
def test_the_released_rule_finds_them_too(penalty, weight, shares):
    settings = Settings(rank=4, penalty=penalty, groups=5, mixtures=weight, faithful=True)
    for seed in range(10):
        matrices, group, owners = planted(seed, shares)
        found = factorize_matrices(matrices, dataclasses.replace(settings, seed=seed))
        assert recovered(found, group, owners), seed
        assert len(found.history) <= 50
        for one in found.loadings:
            assert one.scale == 1
            np.testing.assert_allclose(np.linalg.norm(one.values, axis=0), 1, rtol=1e-5)
        if penalty == "group-sparse":
            np.testing.assert_allclose(found.mixtures.sum(0), 1, rtol=1e-5)


def test_the_released_start_agrees_on_the_factors_where_the_groups_sizes_do():
    """Each matrix's own singular vectors, zeros kept: their order is that of the groups' sizes."""
    settings = Settings(rank=4, faithful=True, initial="nndsvd")
    matrices, group, owners = planted(0, UNEQUAL)
    assert recovered(factorize_matrices(matrices, settings), group, owners)
    matrices, group, owners = planted(0)
    assert not recovered(factorize_matrices(matrices, settings), group, owners)


def test_the_default_rule_fits_better_than_the_released_one():
    matrices, _, _ = planted(0, UNEQUAL)
    fits = [
        factorize_matrices(matrices, Settings(rank=4, faithful=f)).restarts["fit"].iloc[0]
        for f in (False, True)
    ]
    assert fits[0] < 3e-4
    assert fits[1] > 5e-3


@pytest.mark.parametrize("rule", [{"faithful": True}, {"pixels": 1.0, "neurons": 1.0}])
def test_a_larger_weight_makes_the_mixtures_smaller(rule):
    matrices, _, _ = planted(1, UNEQUAL)
    sums = [
        factorize_matrices(matrices, Settings(rank=4, mixtures=weight, **rule)).mixtures.sum()
        for weight in (0.0, 0.1, 1.0, 5.0)
    ]
    assert all(a > b for a, b in pairwise(sums))


@pytest.mark.parametrize("rule", [{}, {"faithful": True}])
def test_a_group_weight_above_every_threshold_gives_zeros(rule):
    found = factorize_matrices(
        small(), Settings(rank=3, penalty="group-sparse", groups=4, mixtures=1e4, **rule)
    )
    assert not found.mixtures.any()
    assert found.dead_factors == (0, 1, 2)
    assert not any(one.values.any() for one in found.loadings)
    assert all(one.fit == 1 for one in found.loadings)
    assert np.isfinite(found.history[["objective", "fit"]]).all(axis=None)
    assert not found.reported_mixtures().any()


def test_some_factors_leave_some_groups():
    matrices, group, _ = planted(0)
    settings = Settings(rank=4, penalty="group-sparse", groups=4, mixtures=3.0, pixels=1.0, neurons=1.0)
    found = factorize_matrices(matrices, settings)
    present = np.array([found.mixtures[group == g].any(0) for g in range(4)])
    assert present.sum() == 4
    assert present.any(0).all()


def test_reported_mixtures_do_not_depend_on_how_the_scale_is_split():
    matrices, _, _ = planted(0)
    found = factorize_matrices(matrices, Settings(rank=4))
    shares = found.reported_mixtures()
    np.testing.assert_allclose(shares.sum(1), 1)
    factor = np.array([1, 10, 0.1, 3], np.float32)
    found.mixtures[...] *= factor
    for one in found.loadings:
        one.values[...] /= factor
    np.testing.assert_allclose(found.reported_mixtures(), shares, rtol=1e-4, atol=1e-7)


def test_align_undoes_a_permutation():
    import dataclasses

    matrices, _, _ = planted(0)
    found = factorize_matrices(matrices, Settings(rank=4))
    order = np.array([2, 0, 3, 1])
    other = dataclasses.replace(
        found,
        mixtures=found.mixtures[:, order],
        loadings=tuple(dataclasses.replace(one, values=one.values[:, order]) for one in found.loadings),
    )
    assert order[align(found, other)].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(other.mixtures[:, align(found, other)], found.mixtures)
    with pytest.raises(SettingError, match="one rank and of the same matrices"):
        align(found, factorize_matrices(matrices, Settings(rank=3, iterations=2)))


def test_the_rank_curve_finds_the_planted_rank():
    matrices, _, _ = planted(0, examples=80)
    told = []
    curve = rank_curve(matrices, [6, 2, 3, 4, 5], Settings(iterations=80), restarts=3, progress=told.append)
    assert curve.rank == 4
    assert curve.table["rank"].tolist() == [2, 3, 4, 5, 6]
    assert curve.table["chosen"].tolist() == [False, False, True, False, False]
    assert curve.table["stability"].between(0, 1 + 1e-12).all()
    assert (curve.table["fit_min"] <= curve.table["fit_mean"]).all()
    assert (curve.table["fit_mean"] <= curve.table["fit_max"]).all()
    assert curve.table["fit_min"].iloc[2] < 1e-3
    assert curve.table["fit_min"].iloc[1] > 0.1
    assert curve.factorization.rank == 4
    assert len(curve.factorization.restarts) == 3
    assert "rank 4" in curve.why
    assert sum(told) > 15
    nowhere = rank_curve(matrices, [2, 3], Settings(iterations=20), restarts=2, stable=1.0)
    assert "no rank reaches" in nowhere.why


@pytest.mark.parametrize(
    ("ranks", "more", "message"),
    [
        ([], {}, "ranks as whole numbers"),
        ([0, 2], {}, "ranks as whole numbers"),
        ([True], {}, "ranks as whole numbers"),
        ([2, 99], {}, "at most the number of examples, 23"),
        ([2], {"restarts": 1}, "2 restarts or more"),
        ([2], {"stable": 2}, "from 0 to 1"),
        ([2], {"example_names": ["a"]}, "23 names"),
    ],
)
def test_bad_curves(ranks, more, message):
    with pytest.raises(SettingError, match=message):
        rank_curve(small(), ranks, **more)
