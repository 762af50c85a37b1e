"""`ablate`: planted networks whose units are known, random groups, targets, the tables, and what cannot be asked."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from dissect_cases import Labelled, vocabulary
from torch import Tensor, nn

import fastdissect
from fastdissect.datasets import Shapes
from fastdissect.directions import Directions
from fastdissect.errors import DataError, FastdissectError, LayerError, ModelError, SettingError
from fastdissect.methods.ablation import contrast as ablation_contrast
from fastdissect.methods.ablation.ablating import ablate
from fastdissect.methods.ablation.contrast import contrast_of
from fastdissect.methods.ablation.groups import named_groups, random_groups_of
from fastdissect.methods.ablation.measures import Tally, Targets, targets_for
from fastdissect.methods.ablation.result import Ablation
from fastdissect.methods.explanation import explain
from fastdissect.models import Preprocessing
from fastdissect.results import Dissection

IMAGES, SIDE = 60, 8
CLASSES = ("red", "green", "blue")
TRUE = np.arange(IMAGES) % 3
PIXELS = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Planted(nn.Module):
    """Units 0, 1, 2 see red, green and blue and alone decide the class of that name; 3 is constant, 4 unread."""

    def __init__(self, units: int = 5) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, units, 1)
        self.read = nn.Linear(units, 3, bias=False)
        with torch.no_grad():
            self.see.weight.zero_()
            self.see.bias.zero_()
            self.read.weight.zero_()
            for c in range(3):
                self.see.weight[c, c] = 1
                self.read.weight[c, c] = 1
            if units > 3:
                self.see.bias[3] = 2
                self.read.weight[:, 3] = -0.25  # every class alike: a logit above 0 is a decision
                self.see.weight[4:, 0] = 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.read(self.see(x).mean((2, 3)))
        return out


def pictures() -> Labelled:
    """Each image is strong in one colour, weak noise in the others; its left half carries the colour's label."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 60, (IMAGES, SIDE, SIDE, 3)).astype(np.uint8)
    labels = []
    for i, c in enumerate(TRUE):
        half = np.zeros((SIDE, SIDE), np.int32)
        half[:, : SIDE // 2] = c + 1
        images[i, :, : SIDE // 2, c] = generator.integers(200, 256, (SIDE, SIDE // 2))
        images[i, :, SIDE // 2 :, c] = 130
        labels.append([(0, half)])
    return Labelled(images, labels, vocabulary(CLASSES))


DATA = pictures()
NET = Planted().eval()


@pytest.fixture(scope="module")
def planted() -> Dissection:
    return fastdissect.dissect(
        NET,
        DATA,
        "see",
        quantile=0.1,
        size=SIDE,
        mask_size=SIDE,
        preprocessing=PIXELS,
        cache=None,
        batch_size=16,
    )


def run(d: Dissection, **more: Any) -> Ablation:
    given = {"model": NET, "data": DATA, "targets": TRUE.tolist(), "classes": CLASSES, "random_groups": 0}
    return ablate(d, **(given | more))


def by_class(found: Ablation, group: str, column: str) -> list[float]:
    own = found.classes[found.classes["group"] == group].set_index("class")
    return [float(own.loc[name, column]) for name in CLASSES]


def test_a_unit_that_alone_decides_a_class(planted: Dissection) -> None:
    found = run(planted, each_unit=True)
    assert found.intact_accuracy == 1
    assert found.units is not None
    for c, name in enumerate(CLASSES):
        one = run(planted, units=[c], class_asked=name)
        group = f"unit {c}"
        assert by_class(one, group, "drop") == [float(k == c) for k in range(3)]  # no other class
        assert by_class(one, group, "images") == [20, 20, 20]
        row = one.table.iloc[0]
        assert row["drop"] == pytest.approx(1 / 3)
        assert row["asked_drop"] == 1
        own = found.units.iloc[c]
        assert (own["class"], own["class_drop"], own["drop"]) == (name, 1, row["drop"])
        assert own["label"] == name  # and the dissection says so
        change = by_class(one, group, "logit_change")
        means = np.asarray(planted["see"].means, np.float64)
        assert change[c] == pytest.approx(-means[:, c].mean(), rel=1e-5)
        assert [change[k] for k in range(3) if k != c] == [0, 0]
        assert row["asked_logit_change"] == change[c]
        assert by_class(one, group, "own_logit_change")[c] == pytest.approx(
            -means[c == TRUE, c].mean(), rel=1e-5
        )
        assert row["shift"] == pytest.approx(np.abs(means[:, c]).mean() / 3, rel=1e-5)
    assert found.units["drop"][3:].tolist() == [0, 0]
    assert found.units["class"][3:].tolist() == ["", ""]  # none loses
    assert found.units["shift"][4] == 0


def test_modes(planted: Dissection) -> None:
    constant = run(planted, units=[3], mode="mean")
    assert constant.table["shift"].tolist() == [0]  # to the bit
    assert run(planted, units=[3], mode="zero").table["shift"][0] == pytest.approx(0.5)
    assert run(planted, units=range(5), mode=1).table["shift"].tolist() == [0]
    half = by_class(run(planted, units=[0], mode=0.5), "unit 0", "logit_change")
    whole = by_class(run(planted, units=[0]), "unit 0", "logit_change")
    assert half[0] == pytest.approx(whole[0] / 2)
    assert run(planted, units=[0], mode=0.5).sentences()[0] == "Units of see are multiplied by 0.5."
    mean = run(planted, units=[1], mode="mean")
    assert by_class(mean, "unit 1", "logit_change")[1] == pytest.approx(0, abs=1e-6)  # the mean stays
    assert by_class(mean, "unit 1", "own_logit_change")[1] < -0.3


def test_groups_by_what_units_detect(planted: Dissection) -> None:
    layer = planted["see"]
    table = layer.units()
    detects = table["detector"].to_numpy()
    assert table["label"].tolist()[:3] == list(CLASSES)
    assert detects[:3].all()
    assert not detects[3]  # constant
    found = run(planted)
    assert list(found.groups) == ["detectors", "others", "category q0"]
    assert found.groups["detectors"] == tuple(np.flatnonzero(detects))
    assert run(planted, labels=["red"]).groups == {"label red": (0, 4)}
    assert list(run(planted, each_label=True).groups) == ["label blue", "label green", "label red"]
    named = run(planted, groups={"mine": [4, 1]}, units=np.array([2]), categories=["q0"])
    assert named.groups == {"category q0": (0, 1, 2, 4), "unit 2": (2,), "mine": (1, 4)}
    assert named.members()["unit"].tolist() == [0, 1, 2, 4, 2, 1, 4]
    assert named.table["units"].tolist() == [4, 1, 2]


def test_a_label_under_the_cut(planted: Dissection) -> None:
    layer = planted["see"]
    strict = fastdissect.LayerDissection(
        **{**{f: getattr(layer, f) for f in layer.__dataclass_fields__}, "profile": _cut(layer.profile, 0.9)}
    )
    with pytest.raises(SettingError, match=r"none has 'red'.*under_cut"):
        named_groups(strict, labels=["red"])
    assert named_groups(strict, labels=["red"], under_cut=True) == {"label red": (0, 4)}
    assert named_groups(strict) == {}  # all are of one kind


def _cut(profile: Any, cut: float) -> Any:
    import dataclasses

    return dataclasses.replace(profile, cut=cut)


def test_random_groups(planted: Dissection) -> None:
    found = run(planted, units=[0], groups={"two": [1, 4]}, random_groups=8, seed=3)
    again = run(planted, units=[0], groups={"two": [1, 4]}, random_groups=8, seed=3)
    other = run(planted, units=[0], groups={"two": [1, 4]}, random_groups=8, seed=4)
    pd.testing.assert_frame_equal(found.table, again.table)
    assert found.table["random_shift"].tolist() != other.table["random_shift"].tolist()
    alone = run(planted, each_unit=True).units
    assert alone is not None
    drawn = [g[0] for g in random_groups_of((0,), 5, 8, "all", 3)]
    drops = alone["drop"].to_numpy()[drawn]
    row = found.table.iloc[0]
    assert row["random_drop"] == pytest.approx(drops.mean())
    assert row["random_sd"] == pytest.approx(drops.std(ddof=1))
    assert row["p"] == pytest.approx((1 + (drops >= row["drop"] - 1e-9).sum()) / 9)
    random = by_class(found, "unit 0", "random_drop")
    assert random == pytest.approx([np.mean([float(k == c) for k in drawn]) for c in range(3)])
    assert found.conditions == len(
        {(0,), (1, 4), *random_groups_of((0,), 5, 8, "all", 3)}
        | set(random_groups_of((1, 4), 5, 8, "all", 3))
    )


def test_drawing() -> None:
    draws = random_groups_of((0, 3), 6, 400, "all", 0)
    assert all(len(set(g)) == 2 and set(g) <= set(range(6)) and g == tuple(sorted(g)) for g in draws)
    counts = {pair: draws.count(pair) for pair in itertools.combinations(range(6), 2)}
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 8  # 15 pairs, 27 each on the mean
    assert draws == random_groups_of((4, 5), 6, 400, "all", 0)  # of one size the same
    others = random_groups_of((0, 3), 6, 400, "others", 0)
    assert {u for g in others for u in g} == {1, 2, 4, 5}
    assert random_groups_of((0, 3), 4, 5, "others", 0) == [(1, 2)] * 5
    assert random_groups_of((0, 1, 2), 3, 0, "all", 0) == []
    with pytest.raises(SettingError, match="at least 3 other units to draw from; there are 2"):
        random_groups_of((0, 1, 2), 5, 1, "others", 0)


def test_targets_by_name_and_unknown_ones(planted: Dissection) -> None:
    given = {DATA.image_name(i): CLASSES[c] for i, c in enumerate(TRUE) if i < 30}
    found = run(planted, targets=given, units=[0])
    assert by_class(found, "unit 0", "images") == [10, 10, 10]
    assert by_class(found, "unit 0", "drop") == [1, 0, 0]
    assert "30 images without a known class are left out" in found.targets
    everything = run(planted, units=[0])
    assert by_class(found, "unit 0", "logit_change") == by_class(everything, "unit 0", "logit_change")


def test_many_labels_an_image(planted: Dissection) -> None:
    """A decision for each class: its logit above 0."""
    belongs = np.eye(3, dtype=bool)[TRUE]
    found = run(planted, targets=belongs, units=[0], mode=-10.0)
    net_right = by_class(found, "unit 0", "intact_accuracy")
    assert by_class(found, "unit 0", "drop")[0] > 0.2
    assert by_class(found, "unit 0", "drop")[1:] == [0, 0]
    with torch.inference_mode():
        means = torch.from_numpy(np.array(planted["see"].means))
        logits = means @ NET.read.weight.T
    expected = ((logits > 0).numpy() == belongs).mean(0)
    assert net_right == pytest.approx(expected.tolist())
    assert found.intact_accuracy == pytest.approx(expected.mean())
    assert found.targets == "as given; a logit above 0 says yes"


def test_without_targets(planted: Dissection) -> None:
    found = run(planted, targets=None, each_unit=True, random_groups=3)
    assert not found.has_accuracy
    assert found.targets.startswith("no accuracy: labelled: the data set does not say")
    assert "Changes of the logits alone are shown." in " ".join(found.sentences())
    assert found.table[["accuracy", "drop", "p"]].isna().all(axis=None)
    assert found.table[["shift", "random_shift", "shift_p"]].notna().all(axis=None)
    assert found.contrast is not None
    assert found.contrast.measure == "shift"
    assert found.units is not None
    assert found.units["class"].tolist() == [""] * 5
    assert by_class(found, "detectors", "logit_change")[0] != 0


def test_the_data_sets_own_targets() -> None:
    data = Shapes(images=20, size=32)
    names = list(data.concepts.names)
    own = targets_for(data, 20, names)
    assert own.kind == "many"
    np.testing.assert_array_equal(own.belongs, [data.targets(i) for i in range(20)])
    one = targets_for(data, 20, list(data.classes))
    assert one.kind == "one"
    assert one.belongs.argmax(1).tolist() == [data.target(i) for i in range(20)]
    assert targets_for(data, 20, ["x", "y"]).kind == "none"
    assert "DataLoader" in targets_for(None, 20, ["x", "y"]).said


def test_the_tally_by_brute_force() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(-1, 4, 23)
    logits = [generator.normal(size=(23, 4)) for _ in range(3)]
    known = truth >= 0
    targets = Targets("one", truth[:, None] == np.arange(4), known, "")
    tally = Tally(targets, 3, np.arange(4))
    for first in range(0, 23, 5):
        for condition, values in enumerate(logits):
            tally.add(condition, first, torch.from_numpy(values[first : first + 5]))
    for condition, values in enumerate(logits):
        found = tally.measured(condition)
        right = values.argmax(1) == truth
        assert found.accuracy == pytest.approx(right[known].mean())
        for c in range(4):
            assert found.class_accuracy[c] == pytest.approx(right[truth == c].mean())
            assert found.own_logit[c] == pytest.approx(values[truth == c, c].mean())
        np.testing.assert_allclose(found.logit, values.mean(0))
        assert found.shift == pytest.approx(np.abs(values - logits[0]).mean())


def test_a_decision_is_one_of_the_classes_that_are_decided_among() -> None:
    """The built-in network tells 61 concepts at once; a class's logit need not be above a colour's to be right."""
    d = fastdissect.dissect("builtin:shapes", "shapes:images=40,size=64", "conv5", progress=False, cache=None)
    data = Shapes(images=40, size=64)
    truth = [data.classes[data.target(i)] for i in range(40)]
    found = ablate(d, units=[0], random_groups=0, targets=truth, progress=False)
    explained = explain(d, range(40))
    assert found.intact_accuracy == np.mean([one.correct for one in explained])
    everything = np.array([one.names[int(one.logits.argmax())] for one in explained])
    assert found.intact_accuracy > np.mean(everything == truth)


def test_the_contrast_by_all_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame(
        {
            "drop": [0.5, 0.1, 0.4, 0.0, 0.2, 0.1],
            "iou": [0.3, 0.01, 0.2, 0.02, 0.05, 0.0],
            "detector": [True, False, True, False, True, False],
        }
    )
    found = contrast_of(table, "drop", permutations=20_000)
    assert found.difference == pytest.approx(1.1 / 3 - 0.2 / 3)
    assert found.correlation == pytest.approx(np.corrcoef(table["drop"], table["iou"])[0, 1])
    assert found.rank_correlation == pytest.approx(
        np.corrcoef(table["drop"].rank(), table["iou"].rank())[0, 1]
    )
    values = table["drop"].to_numpy()
    exact = [
        abs(values[list(own)].mean() - np.delete(values, list(own)).mean())
        for own in itertools.combinations(range(6), 3)
    ]
    assert found.p == pytest.approx(np.mean(np.array(exact) >= found.difference - 1e-12), abs=0.01)
    ranks = table["drop"].rank().to_numpy(), table["iou"].rank().to_numpy()
    rank = [abs(np.corrcoef(ranks[0], ranks[1][list(o)])[0, 1]) for o in itertools.permutations(range(6))]
    assert found.rank_p == pytest.approx(
        np.mean(np.array(rank) >= abs(found.rank_correlation) - 1e-12), abs=0.01
    )
    assert contrast_of(table, "drop") == contrast_of(table, "drop")
    monkeypatch.setattr(ablation_contrast, "_AT_ONCE", 7)
    assert contrast_of(table, "drop", permutations=20).permutations == 20


def test_a_contrast_of_nothing() -> None:
    table = pd.DataFrame({"drop": [0.0, 0.0], "iou": [0.1, 0.2], "detector": [True, True]})
    found = contrast_of(table, "drop")
    assert np.isnan(
        [found.others_mean, found.p, found.correlation, found.rank_correlation, found.rank_p]
    ).all()
    assert (found.detectors, found.others) == (2, 0)


def test_a_run_opens_its_network_and_data_again(tmp_path: Path) -> None:
    """Nothing but the folder is needed; the shapes network's targets are what its images show."""
    out = tmp_path / "out"
    fastdissect.dissect("builtin:shapes", "shapes:images=24", "conv5", out=out, cache=None, batch_size=10)
    found = ablate(fastdissect.load(out), random_groups=2, class_asked="tree")
    assert found.intact_accuracy > 0.9
    assert found.class_names == Shapes(images=1).concepts.names
    assert found.replayed
    table = found.table.set_index("group")
    assert table.loc["detectors", "drop"] > 0.05
    assert abs(table.loc["others", "drop"]) < 0.02
    whole = ablate(fastdissect.load(out), random_groups=2, class_asked="tree", replay=False)
    pd.testing.assert_frame_equal(found.table, whole.table)
    pd.testing.assert_frame_equal(found.classes, whole.classes)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"mode": "median"}, SettingError, 'expected mode "zero", "mean"'),
        ({"labels": ["rde"]}, SettingError, "unknown label 'rde'; nearest: red"),
        ({"categories": ["q1"]}, SettingError, "unknown category 'q1'; nearest: q0"),
        ({"units": []}, SettingError, r"at least one unit, each once; got \[\]"),
        ({"units": [1, 1]}, SettingError, "each once"),
        ({"units": [5]}, SettingError, "0 to 4; got 5"),
        ({"units": [-1]}, SettingError, "0 to 4; got -1"),
        ({"units": [1.0]}, SettingError, r"got 1\.0"),
        ({"groups": {"a": [True]}}, SettingError, "group 'a': .*; got True"),
        ({"groups": {"label red": [1]}, "labels": ["red"]}, SettingError, "different names"),
        ({"units": range(5), "random_groups": 1}, SettingError, "got all 5 of the layer"),
        ({"units": range(3), "random_groups": 1, "pool": "others"}, SettingError, "there are 2"),
        ({"pool": "some"}, SettingError, 'pool to be "all" or "others"'),
        ({"random_groups": -1}, SettingError, "random_groups"),
        ({"seed": 0.5}, SettingError, "seed"),
        ({"targets": [0] * 59}, SettingError, "a class for each of the 60 images; got 59"),
        ({"targets": [3] * 60}, SettingError, "a class of 0 to 2"),
        ({"targets": [-1] * 60}, SettingError, "at least one image"),
        ({"targets": np.zeros((60, 4), bool)}, SettingError, r"60 images and 3 classes; got shape \(60, 4\)"),
        ({"targets": np.full((60, 3), 2)}, SettingError, "True or False"),
        ({"targets": {"nothing.png": "red"}}, DataError, "no image 'nothing.png'"),
        ({"classes": ["a", "b"]}, SettingError, "expected 3 class names"),
        ({"class_asked": "gren"}, SettingError, "unknown class 'gren'; nearest: green"),
        ({"class_asked": 3}, SettingError, "a class of 0 to 2"),
        ({"layer": "sea"}, LayerError, "no layer 'sea'"),
        ({"model": Planted(3)}, ModelError, "expected the network that was dissected"),
        ({"data": "shapes:images=60,size=16"}, DataError, "expected the 60 images of the run"),
    ],
)
def test_what_cannot_be_asked(
    planted: Dissection, more: dict[str, Any], error: type[FastdissectError], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(planted, **more)


def dissected(net: nn.Module, layers: str | list[str], **more: Any) -> Dissection:
    return fastdissect.dissect(
        net, DATA, layers, quantile=0.1, size=SIDE, mask_size=SIDE, preprocessing=PIXELS, cache=None, **more
    )


def test_one_unit() -> None:
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 3)).eval()
    d = dissected(net, "0")
    with pytest.raises(SettingError, match="got all 1 of the layer"):
        run(d, model=net, units=[0], random_groups=2)
    assert len(run(d, model=net, units=[0]).table) == 1
    with pytest.raises(SettingError, match="name units"):
        run(d, model=net)
    alone = run(d, model=net, each_unit=True)
    assert alone.units is not None
    assert len(alone.units) == 1
    assert len(alone.table) == len(alone.classes) == 0


def test_layers_and_runs_that_cannot_be_ablated() -> None:
    d = dissected(NET, ["see", "read"], activations=["read"])
    with pytest.raises(LayerError, match="expected a layer's name; the run has see, read"):
        run(d)
    with pytest.raises(SettingError, match="needs the means"):
        run(d, layer="see", mode="mean", units=[0])
    assert len(run(d, layer="see", units=[0]).table) == 1
    mixed = dissected(NET, [], directions={"see@mix": Directions("see", np.eye(5, dtype=np.float32))})
    with pytest.raises(LayerError, match="directions in layer 'see'"):
        run(mixed)
