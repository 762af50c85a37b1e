"""Classification vectors: planted units, balance of the draws, and the same procedure in torch."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from net2vec_cases import layer_of_cells
from numpy.typing import NDArray

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.net2vec import (
    ClassificationSettings,
    ConceptVectors,
    classification_top_filters,
    classification_vectors,
)
from fastdissect.methods.net2vec.balanced_fit import PooledData, _balanced, fit_concept

SHORT = ClassificationSettings(epochs=3, batch=8)


def planted(images: int = 200, units: int = 12, seed: int = 0) -> tuple[Any, ...]:
    """Concept 0 raises units 2 and 5 together, concept 1 lowers unit 7; concept 2 is nowhere."""
    rng = np.random.default_rng(seed)
    shows = rng.random((images, 3)) < [0.3, 0.5, 0.0]
    means = rng.normal(0, 0.5, (images, units)).astype(np.float32)
    means[:, [2, 5]] += shows[:, :1]
    means[:, 7] -= 2 * shows[:, 1]
    labels = np.zeros((images, 3, 6, 6), bool)
    labels[shows, :2, :3] = True
    active = rng.random((images, units, 2, 2)) < 0.1
    layer, planes = layer_of_cells(active, labels, means=means)
    return layer, planes, np.arange(images) < 140, shows


def test_planted_units_are_found() -> None:
    layer, planes, train, shows = planted()
    found = classification_vectors(layer, planes, train)
    assert found.names == ("concept 0", "concept 1")
    assert dict(found.skipped) == {"concept 2": "no images for training show it (none at all)"}
    assert {*np.argsort(-np.abs(found.weights[0]))[:2].tolist()} == {2, 5}
    assert (found.weights[0, [2, 5]] > 0).all()
    assert found.table["single_unit"].tolist()[1] == 7
    assert found.weights[1, 7] < 0
    assert found.bias is not None
    table = found.table
    assert table["accuracy_val"].min() > 0.75
    assert table["train_images"].tolist() == shows[train][:, :2].sum(0).tolist()
    assert table["val_images"].tolist() == shows[~train][:, :2].sum(0).tolist()
    counts = classification_top_filters(found, layer, planes, train, filters=[1, 2])
    assert counts.filters == (1, 2, 12)
    np.testing.assert_array_equal(counts.weights[12], found.weights)
    assert np.count_nonzero(counts.weights[1], axis=1).tolist() == [1, 1]
    assert counts.scores()[0, 1] > counts.scores()[0, 0]
    np.testing.assert_array_equal(counts.scores()[:, -1], table["accuracy_val"])


def test_a_subset_of_the_concepts_gets_the_same_vectors() -> None:
    layer, planes, train, _ = planted()
    whole = classification_vectors(layer, planes, train, SHORT)
    one = classification_vectors(layer, planes, train, SHORT, concepts=["concept 1"])
    np.testing.assert_array_equal(one.weights[0], whole.weights[1])
    assert one.bias is not None
    assert whole.bias is not None
    assert one.bias[0] == whole.bias[1]


def test_shuffled_images_are_at_chance() -> None:
    """Labels that have nothing to do with the activations: accuracy on val is about 0.5, whatever the share."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3000, 4)).astype(np.float32)
    shows = (rng.random(3000) < 0.1)[:, None]
    fit = fit_concept(PooledData(x, shows, np.arange(3000) < 1500), 0, 3, ClassificationSettings(), None)
    assert abs(fit.accuracy_val - 0.5) < 0.1
    assert abs(fit.loss_val - math.log(2)) < 0.1


@pytest.mark.parametrize(("positives", "negatives"), [(3, 9), (9, 3), (4, 4), (0, 5)])
def test_draws_are_balanced_and_without_replacement(positives: int, negatives: int) -> None:
    rng = np.random.default_rng(0)
    drawn = _balanced(rng, np.arange(positives), np.arange(100, 100 + negatives))
    count = min(positives, negatives)
    assert len(drawn) == len({*drawn.tolist()}) == 2 * count
    assert (drawn < 100).sum() == count


def test_steps_are_those_of_torch() -> None:
    """The same draws, first weights and schedule, by torch's BCE-with-logits and SGD."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(90, 5)).astype(np.float32)
    shows = rng.random((90, 1)) < 0.4
    train = np.arange(90) < 70
    settings = ClassificationSettings(epochs=4, batch=16, decay_every=2)
    fit = fit_concept(PooledData(x, shows, train), 0, 7, settings, None)

    own = np.random.default_rng([settings.seed, 7])
    bound = 1 / math.sqrt(5)
    w = torch.tensor(own.uniform(-bound, bound, 5).astype(np.float32), requires_grad=True)
    b = torch.tensor(np.float32(own.uniform()), requires_grad=True)
    positive, negative = (np.flatnonzero(train & here) for here in (shows[:, 0], ~shows[:, 0]))
    _balanced(own, *(np.flatnonzero(~train & here) for here in (shows[:, 0], ~shows[:, 0])))
    optimiser = torch.optim.SGD([w, b], settings.learning_rate, settings.momentum)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2, 0.1)
    for _ in range(4):
        drawn = own.permutation(_balanced(own, positive, negative))
        for begin in range(0, len(drawn), 16):
            rows = drawn[begin : begin + 16]
            logits = torch.from_numpy(x[rows]) @ w + b
            truth = torch.from_numpy(shows[rows, 0].astype(np.float32))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    np.testing.assert_allclose(fit.weights, w.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert float(fit.bias) == pytest.approx(float(b.detach()), rel=1e-4)


def edge(shows: NDArray[np.bool_]) -> tuple[Any, ...]:
    labels = np.zeros((len(shows), shows.shape[1], 4, 4), bool)
    labels[shows, :2] = True
    rng = np.random.default_rng(3)
    means = rng.normal(size=(len(shows), 3)).astype(np.float32)
    return layer_of_cells(rng.random((len(shows), 3, 2, 2)) < 0.3, labels, means=means)


def test_edge_cases_are_skipped_or_marked() -> None:
    """0: everywhere; 1: only val; 2: only train; 3: one image of train; train is the first 6 of 9."""
    shows = np.zeros((9, 4), bool)
    shows[:, 0] = True
    shows[6:8, 1] = True
    shows[:3, 2] = True
    shows[[0, 7], 3] = True
    layer, planes = edge(shows)
    train = np.arange(9) < 6
    found = classification_vectors(layer, planes, train, SHORT)
    assert found.names == ("concept 2", "concept 3")
    reasons = dict(found.skipped)
    assert "no negatives" in reasons["concept 0"]
    assert "2 for validation" in reasons["concept 1"]
    assert found.table["no_val"].tolist() == [True, False]
    assert np.isnan(found.table["accuracy_val"][0])
    assert found.table["one_image"].tolist() == [False, True]
    fewer = classification_vectors(layer, planes, train, dataclasses.replace(SHORT, min_train=2))
    assert "fewer than 2" in dict(fewer.skipped)["concept 3"]


def test_bad_input() -> None:
    layer, planes, train, _ = planted(40)
    with pytest.raises(SettingError, match="without --no-activations"):
        classification_vectors(dataclasses.replace(layer, means=None), planes, train, SHORT)
    with pytest.raises(SettingError, match="got 'concept 9'"):
        classification_vectors(layer, planes, train, SHORT, concepts=["concept 9"])
    found = classification_vectors(layer, planes, train, SHORT)
    with pytest.raises(SettingError, match="numbers of filters from 1 to 12"):
        classification_top_filters(found, layer, planes, train, filters=[13])
    with pytest.raises(SettingError, match="expected classification vectors"):
        classification_top_filters(dataclasses.replace(found, kind="segmentation"), layer, planes, train)


@pytest.mark.parametrize(
    "items",
    [
        {"epochs": 0},
        {"batch": 1.5},
        {"learning_rate": "1"},
        {"momentum": 1.0},
        {"decay": None},
        {"pooling": ["max"]},
        {"learning_rate": -1},
        {"decay": float("nan")},
        {"pooling": "sum"},
    ],
)
def test_settings_are_checked(items: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(items))):
        ClassificationSettings(**items)


def test_a_stopped_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    layer, planes, train, _ = planted()
    path = tmp_path / "state.safetensors"
    for whole, resume in (
        (
            classification_vectors(layer, planes, train, SHORT),
            lambda **more: classification_vectors(layer, planes, train, SHORT, **more),
        ),
        (
            classification_top_filters(
                classification_vectors(layer, planes, train, SHORT), layer, planes, train, filters=[1, 3]
            ),
            lambda **more: classification_top_filters(
                classification_vectors(layer, planes, train, SHORT),
                layer,
                planes,
                train,
                filters=[1, 3],
                **more,
            ),
        ),
    ):
        path.unlink(missing_ok=True)
        resume: Any

        def interrupted(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            resume(progress=interrupted, checkpoint=path)
        again: list[int] = []
        found = resume(progress=again.append, checkpoint=path)
        assert again[0] == 1  # the first one is not trained again
        assert len(again) == (2 if isinstance(found, ConceptVectors) else 4)
        assert found.table.equals(whole.table)
        if isinstance(found, ConceptVectors):
            np.testing.assert_array_equal(found.weights, whole.weights)
            np.testing.assert_array_equal(found.bias, whole.bias)
        else:
            for size in (1, 3, 12):
                np.testing.assert_array_equal(found.weights[size], whole.weights[size])
                np.testing.assert_array_equal(found.bias[size], whole.bias[size])
    other = dataclasses.replace(SHORT, seed=5)
    with pytest.raises(OutputError, match="checkpoint of this training"):
        classification_vectors(layer, planes, train, other, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OutputError, match=r"damaged.*delete it"):
        classification_vectors(layer, planes, train, SHORT, checkpoint=path)


def test_retraining_refuses_other_images() -> None:
    layer, planes, train, _ = planted(60)
    found = classification_vectors(layer, planes, train[:60], SHORT)
    with pytest.raises(SettingError, match="that the vectors were trained on"):
        classification_top_filters(found, layer, planes, np.arange(60) < 30, filters=[1])
    with pytest.raises(SettingError, match="settings of their training"):
        classification_top_filters(dataclasses.replace(found, record={}), layer, planes, train[:60])


def test_maps_without_a_usable_cell_count_as_nothing() -> None:
    layer, planes, train, _ = planted()
    means = np.array(layer.means)
    means[:20, 3] = np.nan
    found = classification_vectors(dataclasses.replace(layer, means=means), planes, train, SHORT)
    means[:20, 3] = 0
    zeros = classification_vectors(dataclasses.replace(layer, means=means), planes, train, SHORT)
    np.testing.assert_array_equal(found.weights, zeros.weights)
    assert np.isfinite(found.weights).all()
