"""Random rotations and their powers: the group's laws, planted angles, and the uniform distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdissect import extras
from fastdissect.errors import BackendError, SettingError
from fastdissect.methods.rotation import RotationPath, random_rotation, rotation_power

SIZES = (2, 3, 5, 64, 65)


def basis(size: int, seed: int = 0) -> Any:
    """Some orthogonal matrix, by another way than the package's."""
    return scipy.stats.ortho_group.rvs(size, random_state=seed)


def turning(size: int, *angles: float) -> Any:
    """A rotation whose first planes turn by these angles, the rest standing still."""
    turn = np.eye(size)
    for number, t in enumerate(angles):
        rows = slice(2 * number, 2 * number + 2)
        turn[rows, rows] = [[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]
    return turn


@pytest.mark.parametrize("size", SIZES)
def test_a_rotation_is_orthogonal_and_keeps_orientation(size: int) -> None:
    for seed in range(4):
        q = random_rotation(size, seed)
        assert (q.dtype, q.shape) == (np.float64, (size, size))
        np.testing.assert_allclose(q @ q.T, np.eye(size), atol=1e-12)
        assert np.linalg.det(q) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_the_seed_fixes_the_matrix(size: int) -> None:
    np.testing.assert_array_equal(random_rotation(size, 3), random_rotation(size, np.int64(3)))
    assert np.abs(random_rotation(size, 3) - random_rotation(size, 4)).max() > 1e-3


@pytest.mark.parametrize("size", SIZES)
def test_alpha_runs_from_the_identity_to_the_rotation(size: int) -> None:
    for seed in range(3):
        q = random_rotation(size, seed)
        path = RotationPath(q)
        assert path.channels == size
        assert path.power(0).tobytes() == np.eye(size).tobytes()
        assert path.power(-0.0).tobytes() == np.eye(size).tobytes()
        np.testing.assert_allclose(path.power(1), q, rtol=0, atol=1e-12)
        np.testing.assert_allclose(path.power(-1), q.T, rtol=0, atol=1e-12)
        np.testing.assert_allclose(path.power(3), q @ q @ q, rtol=0, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from((2, 3, 5, 8, 65)), st.integers(0, 2**32), st.floats(-3, 3), st.floats(-3, 3))
def test_powers_are_rotations_and_add(size: int, seed: int, a: float, b: float) -> None:
    path = RotationPath(random_rotation(size, seed))
    one = path.power(a)
    assert np.abs(one @ one.T - np.eye(size)).max() < 1e-10
    assert np.linalg.det(one) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(one @ path.power(b), path.power(a + b), rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize(
    "angles", [(0.3,), (-0.3, 2.9), (math.pi - 1e-3, 1e-6), (0.5, 0.5), (1e-9, -3.0, 1.0)]
)
def test_planted_angles_keep_their_signs(size: int, angles: tuple[float, ...]) -> None:
    angles = angles[: size // 2]
    v = basis(size)
    path = RotationPath(v @ turning(size, *angles) @ v.T)
    for alpha in (0.2, 0.5, 1.0, -0.7):
        expected = v @ turning(size, *(alpha * t for t in angles)) @ v.T
        np.testing.assert_allclose(path.power(alpha), expected, rtol=0, atol=1e-12)


def test_angles_without_sign_would_not_reach_the_rotation() -> None:
    """The released code's slip (METHODS 2.1), which the tests above would catch."""
    v = basis(4)
    q = v @ turning(4, 0.4, -1.3) @ v.T
    unsigned = v @ turning(4, 0.4, 1.3) @ v.T
    assert np.abs(unsigned - q).max() > 0.1
    np.testing.assert_allclose(rotation_power(q, 1), q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("diagonal", [(-1, -1), (-1, -1, 1), (-1, 1, -1), (-1, -1, -1, -1, 1), (1, 1, 1)])
def test_pairs_of_minus_one_turn_by_pi(diagonal: tuple[int, ...]) -> None:
    size = len(diagonal)
    for v in (np.eye(size), basis(size)):
        q = v @ np.diag(np.array(diagonal, float)) @ v.T
        path = RotationPath(q)
        np.testing.assert_allclose(np.abs(path.angles), [math.pi] * (diagonal.count(-1) // 2))
        np.testing.assert_allclose(path.power(1), q, rtol=0, atol=1e-12)
        half = path.power(0.5)
        assert np.linalg.det(half) == pytest.approx(1)
        np.testing.assert_allclose(half @ half, q, rtol=0, atol=1e-12)
        np.testing.assert_allclose(half @ half.T, np.eye(size), rtol=0, atol=1e-12)


@pytest.mark.parametrize("distance", [1e-3, 1e-8, 1e-12, 1e-15, 0.0])
def test_angles_next_to_pi_and_to_zero(distance: float) -> None:
    for size in (4, 5):
        v = basis(size, 1)
        q = v @ turning(size, math.pi - distance, distance) @ v.T
        path = RotationPath(q)
        np.testing.assert_allclose(path.power(1), q, rtol=0, atol=1e-12)
        np.testing.assert_allclose(path.power(0.5) @ path.power(0.5), q, rtol=0, atol=1e-12)


def test_the_identity_stays() -> None:
    path = RotationPath(np.eye(6))
    assert path.power(0.7).tobytes() == np.eye(6).tobytes()


def test_the_path_is_the_shortest() -> None:
    """Its speed is constant: the distance from the identity grows with alpha up to Q's, the norm of log Q."""
    q = random_rotation(9, 5)
    length = np.linalg.norm(scipy.linalg.logm(q))
    for alpha in (0.25, 0.5, 1.0):
        there = np.linalg.norm(scipy.linalg.logm(rotation_power(q, alpha)))
        assert there == pytest.approx(alpha * length, rel=1e-9)


def test_angles_in_the_plane_are_uniform() -> None:
    drawn = [random_rotation(2, seed) for seed in range(2000)]
    angles = np.array([math.atan2(q[1, 0], q[0, 0]) for q in drawn])
    assert scipy.stats.kstest(angles, scipy.stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 0.001


def test_angles_in_space_are_as_under_haar_measure() -> None:
    """On SO(3) the angle t in [0, pi] has the density (1 - cos t) / pi; axes are uniform on the sphere."""
    drawn = [random_rotation(3, seed) for seed in range(2000)]
    angles = np.array([math.acos(np.clip((np.trace(q) - 1) / 2, -1, 1)) for q in drawn])
    assert scipy.stats.kstest(angles, lambda t: (t - np.sin(t)) / math.pi).pvalue > 0.001
    axes = np.array([[q[2, 1] - q[1, 2], q[0, 2] - q[2, 0], q[1, 0] - q[0, 1]] for q in drawn])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    for axis in axes.T:
        assert scipy.stats.kstest(axis, scipy.stats.uniform(-1, 2).cdf).pvalue > 0.001


def test_every_entry_is_alike() -> None:
    """Under the uniform distribution each entry has mean 0 and variance 1/K, the first row and column too."""
    drawn = np.array([random_rotation(5, seed) for seed in range(3000)])
    np.testing.assert_allclose(drawn.mean(0), 0, atol=5 * math.sqrt(1 / 5 / 3000))
    np.testing.assert_allclose((drawn**2).mean(0), 1 / 5, atol=0.025)


@pytest.mark.parametrize(
    ("channels", "seed", "said"),
    [
        (1, 0, "SO(1) holds the identity alone"),
        (0, 0, "at least 2 channels; got 0"),
        (2.0, 0, "at least 2 channels"),
        (True, 0, "at least 2 channels"),
        (4, -1, "got -1"),
        (4, 0.5, "got 0.5"),
        (4, None, "got None"),
    ],
)
def test_no_rotation_of_these(channels: Any, seed: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said.replace("(", r"\(").replace(")", r"\)")):
        random_rotation(channels, seed)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([[1.0]], "nothing to rotate"),
        (np.ones((2, 3)), r"square matrix .*\(2, 3\)"),
        (np.ones(4), r"square matrix"),
        (np.full((2, 2), np.nan), "NaN"),
        (np.diag([np.inf, 1]), "NaN or infinities"),
        (2 * np.eye(3), "off by 3"),
        (np.diag([1, 1 + 1e-6, 1]), "orthogonal"),
        (np.diag([1.0, 1, -1]), "reflection"),
        ([[1, 0], [0]], "matrix of numbers"),
        ("abc", "matrix of numbers"),
    ],
)
def test_no_path_to_these(matrix: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        RotationPath(matrix)


@pytest.mark.parametrize("alpha", [math.nan, math.inf, -math.inf, "1", None, True, 1j])
def test_alpha_is_a_finite_number(alpha: Any) -> None:
    with pytest.raises(SettingError, match="expected alpha to be a finite number"):
        RotationPath(np.eye(2)).power(alpha)


def test_without_scipy_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(BackendError, match=r"pip install 'fastdissect\[studies\]'"):
        RotationPath(np.eye(2))
