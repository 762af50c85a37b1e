"""Counts image by image, bootstrap, and labels chosen on train and scored on val."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chance_cases import boxes, layer_of, planted
from kernel_cases import values

from fastdissect import scores
from fastdissect.datasets import Shapes
from fastdissect.datasets.labelled import LabelledImages
from fastdissect.errors import SettingError
from fastdissect.methods.chance import bootstrap, held_out, image_counts, splits_of
from fastdissect.methods.chance.by_image import _blocks
from fastdissect.methods.chance.masks import unit_masks
from fastdissect.types import Counts


@pytest.fixture(scope="module")
def case() -> Any:
    layer, planes, labels = planted()
    return layer, planes, labels, image_counts(layer, planes)


def assert_counts(got: Counts, expected: Counts) -> None:
    for name in ("intersection", "unit_area", "concept_area", "mask_area"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), name)
        assert getattr(got, name).dtype == np.int64


@pytest.mark.parametrize("presence", ["image", "under-mask", "all"])
def test_all_ones_give_the_layers_own_counts(presence: str) -> None:
    rng = np.random.default_rng(1)
    layer, planes = layer_of(values(rng, (14, 5, 6, 6), "relu"), boxes(rng, 14, 4, 12), presence=presence)
    assert_counts(image_counts(layer, planes).counts(np.ones(14, np.int64)), layer.counts)


@pytest.mark.parametrize("presence", ["image", "under-mask", "all"])
def test_an_image_taken_twice_is_an_image_shown_twice(presence: str) -> None:
    """Weights against a layer over the images repeated, at the same thresholds."""
    rng = np.random.default_rng(2)
    x, labels = values(rng, (6, 3, 6, 6), "relu"), boxes(rng, 6, 4, 12)
    layer, planes = layer_of(x, labels, presence=presence)
    drawn = np.array([5, 0, 0, 3, 3, 3])
    order = np.sort(drawn)
    masks = np.array([[layer.unit_mask(k, n) for k in range(3)] for n in range(6)])[order]
    own, category = labels[order], layer.concepts.category
    intersection = np.einsum("nkyx,ncyx->kc", masks.astype(int), own.astype(int))
    under = np.einsum("nkyx,ncyx->nkc", masks.astype(int), own.astype(int)) > 0
    area = np.zeros((3, 2), np.int64)
    for q in range(2):
        shown = {
            "all": np.ones((6, 3), bool),
            "image": np.repeat(own[:, category == q].any((1, 2, 3))[:, None], 3, 1),
            "under-mask": under[..., category == q].any(2),
        }[presence]
        area[:, q] = (masks.sum((2, 3)) * shown).sum(0)
    got = image_counts(layer, planes).counts(np.bincount(drawn, minlength=6))
    expected = Counts(intersection, area, own.sum((0, 2, 3)), masks.sum((0, 2, 3)))
    assert_counts(got, expected)


def test_blocks_of_images_cover_all_and_hold_no_more(case: Any) -> None:
    masks = unit_masks(case[0])
    for most in (1, 7, 100, 10**9):
        blocks = _blocks(masks, most)
        assert [first for first, _ in blocks] == [0, *(last for _, last in blocks[:-1])]
        assert blocks[-1][1] == masks.images
        for first, last in blocks:
            held = masks.image_start[last] - masks.image_start[first]
            assert held <= most or last == first + 1


def test_small_blocks_change_nothing(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, planes, _, whole = case
    monkeypatch.setattr("fastdissect.methods.chance.by_image._ROOM", 8 * 9 * 5)
    weights = np.random.default_rng(0).integers(0, 4, 60)
    assert_counts(image_counts(layer, planes).counts(weights), whole.counts(weights))


def test_bootstrap_of_planted_units(case: Any) -> None:
    layer, _, _, counts = case
    found = bootstrap(layer, counts, replicates=300, seed=3)
    table = found.table()
    assert (table["low"] <= table["high"]).all()
    planted_units = table[:6]
    assert (planted_units["stability"] == 1).all()
    assert (planted_units["other"] == "").all()
    assert (
        (planted_units["low"] < planted_units["iou"]) & (planted_units["iou"] < planted_units["high"])
    ).all()
    assert (table["stability"][6:] < 1).any()
    for k in range(12):
        share = [(found.column[:, k] == c).mean() for c in range(6)]
        assert max(table["stability"][k], table["other_share"][k]) == pytest.approx(max(share))


def test_a_replicate_is_the_labels_of_its_own_counts(case: Any) -> None:
    layer, _, _, counts = case
    found = bootstrap(layer, counts, replicates=2, seed=8)
    rng = np.random.default_rng(8)
    for i in range(2):
        drawn = rng.integers(0, 60, 60)
        own = scores.iou(counts.counts(np.bincount(drawn, minlength=60)), layer.concepts, layer.profile)
        np.testing.assert_array_equal(found.iou[i], own.max(1))
        np.testing.assert_array_equal(own[np.arange(12), found.column[i]], own.max(1))


def test_intervals_cover_what_more_images_would_give() -> None:
    """Forty samples of 60 images: the 90 % interval of a planted unit holds the score over all 2,000 in most."""
    covered = total = 0
    rng = np.random.default_rng(5)
    whole, planes, _ = planted(images=2000, concepts=2, blind=0, seed=5)
    counts = image_counts(whole, planes)
    truth = whole.iou().max(1)
    for _ in range(40):
        sample = np.zeros(2000, bool)
        sample[rng.choice(2000, 60, replace=False)] = True
        weights = [np.bincount(rng.choice(np.flatnonzero(sample), 60), minlength=2000) for _ in range(100)]
        best = np.array([scores.iou(counts.counts(w), whole.concepts, whole.profile).max(1) for w in weights])
        low, high = np.quantile(best, [0.05, 0.95], axis=0)
        covered += ((low <= truth) & (truth <= high)).sum()
        total += 2
    assert covered / total > 0.75


def test_train_and_val_are_counts_of_their_own_images(case: Any) -> None:
    layer, _, labels, counts = case
    train = np.arange(60) % 3 > 0
    table = held_out(layer, counts, train)
    masks = np.array([[layer.unit_mask(k, n) for k in range(12)] for n in range(60)])
    for k in range(6):
        assert table["label"][k] == table["val_label"][k] == f"concept {k}"
        for flags, column in ((train, "train_iou"), (~train, "val_iou")):
            own, mask = labels[flags], masks[flags, k]
            shown = own[:, layer.concepts.category == k % 2].any((1, 2, 3))
            shared = (mask & own[:, k]).sum()
            assert table[column][k] == pytest.approx(shared / (mask[shown].sum() + own[:, k].sum() - shared))
    assert table["same_label"][:6].all()
    assert (table["val_iou"] <= table["val_best_iou"]).all()


def test_blind_units_lose_on_val_what_the_choice_gave() -> None:
    layer, planes, _ = planted(images=40, concepts=12, blind=40, seed=9)
    table = held_out(layer, image_counts(layer, planes), np.arange(40) % 2 == 0)
    assert table["train_iou"][12:].mean() > 1.3 * table["val_iou"][12:].mean()


def test_a_unit_without_overlap_on_train_has_no_label() -> None:
    rng = np.random.default_rng(0)
    x = np.zeros((6, 1, 4, 4), np.float32)
    x[5] = rng.random((1, 4, 4))
    layer, planes = layer_of(x, boxes(rng, 6, 2, 8, share=1.0))
    row = held_out(layer, image_counts(layer, planes), np.arange(6) < 5).iloc[0]
    assert row["label"] == ""
    assert row["category"] == ""
    assert row["train_iou"] == row["val_iou"] == 0
    assert row["val_label"] != ""


@pytest.mark.parametrize("train", [np.ones(60, bool), np.zeros(60, bool), np.ones(59, bool), np.ones(60)])
def test_splits_that_are_none_are_refused(case: Any, train: np.ndarray) -> None:
    with pytest.raises(SettingError, match="True for train"):
        held_out(case[0], case[3], train)


@pytest.mark.parametrize(
    "given", [{"replicates": 0}, {"replicates": 2.0}, {"confidence": 0}, {"confidence": 95}]
)
def test_bootstrap_numbers_out_of_range_are_refused(case: Any, given: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="expected"):
        bootstrap(case[0], case[3], **given)


def test_bootstrap_counts_of_another_layer_are_refused(case: Any) -> None:
    layer, planes, _ = planted(images=30)
    with pytest.raises(SettingError, match="60 images; got 30"):
        bootstrap(case[0], image_counts(layer, planes))


class Listed(Shapes):
    splits = ("train", "val", "val", "train", "train", "val")


def test_the_data_sets_own_splits_come_first() -> None:
    data = Listed(images=6, size=16)
    names = [data.image_name(i) for i in range(6)]
    found = splits_of(data, names)
    assert found.train.tolist() == [True, False, False, True, True, False]
    assert "index" in found.source
    some = LabelledImages(data, np.array([1, 3, 5]))
    assert splits_of(some, names[1::2]).train.tolist() == [False, True, False]


def test_else_brodens_rule_splits_by_name() -> None:
    data = Shapes(images=400, size=16)
    names = [data.image_name(i) for i in range(400)]
    found = splits_of(data, names)
    assert "md5" in found.source
    assert found.train.mean() == pytest.approx(0.7, abs=0.07)
    for name, train in zip(names[:20], found.train, strict=False):
        head = int.from_bytes(hashlib.md5(name.encode()).digest()[:8], "big")
        assert train == (head / 2**64 <= 0.7)
    one_sided = Listed(images=6, size=16)
    one_sided.splits = ("train",) * 6
    assert "md5" in splits_of(one_sided, names[:6]).source


def test_nothing_is_written(case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bootstrap(case[0], case[3], replicates=1)
    assert not list(tmp_path.iterdir())
