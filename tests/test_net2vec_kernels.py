"""descend_masks, predict_masks: equal bits on every backend, and what they are held against finite differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import assert_same

from fastdissect.kernels import Backend
from fastdissect.kernels import backend as get_backend
from fastdissect.kernels.concept_masks import ActiveCells, ConceptImages, Descent, Rule
from fastdissect.kernels.reference_masks import exp_minus_abs
from fastdissect.methods.net2vec.interpolation import mask_upsampling
from fastdissect.types import Upsampling
from fastdissect.upsampling import make_upsampling

STATE = ("weights", "velocity", "bias", "bias_velocity")


@pytest.fixture(scope="session")
def host(backend: Backend) -> Backend:
    if backend.name == "cuda":
        pytest.skip("a kernel of the host")
    return backend


def tables(mode: str, cells: tuple[int, int], size: tuple[int, int]) -> Upsampling:
    return mask_upsampling(mode, make_upsampling("half-pixel", cells, size))


def problem(
    rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int], images: int = 5, units: int = 6
) -> tuple[ActiveCells, ConceptImages, Descent]:
    """Four tasks over three concepts, of which a fifth of the masks is whole; anything anywhere."""
    concepts, tasks, pixels = 3, 4, size[0] * size[1]
    active = rng.random((images, units, cells[0] * cells[1])) < rng.choice([0.02, 0.2, 0.6])
    image, unit, cell = np.nonzero(active)
    start = np.searchsorted(image, np.arange(images + 1)).astype(np.int64)
    own = [np.flatnonzero(rng.random(images) < 0.8) for _ in range(concepts)]
    pairs = np.concatenate(own).astype(np.int64)
    bits = np.zeros((len(pairs), -(-pixels // 64) * 64), bool)
    bits[:, :pixels] = rng.random((len(pairs), pixels)) < 0.4
    shown = ConceptImages(
        np.concatenate([[0], np.cumsum([len(one) for one in own])]).astype(np.int64),
        pairs,
        np.where(rng.random(len(pairs)) < 0.2, -1, np.arange(len(pairs))).astype(np.int64),
        np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64),
    )
    kept = rng.random((tasks, units)) < 0.8
    kept[0] = True
    state = Descent(
        rng.integers(0, concepts, tasks),
        kept,
        rng.random(tasks).astype(np.float32),
        rng.random(tasks).astype(np.float32),
        (rng.normal(size=(tasks, units)) * kept).astype(np.float32),
        np.zeros((tasks, units), np.float32),
        rng.normal(size=tasks).astype(np.float32),
        np.zeros(tasks, np.float32),
    )
    return (
        ActiveCells((images, units, *cells), start, unit.astype(np.int32), cell.astype(np.int32)),
        shown,
        state,
    )


def copied(state: Descent) -> Descent:
    return dataclasses.replace(state, **{name: getattr(state, name).copy() for name in STATE})


def pixels_of(shown: ConceptImages, pair: int, size: tuple[int, int]) -> np.ndarray:
    flat = [
        shown.row[pair] < 0 or bool(int(shown.words[shown.row[pair], p // 64]) >> (p % 64) & 1)
        for p in range(size[0] * size[1])
    ]
    return np.array(flat).reshape(size)


@st.composite
def cases(draw: st.DrawFn) -> tuple:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    cells = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rule = Rule(
        rate=0.05,
        momentum=draw(st.sampled_from([0.0, 0.9])),
        batch=draw(st.integers(1, 6)),
        l1=draw(st.sampled_from([0.0, 0.01])),
        l2=draw(st.sampled_from([0.0, 0.02])),
        bias=draw(st.booleans()),
        positive=draw(st.booleans()),
        cross_entropy=draw(st.booleans()),
    )
    mode = draw(st.sampled_from(["align-corners", "half-pixel"]))
    return *problem(rng, cells, size), tables(mode, cells, size), rule, rng.permutation(4)


def epochs(host: Backend, case: tuple, threads: int = 1, count: int = 2) -> Descent:
    cells, shown, state, upsampling, rule, order = case
    got = copied(state)
    for _ in range(count):
        host.descend_masks(cells, shown, upsampling, got, rule, order, threads)  # type: ignore[attr-defined]
    return got


def predicted(host: Backend, case: tuple, threads: int = 1) -> tuple[np.ndarray, ...]:
    cells, shown, state, upsampling, rule, _ = case
    start = np.concatenate([[0], np.cumsum(np.diff(shown.concept_start)[state.concept])]).astype(np.int64)
    area, shared = np.full(start[-1], -1), np.full(start[-1], -1)
    bias = state.bias if rule.bias else None
    host.predict_masks(  # type: ignore[attr-defined]
        cells, shown, upsampling, state.concept, start, state.weights, bias, area, shared, threads
    )
    return start, area, shared


@given(case=cases(), threads=st.sampled_from([1, 2, 7]))
@settings(max_examples=40)
def test_every_backend_gives_the_bits_of_the_reference(host: Backend, case: tuple, threads: int) -> None:
    reference = get_backend("reference")
    assert_same(epochs(host, case, threads), epochs(reference, case))
    assert_same(predicted(host, case, threads), predicted(reference, case))


@pytest.mark.parametrize(
    ("cells", "size"), [((7, 7), (112, 112)), ((13, 13), (113, 113)), ((2, 3), (5, 2100)), ((20, 3), (4, 4))]
)
def test_bits_at_published_sizes_and_wide_or_shrunk_masks(
    host: Backend, cells: tuple[int, int], size: tuple[int, int]
) -> None:
    """2100 columns: more blocks than there are bits to mark them with; 20 -> 4 rows: bands without a row."""
    rng = np.random.default_rng(size)
    reference = get_backend("reference")
    for cross_entropy in (False, True):
        rule = Rule(rate=0.01, batch=2, cross_entropy=cross_entropy)
        case = (
            *problem(rng, cells, size, images=3),
            tables("align-corners", cells, size),
            rule,
            np.arange(4),
        )
        assert_same(epochs(host, case, 2), epochs(reference, case))
        assert_same(predicted(host, case, 2), predicted(reference, case))


@given(case=cases())
@settings(max_examples=15)
def test_the_order_of_the_tasks_changes_nothing(host: Backend, case: tuple) -> None:
    assert_same(epochs(host, case), epochs(host, (*case[:5], case[5][::-1].copy())))


def loss(
    case: tuple, task: int, weights: np.ndarray, bias: float, pairs: range, inside: float, outside: float
) -> float:
    """METHODS 3.2 in float64, pixel by pixel of a dense upsampling matrix."""
    cells, shown, _, upsampling, rule, _ = case
    matrices = []
    for axis, n in ((upsampling.rows, upsampling.cells[0]), (upsampling.columns, upsampling.cells[1])):
        matrix = np.zeros((len(axis.start), n))
        for i, (first, pair_of) in enumerate(zip(axis.start, axis.weights.astype(np.float64), strict=True)):
            for t in range(2):
                matrix[i, min(first + t, n - 1)] += pair_of[t]
        matrices.append(matrix)
    total = 0.0
    for pair in pairs:
        own = slice(cells.image_start[shown.image[pair]], cells.image_start[shown.image[pair] + 1])
        z = np.full(cells.shape[2] * cells.shape[3], bias)
        np.add.at(z, cells.cell[own], weights[cells.unit[own]])
        m = 1 / (1 + np.exp(-(matrices[0] @ z.reshape(cells.shape[2:]) @ matrices[1].T)))
        label = pixels_of(shown, pair, upsampling.size)
        if rule.cross_entropy:
            total -= np.sum(inside * label * np.log(m) + outside * ~label * np.log(1 - m))
        else:
            total -= np.sum(inside * label * m + outside * ~label * (1 - m))
    return total / len(pairs)


@given(case=cases())
@settings(max_examples=12)
def test_gradient_equals_finite_differences(host: Backend, case: tuple) -> None:
    cells, shown, state, upsampling, rule, order = case
    most = int(np.diff(shown.concept_start).max(initial=1))
    plain = rule._replace(rate=0.0, momentum=0.0, l1=0.0, l2=0.0, batch=max(most, 1), positive=False)
    case = (cells, shown, state, upsampling, plain, order)
    got = epochs(host, case, count=1)
    for task in range(len(state.concept)):
        c = state.concept[task]
        pairs = range(shown.concept_start[c], shown.concept_start[c + 1])
        if not len(pairs):
            assert not got.velocity[task].any()
            continue
        w = state.weights[task].astype(np.float64)
        b = float(state.bias[task]) if plain.bias else 0.0
        weight = float(state.inside[task]), float(state.outside[task])
        step, scale = 1e-5, max(1.0, float(np.abs(got.velocity[task]).max()))
        for k in np.flatnonzero(state.kept[task]):
            sides = [
                loss(case, task, w + d * (np.arange(len(w)) == k), b, pairs, *weight) for d in (step, -step)
            ]
            assert abs((sides[0] - sides[1]) / (2 * step) - got.velocity[task, k]) < 2e-4 * scale
        if plain.bias:
            sides = [loss(case, task, w, b + d, pairs, *weight) for d in (step, -step)]
            slope = (sides[0] - sides[1]) / (2 * step)
            assert abs(slope - got.bias_velocity[task]) < 2e-4 * max(1.0, abs(slope))


def test_exponential_is_accurate_and_ends_at_a_normal_number() -> None:
    x = np.concatenate([np.linspace(-86, 86, 200_001), [0.0, -0.0, 1e-30]]).astype(np.float32)
    exact = np.exp(-np.abs(x.astype(np.float64)))
    # the argument is rounded once more: an error of 2**-24 of it is one of that of the result
    assert np.all(np.abs(exp_minus_abs(x) / exact - 1) < 2e-7 + 1.2e-7 * np.abs(x))
    far = exp_minus_abs(np.array([90, -1e4, 2e38], np.float32))
    assert far.tolist() == [2.0**-125] * 3
    assert exp_minus_abs(np.zeros(2, np.float32)).tolist() == [1.0, 1.0]


def test_predicted_masks_are_those_of_a_dense_upsampling(host: Backend) -> None:
    rng = np.random.default_rng(3)
    cells, shown, state = problem(rng, (4, 6), (19, 27))
    upsampling = tables("half-pixel", (4, 6), (19, 27))
    case = (cells, shown, state, upsampling, Rule(rate=1.0), np.arange(4))
    start, area, shared = predicted(host, case)
    from fastdissect.kernels.reference import upsample

    for task, c in enumerate(state.concept):
        for i, pair in enumerate(range(shown.concept_start[c], shown.concept_start[c + 1])):
            own = slice(cells.image_start[shown.image[pair]], cells.image_start[shown.image[pair] + 1])
            z = np.zeros(24, np.float32)
            np.add.at(z, cells.cell[own], state.weights[task][cells.unit[own]])
            mask = upsample(z.reshape(4, 6), upsampling) > 1e-6  # vertically first: other roundings
            label = pixels_of(shown, pair, (19, 27))
            assert area[start[task] + i] == mask.sum()
            assert shared[start[task] + i] == (mask & label).sum()


def test_sums_of_an_image_without_active_cells_are_zero(host: Backend) -> None:
    rng = np.random.default_rng(4)
    cells, shown, state = problem(rng, (3, 3), (8, 8))
    none = ActiveCells(cells.shape, np.zeros(6, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))
    case = (none, shown, state, tables("align-corners", (3, 3), (8, 8)), Rule(rate=1.0), np.arange(4))
    got = epochs(host, case)
    assert not got.velocity.any()
    assert np.array_equal(got.weights, state.weights)
    assert not any(part.any() for part in predicted(host, case)[1:])
