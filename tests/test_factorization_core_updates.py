"""The updates against the same formulas in NumPy, the objective against residuals written out, and what must hold of both."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from factorization_cases import (
    iteration,
    objective,
    random_start,
    released_group,
    slow_group_sparse,
    small,
)

from fastdissect.methods.factorization.faithful import faithful_group, rows_to_one, unit_columns
from fastdissect.methods.factorization.group_sparse import (
    group_lengths,
    group_shrunk,
    group_size,
    group_sparse,
)
from fastdissect.methods.factorization.problem import Problem
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings
from fastdissect.methods.factorization.solving import solve
from fastdissect.methods.factorization.sweeping import State
from fastdissect.methods.factorization.updates import SMALLEST, multiplied

PENALISED = {"mixtures": 0.7, "pixels": 0.2, "neurons": 0.3}


def _solved(settings, matrices=None, seed=1, dtype=torch.float64):
    """The solution from a uniform start, and that start in NumPy."""
    matrices = small() if matrices is None else matrices
    with Problem(matrices, settings.block, dtype=dtype) as problem:
        problem.survey(settings)
        start = random_start(problem, settings.rank, seed)
        first = start.mixtures.numpy().copy(), [b.numpy().copy() for b in start.loadings]
        return solve(problem, settings, start), first


def _arrays(state):
    return state.mixtures.numpy(), [b.numpy() for b in state.loadings]


@pytest.mark.parametrize("penalties", [{}, PENALISED])
@pytest.mark.parametrize(
    "rule",
    [{"faithful": True}, {"repeats": 1}, {"repeats": 3, "weights": "each"}, {"block": 4, "repeats": 2}],
)
def test_an_iteration_is_the_formula(rule, penalties):
    from fastdissect.methods.factorization.solving import _faithful_iteration, _iteration

    settings = Settings(rank=3, **rule, **penalties)
    matrices = small()
    with Problem(matrices, settings.block, dtype=torch.float64) as problem:
        problem.survey(settings)
        state = random_start(problem, 3, 5)
        expected = iteration(matrices, settings, *_arrays(state))
        (_faithful_iteration if settings.faithful else _iteration)(problem, settings, state)
    np.testing.assert_allclose(state.mixtures, expected[0], rtol=1e-10)
    for got, one in zip(state.loadings, expected[1], strict=True):
        np.testing.assert_allclose(got, one, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("penalty", ["elastic-net", "group-sparse"])
@pytest.mark.parametrize("rule", [{}, {"faithful": True}, {"weights": "each", "block": 5}])
def test_the_objective_is_that_of_the_residuals(penalty, rule):
    settings = Settings(rank=3, penalty=penalty, groups=4, iterations=3, **PENALISED, **rule)
    matrices = small()
    solution, _ = _solved(settings, matrices)
    expected = objective(matrices, settings, *_arrays(solution.state))
    assert solution.values[-1].objective == pytest.approx(expected, rel=1e-10)
    plain = dataclasses.replace(settings, mixtures=0, pixels=0, neurons=0)
    zero = objective(matrices, plain, np.zeros((23, 3)), [np.zeros((one.features, 3)) for one in matrices])
    assert solution.values[-1].fit == pytest.approx(
        objective(matrices, plain, *_arrays(solution.state)) / zero, rel=1e-10
    )
    neurons = matrices[2].values.astype(np.float64)
    scale = 1 if settings.faithful else np.linalg.norm(neurons) / np.sqrt(23)
    rest = neurons - scale * solution.state.mixtures.numpy() @ solution.state.loadings[2].numpy().T
    share = np.sum(rest**2) / np.sum(neurons**2)
    assert solution.values[-1].neurons_fit == pytest.approx(share, rel=1e-9)
    assert solution.values[-1].fits[2] == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize("penalty", ["elastic-net", "group-sparse"])
@pytest.mark.parametrize(
    "penalties", [{}, {"mixtures": 1.0}, PENALISED, {"mixtures": 1.0, "pixels": 1.0, "neurons": 1.0}]
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_objective_never_rises(penalty, penalties, seed):
    settings = Settings(rank=4, penalty=penalty, groups=5, iterations=60, tolerance=0.0, **penalties)
    solution, first = _solved(settings, small(seed), seed)
    values = [objective(small(seed), settings, *first), *(one.objective for one in solution.values)]
    assert len(values) > 5
    assert all(after <= before + 1e-10 * abs(before) for before, after in pairwise(values))


@pytest.mark.parametrize("penalty", ["elastic-net", "group-sparse"])
def test_in_float32_it_rises_by_rounding_alone(penalty):
    settings = Settings(rank=4, penalty=penalty, groups=5, iterations=200, tolerance=0.0, mixtures=0.1)
    matrices = small()
    values = [one.objective for one in _solved(settings, matrices, dtype=torch.float32)[0].values]
    bound = 1e-6 * len(matrices) * 23  # of the objective of zeros: 23 a matrix
    assert all(after <= before + bound for before, after in pairwise(values))


def test_the_released_rule_may_rise():
    """Why the default is another one: columns are rescaled without multiplying back."""
    settings = Settings(rank=4, faithful=True, iterations=60, tolerance=0.0)
    rises = [
        after.objective > before.objective * (1 + 1e-9)
        for seed in range(5)
        for before, after in pairwise(_solved(settings, small(seed), seed)[0].values)
    ]
    assert any(rises)


@pytest.mark.parametrize(
    "rule", [{}, PENALISED, {"faithful": True}, {"penalty": "group-sparse", "groups": 3}]
)
def test_weights_stay_above_zero_and_zeros_stay_zero(rule):
    settings = Settings(rank=3, iterations=20, tolerance=0.0, **rule)
    from fastdissect.methods.factorization.solving import _faithful_iteration, _iteration

    with Problem(small(), settings.block, dtype=torch.float64) as problem:
        problem.survey(settings)
        state = random_start(problem, 3, 0)
        state.mixtures[3, 1] = state.loadings[0][2, 0] = state.loadings[2][5, 2] = 0
        for _ in range(20):
            (_faithful_iteration if settings.faithful else _iteration)(problem, settings, state)
            assert all(bool((one >= 0).all()) for one in (state.mixtures, *state.loadings))
        assert state.loadings[0][2, 0] == 0
        assert state.loadings[2][5, 2] == 0
        if settings.penalty == "elastic-net":  # proximal steps can leave 0
            assert state.mixtures[3, 1] == 0
        assert bool((state.loadings[2][4] == 0).all()), "of a dead neuron"


@pytest.mark.parametrize(
    "rule", [{}, {"faithful": True}, {"penalty": "group-sparse", "groups": 1, "mixtures": 0.3}]
)
def test_permuted_examples_permute_the_mixtures_and_permuted_neurons_their_loadings(rule):
    settings = Settings(rank=3, iterations=15, tolerance=0.0, **rule)
    matrices = small()
    rng = np.random.default_rng(9)
    order, neurons = rng.permutation(23), rng.permutation(9)
    moved = [dataclasses.replace(one, values=np.ascontiguousarray(one.values[order])) for one in matrices]
    moved[2] = dataclasses.replace(moved[2], values=np.ascontiguousarray(moved[2].values[:, neurons]))
    found = []
    for own, rows, columns in ((matrices, np.arange(23), np.arange(9)), (moved, order, neurons)):
        with Problem(own, 8, dtype=torch.float64) as problem:
            problem.survey(settings)
            start = random_start(problem, 3, 4)
            there = [start.loadings[0], start.loadings[1], start.loadings[2][torch.from_numpy(columns)]]
            found.append(solve(problem, settings, State(start.mixtures[torch.from_numpy(rows)], there)).state)
    np.testing.assert_allclose(found[1].mixtures, found[0].mixtures[order], rtol=1e-6, atol=1e-9)
    for i, own in enumerate((np.arange(6), np.arange(6), neurons)):
        np.testing.assert_allclose(found[1].loadings[i], found[0].loadings[i][own], rtol=1e-6, atol=1e-9)


def test_nothing_is_divided_by_zero():
    dead = torch.tensor([[0.0, 2.0], [0.0, 3.0]])
    pull, gram = (
        torch.tensor([[0.0, 1.0], [0.0, 1.0]]).double(),
        torch.tensor([[0.0, 0.0], [0.0, 1.0]]).double(),
    )
    got = multiplied(dead, pull, gram, ridge=0, linear=0, repeats=2)
    assert got.tolist() == [[0, 1], [0, 1]]
    lone = torch.tensor([[1.0, 2.0]])  # a weight above 0 on a factor without loadings: nothing holds it
    assert multiplied(
        lone, torch.tensor([[0.0, 1.0]]).double(), gram, ridge=0, linear=0, repeats=1
    ).tolist() == [[0, 1]]
    tiny = torch.tensor([[SMALLEST / 2]])
    one = torch.ones(1, 1, dtype=torch.float64)
    assert multiplied(tiny, tiny.double(), one, ridge=0, linear=0, repeats=1).item() == 0
    assert unit_columns(dead)[:, 0].tolist() == [0, 0]
    assert rows_to_one(dead)[:, 0].tolist() == [0, 0]
    assert rows_to_one(dead)[:, 1].sum() == pytest.approx(1)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_fista_finds_what_short_plain_steps_find(seed, weight):
    rng = np.random.default_rng(seed)
    b, x = rng.random((12, 3)), rng.random((6, 12)) @ np.diag(rng.random(12))
    numerator, gram = x @ b, b.T @ b
    expected = slow_group_sparse(numerator, gram, weight)
    got = group_sparse(
        torch.ones(6, 3, dtype=torch.float64),
        torch.from_numpy(numerator),
        torch.from_numpy(gram),
        weight,
        group=6,
        steps=20_000,
        tolerance=1e-12,
    ).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert weight < 3 or (got == 0).all(0).any(), "a factor leaves the group"


def test_fista_never_ends_above_its_start():
    rng = np.random.default_rng(3)
    b, x = rng.random((12, 3)), rng.random((6, 12))
    numerator, gram = torch.from_numpy(x @ b), torch.from_numpy(b.T @ b)

    def value(f):
        return float((f * (f @ gram - 2 * numerator)).sum() + 0.5 * torch.linalg.vector_norm(f, dim=0).sum())

    now = torch.from_numpy(rng.random((6, 3)))
    for _ in range(30):
        new = group_sparse(now, numerator, gram, 0.5, group=6, steps=2, tolerance=0.0)
        assert value(new) <= value(now) + 1e-12
        now = new


def test_the_proximal_map_shortens_columns():
    got = group_shrunk(torch.tensor([[3.0, 0.1, -1.0], [4.0, 0.1, -1.0]]).double(), 1.0)
    np.testing.assert_allclose(got, [[2.4, 0, 0], [3.2, 0, 0]])


@pytest.mark.parametrize(
    ("examples", "groups", "sizes"), [(7, 3, [3, 3, 1]), (4, 20, [1] * 4), (10, 4, [3, 3, 3, 1]), (1, 1, [1])]
)
def test_groups_are_consecutive_and_the_last_is_shorter(examples, groups, sizes):
    size = group_size(examples, groups)
    f = torch.from_numpy(np.random.default_rng(0).random((examples, 2)))
    assert [len(part) for part in f.split(size)] == sizes
    expected = sum(np.linalg.norm(part, axis=0).sum() for part in np.split(f.numpy(), np.cumsum(sizes)[:-1]))
    assert group_lengths(f, size) == pytest.approx(expected)


@pytest.mark.parametrize("weight", [0.0, 1.5])
def test_groups_do_not_change_each_other(weight):
    rng = np.random.default_rng(1)
    b, x = rng.random((12, 3)), rng.random((11, 12)) * rng.choice([0.01, 1, 9], (11, 1))
    numerator, gram = torch.from_numpy(x @ b), torch.from_numpy(b.T @ b)
    start = torch.from_numpy(rng.random((11, 3)))
    more = {"group": 3, "steps": 25, "tolerance": 1e-3}
    together = group_sparse(start, numerator, gram, weight, **more)
    for at in range(0, 11, 3):
        alone = group_sparse(start[at : at + 3], numerator[at : at + 3], gram, weight, **more)
        torch.testing.assert_close(together[at : at + 3], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.4])
def test_the_released_group_steps(weight):
    rng = np.random.default_rng(0)
    bs, cs = [rng.random((7, 3)), rng.random((4, 3))], [rng.random((5, 7)), rng.random((5, 4))]
    f = rng.random((5, 3))
    got = faithful_group(
        torch.from_numpy(f),
        [torch.from_numpy(c @ b) for b, c in zip(bs, cs, strict=True)],
        [torch.from_numpy(b.T @ b) for b in bs],
        weight,
    )
    np.testing.assert_allclose(got, released_group(cs, bs, f, weight), rtol=1e-10, atol=1e-14)
    dead = [torch.zeros(5, 3, dtype=torch.float64)], [torch.zeros(3, 3, dtype=torch.float64)]
    assert not faithful_group(torch.from_numpy(f), *dead, 1.0).any()
