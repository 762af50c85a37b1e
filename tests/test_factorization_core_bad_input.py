"""What cannot be factorised is refused with advice; what is odd but sound is factorised and reported."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from factorization_cases import small

from fastdissect.errors import ActivationError, SettingError
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings


def _with(value, row=17, matrix=2):
    matrices = small()
    values = matrices[matrix].values.copy()
    values[row, 1] = value
    matrices[matrix] = dataclasses.replace(matrices[matrix], values=values)
    return matrices


@pytest.mark.parametrize("block", [4, 1000])
def test_negative_values_name_the_matrix_and_the_way_out(block):
    with pytest.raises(
        ActivationError, match=r"matrix 'layer'.*got -0.5 \(first in example 17\).*rectify=True \(--rectify\)"
    ):
        factorize_matrices(_with(-0.5), Settings(rank=2, block=block))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_the_matrix(value):
    with pytest.raises(ActivationError, match=r"matrix 'green'.*finite.*example 3"):
        factorize_matrices(_with(value, 3, 1), Settings(rank=2, block=5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name as text"),
        ({"name": 3}, "name as text"),
        ({"kind": "pixel"}, "nearest: pixels"),
        ({"shape": (9, 1)}, "channels, height, width"),
        ({"shape": (9, 0, 1)}, "channels, height, width"),
        ({"shape": (3.0, 3, 1)}, "channels, height, width"),
        ({"shape": (8, 1, 1)}, "expected 8 features.*got 9"),
        ({"values": np.ones((23, 9))}, "float64"),
        ({"values": np.ones(9, np.float32)}, "float32"),
        ({"values": [[1.0] * 9]}, "list"),
    ],
)
def test_bad_matrices(change, message):
    with pytest.raises(SettingError, match=message):
        dataclasses.replace(small()[2], **change)


def test_matrices_that_do_not_belong_together():
    red, green, layer = small()
    short = dataclasses.replace(layer, values=layer.values[:-1])
    with pytest.raises(SettingError, match="red 23, green 23, layer 22"):
        factorize_matrices([red, green, short], Settings(rank=2))
    with pytest.raises(SettingError, match="red more than once"):
        factorize_matrices([red, green, red], Settings(rank=2))
    with pytest.raises(SettingError, match="one FeatureMatrix or more"):
        factorize_matrices([])
    with pytest.raises(SettingError, match="one FeatureMatrix or more"):
        factorize_matrices([red.values])
    with pytest.raises(SettingError, match="got none"):
        factorize_matrices([dataclasses.replace(red, values=red.values[:0])], Settings(rank=1))


def test_the_rank_and_the_rest():
    with pytest.raises(SettingError, match="number of examples, 23; got 24"):
        factorize_matrices(small(), Settings(rank=24))
    with pytest.raises(SettingError, match="23 names of examples, or none; got 2"):
        factorize_matrices(small(), Settings(rank=2), example_names=["a", "b"])
    with pytest.raises(SettingError, match="device that torch has"):
        factorize_matrices(small(), Settings(rank=2), device="abacus")
    zeros = [dataclasses.replace(one, values=np.zeros_like(one.values)) for one in small()]
    with pytest.raises(SettingError, match="nothing to factorise"):
        factorize_matrices(zeros, Settings(rank=2))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rank": 0}, "rank to be a whole number of at least 1"),
        ({"rank": 2.0}, "rank to be a whole number"),
        ({"rank": True}, "rank to be a whole number"),
        ({"seed": -1}, "seed to be a whole number of at least 0"),
        ({"iterations": 0}, "iterations"),
        ({"block": 0}, "block"),
        ({"groups": 0}, "groups"),
        ({"restarts": 0}, "restarts"),
        ({"repeats": 0}, "repeats"),
        ({"mixtures": -1}, "mixtures to be a number of at least 0"),
        ({"neurons": float("nan")}, "neurons"),
        ({"pixels": "1"}, "pixels"),
        ({"tolerance": float("inf")}, "tolerance"),
        ({"penalty": "elastic"}, "nearest: elastic-net"),
        ({"weights": "both"}, "weights of picture, each"),
        ({"initial": "nndsvdb"}, "nearest: nndsvd"),
    ],
)
def test_bad_settings(setting, message):
    with pytest.raises(SettingError, match=message):
        Settings(**setting)


def test_the_rule_s_own_numbers():
    assert (Settings().most_iterations, Settings().least_change) == (200, 1e-5)
    assert (Settings(faithful=True).most_iterations, Settings(faithful=True).least_change) == (50, 1e-8)
    assert Settings(faithful=True, iterations=3, tolerance=0).most_iterations == 3


@pytest.mark.parametrize("rule", [{}, {"faithful": True}, {"penalty": "group-sparse"}])
def test_a_matrix_of_zeros_is_kept_and_reported(rule):
    red, green, layer = small()
    dark = dataclasses.replace(green, values=np.zeros_like(green.values))
    found = factorize_matrices([red, dark, layer], Settings(rank=2, **rule))
    assert found.zero_matrices == ("green",)
    assert found["green"].scale == 1
    assert np.isnan(found["green"].fit)
    assert not found["green"].values.any()
    assert np.isfinite(found.history).all(axis=None)
    assert found.dead_features("green").tolist() == list(range(6))
    assert found.dead_features("red").tolist() == []


@pytest.mark.parametrize("rule", [{}, {"faithful": True}])
def test_dead_neurons_are_reported_and_keep_loadings_of_zero(rule):
    found = factorize_matrices(small(), Settings(rank=3, restarts=2, **rule))
    assert found.dead_features("layer").tolist() == [4]
    assert not found["layer"].values[4].any()
    assert found["layer"].values.any(1).sum() == 8
    assert not found.zero_matrices
    with pytest.raises(KeyError, match="red, green, layer"):
        found["blue"]


@pytest.mark.parametrize("rule", [{}, {"faithful": True}, {"penalty": "group-sparse", "mixtures": 0.01}])
def test_one_example_and_rank_one(rule):
    alone = [dataclasses.replace(one, values=one.values[:1]) for one in small()]
    found = factorize_matrices(alone, Settings(rank=1, **rule))
    assert found.mixtures.shape == (1, 1)
    if not rule:
        assert found.history["fit"].iloc[-1] < 1e-6
        many = factorize_matrices(small(), Settings(rank=1, tolerance=1e-9, weights="each"))
        x = np.concatenate([one.values / np.linalg.norm(one.values) for one in small()], 1)
        best = 1 - np.linalg.svd(x)[1][0] ** 2 / np.sum(
            x**2
        )  # a matrix >= 0: its first singular pair is the best
        assert many.history["fit"].iloc[-1] == pytest.approx(best, rel=1e-4)


def test_one_matrix_of_neurons_alone():
    found = factorize_matrices(small()[2:], Settings(rank=2))
    assert found.history["fit"].tolist() == found.history["neurons_fit"].tolist()
    assert np.isnan(factorize_matrices(small()[:1], Settings(rank=2)).history["neurons_fit"]).all()


def test_a_dead_factor_is_reported():
    x = np.zeros((6, 4), np.float32)
    x[:, 0] = 1
    found = factorize_matrices(
        [FeatureMatrix("x", "features", (4, 1, 1), x)],
        Settings(rank=2, penalty="group-sparse", groups=1, mixtures=0.5, neurons=0.1),
    )
    live = [r for r in range(2) if r not in found.dead_factors]
    assert all(found.mixtures[:, r].any() for r in live)
    assert all(
        not found.mixtures[:, r].any() or not found["x"].values[:, r].any() for r in found.dead_factors
    )
