from __future__ import annotations

import numpy as np
import pytest

from fastdissect import scores
from fastdissect.conventions import PROFILES, profile
from fastdissect.labels import label_units
from fastdissect.types import Concepts, Counts


def vocabulary(concepts: int, categories: int, rng: np.random.Generator) -> Concepts:
    numbers = np.sort(rng.choice(np.arange(1, 5 * concepts + 1), concepts, replace=False))
    names = tuple(f"concept {n}" for n in numbers)
    return Concepts(numbers, names, rng.integers(0, categories, concepts), tuple("abcdefg"[:categories]))


def brute_counts(masks: np.ndarray, labels: np.ndarray, concepts: Concepts) -> Counts:
    """Masks bool [units, images, H, W]; labels bool [concepts, images, H, W]; "image" presence."""
    units, images = masks.shape[:2]
    intersection = np.zeros((units, len(concepts)), np.int64)
    area = np.zeros((units, len(concepts.categories)), np.int64)
    for n in range(images):
        present = {int(concepts.category[c]) for c in range(len(concepts)) if labels[c, n].any()}
        for k in range(units):
            for c in range(len(concepts)):
                intersection[k, c] += (masks[k, n] & labels[c, n]).sum()
            for q in present:
                area[k, q] += masks[k, n].sum()
    return Counts(intersection, area, labels.sum((1, 2, 3)), masks.sum((1, 2, 3)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", PROFILES)
def test_scores_equal_a_loop_over_exact_integers(seed, name):
    rng = np.random.default_rng(seed)
    concepts = vocabulary(7, 3, rng)
    intersection = rng.integers(0, 4, (5, 7))
    area = intersection.max() + rng.integers(0, 3, (5, 3))
    area[0] = intersection[0] = 0  # a dead unit
    gt = intersection.max(0) + rng.integers(0, 3, 7)
    gt[0] = intersection[:, 0] = 0  # a concept that is nowhere
    counts = Counts(intersection, area, gt, area.max(1))
    p = PROFILES[name]
    got = scores.iou(counts, concepts, p)
    dice, precision, recall = (f(counts, concepts) for f in (scores.dice, scores.precision, scores.recall))
    assert got.shape == (5, 7)
    assert got.dtype == np.float64
    for k in range(5):
        for c in range(7):
            i, b, g = int(intersection[k, c]), int(area[k, concepts.category[c]]), int(gt[c])
            assert got[k, c] == i / (b + g - i + p.epsilon)
            assert dice[k, c] == (2 * i / (b + g) if b + g else 0)
            assert precision[k, c] == (i / b if b else 0)
            assert recall[k, c] == (i / g if g else 0)


def test_without_an_epsilon_nothing_divided_by_nothing_is_zero():
    concepts = Concepts(np.array([3]), ("x",), np.array([0]), ("object",))
    zero = np.zeros((1, 1), np.int64)
    got = scores.iou(Counts(zero, zero, zero[0], zero[0]), concepts, profile("netdissect", epsilon=0))
    assert got.tolist() == [[0.0]]


def test_scores_leave_the_counts_alone():
    rng = np.random.default_rng(1)
    concepts = vocabulary(4, 2, rng)
    arrays = (
        rng.integers(0, 3, (3, 4)),
        rng.integers(3, 9, (3, 2)),
        rng.integers(3, 9, 4),
        rng.integers(9, 12, 3),
    )
    before = [a.copy() for a in arrays]
    counts = Counts(*arrays)
    scores.iou(counts, concepts, PROFILES["netdissect"])
    scores.dice(counts, concepts)
    assert all((a == b).all() for a, b in zip(arrays, before, strict=True))


def test_planted_a_unit_that_is_its_concept_scores_exactly_one():
    """METHODS 1.9, item 1: nine concepts in three categories, every unit gets its own label."""
    rng = np.random.default_rng(2)
    concepts = Concepts(
        np.arange(1, 10), tuple(f"c{i}" for i in range(9)), np.arange(9) // 3, ("x", "y", "z")
    )
    labels = np.zeros((9, 12, 6, 6), bool)
    for c in range(9):
        for n in rng.choice(12, 4, replace=False):
            labels[c, n, rng.integers(0, 5) :, rng.integers(0, 5) :] = True
    counts = brute_counts(labels, labels, concepts)
    found = label_units(
        scores.iou(counts, concepts, PROFILES["netdissect"]), concepts, PROFILES["netdissect"]
    )
    rows = np.arange(9)
    assert found.numbers[rows, found.best].tolist() == list(range(1, 10))
    assert found.score[rows, found.best].tolist() == [1.0] * 9


def test_images_without_a_category_do_not_count_in_it():
    """METHODS 1.9, item 4: they leave the category's IoU alone, and lower it under presence="all"."""
    rng = np.random.default_rng(3)
    concepts = Concepts(np.array([2, 5]), ("cat", "sky"), np.array([0, 1]), ("object", "scene"))
    masks = rng.random((4, 6, 5, 5)) < 0.4
    labels = rng.random((2, 6, 5, 5)) < 0.3
    labels[0, 3:] = False  # images 3 to 5 carry nothing of category "object"
    few = brute_counts(masks[:, :3], labels[:, :3], concepts)
    all_six = brute_counts(masks, labels, concepts)
    p = PROFILES["netdissect"]
    assert (scores.iou(few, concepts, p)[:, 0] == scores.iou(all_six, concepts, p)[:, 0]).all()
    full = np.repeat(all_six.mask_area[:, None], 2, axis=1)  # what presence="all" counts
    everywhere = Counts(all_six.intersection, full, all_six.concept_area, all_six.mask_area)
    got = scores.iou(everywhere, concepts, PROFILES["dissect-2020"])
    assert (got[:, 0] < scores.iou(few, concepts, p)[:, 0]).all()
    union = (masks | labels[0]).sum((1, 2, 3))  # dissect's formula: all pixels of all images
    assert got[:, 0].tolist() == ((masks & labels[0]).sum((1, 2, 3)) / union).tolist()


def test_half_an_overlap_is_a_third():
    """METHODS 1.9, item 5: |M| = |L| = 2m, overlap m."""
    masks = np.zeros((1, 1, 4, 6), bool)
    labels = np.zeros((1, 1, 4, 6), bool)
    masks[..., 0:4] = labels[..., 2:6] = True
    concepts = Concepts(np.array([1]), ("x",), np.array([0]), ("object",))
    counts = brute_counts(masks, labels, concepts)
    assert scores.iou(counts, concepts, PROFILES["netdissect"]).tolist() == [[8 / 24]]
    assert scores.dice(counts, concepts).tolist() == [[0.5]]


def test_permuting_units_permutes_rows():
    rng = np.random.default_rng(4)
    concepts = vocabulary(6, 3, rng)
    masks = rng.random((5, 4, 4, 4)) < 0.5
    labels = rng.random((6, 4, 4, 4)) < 0.2
    order = rng.permutation(5)
    p = PROFILES["netdissect"]
    straight = scores.iou(brute_counts(masks, labels, concepts), concepts, p)
    permuted = scores.iou(brute_counts(masks[order], labels, concepts), concepts, p)
    assert (permuted == straight[order]).all()
