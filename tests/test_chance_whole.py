"""The whole chance table of a run, from boolean arrays alone: every profile, compared with ==.

The masks are those of `dissect_plainly`; everything after them (pairings, scores, labels, tests, intervals, held-out
scores) is written out here again, unit by unit, and shares no code with the package. From the package come only the
numbers that a seed stands for: NumPy's `default_rng(seed)`, `permutation` and `integers` in the order that is stated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from dissect_cases import PLAIN, Array, Labelled, Net, dissect_plainly, gather, permuted, vocabulary

import fastdissect
from fastdissect.kernels import set_num_threads
from fastdissect.kernels.selection import on_host
from fastdissect.methods.chance import LayerChance, Splits, layer_chance, pair_chance, planes_of

SIDE, IMAGES, PERMUTATIONS, REPLICATES, SEED = 24, 26, 40, 30, 7
PROFILES = ("netdissect", "netdissect-caffe", "netdissect-lite", "dissect-2020")
NAMES = ([f"thing {c}" for c in range(4)], [f"scene {c}" for c in range(3)], ["rare"])


def dataset() -> Labelled:
    """Boxes in two channels that may hold the same label, whole-image labels, a category in two images, and none."""
    rng = np.random.default_rng(3)
    labels: list[list[tuple[int, Any]]] = []
    for image in range(IMAGES):
        own: list[tuple[int, Any]] = []
        if image % 5 != 4:  # the others have no label
            for _ in range(2):
                boxes = np.zeros((SIDE, SIDE), np.uint16)
                for number in rng.integers(1, 5, 2):
                    y, x = rng.integers(0, SIDE - 6, 2)
                    boxes[y : y + rng.integers(4, 14), x : x + rng.integers(4, 14)] = number
                own.append((0, boxes))
        if image % 5 < 3:
            own.append((1, int(rng.integers(5, 8))))
        if image in (2, 11):
            rare = np.zeros((SIDE, SIDE), np.uint16)
            rare[3:9, 5:20] = 8
            own.append((2, rare))
        labels.append(own)
    pixels = rng.integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    return Labelled(pixels, labels, vocabulary(*NAMES))


class Dense(NamedTuple):
    """Pixels as they lie: how often each concept holds each pixel, and where each unit fires."""

    labels: Array  # int64 [images, concepts, pixels]
    masks: Array  # bool [images, units, pixels]
    category: Array
    profile: Any

    def scores(self, images: Any, labelled: Any) -> Array:
        """IoU [units, concepts] of the masks of `images`, each over the labels of the image beside it."""
        masks, labels = self.masks[images], self.labels[labelled]
        iou = np.zeros((masks.shape[1], labels.shape[1]))
        for k, c in np.ndindex(iou.shape):
            own = self.category == self.category[c]
            shared = int((labels[:, c] * masks[:, k]).sum())
            area = 0
            for mask, planes in zip(masks[:, k], labels[:, own], strict=True):
                under = {"all": True, "image": planes.any(), "under-mask": planes[:, mask].any()}
                area += int(mask.sum()) if under[self.profile.presence] else 0
            union = area + int(labels[:, c].sum()) - shared
            iou[k, c] = shared / (union + self.profile.epsilon) if union or shared else 0
        return iou

    def label(self, iou: Array) -> list[tuple[int, float]]:
        """(column or -1, score) of each unit."""
        found = []
        for row in iou:
            best = row.max()
            columns = np.flatnonzero(row == best)
            if best == 0:
                found.append((-1, 0.0))
            elif self.profile.category_ties == "first":
                found.append((int(columns[0]), best))
            else:
                last = self.category[columns].max()
                found.append((int(columns[self.category[columns] == last][0]), best))
        return found


class Case(NamedTuple):
    layer: Any
    planes: Any
    dense: Dense
    train: Array
    found: LayerChance


@pytest.fixture(scope="module", params=PROFILES)
def case(request: pytest.FixtureRequest) -> Case:
    data = dataset()
    network = Net().eval()
    options = {"preprocessing": PLAIN, "cache": None, "progress": False, "batch_size": 5}
    if request.param == "netdissect-caffe":
        options |= {"upsampling": "half-pixel"}  # its own needs sizes that divide
    d = fastdissect.dissect(
        network, data, "first", profile=request.param, quantile="1/12", mask_size=SIDE, **options
    )
    layer = d["first"]
    seen = data
    if layer.profile.unlabelled == "removed":
        seen = permuted(data, [i for i in range(IMAGES) if data.read_labels(i)])
    maps = gather(network, seen, ["first"], 5, (SIDE, SIDE))["first"].numpy()
    masks = dissect_plainly(maps, seen, layer.profile, layer.upsampling).masks
    labels = np.zeros((len(seen), 8, SIDE, SIDE), np.int64)
    for n in range(len(seen)):
        for channel in seen.read_labels(n):
            for c in range(8):
                labels[n, c] += channel.labels == c + 1
    if layer.profile.repeats == "once":
        labels = np.minimum(labels, 1)
    assert (labels > 1).any() == (layer.profile.repeats == "per-channel")
    dense = Dense(
        labels.reshape(len(seen), 8, -1),
        masks.reshape(*masks.shape[:2], -1),
        layer.concepts.category,
        layer.profile,
    )
    train = np.arange(len(seen)) % 3 != 1
    planes = planes_of(d, data, cache=None, progress=False)
    return Case(layer, planes, dense, train, _chance(layer, planes, train))


def _chance(layer: Any, planes: Any, train: Array) -> LayerChance:
    return layer_chance(
        layer,
        planes,
        Splits(train, "every third"),
        permutations=PERMUTATIONS,
        replicates=REPLICATES,
        seed=SEED,
        level=0.1,
    )


def test_the_null_distribution_and_what_follows_from_it(case: Case) -> None:
    layer, _, dense, _, found = case
    images = len(dense.masks)
    own = dense.scores(np.arange(images), np.arange(images))
    rng = np.random.default_rng(SEED)
    null = np.array(
        [dense.scores(np.arange(images), rng.permutation(images)).max(1) for _ in range(PERMUTATIONS)]
    )
    table, best = found.table(), own.max(1)
    np.testing.assert_array_equal(found.level.null, null)
    names = [*layer.concepts.names, ""]
    assert table["label"].tolist() == [names[c] for c, _ in dense.label(own)]
    assert table["iou"].tolist() == best.tolist()
    p = [
        (1 + sum(drawn >= score for drawn in column)) / (1 + PERMUTATIONS)
        for column, score in zip(null.T, best, strict=True)
    ]
    assert table["p"].tolist() == p
    q = [min(min(1.0, x * len(p) / sum(y <= x for y in p)) for x in p if x >= own_p) for own_p in p]
    np.testing.assert_allclose(table["q"], q, rtol=1e-15)
    assert table["null_mean"].tolist() == null.mean(0).tolist()
    assert table["null_95"].tolist() == np.sort(null, 0)[37].tolist()  # the 38th of 40: 95 % are at or below
    assert table["beyond_chance"].tolist() == [
        x <= 0.1 and score > 0 for x, score in zip(q, best, strict=True)
    ]
    cut, inclusive = layer.profile.cut, layer.profile.cut_inclusive
    passing = (null >= cut) if inclusive else (null > cut)
    numbers = found.level.summary()
    assert numbers.chance_detectors == pytest.approx(passing.sum() / PERMUTATIONS)
    alive = null[:, dense.masks.any((0, 2))].ravel()
    at = found.level.cut
    assert ((alive >= at) if inclusive else (alive > at)).sum() <= 0.1 * len(alive)
    lower = alive[alive < at].max()  # one value of the null lower, and more than a tenth pass
    assert (alive >= lower).sum() > 0.1 * len(alive)


def test_the_intervals_and_the_stability_of_labels(case: Case) -> None:
    layer, _, dense, _, found = case
    images, rng = len(dense.masks), np.random.default_rng(SEED)
    own = dense.label(dense.scores(np.arange(images), np.arange(images)))
    drawn = [rng.integers(0, images, images) for _ in range(REPLICATES)]
    labels = [dense.label(dense.scores(rows, rows)) for rows in drawn]
    table = found.table()
    names = [*layer.concepts.names, ""]
    for k, (column, _) in enumerate(own):
        best = np.array([one[k][1] for one in labels])
        low, high = np.quantile(best, [0.025, 0.975])
        np.testing.assert_allclose([table["low"][k], table["high"][k]], [low, high], rtol=1e-15)
        picked = [one[k][0] for one in labels]
        assert table["stability"][k] == picked.count(column) / REPLICATES
        others = sorted({c for c in picked if c != column}, key=lambda c: (-picked.count(c), c))
        assert table["other"][k] == (names[others[0]] if others else "")
        assert table["other_share"][k] == (picked.count(others[0]) / REPLICATES if others else 0)


def test_labels_chosen_on_train_and_scored_on_val(case: Case) -> None:
    layer, _, dense, train, found = case
    fit, test = (np.flatnonzero(flags) for flags in (train, ~train))
    on_train, on_val = dense.scores(fit, fit), dense.scores(test, test)
    names = [*layer.concepts.names, ""]
    categories = [*(layer.concepts.categories[q] for q in layer.concepts.category), ""]
    chosen, best = dense.label(on_train), dense.label(on_val)
    expected = pd.DataFrame(
        {
            "unit": range(len(chosen)),
            "label": [names[c] for c, _ in chosen],
            "category": [categories[c] for c, _ in chosen],
            "train_iou": [score for _, score in chosen],
            "val_iou": [on_val[k, c] if c >= 0 else 0.0 for k, (c, _) in enumerate(chosen)],
            "val_label": [names[c] for c, _ in best],
            "val_best_iou": [score for _, score in best],
            "same_label": [a == b for (a, _), (b, _) in zip(chosen, best, strict=True)],
        }
    )
    assert found.held_out is not None
    pd.testing.assert_frame_equal(found.held_out, expected, check_exact=True, check_dtype=False)


def test_images_of_a_pair_are_counted_once(case: Case) -> None:
    """Also where a label stands in two channels of an image."""
    layer, planes, dense = case[:3]
    for concept in range(8):
        got = pair_chance(layer, planes, 0, concept)
        assert got.concept_images == dense.labels[:, concept].any(1).sum()
        assert got.mask_images == dense.masks[:, 0].any(1).sum()


@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize("name", on_host())
def test_backends_and_threads_change_no_bit(
    case: Case, name: str, threads: int, monkeypatch: pytest.MonkeyPatch, unset_threads: None
) -> None:
    monkeypatch.setenv("FASTDISSECT_BACKEND", name)
    set_num_threads(threads)
    again = _chance(case.layer, case.planes, case.train)
    pd.testing.assert_frame_equal(again.table(), case.found.table(), check_exact=True)
    assert again.level.cut == case.found.level.cut
    assert again.level.null.tobytes() == case.found.level.null.tobytes()
