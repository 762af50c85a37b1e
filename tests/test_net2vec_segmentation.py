"""Segmentation vectors: the planted properties of METHODS 3.10, the oracle, and what must change nothing."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chance_cases import concepts_of
from net2vec_cases import layer_of_cells, random_case, scene
from numpy.typing import NDArray

from fastdissect.errors import DataError, OutputError, SettingError
from fastdissect.kernels import set_num_threads
from fastdissect.methods.net2vec import (
    ConceptVectors,
    SegmentationSettings,
    retrain_top_filters,
    segmentation_vectors,
    sharing,
)
from fastdissect.methods.net2vec.one_concept import dense_features, dense_masks, mask_loss, train_concept
from fastdissect.methods.net2vec.problem import make_problem
from fastdissect.methods.net2vec.segmentation import train_segmentation
from fastdissect.methods.net2vec.settings import first_weights
from fastdissect.methods.net2vec.top_filters import largest
from fastdissect.methods.net2vec.training import train_tasks

SHORT = SegmentationSettings(epochs=3, batch=4)
VARIANTS = [
    SHORT,
    dataclasses.replace(SHORT, loss="bce", bias=True, l1=0.01, l2=0.02),
    dataclasses.replace(SHORT, positive=True, upsampling="half-pixel"),
]


def train_of(images: int, count: int) -> NDArray[np.bool_]:
    return np.arange(images) < count


@pytest.mark.parametrize("loss", ["linear", "bce"])
def test_three_planted_filters_are_found(loss: str) -> None:
    """METHODS 3.10, item 1: there .69 (linear) and .71 (bce) against .34."""
    active, labels = scene(168, 13, 113, 32, (3, 7, 11))
    layer, planes = layer_of_cells(active, labels)
    found = segmentation_vectors(layer, planes, train_of(168, 128), SegmentationSettings(loss=loss))
    (row,) = found.table.to_dict("records")
    assert {*largest(found.weights)[0, :3].tolist()} == {3, 7, 11}
    assert (found.weights[0, [3, 7, 11]] > 0).all()
    assert row["iou_val"] > 1.5 * row["single_iou_val"]
    assert row["iou_val"] > 0.65
    assert 0.25 < row["single_iou_val"] < 0.4
    assert (row["train_images"], row["val_images"]) == (128, 40)


def test_one_planted_filter_needs_no_other_one() -> None:
    """METHODS 3.10, item 2; without the scaled step it would stop at .50."""
    active, labels = scene(100, 28, 28, 16, (5,))
    layer, planes = layer_of_cells(active, labels)
    train = train_of(100, 70)
    found = segmentation_vectors(layer, planes, train)
    (row,) = found.table.to_dict("records")
    assert (row["single_unit"], row["single_iou_train"], row["single_iou_val"]) == (5, 1.0, 1.0)
    assert row["iou_val"] == 1.0
    assert largest(found.weights)[0, 0] == 5
    counts = retrain_top_filters(found, layer, planes, train)
    assert counts.filters == (1, 2, 4, 8, 16)
    assert counts.needed()["needed"].tolist() == [1]
    assert sharing(found.table["single_unit"].to_numpy(), 16)["filters"].tolist() == [15, 1, 0, 0, 0, 0, 0]


def test_all_filters_retrained_are_the_vector_itself_and_others_stay_zero() -> None:
    """METHODS 3.10, item 3."""
    layer, planes, train = random_case(2)
    found = segmentation_vectors(layer, planes, train, SHORT)
    problem = make_problem(layer, planes, train, SHORT)
    start = first_weights(SHORT, problem.numbers, 7)
    whole = train_tasks(problem, SHORT, np.arange(len(problem)), np.ones((len(problem), 7), bool), start)
    np.testing.assert_array_equal(whole.weights, found.weights)
    counts = retrain_top_filters(found, layer, planes, train, filters=[2, 5])
    assert counts.filters == (2, 5, 7)
    order = largest(found.weights)
    for size in (2, 5):
        for weights, own in zip(counts.weights[size], order, strict=True):
            assert not weights[own[size:]].any()
            assert weights[own[:size]].all()
    kept = np.zeros((1, 7), bool)
    kept[0, order[1, :2]] = True
    alone = train_tasks(problem, SHORT, np.array([1]), kept, start[1:2])
    np.testing.assert_array_equal(counts.weights[2][1], alone.weights[0])
    whole_rows = counts.table[counts.table["filters"] == 7]
    np.testing.assert_array_equal(whole_rows["val"], found.table["iou_val"])


@pytest.mark.parametrize("scale", [1e-3, 0.5, 40.0])
def test_scale_of_a_vector_does_not_change_its_masks(scale: float) -> None:
    from fastdissect.methods.net2vec.segmentation import score_images
    from fastdissect.methods.net2vec.training import Trained

    layer, planes, train = random_case(3)
    problem = make_problem(layer, planes, train, SHORT)
    found = train_segmentation(problem, SHORT)
    scaled = score_images(problem, Trained(found.weights * np.float32(2.0 ** round(np.log2(scale))), None))
    assert found.images is not None
    np.testing.assert_array_equal(scaled.intersection, found.images.intersection)
    np.testing.assert_array_equal(scaled.union, found.images.union)


def test_loss_at_zero_is_half_of_the_weights() -> None:
    """METHODS 3.10, item 4; the gradient check is in test_net2vec_kernels.py."""
    layer, planes, train = random_case(4)
    problem = make_problem(layer, planes, train, SHORT)
    inside, outside = (float(w[0]) for w in problem.targets.weights())
    assert outside == pytest.approx(1 - inside)
    shown = problem.targets.train
    pairs = range(shown.concept_start[0], shown.concept_start[1])
    masks = np.stack([dense_masks(problem, p) for p in pairs])
    features = dense_features(problem, [int(shown.image[p]) for p in pairs])
    got = mask_loss(
        torch.zeros(7), None, torch.from_numpy(features), torch.from_numpy(masks), inside, outside,
        problem.upsampling, "linear",
    )  # fmt: skip
    expected = -0.5 * (inside * masks.sum() + outside * (1 - masks).sum()) / len(pairs)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_iou_of_two_sets_together_lies_between_theirs() -> None:
    """METHODS 3.10, item 5: a ratio of sums."""
    layer, planes, train = random_case(5, images=40)
    images = segmentation_vectors(layer, planes, train, SHORT).images
    assert images is not None
    for c in range(4):
        apart = [images.iou_set(4, split)[c] for split in (True, False)]
        own = images.concept == c
        both = images.intersection[own].sum() / images.union[own].sum()
        assert min(apart) <= both <= max(apart)
        assert min(apart) < max(apart)


@pytest.mark.parametrize("settings", VARIANTS, ids=["linear", "bce", "positive"])
def test_all_together_equal_one_after_the_other(settings: SegmentationSettings) -> None:
    layer, planes, train = random_case(1)
    problem = make_problem(layer, planes, train, settings)
    found = train_segmentation(problem, settings)
    for row in range(len(problem)):
        weights, bias = train_concept(problem, settings, row)
        np.testing.assert_allclose(found.weights[row], weights, rtol=1e-5, atol=1e-6)
        if found.bias is not None:
            assert found.bias[row] == pytest.approx(bias, rel=1e-5, abs=1e-6)
    assert not settings.positive or (found.weights >= 0).all()


@pytest.mark.parametrize("settings", VARIANTS, ids=["linear", "bce", "positive"])
def test_torch_on_a_device_trains_the_same(settings: SegmentationSettings) -> None:
    layer, planes, train = random_case(6)
    ours = segmentation_vectors(layer, planes, train, settings)
    theirs = segmentation_vectors(layer, planes, train, settings, device="cpu:0")
    np.testing.assert_allclose(theirs.weights, ours.weights, rtol=1e-5, atol=1e-6)
    if ours.bias is not None:
        np.testing.assert_allclose(theirs.bias, ours.bias, rtol=1e-5, atol=1e-6)
    assert theirs.record["backend"] == "torch"


def test_torch_keeps_filters_out_too() -> None:
    layer, planes, train = random_case(7)
    found = segmentation_vectors(layer, planes, train, SHORT)
    ours = retrain_top_filters(found, layer, planes, train, filters=[1, 3])
    theirs = retrain_top_filters(found, layer, planes, train, filters=[1, 3], device="cpu:0")
    for size in (1, 3):
        np.testing.assert_allclose(theirs.weights[size], ours.weights[size], rtol=1e-5, atol=1e-6)


def test_a_subset_of_the_concepts_gets_the_same_vectors() -> None:
    layer, planes, train = random_case(8)
    whole = segmentation_vectors(layer, planes, train, SHORT)
    some = segmentation_vectors(layer, planes, train, SHORT, concepts=["concept 3", 6])
    assert some.names == ("concept 1", "concept 3")
    np.testing.assert_array_equal(some.weights, whole.weights[[1, 3]])
    assert some.table.to_dict("records") == [whole.table.to_dict("records")[i] for i in (1, 3)]


@pytest.mark.usefixtures("unset_threads")
def test_threads_change_no_bit() -> None:
    layer, planes, train = random_case(9)
    found = []
    for threads in (1, 3):
        set_num_threads(threads)
        found.append(segmentation_vectors(layer, planes, train, SHORT).weights)
    np.testing.assert_array_equal(*found)


def test_more_images_of_a_concept_than_a_batch_step_again_at_the_epochs_end() -> None:
    """7 images, 4 a batch: 2 steps an epoch, the second over 3 images; another batch size gives other weights."""
    layer, planes, _ = random_case(10, images=8, concepts=1)
    train = np.ones(8, bool)
    one = segmentation_vectors(layer, planes, train, SHORT)
    other = segmentation_vectors(layer, planes, train, dataclasses.replace(SHORT, batch=100))
    assert not np.array_equal(one.weights, other.weights)


class _KilledError(Exception):
    pass


def test_a_killed_training_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastdissect.methods.net2vec import training

    layer, planes, train = random_case(11)
    settings = dataclasses.replace(SHORT, epochs=6)
    whole = segmentation_vectors(layer, planes, train, settings)
    path, seen = tmp_path / "state.safetensors", []
    monkeypatch.setattr(training, "_EVERY", 0.0)

    def killed(epochs: int) -> None:
        seen.append(epochs)
        if len(seen) == 4:
            raise _KilledError

    with pytest.raises(_KilledError):
        segmentation_vectors(layer, planes, train, settings, progress=killed, checkpoint=path)
    again: list[int] = []
    resumed = segmentation_vectors(layer, planes, train, settings, progress=again.append, checkpoint=path)
    assert again == [3, 1, 1, 1]
    with pytest.raises(OutputError, match="checkpoint of this training"):
        segmentation_vectors(
            layer, planes, train, dataclasses.replace(settings, first_category=False, l1=0.5), checkpoint=path
        )
    np.testing.assert_array_equal(resumed.weights, whole.weights)
    with pytest.raises(OutputError, match="checkpoint of this training"):
        segmentation_vectors(layer, planes, train, dataclasses.replace(settings, seed=1), checkpoint=path)
    whole_file = path.read_bytes()
    flipped = bytearray(whole_file)
    flipped[-5] ^= 1
    for damaged in (whole_file[:-3], bytes(flipped), b"", b"no tensors at all"):
        path.write_bytes(damaged)
        with pytest.raises(OutputError, match=r"damaged.*delete it"):
            segmentation_vectors(layer, planes, train, settings, checkpoint=path)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_an_interrupt_keeps_the_epochs_that_are_done(tmp_path: Path, at: int) -> None:
    """Ctrl-C while progress is told: no minute has passed, and the state is kept all the same."""
    layer, planes, train = random_case(11)
    settings = dataclasses.replace(SHORT, epochs=6, bias=True)
    whole = segmentation_vectors(layer, planes, train, settings)
    path, seen = tmp_path / "state.safetensors", list[int]()

    def interrupted(epochs: int) -> None:
        seen.append(epochs)
        if len(seen) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmentation_vectors(layer, planes, train, settings, progress=interrupted, checkpoint=path)
    again: list[int] = []
    resumed = segmentation_vectors(layer, planes, train, settings, progress=again.append, checkpoint=path)
    assert again == [at] + [1] * (6 - at)
    np.testing.assert_array_equal(resumed.weights, whole.weights)
    assert resumed.bias is not None
    np.testing.assert_array_equal(resumed.bias, whole.bias)


def test_an_interrupt_within_an_epoch_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastdissect.methods.net2vec import training

    layer, planes, train = random_case(11)
    path, real = tmp_path / "state.safetensors", training._epoch

    def broken(problem: Any, settings: Any, state: Any, device: str) -> Any:
        run, calls = real(problem, settings, state, device), list[int]()

        def epoch() -> None:
            run()
            calls.append(1)
            if len(calls) == 3:
                state.weights[:] = 7  # half-way
                raise KeyboardInterrupt

        return epoch

    monkeypatch.setattr(training, "_epoch", broken)
    monkeypatch.setattr(training, "_EVERY", 0.0)
    settings = dataclasses.replace(SHORT, epochs=5)
    with pytest.raises(KeyboardInterrupt):
        segmentation_vectors(layer, planes, train, settings, checkpoint=path)
    monkeypatch.setattr(training, "_epoch", real)
    again: list[int] = []
    resumed = segmentation_vectors(layer, planes, train, settings, progress=again.append, checkpoint=path)
    assert again == [2, 1, 1, 1]
    whole = segmentation_vectors(layer, planes, train, settings)
    np.testing.assert_array_equal(resumed.weights, whole.weights)


def edge_case() -> tuple[Any, ...]:
    """Concepts: 0 ordinary; 1 only in val; 2 only in train; 3 nowhere; 4 whole images; 5 in one image of train."""
    rng = np.random.default_rng(12)
    active = rng.random((12, 6, 4, 4)) < 0.2
    labels = np.zeros((12, 6, 16, 16), bool)
    labels[:, 0, 2:9, 3:12] = True
    labels[8:, 1, 1:5, 1:5] = True
    labels[:8, 2, 1:5, 1:5] = True
    labels[:, 4] = True
    labels[[0, 9], 5, :8] = True
    layer, planes = layer_of_cells(active, labels)
    return layer, planes, train_of(12, 8)


def test_concepts_that_cannot_be_trained_are_skipped_and_listed() -> None:
    layer, planes, train = edge_case()
    found = segmentation_vectors(layer, planes, train, SHORT)
    assert found.names == ("concept 0", "concept 2", "concept 5")
    reasons = dict(found.skipped)
    assert [*reasons] == ["concept 1", "concept 3", "concept 4"]
    assert "no images for training" in reasons["concept 1"]
    assert "4 for validation" in reasons["concept 1"]
    assert "none at all" in reasons["concept 3"]
    assert "whole images" in reasons["concept 4"]
    table = found.table.set_index("concept")
    assert table["no_val"].tolist() == [False, True, False]
    assert np.isnan(table.loc["concept 2", "iou_val"])
    assert np.isnan(table.loc["concept 2", "single_iou_val"])
    assert table["one_image"].tolist() == [False, False, True]
    with pytest.raises(SettingError, match="was skipped: it only ever covers"):
        found.find("concept 4")
    fewer = segmentation_vectors(layer, planes, train, dataclasses.replace(SHORT, min_train=2))
    assert "fewer than 2" in dict(fewer.skipped)["concept 5"]
    counts = retrain_top_filters(found, layer, planes, train, filters=[1])
    assert counts.needed().set_index("concept")["needed"]["concept 2"] == 0


def test_weights_of_the_loss_are_the_shares_of_the_other_kind_of_pixel() -> None:
    layer, planes, train = edge_case()
    targets = make_problem(layer, planes, train, SHORT, ["concept 0", "concept 2"]).targets
    inside, outside = targets.weights()
    np.testing.assert_allclose(inside, [1 - 63 / 256, 1 - 16 / 256])
    np.testing.assert_allclose(outside, [63 / 256, 16 / 256])


def test_largest_weights_count_whatever_their_sign_and_equal_ones_by_their_number() -> None:
    weights = np.array([[0.1, -5, 2, -2], [0, 0, -0.0, 1]], np.float32)
    assert largest(weights).tolist() == [[1, 2, 3, 0], [3, 0, 1, 2]]


def test_a_concept_that_covers_whole_images_is_trained_when_named() -> None:
    layer, planes, train = edge_case()
    found = segmentation_vectors(layer, planes, train, SHORT, concepts=["concept 4"])
    assert found.table["alpha"].tolist() == [0.0]
    assert np.isfinite(found.weights).all()
    problem = make_problem(layer, planes, train, SHORT, ["concept 4"])
    assert [w.tolist() for w in problem.targets.weights()] == [[1.0], [1.0]]


def test_nothing_active_leaves_the_first_weights_and_is_flagged() -> None:
    labels = np.zeros((6, 1, 8, 8), bool)
    labels[:, 0, :4] = True
    active = np.zeros((6, 5, 3, 3), bool)
    active[5, 2, 1, 1] = True  # in val
    layer, planes = layer_of_cells(active, labels)
    found = segmentation_vectors(layer, planes, train_of(6, 4), SHORT)
    np.testing.assert_array_equal(found.weights, first_weights(SHORT, found.numbers, 5))
    assert found.table["nothing_active"].tolist() == [True]


def test_max_train_and_max_val_take_the_first_images() -> None:
    layer, planes, train = random_case(13, images=40)
    whole = make_problem(layer, planes, train, SHORT).targets
    some = make_problem(layer, planes, train, dataclasses.replace(SHORT, max_train=3, max_val=2)).targets
    for name, most in (("train", 3), ("val", 2)):
        ours, theirs = getattr(some, name), getattr(whole, name)
        for c in range(4):
            own = theirs.image[theirs.concept_start[c] : theirs.concept_start[c + 1]][:most]
            np.testing.assert_array_equal(ours.image[ours.concept_start[c] : ours.concept_start[c + 1]], own)


def test_channels_of_one_concept_are_joined() -> None:
    """Under repeats "per-channel" an image can have several planes of a concept: L_c is their OR."""
    _, planes, _ = random_case(14, images=3, concepts=2)
    row = np.flatnonzero(planes.word_row >= 0)[:2]
    two = planes.words[planes.word_row[row]].copy()
    doubled = dataclasses.replace(
        planes,
        plane_start=np.array([0, 2, 2, 2]),
        concept=np.zeros(2, np.int32),
        pixels=np.bitwise_count(two).sum(1).astype(np.int64),
        word_row=np.arange(2),
        words=two,
    )
    from fastdissect.methods.net2vec.targets import make_targets

    found = make_targets(doubled, np.arange(1), np.ones(3, bool))
    both = two[0] | two[1]
    assert found.train.image.tolist() == [0]
    np.testing.assert_array_equal(found.train.words[found.train.row[0]], both)
    assert found.train_pixels.tolist() == [int(np.bitwise_count(both).sum())]
    whole = make_targets(
        dataclasses.replace(doubled, word_row=np.array([0, -1]), pixels=np.array([5, 529])),
        np.arange(1),
        np.ones(3, bool),
    )
    assert (whole.train.row.tolist(), whole.train_pixels.tolist()) == ([-1], [529])


def test_single_filters_are_those_of_boolean_masks() -> None:
    from fastdissect.kernels.reference import upsample
    from fastdissect.methods.net2vec.baseline import single_filters

    layer, planes, train = random_case(15)
    problem = make_problem(layer, planes, train, SHORT)
    found = single_filters(problem)
    features = dense_features(problem, list(range(20)))
    masks = upsample(features, problem.upsampling) > 0.5
    for split, got in ((True, found.train), (False, found.val)):
        shown = problem.targets.train if split else problem.targets.val
        for c in range(len(problem)):
            pairs = range(shown.concept_start[c], shown.concept_start[c + 1])
            labels = [_label(shown, p, problem.upsampling.size) for p in pairs]
            own = masks[[int(shown.image[p]) for p in pairs]]
            both = sum((own[i] & label).sum((1, 2)) for i, label in enumerate(labels))
            union = sum((own[i] | label).sum((1, 2)) for i, label in enumerate(labels))
            np.testing.assert_allclose(got[:, c], both / union, rtol=1e-12)
    np.testing.assert_array_equal(found.best, found.train.argmax(0))


def _label(shown: Any, pair: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    if shown.row[pair] < 0:
        return np.ones(size, bool)
    flat = np.unpackbits(shown.words[shown.row[pair]].view(np.uint8), bitorder="little")
    return flat[: size[0] * size[1]].reshape(size).astype(bool)


def test_equal_single_filters_give_the_lowest_number() -> None:
    active, labels = scene(20, 6, 6, 8, (5,), noise=0)
    active[:, 2] = active[:, 5]
    layer, planes = layer_of_cells(active, labels)
    found = segmentation_vectors(layer, planes, train_of(20, 12), SHORT)
    assert found.table["single_unit"].tolist() == [2]


def test_a_run_without_activations_says_which_command_keeps_them() -> None:
    layer, planes, train = random_case(16)
    with pytest.raises(SettingError, match="again without --no-activations"):
        segmentation_vectors(dataclasses.replace(layer, activations=None), planes, train, SHORT)


def test_a_run_without_thresholds_is_refused() -> None:
    layer, planes, train = random_case(16)
    counts = dataclasses.replace(layer.counts, mask_area=np.zeros(7, np.int64))
    empty = dataclasses.replace(layer, seen=np.full(7, 3), counts=counts)
    with pytest.raises(SettingError, match="too few images"):
        segmentation_vectors(empty, planes, train, SHORT)


@pytest.mark.parametrize(
    ("concepts", "message"),
    [
        (["concpt 1"], "got 'concpt 1'.*concept 1"),
        ([4], "names or numbers of the run's 4 concepts; got 4"),
        ([True], "got True"),
        ([], "at least one concept"),
        ([["concept 1"]], "names or numbers"),
        (1.5, "got 1.5"),
        ("concept", "got 'concept'.*nearest"),
        (["7"], "got '7'"),
    ],
)
def test_unknown_concepts_are_refused(concepts: Any, message: str) -> None:
    layer, planes, train = random_case(16)
    with pytest.raises(SettingError, match=message):
        segmentation_vectors(layer, planes, train, SHORT, concepts=concepts)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"loss": "bces"}, "expected a loss of linear, bce; got 'bces'"),
        ({"upsampling": "nearest"}, "expected an upsampling mode"),
        ({"epochs": 0}, "epochs"),
        ({"batch": True}, "batch"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"momentum": 1.0}, "momentum to be a number of at least 0 and below 1"),
        ({"l1": -1.0}, "l1"),
        ({"max_train": 0}, "max_train"),
        ({"seed": -1}, "seed"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"l2": None}, "l2"),
        ({"loss": ["linear"]}, "expected a loss"),
        ({"positive": 1}, "positive"),
        ({"first_category": "yes"}, "first_category"),
    ],
)
def test_settings_are_checked(items: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SegmentationSettings(**items)


def test_planes_and_splits_of_other_images_are_refused() -> None:
    layer, planes, train = random_case(17)
    other = dataclasses.replace(planes, pixels=planes.pixels + 1)
    with pytest.raises(DataError, match="label planes of the run's 20 images"):
        segmentation_vectors(layer, other, train, SHORT)
    with pytest.raises(SettingError, match=r"expected the run's label planes.*got NoneType"):
        segmentation_vectors(layer, None, train, SHORT)  # type: ignore[arg-type]
    for bad in (train[:-1], train.astype(int), np.zeros(20, bool)):
        with pytest.raises(SettingError, match="20 flags"):
            segmentation_vectors(layer, planes, bad, SHORT)


def test_retraining_refuses_other_vectors_filters_and_images() -> None:
    layer, planes, train = random_case(18)
    found = segmentation_vectors(layer, planes, train, SHORT)
    for filters in ([0], [8], [True], [], [1.5]):
        with pytest.raises(SettingError, match="numbers of filters from 1 to 7"):
            retrain_top_filters(found, layer, planes, train, filters=filters)
    with pytest.raises(SettingError, match="segmentation vectors of layer"):
        retrain_top_filters(dataclasses.replace(found, layer="conv9"), layer, planes, train)
    with pytest.raises(SettingError, match="that the vectors were trained on"):
        retrain_top_filters(found, layer, planes, ~train)
    for settings in (None, 3, {"loss": "linear", "speed": 5}):
        foreign = dataclasses.replace(found, record={**found.record, "settings": settings})
        with pytest.raises(SettingError, match="settings of their training; got"):
            retrain_top_filters(foreign, layer, planes, train)


def test_a_name_of_two_concepts_is_refused_and_their_numbers_taken() -> None:
    from fastdissect.types import Concepts

    rng = np.random.default_rng(21)
    labels = np.zeros((8, 3, 6, 6), bool)
    labels[:, :, :3] = True
    concepts = Concepts(np.array([4, 5, 9]), ("bank", "bank", "12"), np.zeros(3, np.int64), ("all",))
    layer, planes = layer_of_cells(rng.random((8, 4, 3, 3)) < 0.3, labels, concepts=concepts)
    train = train_of(8, 5)
    with pytest.raises(SettingError, match="2 are called 'bank': give one of the numbers 4, 5"):
        segmentation_vectors(layer, planes, train, SHORT, concepts=["bank"])
    assert segmentation_vectors(layer, planes, train, SHORT, concepts=["5", "12"]).numbers.tolist() == [5, 9]
    found = segmentation_vectors(layer, planes, train, SHORT, concepts=np.array([4, 9]))  # type: ignore[arg-type]
    assert found.names == ("bank", "12")
    both = segmentation_vectors(layer, planes, train, SHORT)
    with pytest.raises(SettingError, match="2 are called 'bank'"):
        both.find("bank")
    assert both.find(5) == 1


def test_bias_of_fewer_filters_is_kept_and_scored() -> None:
    from fastdissect.methods.net2vec.training import Trained, predict

    layer, planes, train = random_case(22)
    settings = dataclasses.replace(SHORT, bias=True, epochs=6)
    found = segmentation_vectors(layer, planes, train, settings)
    counts = retrain_top_filters(found, layer, planes, train, filters=[1, 3])
    assert counts.bias is not None
    assert sorted(counts.bias) == [1, 3, 7]
    problem = make_problem(layer, planes, train, settings)
    for column, size in enumerate((1, 3, 7)):
        trained = Trained(counts.weights[size], counts.bias[size])
        start, shared, union = predict(problem, np.arange(len(problem)), trained, train=False)
        sums = [np.add.reduceat(values, start[:-1]) for values in (shared, union)]
        np.testing.assert_allclose(counts.scores()[:, column], sums[0] / sums[1])


def test_scores_with_fewer_filters_are_kept_joined_and_cut(tmp_path: Path) -> None:
    layer, planes, train = edge_case()
    found = segmentation_vectors(layer, planes, train, VARIANTS[1])
    every = retrain_top_filters(found, layer, planes, train, filters=[1, 2, 4])
    one, two = (retrain_top_filters(found, layer, planes, train, filters=own) for own in ([2], [1, 4]))
    both = one.joined(two)
    for counts in (both, every.only([1, 2, 4, 6])):
        assert counts.filters == (1, 2, 4, 6)
        assert counts.table.equals(every.table)
        assert counts.bias is not None
        for size in (1, 2, 4, 6):
            np.testing.assert_array_equal(counts.weights[size], every.weights[size])
    assert every.only([2]).table.equals(one.table)
    every.save(tmp_path)
    back = type(every).load(tmp_path)
    assert back.table.equals(every.table)
    assert (back.names, back.units, back.metric) == (every.names, every.units, every.metric)
    assert dict(back.record) == dict(every.record)
    assert back.bias is not None
    assert every.bias is not None
    for size in every.filters:
        np.testing.assert_array_equal(back.weights[size], every.weights[size])
        np.testing.assert_array_equal(back.bias[size], every.bias[size])
    first = (tmp_path / "filter-counts.safetensors").read_bytes()
    both.save(tmp_path)
    assert (tmp_path / "filter-counts.safetensors").read_bytes() == first
    with pytest.raises(SettingError, match="trained F 1, 2, 4, 6; got"):
        every.only([3])
    other = segmentation_vectors(layer, planes, train, dataclasses.replace(VARIANTS[1], seed=3))
    with pytest.raises(SettingError, match="same vectors"):
        every.joined(retrain_top_filters(other, layer, planes, train, filters=[3]))
    for damaged in (
        first[:-1],
        first[: len(first) // 2],
        b"",
        b"{}",
        first[:60] + b"?" + first[61:],
        first[:-9] + b"?" + first[-8:],
    ):
        (tmp_path / "filter-counts.safetensors").write_bytes(damaged)
        with pytest.raises(OutputError, match=r"damaged.*delete it"):
            type(every).load(tmp_path)
    with pytest.raises(OutputError, match="missing"):
        type(every).load(tmp_path / "nowhere")


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "meta:x"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    layer, planes, train = random_case(18)
    with pytest.raises(SettingError, match="expected a device that torch has here"):
        segmentation_vectors(layer, planes, train, SHORT, device=device)


def test_layers_of_one_cell_train_too() -> None:
    """Fully connected layers: 1 x 1 maps; every mask is all of the image or nothing."""
    rng = np.random.default_rng(19)
    labels = np.zeros((10, 1, 9, 9), bool)
    labels[:, 0, :5] = True
    layer, planes = layer_of_cells(rng.random((10, 6, 1, 1)) < 0.4, labels, concepts=concepts_of(1))
    train = train_of(10, 7)
    found = segmentation_vectors(layer, planes, train, SHORT)
    problem = make_problem(layer, planes, train, SHORT)
    np.testing.assert_allclose(found.weights[0], train_concept(problem, SHORT, 0)[0], rtol=1e-5, atol=1e-6)
    assert found.images is not None
    assert {*found.images.union.tolist()} <= {45, 81}


def test_images_across_the_range_begin_with_the_best_and_end_with_the_worst() -> None:
    layer, planes, train = random_case(20, images=60)
    images = segmentation_vectors(layer, planes, train, SHORT).images
    assert images is not None
    iou = images.iou()
    own = np.flatnonzero((images.concept == 0) & ~images.train)
    place = {int(images.image[i]): iou[i] for i in own}
    shown = [place[int(i)] for i in images.across(0, 5)]
    assert len(shown) == 5
    assert shown == sorted(shown, reverse=True)
    assert (shown[0], shown[-1]) == (iou[own].max(), iou[own].min())
    assert len(images.across(0, 1000)) == len(own)


def test_vectors_come_back_from_a_folder(tmp_path: Path) -> None:
    layer, planes, train = edge_case()
    found = segmentation_vectors(layer, planes, train, VARIANTS[1])
    found.save(tmp_path / "vectors")
    back = ConceptVectors.load(tmp_path / "vectors")
    assert back.names == found.names
    np.testing.assert_array_equal(back.weights, found.weights)


@pytest.mark.parametrize(("images", "concepts"), [(400, 2), (1200, 2), (400, 12)])
def test_memory_goes_with_active_cells_and_pairs_alone(
    images: int, concepts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of images x units x cells, or x pixels: the dense layer alone would be 6,272 bytes an image."""
    from fastdissect.methods.net2vec import features

    rng = np.random.default_rng(23)
    active = np.zeros((images, 32, 14, 14), bool)
    active[:, :, 4:8, 4:8] = rng.random((images, 32, 4, 4)) < 0.06  # 0.5 % of all cells
    labels = np.zeros((images, concepts, 28, 28), bool)
    labels[np.arange(images), rng.integers(0, concepts, images), 2:9, 3:12] = True
    layer, planes = layer_of_cells(active, labels)
    train = rng.random(images) < 0.7
    segmentation_vectors(layer, planes, train, SHORT)  # modules and compiled code
    monkeypatch.setattr(features, "_BLOCK", 1 << 12)
    found: list[Any] = []
    for train_anew in (
        lambda: segmentation_vectors(layer, planes, train, SHORT),
        lambda: retrain_top_filters(found[0], layer, planes, train, filters=[1, 2, 4, 8]),
    ):
        tracemalloc.start()
        found.append(train_anew())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert layer.activations is not None
        assert peak < 5 * len(layer.activations.cells) + 80 * active.sum() + 200 * images + 400_000
        assert peak < images * 32 * 14 * 14
