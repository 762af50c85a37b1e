"""A class's units: means by brute force, from the stored means or the network, by prediction or truth."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from explanation_cases import CLASSES, DATA, UNITS, Deep, Gap, dissected

from fastdissect.errors import DataError, SettingError
from fastdissect.methods.explanation import class_units, explain
from fastdissect.results import Dissection

IMAGES = 40


@pytest.fixture(scope="module")
def net() -> Gap:
    return Gap("sum").eval()


@pytest.fixture(scope="module")
def d(net: Gap) -> Dissection:
    return dissected(net)


TRUE = np.arange(IMAGES) % CLASSES


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("by", ["predicted", "true"])
@pytest.mark.parametrize("kind", [Gap, Deep])
def test_means_are_those_of_the_explanations(kind: Any, by: str, kept: bool) -> None:
    net = kind("sum").eval() if kind is Gap else kind().eval()
    run = dissected(net, activations=kept)
    each = explain(run, list(range(IMAGES)), model=net, classes=list(range(CLASSES)))
    number = each[0].predicted
    found = class_units(run, number, by=by, model=net, targets=TRUE)
    own = [i for i, f in enumerate(each) if (f.predicted if by == "predicted" else TRUE[i]) == number]
    assert found.images.tolist() == own
    views = [next(v for v in each[i].views if v.number == number) for i in own]
    e = np.stack([v.units.sort_values("unit")["contribution"].to_numpy() for v in views])
    x = np.stack([each[i].features for i in own])
    table = found.view.units.sort_values("unit", ignore_index=True)
    assert np.allclose(table["contribution"], e.mean(0), rtol=1e-5, atol=1e-7)
    assert np.allclose(table["activation"], x.mean(0), rtol=1e-5, atol=1e-7)
    assert found.view.logit == pytest.approx(np.mean([v.logit for v in views]), rel=1e-5)
    assert found.view.rest == pytest.approx(np.mean([v.rest for v in views]), rel=1e-4, abs=1e-6)
    assert table["contribution"].sum() + found.view.rest == pytest.approx(found.view.logit, rel=1e-5)
    agree = [each[i].predicted == TRUE[i] for i in own]
    assert found.right == pytest.approx(np.mean(agree))


def test_stored_means_that_are_no_numbers_are_not_used(net: Gap, d: Dissection) -> None:
    layer = d["features"]
    assert layer.means is not None
    means = np.array(layer.means)
    means[3, 1] = np.nan  # all of its cells were left out
    torn = dataclasses.replace(layer, means=means)
    run = Dissection({"features": torn}, d.profile, d.concepts, d.image_names, d.run)
    own, plain = (class_units(one, 2, by="true", model=net, targets=TRUE) for one in (run, d))
    assert own.images.tolist() == plain.images.tolist()
    assert own.view.logit == pytest.approx(plain.view.logit, rel=1e-5)
    assert own.view.units["unit"].tolist() == plain.view.units["unit"].tolist()


def test_units_by_weight(net: Gap, d: Dissection) -> None:
    found = class_units(d, 2, by="true", model=net, targets=TRUE)
    weight = net.fc.weight.detach().numpy()[2].astype(np.float64)
    table = found.by_weight()
    assert table["unit"].tolist() == np.argsort(-weight, kind="stable").tolist()
    assert np.array_equal(table["weight"], np.sort(weight)[::-1])
    assert sorted(table["unit"]) == list(range(UNITS))


def test_truth_may_come_by_image_names(net: Gap, d: Dissection) -> None:
    named = {d.image_names[i]: "class 1" for i in (3, 8)}
    assert class_units(d, "class 1", by="true", model=net, targets=named).images.tolist() == [3, 8]


def test_without_known_classes_only_predictions_count(net: Gap, d: Dissection) -> None:
    number = explain(d, 0, model=net)[0].predicted
    assert class_units(d, number, model=net).right is None
    with pytest.raises(SettingError, match="none of its 16 classes is one of the network's 5"):
        class_units(d, number, by="true", model=net)


def test_a_class_without_images_is_said(net: Gap, d: Dissection) -> None:
    with pytest.raises(DataError, match="none of the run's 40 is: take by='predicted'"):
        class_units(d, 4, by="true", model=net, targets=np.zeros(IMAGES, int))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "both"}, 'expected by to be "predicted" or "true"'),
        ({"top": 0}, "expected top"),
        ({"targets": [0, 1]}, "expected a class for each of the 40 images; got 2"),
    ],
)
def test_what_cannot_be_is_refused(net: Gap, d: Dissection, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        class_units(d, 0, model=net, **options)
    assert words in str(caught.value)
    with pytest.raises(SettingError, match="unknown class 'clas 1'; nearest: class 1"):
        class_units(d, "clas 1", model=net)
    assert DATA in d.run["data"]
