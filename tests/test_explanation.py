"""Explained decisions: complete, exact, additive; every unit is there; the shown share is what it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from explanation_cases import (
    CLASSES,
    DATA,
    DEAD,
    UNITS,
    Block,
    Deep,
    Gap,
    Residual,
    dissected,
    pixels,
    plainly,
)
from torch import Tensor, nn

from fastdissect.errors import ActivationError, DataError, LayerError, ModelError, SettingError
from fastdissect.labels import NO_CONCEPT
from fastdissect.methods.explanation import explain, explain_each
from fastdissect.methods.explanation.segmentation import segmentation
from fastdissect.results import Dissection

ALL = list(range(40))


@pytest.fixture(scope="module")
def net() -> Gap:
    return Gap().eval()


@pytest.fixture(scope="module")
def d(net: Gap) -> Dissection:
    return dissected(net, cut=0.01)  # some of its units are detectors, some are not


def by_unit(view: Any) -> Any:
    return view.units.sort_values("unit", ignore_index=True)


@pytest.mark.parametrize("pooling", ["mean", "sum"])
@pytest.mark.parametrize("scale", [1.0, 1e5, 1e-5])
def test_contributions_and_bias_are_the_logit_of_every_image(pooling: str, scale: float) -> None:
    net = Gap(pooling, scale=scale).eval()
    with torch.no_grad():  # away from 0, where relative says something
        net.fc.bias += 30 * scale * (64 if pooling == "sum" else 1)
    every = list(range(CLASSES)) if scale == 1 else [0]
    for found in explain(dissected(net), ALL, model=net, classes=every):
        assert found.head.pooling == pooling
        assert {view.number for view in found.views} == {*every, found.predicted}
        for view in found.views:
            whole = view.units["contribution"].sum() + view.rest
            assert abs(whole - view.logit) <= 1e-5 * abs(view.logit)
            assert view.logit == found.logits[view.number]
            assert view.rest == net.fc.bias[view.number].item()
            assert sum(line.value for line in view.account()) == pytest.approx(view.logit, rel=1e-5)
            assert view.error < 1e-5


def test_the_logits_are_the_networks_own(net: Gap, d: Dissection) -> None:
    images = pixels()
    for found, image in zip(explain(d, images, model=net), images, strict=True):
        x, e = plainly(net, image)
        assert np.allclose(
            found.logits, e.sum(1) + net.fc.bias.detach().double().numpy(), rtol=1e-5, atol=1e-6
        )
        assert found.predicted == found.logits.argmax()
        assert np.allclose(found.features, x, rtol=1e-5, atol=1e-7)
        table = by_unit(found.views[0])
        assert np.allclose(table["contribution"], e[found.predicted], rtol=1e-5, atol=1e-7)
        assert np.allclose(table["weight"] * table["activation"], table["contribution"], rtol=1e-12)
        softmax = np.exp(found.logits - found.logits.max())
        assert found.probability == pytest.approx((softmax / softmax.sum())[found.predicted])


def test_every_unit_is_ranked_and_labelled_and_none_is_dropped(net: Gap, d: Dissection) -> None:
    units = d["features"].units()
    for found in explain(d, ALL[:5], model=net):
        for view in found.views:
            table = view.units
            assert sorted(table["unit"]) == list(range(UNITS))
            assert (np.diff(table["contribution"]) <= 0).all()
            known = units.loc[table["unit"]].reset_index(drop=True)
            assert (table["label"] == known["label"]).all()
            assert np.array_equal(table["iou"], known["iou"])
            assert (table["concept"] == known["label"].where(known["detector"], NO_CONCEPT)).all()
    assert 0 < units["detector"].sum() < UNITS  # both kinds were seen


def test_a_dead_unit_contributes_nothing_and_is_never_shown(net: Gap, d: Dissection) -> None:
    for found in explain(d, ALL, model=net, top=UNITS):
        for view in found.views:
            row = by_unit(view).loc[DEAD]
            assert row["activation"] == 0
            assert row["contribution"] == 0
            assert not math.copysign(1, row["contribution"]) < 0
            assert DEAD not in view.shown
            assert all(by_unit(view).loc[list(view.shown), "contribution"] > 0)
        assert not found.segmentation(DEAD).any()
        assert not found.segmentation(DEAD, mode="dataset").any()


def test_the_covered_share_is_what_it_says(net: Gap, d: Dissection) -> None:
    for top in (1, 3, UNITS):
        for found in explain(d, ALL[:8], model=net, top=top):
            for view in found.views:
                positive = view.units[view.units["contribution"] > 0]
                shown = view.units[view.units["unit"].isin(view.shown)]
                assert list(view.shown) == positive["unit"].tolist()[:top]
                whole = positive["contribution"].sum()
                assert view.covered == pytest.approx(shown["contribution"].sum() / whole)
                named = positive[positive["concept"] != NO_CONCEPT]
                assert view.with_concept == pytest.approx(named["contribution"].sum() / whole)
                at = view.units["unit"] == view.shown[-1]
                assert view.units.loc[at, "cumulative"].item() == pytest.approx(view.covered)
                assert view.units["cumulative"].iloc[-1] == pytest.approx(1)
                if top == UNITS:
                    assert view.covered == pytest.approx(1)


def test_where_nothing_speaks_in_favour_nothing_is_shown() -> None:
    net = Gap().eval()
    with torch.no_grad():
        net.fc.weight.copy_(-net.fc.weight.abs())
    view = explain(dissected(net), 0, model=net)[0].views[0]
    assert view.shown == ()
    assert math.isnan(view.covered)
    assert math.isnan(view.with_concept)
    assert view.units["cumulative"].isna().all()
    assert [line.what for line in view.account()] == ["11 units against", "bias"]


def test_doubling_a_weight_doubles_its_contribution() -> None:
    net, twice = Gap().eval(), Gap().eval()
    with torch.no_grad():
        twice.fc.weight[:, 5] *= 2
    one = explain(dissected(net), ALL[:6], model=net, classes=2)
    two = explain(dissected(twice), ALL[:6], model=twice, classes=2)
    for a, b in zip(one, two, strict=True):
        first, second = (by_unit(next(v for v in f.views if v.number == 2)) for f in (a, b))
        factor = np.where(np.arange(UNITS) == 5, 2, 1)
        assert np.array_equal(first["contribution"] * factor, second["contribution"])
        assert first.loc[5, "contribution"] != 0


def test_a_wrong_decision_shows_both_classes_and_their_difference(net: Gap, d: Dissection) -> None:
    images = pixels(8)
    names = [f"image {i}" for i in range(8)]
    predicted = [found.predicted for found in explain(d, images, model=net)]
    targets = {
        name: (p if i % 2 else (p + 1) % CLASSES)
        for i, (name, p) in enumerate(zip(names, predicted, strict=True))
    }
    for i, found in enumerate(explain(d, images, model=net, targets=targets)):
        assert found.true == targets[f"image {i}"]
        assert found.correct is bool(i % 2)
        roles = [view.role for view in found.views]
        assert roles == (["predicted"] if found.correct else ["predicted", "true", "difference"])
        if not found.correct:
            own, true, difference = map(by_unit, found.views)
            weight = net.fc.weight.detach().double().numpy()
            expected = (weight[found.predicted] - weight[found.true]) * found.features
            assert np.allclose(difference["contribution"], expected, rtol=1e-12)
            assert np.allclose(
                difference["contribution"], own["contribution"] - true["contribution"], rtol=1e-12
            )
            view = found.views[2]
            assert view.logit == found.views[0].logit - found.views[1].logit
            assert view.against == found.true
            assert view.units["contribution"].sum() + view.rest == pytest.approx(view.logit, rel=1e-5)
            assert view.title == f"class {found.predicted} rather than class {found.true}"


def test_any_class_and_difference_can_be_asked_for(net: Gap, d: Dissection) -> None:
    found = explain(
        d, 0, model=net, classes=["class 1", 3], versus="4", class_names=[f"class {i}" for i in range(5)]
    )[0]
    asked = {view.number: view for view in found.views if view.against is None}
    assert {1, 3} <= set(asked)
    for number in (1, 3):
        view = next(v for v in found.views if v.role == "difference" and v.number == number)
        assert view.against == 4
        weight = net.fc.weight.detach().double().numpy()
        assert np.allclose(
            by_unit(view)["contribution"], (weight[number] - weight[4]) * found.features, rtol=1e-12
        )
    assert [v.role for v in explain(d, 0, model=net, versus=found.predicted)[0].views] == ["predicted"]


def test_nothing_is_said_twice(net: Gap, d: Dissection) -> None:
    for found in explain(
        d, pixels(4), model=net, classes=[0, 0, 1, 2, 3, 4], versus=2, targets={"image 1": 2}
    ):
        said = [(view.number, view.against) for view in found.views]
        assert len(said) == len(set(said))


def test_the_gradient_gives_what_a_linear_head_gives(net: Gap, d: Dissection) -> None:
    class Hidden(Gap):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * 1  # the linear module's output all the same

    class Doubled(Gap):
        def forward(self, images: Tensor) -> Tensor:
            return 2 * super().forward(images)

    other = Doubled().eval()
    linear = explain(d, ALL[:6], model=net, classes=list(range(CLASSES)))
    gradient = explain(dissected(other), ALL[:6], model=other, classes=list(range(CLASSES)))
    assert (linear[0].head.kind, gradient[0].head.kind) == ("linear", "gradient")
    for a, b in zip(linear, gradient, strict=True):
        for number in range(CLASSES):
            first, second = (next(v for v in f.views if v.number == number) for f in (a, b))
            assert np.allclose(
                2 * by_unit(first)["contribution"], by_unit(second)["contribution"], rtol=1e-5, atol=1e-9
            )
            assert second.rest == pytest.approx(2 * first.rest, rel=1e-4, abs=1e-5)
            alive = by_unit(second)["activation"] > 0
            assert np.allclose(
                (2 * by_unit(first)["weight"])[alive], by_unit(second)["weight"][alive], rtol=1e-4, atol=1e-6
            )
    assert explain(dissected(Hidden().eval()), 0, model=Hidden().eval())[0].head.kind == "linear"


def test_a_deep_head_leaves_a_remainder_that_is_shown() -> None:
    net = Deep().eval()
    for found in explain(dissected(net), ALL[:6], model=net):
        view = found.views[0]
        assert found.head.kind == "gradient"
        assert view.units["contribution"].sum() + view.rest == pytest.approx(view.logit, rel=1e-9)
        assert abs(view.rest) > 1e-3
        assert view.account("remainder")[-1] == ("remainder", view.rest, None)
        assert "remainder" in found.head.sentence()
        x = torch.tensor(
            found.features, dtype=torch.float32, requires_grad=True
        )  # ReLUs: e = gradient times x
        net.fc(torch.relu(net.hidden(x)))[found.predicted].backward()
        assert x.grad is not None
        assert np.allclose(by_unit(view)["contribution"], (x.grad * x).detach(), rtol=1e-4, atol=1e-6)


def test_a_layer_that_the_logits_do_not_depend_on_is_refused() -> None:
    class ClassToken(nn.Module):
        preprocessing = Gap.preprocessing

        def __init__(self, after: nn.Module) -> None:
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(3)
                self.patch, self.fc = nn.Conv2d(3, UNITS, 8, 8), nn.Linear(UNITS, CLASSES)
                self.mix = nn.TransformerEncoderLayer(UNITS, 2, 16, 0, batch_first=True)
            self.first, self.after = nn.Identity(), after

        def forward(self, images: Tensor) -> Tensor:
            x = self.patch(images).flatten(2).transpose(1, 2)
            x = self.mix(self.first(torch.cat([x.mean(1, keepdim=True), x], 1)))
            return self.after(self.fc(x[:, 0]))

    for after in (nn.Identity(), nn.Softmax(1)):
        net = ClassToken(after).eval()
        run = dissected(net, ["first", "mix"])
        with pytest.raises(
            LayerError, match=r"layer 'mix'.*class token alone\); explain by an earlier layer"
        ):
            explain(run, 0, model=net, layer="mix")
        found = explain(run, 0, model=net, layer="first")[0].views[0]
        assert found.units["contribution"].abs().min() > 0


def test_the_layer_is_the_one_that_a_linear_head_reads() -> None:
    net = Block().eval()
    run = dissected(net, ["body.0", "body", "relu"])
    found = explain(run, 0, model=net)[0]
    assert found.layer.name == "relu"
    assert found.chosen == "the run's layer that a linear head reads"
    assert explain(run, 0, model=net, layer="body")[0].head.kind == "gradient"
    other = Deep().eval()
    with pytest.raises(
        LayerError, match=r"the run has features, hidden, and none is read by a linear head; name one"
    ):
        explain(dissected(other, ["features", "hidden"]), 0, model=other)
    with pytest.raises(LayerError, match="this run has no layer 'rel'"):
        explain(run, 0, model=net, layer="rel")


def test_a_residual_network_is_explained_by_its_pooled_layer() -> None:
    net = Residual().eval()
    found = explain(dissected(net, "avgpool"), 3, model=net)[0]
    assert found.head.kind == "linear"
    assert found.chosen == "the run's only layer"


def test_the_segmentation_is_cut_relative_to_the_images_maximum(net: Gap, d: Dissection) -> None:
    found = explain(d, 4, model=net)[0]
    for unit in range(UNITS):
        large = torch.nn.functional.interpolate(
            torch.from_numpy(found.maps[unit])[None, None].double(),
            (32, 32),
            mode="bilinear",
            align_corners=False,
        )[0, 0].numpy()
        peak = large.max()
        sure = abs(large - 0.2 * peak) > 1e-5 * max(peak, 1e-9)
        assert np.array_equal(found.segmentation(unit)[sure], (large >= 0.2 * peak)[sure] & (peak > 0))
        assert found.segmentation(unit).any() == (peak > 0)
    assert found.segmentation(1, (64, 48)).shape == (64, 48)
    with pytest.raises(SettingError, match="expected unit 0 to 11"):
        found.segmentation(UNITS)


def test_the_segmentation_by_threshold_is_the_runs_own_mask(net: Gap, d: Dissection) -> None:
    for found, number in zip(explain(d, [2, 9], model=net, segmentation="dataset"), [2, 9], strict=True):
        for unit in range(UNITS):
            mask = d["features"].unit_mask(unit, number, (32, 32))
            assert (found.segmentation(unit) != mask).mean() < 0.01  # batches differ, and so may last bits


def test_segmentations_at_their_boundaries() -> None:
    flat = np.full((2, 2), 3.0, np.float32)
    assert segmentation(flat, (5, 5)).all()
    assert not segmentation(-flat, (5, 5)).any()
    assert not segmentation(0 * flat, (5, 5)).any()
    assert not segmentation(flat, (5, 5), "dataset", 3.0).any()  # strictly above
    assert segmentation(-flat, (5, 5), "dataset", -4.0).all()
    cells = np.array([[0.2, 1.0]], np.float32)
    assert segmentation(cells, (1, 2)).tolist() == [[True, True]]  # 0.2 of the maximum belongs to it
    with pytest.raises(SettingError, match="nearest: relative"):
        segmentation(flat, (5, 5), "relativ")


def test_a_linear_head_that_does_not_hold_for_an_image_is_an_error() -> None:
    class Trap(Gap):
        """Linear for the first batch, not for what comes later."""

        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            return self.fc(self.features(images).mean((2, 3)) * (1 if self.calls < 3 else 1.5))

    net = Trap().eval()
    run = dissected(net, batch_size=40)
    net.calls = 0
    with pytest.raises(ActivationError, match=r"add up to the logit .* name another module with --head NAME"):
        explain(run, ALL, model=net)


def test_logits_that_are_no_numbers_are_an_error() -> None:
    net = Gap(after=nn.Identity()).eval()
    with torch.no_grad():
        net.fc.bias[2] = math.nan
    with pytest.raises(ActivationError, match="expected finite logits; got nan for class 'class 2'"):
        explain(dissected(net), 0, model=net)


def test_many_images_are_explained_as_each_by_itself(net: Gap, d: Dissection) -> None:
    together = explain(d, ALL, model=net)
    assert [f.image for f in together] == list(d.image_names)
    for number in (0, 17, 39):
        alone = explain(d, number, model=net)[0]
        assert np.allclose(alone.logits, together[number].logits, rtol=1e-5, atol=1e-6)


def test_explanations_come_one_by_one(net: Gap, d: Dissection) -> None:
    found = explain_each(d, ALL, model=net)
    assert next(found).image == d.image_names[0]


def test_the_true_class_of_the_runs_images_is_the_data_sets() -> None:
    from fastdissect.datasets import open_dataset

    data = open_dataset("shapes:images=12,size=112")
    run = dissected(torch_shapes(), "conv5", "shapes:images=12,size=112")
    for i, found in enumerate(explain(run, list(range(12)), model=torch_shapes())):
        assert found.names[found.true or 0] == data.classes[data.target(i)]  # type: ignore[attr-defined]
        assert found.names[found.predicted] in data.classes  # type: ignore[attr-defined]
        assert found.head.kind == "gradient"
        assert found.views[0].units["contribution"].sum() + found.views[0].rest == pytest.approx(
            found.views[0].logit
        )
    decided = explain(run, 0, model=torch_shapes(), among=["sky", "wall"])[0]
    assert decided.names[decided.predicted] in ("sky", "wall")


def torch_shapes() -> nn.Module:
    from fastdissect.models import load_model

    return load_model("builtin:shapes").module


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"classes": ["class 9"]}, SettingError, "unknown class 'class 9'; nearest: class"),
        ({"versus": 7}, SettingError, "expected a class of 0 to 4"),
        ({"segmentation": "both"}, SettingError, "expected a segmentation of relative or dataset"),
        ({"top": 0}, SettingError, "expected top to be a whole number of 1 or more"),
        ({"top": 1.5}, SettingError, "expected top"),
        ({"class_names": ["a"]}, SettingError, "expected 5 class names"),
        ({"among": ["x"]}, SettingError, "unknown class 'x'"),
        ({"targets": {"other": 0}}, DataError, "no image is called 'other'"),
        ({"head": "fcc"}, LayerError, "nearest: fc"),
        ({"device": "cuda:99"}, SettingError, "expected a device that torch has here"),
        ({"data": "shapes:images=3,size=32"}, DataError, "expected the 40 images of the run"),
    ],
)
def test_what_cannot_be_is_refused(
    net: Gap, d: Dissection, options: dict[str, Any], error: Any, words: str
) -> None:
    with pytest.raises(error) as caught:
        explain(d, 0, model=net, **options)
    assert words in str(caught.value)


def test_another_network_is_refused(d: Dissection) -> None:
    with pytest.raises(ModelError, match="expected the network that was dissected"):
        explain(d, 0, model=Gap(scale=2).eval())
    assert d.run["data"].replace(",seed=0", "") == DATA


def test_a_run_over_a_dataloader_says_how_pictures_are_prepared(
    net: Gap, caplog: pytest.LogCaptureFixture
) -> None:
    from torch.utils.data import DataLoader

    from fastdissect.batches import network_input

    images = [torch.from_numpy(network_input(p, Gap.preprocessing, (32, 32))) for p in pixels(4)]
    labels = torch.ones(4, 32, 32, dtype=torch.int64)
    run = dissected(net, data=DataLoader(list(zip(images, labels, strict=True)), 2), concepts=["thing"])
    with caplog.at_level("WARNING", "fastdissect"):
        found = explain(run, pixels(4)[1], model=net)[0]
    assert "came from a DataLoader" in caplog.text
    assert np.allclose(found.logits, net(images[1][None]).detach().numpy()[0], rtol=1e-5, atol=1e-6)


def test_directions_are_no_layer_that_a_head_reads(net: Gap) -> None:
    import fastdissect as fd
    from fastdissect.directions import Directions

    run = fd.dissect(
        net, DATA, ["features"], cache=None, progress=False, workers=0,
        directions={"features@eye": Directions("features", np.eye(UNITS))},
    )  # fmt: skip
    assert explain(run, 0, model=net)[0].layer.name == "features"
    with pytest.raises(LayerError, match=r"got directions, .* explain by 'features'"):
        explain(run, 0, model=net, layer="features@eye")
