"""The chance level: planted detectors are found, blind units are not, and the numbers are what they say."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from chance_cases import boxes, layer_of, planted
from kernel_cases import values

from fastdissect.errors import DataError, SettingError
from fastdissect.kernels import set_num_threads
from fastdissect.methods.chance import chance_level, unit_masks
from fastdissect.methods.chance.level import calibrated_cut
from fastdissect.methods.chance.permuting import Laid, null_maxima, permuted_counts
from fastdissect.packing import slice_planes


@pytest.fixture(scope="module")
def case() -> Any:
    layer, planes, labels = planted()
    return layer, planes, labels, chance_level(layer, planes, permutations=400, seed=1)


def dense_iou(layer: Any, labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """IoU [units, concepts] from boolean arrays, presence "image"."""
    images, units = layer.shape[:2]
    iou = np.zeros((units, labels.shape[1]))
    masks = np.array([[layer.unit_mask(k, n) for k in range(units)] for n in range(images)])
    category = layer.concepts.category
    for k, c in np.ndindex(iou.shape):
        own = labels[order]
        shared = (masks[:, k] & own[:, c]).sum()
        shown = own[:, category == category[c]].any((1, 2, 3))
        union = masks[shown, k].sum() + labels[:, c].sum() - shared
        iou[k, c] = shared / union if shared else 0
    return iou


def test_a_permutation_means_what_boolean_arrays_say(case: Any) -> None:
    layer, planes, labels, _ = case
    best = null_maxima(Laid(layer, unit_masks(layer), planes), 3, seed=9)
    rng = np.random.default_rng(9)
    for row in best:
        np.testing.assert_allclose(row, dense_iou(layer, labels, rng.permutation(60)).max(1), rtol=1e-12)


def test_planted_units_are_beyond_chance_and_blind_ones_are_not(case: Any) -> None:
    table = case[3].table()
    assert (table["p"][:6] == 1 / 401).all()
    assert table["beyond_chance"][:6].all()
    assert table["label"][:6].tolist() == [f"concept {c}" for c in range(6)]
    assert (table["p"][6:] > 0.02).all()
    assert not table["beyond_chance"][6:].any()
    assert (table["null_mean"] < table["null_95"]).all()


def test_p_is_the_rank_and_q_is_benjamini_and_hochbergs(case: Any) -> None:
    layer, _, _, found = case
    for k in range(12):
        assert found.p[k] == (1 + (found.null[:, k] >= layer.iou()[k].max()).sum()) / 401
    order = np.argsort(found.p, kind="stable")
    q, running = np.empty(12), 1.0
    for rank in range(12, 0, -1):
        running = min(running, found.p[order[rank - 1]] * 12 / rank)
        q[order[rank - 1]] = running
    np.testing.assert_allclose(found.q, q)
    assert (np.diff(found.q[order]) >= 0).all()
    assert (found.q >= found.p).all()


def test_p_is_uniform_where_masks_know_nothing_of_labels() -> None:
    """150 blind units, each with permutations of its own seed: Kolmogorov and Smirnov's distance, and never below p."""
    rng = np.random.default_rng(4)
    p = []
    for seed in range(30):
        layer, planes = layer_of(values(rng, (30, 5, 6, 6), "normal"), boxes(rng, 30, 4, 12), top=0.05)
        p += chance_level(layer, planes, permutations=99, seed=seed).p.tolist()
    ranks = np.sort(p)
    assert (
        np.abs(ranks - np.arange(1, 151) / 150).max() < 1.63 / 150**0.5
    )  # p < 0.01 of the test of uniformity
    assert (ranks <= 0.05).mean() < 0.11


def test_a_seed_names_the_permutations_whatever_the_threads(case: Any, unset_threads: None) -> None:
    layer, planes = case[:2]
    set_num_threads(3)
    again = chance_level(layer, planes, permutations=400, seed=1)
    np.testing.assert_array_equal(again.null, case[3].null)
    assert (chance_level(layer, planes, permutations=400, seed=2).null != again.null).any()
    fewer = chance_level(layer, planes, permutations=7, seed=1)
    np.testing.assert_array_equal(fewer.null, again.null[:7])


def test_a_permutation_and_back_is_no_permutation(case: Any) -> None:
    layer, planes = case[:2]
    masks, a = unit_masks(layer), np.random.default_rng(0).permutation(60)
    there, back = permuted_counts(Laid(layer, masks, planes), np.stack([a, a[np.argsort(a)]]))[0]
    assert (there != layer.intersection).any()
    np.testing.assert_array_equal(back, layer.intersection)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("level", [0.05, 0.29, 0.001, 0.999])
@pytest.mark.parametrize("flavour", ["distinct", "ties", "zeros"])
def test_the_calibrated_cut_lets_a_share_of_the_null_pass(
    inclusive: bool, level: float, flavour: str
) -> None:
    rng = np.random.default_rng(2)
    null = rng.random((200, 5)) / 10
    null = {"distinct": null, "ties": np.round(null, 2), "zeros": np.zeros_like(null)}[flavour]
    cut = calibrated_cut(null, level, inclusive)
    passing = null >= cut if inclusive else null > cut
    assert passing.mean() <= level
    if flavour == "distinct":
        assert passing.mean() == pytest.approx(level, abs=1e-12)
    lower = np.unique(null)[np.unique(null) < cut]  # any lower value of the null lets too many pass
    assert len(lower) or not inclusive
    if len(lower):
        assert ((null >= lower[-1]) if inclusive else (null > lower[-1])).mean() > level


def test_the_summary_counts(case: Any) -> None:
    layer, _, _, found = case
    numbers = found.summary()
    best = layer.iou().max(1)
    assert numbers.units == 12
    assert numbers.detectors == (best > 0.04).sum() == layer.summary().detectors
    assert numbers.calibrated == (best > found.cut).sum()
    assert numbers.significant == found.beyond_chance.sum() == 6
    assert numbers.chance_share == pytest.approx((found.null > 0.04).mean())
    assert numbers.chance_detectors == pytest.approx((found.null > 0.04).sum() / 400)
    assert numbers.prone_units == ((found.null > 0.04).mean(0) > 0.05).sum()


@pytest.mark.parametrize(
    "given",
    [
        {"permutations": 0},
        {"permutations": 1.5},
        {"permutations": True},
        {"level": 0},
        {"level": 1},
        {"level": "5%"},
    ],
)
def test_numbers_out_of_range_are_refused(case: Any, given: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="expected"):
        chance_level(case[0], case[1], **given)


def test_planes_that_are_not_the_runs_are_refused(case: Any) -> None:
    layer, planes = case[:2]
    others = [
        slice_planes(planes, 0, 59),
        dataclasses.replace(planes, size=(8, 32)),
        dataclasses.replace(planes, concept=planes.concept + 6),
        dataclasses.replace(planes, word_row=planes.word_row[::-1].copy()),
    ]
    for other in others:
        with pytest.raises(DataError, match="counts come out again"):
            chance_level(layer, other, permutations=1)


def test_a_unit_that_never_fires_is_not_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    x = values(rng, (8, 2, 4, 4), "normal")
    x[:, 1] = 0
    layer, planes = layer_of(x, boxes(rng, 8, 2, 8))
    found = chance_level(layer, planes, permutations=20)
    assert found.p[1] == 1
    assert not found.beyond_chance[1]
    assert found.null[:, 1].max() == 0


def test_units_that_never_fire_do_not_lower_the_cut_of_the_others() -> None:
    rng = np.random.default_rng(3)
    x, labels = values(rng, (20, 4, 6, 6), "normal"), boxes(rng, 20, 3, 12)
    alone = chance_level(*layer_of(x, labels), permutations=50)
    dead = np.zeros((20, 12, 6, 6), np.float32)
    beside = chance_level(*layer_of(np.concatenate([x, dead], 1), labels), permutations=50)
    assert beside.cut == alone.cut > 0
    assert beside.summary().calibrated == alone.summary().calibrated
    assert chance_level(*layer_of(dead, labels), permutations=5).cut == 0


def test_a_vocabulary_without_concepts() -> None:
    layer, planes = layer_of(
        values(np.random.default_rng(0), (6, 2, 4, 4), "normal"), np.zeros((6, 0, 8, 8), bool)
    )
    found = chance_level(layer, planes, permutations=5)
    assert found.p.tolist() == [1, 1]
    assert not found.beyond_chance.any()
    assert found.summary().detectors == 0


@pytest.mark.parametrize(
    ("presence", "inclusive"), [*itertools.product(["all", "under-mask"], [False, True])]
)
def test_other_conventions(presence: str, inclusive: bool) -> None:
    rng = np.random.default_rng(6)
    layer, planes = layer_of(
        values(rng, (10, 4, 4, 4), "relu"), boxes(rng, 10, 3, 8), presence=presence, cut_inclusive=inclusive
    )
    found = chance_level(layer, planes, permutations=30)
    assert found.null.shape == (30, 4)
    assert 0 < found.null.max() <= 1
