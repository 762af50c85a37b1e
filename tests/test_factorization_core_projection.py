"""New examples: a convex problem, whose answer for the examples of the fit is the fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from factorization_cases import planted, small

from fastdissect.errors import ActivationError, SettingError
from fastdissect.methods.factorization.convex_mixtures import _descended, best_mixtures
from fastdissect.methods.factorization.projection import project
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings

RULES = [
    {},
    {"mixtures": 0.3, "pixels": 0.1, "neurons": 0.1},
    {"penalty": "group-sparse", "groups": 4, "mixtures": 0.2},
    {"penalty": "group-sparse", "groups": 2, "mixtures": 0.2, "block": 5},
    {"weights": "each", "block": 6},
]


@pytest.mark.parametrize("rule", RULES)
def test_the_examples_of_the_fit_give_its_mixtures_bit_for_bit(rule):
    matrices = small()
    found = factorize_matrices(matrices, Settings(rank=4, iterations=30, **rule))
    assert found.mixtures.any()
    assert project(found, matrices).tobytes() == found.mixtures.tobytes()


@pytest.mark.parametrize("block", [4, 1000])
def test_other_blocks_give_them_within_rounding(block):
    matrices = small()
    found = factorize_matrices(matrices, Settings(rank=4, block=7))
    other = dataclasses.replace(found, settings=dataclasses.replace(found.settings, block=block))
    np.testing.assert_allclose(project(other, matrices), found.mixtures, atol=1e-5 * found.mixtures.max())


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_each_example_meets_the_conditions_of_the_minimum(weight):
    rng = np.random.default_rng(0)
    b, x = rng.random((15, 6)), rng.random((40, 15)) ** 3
    numerator, gram = x @ b, b.T @ b
    f = best_mixtures(torch.from_numpy(numerator), torch.from_numpy(gram), Settings(mixtures=weight)).numpy()
    slope = 2 * (f @ gram - numerator + weight * (f + 1))
    assert (f >= 0).all()
    assert (f == 0).any()
    assert slope.min() > -1e-9
    assert np.abs(slope[f > 0]).max() < 1e-9
    for n in range(5):
        np.testing.assert_allclose(
            _descended(gram + weight * np.eye(6), numerator[n] - weight), f[n], atol=1e-8
        )


def test_dead_and_doubled_factors():
    rng = np.random.default_rng(0)
    b = rng.random((15, 4))
    b[:, 1] = 0
    b[:, 3] = b[:, 0]
    x = rng.random((6, 15))
    f = best_mixtures(torch.from_numpy(x @ b), torch.from_numpy(b.T @ b), Settings()).numpy()
    assert np.isfinite(f).all()
    assert not f[:, 1].any()
    slope = f @ (b.T @ b) - x @ b
    assert slope.min() > -1e-8
    dead = best_mixtures(torch.ones(2, 3).double(), torch.zeros(3, 3).double(), Settings())
    assert not dead.any()


def test_new_examples_of_planted_groups_find_their_factors():
    matrices, group, _ = planted(0)
    rows = np.arange(200) % 2 == 0
    fitted, new = (
        [dataclasses.replace(one, values=np.ascontiguousarray(one.values[own])) for one in matrices]
        for own in (rows, ~rows)
    )
    for rule in ({}, {"faithful": True, "iterations": 200}):
        found = factorize_matrices(fitted, Settings(rank=4, **rule))
        if not rule:
            factor = {int(g): int(found.mixtures[group[rows] == g].mean(0).argmax()) for g in range(4)}
            assert [factor[int(g)] for g in group[~rows]] == project(found, new).argmax(1).tolist()
        one = [dataclasses.replace(m, values=m.values[:1]) for m in new]
        np.testing.assert_allclose(project(found, one), project(found, new)[:1], rtol=1e-4, atol=1e-5)


def test_other_matrices_are_refused():
    matrices = small()
    found = factorize_matrices(matrices, Settings(rank=2, iterations=2))
    with pytest.raises(SettingError, match=r"red \(pixels, 1 x 2 x 3\), green.*got red"):
        project(found, matrices[:1])
    with pytest.raises(SettingError, match="the matrices that were fitted"):
        project(found, [matrices[1], matrices[0], matrices[2]])
    bad = matrices[2].values.copy()
    bad[20, 3] = -1
    with pytest.raises(ActivationError, match=r"'layer'.*got -1 .*example 20.*rectify=True"):
        project(found, [*matrices[:2], dataclasses.replace(matrices[2], values=bad)])
