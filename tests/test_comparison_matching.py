"""Matching units of different networks: correlations against dense arrays, and planted permutations."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from comparison_cases import layer, permuted, run
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastdissect.errors import OutputError, SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.comparison import compare, match_units
from fastdissect.methods.comparison.excess import excess


def maps(seed: int, images: int = 8, units: int = 6, height: int = 4, width: int = 6) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(images, units, height, width)).astype(np.float32)


def dense(values: NDArray[np.float32], one: LayerDissection, grid: tuple[int, int]) -> NDArray[np.float64]:
    """max(a - T, 0) from the whole maps, summed over the fields: [units, images x fields]."""
    over = np.maximum(values.astype(np.float64) - one.thresholds[:, None, None].astype(np.float64), 0)
    n, units, height, width = over.shape
    blocks = over.reshape(n, units, grid[0], height // grid[0], grid[1], width // grid[1]).sum((3, 5))
    return blocks.transpose(1, 0, 2, 3).reshape(units, -1)


def correlate(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.corrcoef(x, y)[: len(x), len(x) :]
    return np.nan_to_num(found)


@pytest.mark.parametrize(
    ("sizes", "grid"),
    [
        (((4, 6), (4, 6)), (4, 6)),
        (((4, 6), (8, 12)), (4, 6)),
        (((4, 6), (2, 3)), (2, 3)),
        (((4, 6), (6, 4)), (2, 2)),
        (((5, 7), (3, 3)), (1, 1)),
        (((1, 1), (4, 6)), (1, 1)),
    ],
)
def test_correlations_are_those_of_the_dense_maps(sizes: Any, grid: tuple[int, int]) -> None:
    values = [maps(i, 30, 5 + i, *size) for i, size in enumerate(sizes)]
    a, b = (layer(maps=v) for v in values)
    found = match_units(a, b)
    assert found.grid == grid
    expected = correlate(dense(values[0], a, grid), dense(values[1], b, grid))
    np.testing.assert_allclose(found.correlations, expected, rtol=0, atol=1e-12)
    best = max(sum(np.maximum(expected, 0)[range(5), order]) for order in itertools.permutations(range(6), 5))
    assert found.units["correlation"].sum() == pytest.approx(best)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_the_sparse_matrix_is_the_dense_one(seed: int, fields_y: int, fields_x: int) -> None:
    values = maps(seed, 5, 3, 2 * fields_y, 3 * fields_x)
    one = layer(maps=values)
    for grid in ((2 * fields_y, 3 * fields_x), (fields_y, fields_x), (1, 1)):
        matrix = excess(one, grid)
        assert matrix.has_canonical_format
        np.testing.assert_allclose(matrix.toarray(), dense(values, one, grid), rtol=1e-12)
        assert (matrix.data > 0).all()


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_a_permutation_of_the_units_is_found_exactly(kind: str) -> None:
    values = maps(3, 20, 40)
    if kind == "bfloat16":
        values = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    elif kind == "float16":
        values = values.astype(np.float16).astype(np.float32)
    one = layer(maps=values, seed=2)
    if kind != "float32":
        kept = one.activations
        assert kept is not None
        narrow = kept.values.astype(np.float16)
        if kind == "bfloat16":
            narrow = (kept.values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
        one = dataclasses.replace(one, activations=dataclasses.replace(kept, kind=kind, values=narrow))
    order = np.random.default_rng(0).permutation(40)
    found = match_units(one, permuted(one, order))
    assert list(order[found.units["unit_b"].astype(int)]) == list(range(40))
    np.testing.assert_allclose(found.units["correlation"], 1.0, rtol=1e-12)
    assert found.matched == 40
    assert found.agreement == 1.0
    assert list(found.units["label_a"]) == list(found.units["label_b"])


def test_a_planted_permutation_is_found_through_noise_and_other_scales() -> None:
    rng = np.random.default_rng(1)
    values = maps(4, 40, 12)
    order = rng.permutation(12)
    noisy = values[:, order] * rng.uniform(0.1, 30, (12, 1, 1)) + rng.normal(0, 0.02, (12, 4, 6))
    found = match_units(layer(maps=values), layer(maps=noisy.astype(np.float32)))
    assert list(order[found.units["unit_b"].astype(int)]) == list(range(12))


def test_the_fewer_units_are_matched_and_the_others_listed() -> None:
    values = maps(5, 40, 9)
    found = match_units(layer(maps=values[:, :5]), layer(maps=values))
    table = found.units
    assert list(table["unit_a"][:5]) == list(table["unit_b"][:5]) == list(range(5))
    assert list(table["unit_b"][5:]) == [5, 6, 7, 8]
    assert table["unit_a"][5:].isna().all()
    assert table[["correlation", "label_a", "iou_a", "detector_a", "same_label"]][5:].isna().all().all()
    assert table["label_b"][5:].notna().all()
    assert found.matched == 5
    other = match_units(layer(maps=values), layer(maps=values[:, :5])).units
    assert list(other["unit_a"]) == list(range(9))
    assert other["unit_b"][5:].isna().all()


def test_a_unit_without_variance_is_left_unmatched() -> None:
    values = maps(6, 10, 4)
    thresholds = np.zeros(4, np.float32)
    dead = values.copy()
    dead[:, 1] = -1  # never above its threshold
    dead[:, 2] = 0.3  # as much above it everywhere
    found = match_units(layer(maps=dead, thresholds=thresholds), layer(maps=values, thresholds=thresholds))
    assert (found.correlations[1:3] == 0).all()
    assert (found.correlations[[0, 3]] != 0).any()
    assert found.units["unit_b"][1:3].isna().all()
    assert list(found.units["unit_b"].dropna())[:2] == [0, 3]
    nothing = match_units(*[layer(maps=dead[:, 1:3], thresholds=thresholds[1:3])] * 2)
    assert nothing.matched == 0
    assert np.isnan([nothing.mean, nothing.agreement, nothing.chance]).all()
    assert nothing.histogram()["pairs"].sum() == 0


def test_pairs_below_zero_are_no_matches_and_cost_no_other_pair() -> None:
    pulses = np.zeros((4, 3, 1, 1), np.float32)
    pulses[:, :, 0, 0] = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]
    a = layer(maps=pulses, thresholds=np.zeros(3, np.float32))
    b = permuted(a, [1, 0, 2])
    only_last = layer(maps=pulses[:, 2:], thresholds=np.zeros(1, np.float32))
    assert list(match_units(a, b).units["unit_b"]) == [1, 0, 2]
    first_two = layer(maps=pulses[:, :2], thresholds=np.zeros(2, np.float32))
    against = match_units(first_two, only_last)
    assert (against.correlations < 0).all()
    assert against.matched == 0
    assert len(against.units) == 3


def test_agreement_and_chance_are_those_of_a_loop() -> None:
    one, other = layer(maps=maps(7, 20, 60), seed=1), layer(maps=maps(8, 20, 50), seed=2)
    found = match_units(one, other)
    a, b = one.units(), other.units()
    pairs = []
    for row in found.units.to_dict("records"):
        if row["unit_a"] is None or np.isnan(row["correlation"]):
            continue
        i, j = int(row["unit_a"]), int(row["unit_b"])
        assert row["correlation"] == found.correlations[i, j] > 0
        assert (row["label_a"], row["label_b"]) == (a["label"][i], b["label"][j])
        assert (row["iou_a"], row["iou_b"]) == (a["iou"][i], b["iou"][j])
        if a["iou"][i] > 0.04 and b["iou"][j] > 0.04:
            pairs.append((a["label"][i], b["label"][j]))
            assert row["same_label"] == (pairs[-1][0] == pairs[-1][1])
        else:
            assert row["same_label"] is not True
    assert found.detector_pairs == len(pairs) > 10
    assert found.agreement == np.mean([p == q for p, q in pairs])
    chance = np.mean([p == q for p, _ in pairs for _, q in pairs])
    assert found.chance == pytest.approx(chance)
    counts = found.histogram(4)
    values = found.units["correlation"].dropna().to_numpy()
    assert counts["pairs"].sum() == len(values) == found.matched
    assert list(counts["pairs"][:3]) == [((values >= e) & (values < e + 0.25)).sum() for e in (0, 0.25, 0.5)]


def test_runs_without_activations_are_refused() -> None:
    one = layer(maps=maps(0))
    for pair in ((one, layer(images=8)), (layer(images=8), one)):
        with pytest.raises(
            SettingError, match=r"'conv': matching units needs the activations.*--no-activations"
        ):
            match_units(*pair)


def test_other_images_are_refused() -> None:
    with pytest.raises(SettingError, match="the same images to match; got 8 of 'conv' and 9 of 'conv'"):
        match_units(layer(maps=maps(0)), layer(maps=maps(0, images=9)))
    other = run(layer(maps=maps(1)), names=tuple("abcdefgh"))
    forced = compare({"a": run(layer(maps=maps(0))), "b": other}, force=True)
    with pytest.raises(SettingError, match="run 'b' is over others"):
        forced.matchings()


def test_damaged_cells_are_an_error() -> None:
    one = layer(maps=maps(0))
    assert one.activations is not None
    cells = one.activations.cells.copy()
    cells[-1] = 24
    broken = dataclasses.replace(one, activations=dataclasses.replace(one.activations, cells=cells))
    with pytest.raises(OutputError, match=r"unit 5: expected cells of a map of 4 x 6; got cell 24"):
        match_units(one, broken)


def test_each_run_is_matched_with_the_first() -> None:
    runs = {name: run(layer(maps=maps(i)), layer("last", maps=maps(9 + i))) for i, name in enumerate("abc")}
    found = compare(runs, steps=[0, 1, 2]).matchings()
    assert [(m.first.title, m.other.title) for m in found] == [
        (f"a · {where}", f"{name} · {where}") for where in ("conv", "last") for name in "bc"
    ]
