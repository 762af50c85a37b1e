"""Semantic vectors of whole runs: planted networks, rotated, shuffled, pooled, in tokens and in directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from semantics_cases import NAMES, UNITS, Planted, blocks, dissected, orthonormal, planted_data

import fastdissect as fd
from fastdissect.errors import ActivationError, LayerError, OutputError, SettingError
from fastdissect.methods.semantics import (
    ClassWeights,
    FeatureSpace,
    SemanticVectors,
    concept_classes,
    concept_filters,
    explain_by_concepts,
    gathering,
    global_view,
    kept_vectors,
    semantic_vectors,
    settings_of,
    strongest,
    vocabulary_of,
)
from fastdissect.models import TokenGrid
from fastdissect.results import Dissection


def vectors_of(d: Dissection, net: Any, data: Any, **more: Any) -> SemanticVectors:
    return semantic_vectors(d, model=net, data=data, cache=None, progress=False, **more)


def found_in(
    net: Any, data: Any, run: dict[str, Any] | None = None, **more: Any
) -> tuple[Dissection, SemanticVectors]:
    d = dissected(net, data, **(run or {}))
    return d, vectors_of(d, net, data, **more)


@pytest.fixture(scope="module")
def planted() -> tuple[Planted, Any, Dissection, SemanticVectors]:
    net, data = Planted().eval(), planted_data()
    return net, data, *found_in(net, data)


def test_planted_concepts_are_found(planted: Any) -> None:
    _, _, _, study = planted
    vectors = study.vectors
    assert vectors.kind == "semantic"
    assert vectors.names == NAMES
    cosine = (vectors.weights * orthonormal(3, UNITS)).sum(1)
    assert (cosine > 0.99).all()
    np.testing.assert_allclose(np.linalg.norm(vectors.weights, axis=1), 1, atol=1e-6)
    table = vectors.table
    assert (table["ap_val"] > 0.99).all()
    assert (table["iou_val"] > 0.97).all()
    assert table["represented"].all()
    assert (table["control"] < 0.75).all()
    assert (table["single_ap"] <= table["ap_val"]).all()
    assert (table["effective_units"] > 1).all()


def test_the_bias_is_where_the_odds_are_even(planted: Any) -> None:
    net, _, _, study = planted
    pixels, masks = blocks(60)
    with torch.no_grad():
        maps = net.features(torch.from_numpy(pixels.transpose(0, 3, 1, 2) / 255).float()).numpy()
    scores = np.einsum("ck,nkhw->nchw", study.vectors.weights, maps) + study.vectors.bias[:, None, None]
    assert ((scores > 0) == masks[:, :, ::4, ::4]).mean() > 0.99


def test_shuffled_masks_are_not_represented() -> None:
    net, data = Planted().eval(), planted_data(shuffled=True)
    _, study = found_in(net, data)
    table = study.vectors.table
    assert (table["ap_val"] - 0.5).abs().max() < 0.08
    assert not table["represented"].any()
    with pytest.raises(SettingError, match="concepts that the layer represents"):
        explain_by_concepts(dissected(net, data), study, 0, model=net, data=data)


def test_a_turned_network_has_turned_vectors() -> None:
    q = orthonormal(UNITS, UNITS, seed=3)
    data = planted_data()
    both = [(*found_in(net, data), net) for net in (Planted().eval(), Planted(q).eval())]
    (d, one, net), (e, other, turned) = both
    np.testing.assert_allclose(other.vectors.weights, one.vectors.weights @ q.T, atol=2e-5)
    for column in ("ap_val", "iou_val", "control"):
        np.testing.assert_allclose(other.vectors.table[column], one.vectors.table[column], atol=2e-3)
    views = [
        global_view(a, b, model=c, data=data, progress=False)
        for a, b, c in ((d, one, net), (e, other, turned))
    ]
    np.testing.assert_allclose(views[0].order.cosine, views[1].order.cosine, atol=1e-4)
    assert views[0].classes is not None
    assert views[1].classes is not None
    key = ["class", "concept"]
    tables = [view.classes.sort_values(key)["cosine"].to_numpy() for view in views]
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-4)
    parts = [
        next(explain_by_concepts(a, b, 0, model=c, data=data, removals=0)).views[0].evidence
        for a, b, c in ((d, one, net), (e, other, turned))
    ]
    assert parts[0].active == parts[1].active
    np.testing.assert_allclose(parts[0].beta, parts[1].beta, atol=1e-3)
    np.testing.assert_allclose(parts[0].contributions, parts[1].contributions, atol=1e-4)


def test_batches_do_not_matter(planted: Any) -> None:
    net, data, _, study = planted
    d = dissected(net, data, batch_size=7)
    again = vectors_of(d, net, data)
    for column in ("train_positives", "val_negatives", "train_images"):
        assert again.vectors.table[column].tolist() == study.vectors.table[column].tolist()
    np.testing.assert_allclose(again.vectors.weights, study.vectors.weights, atol=1e-5)


def test_a_limit_draws_and_a_file_holds_the_same(
    planted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    net, data, d, study = planted
    few = vectors_of(d, net, data, positions=50)
    assert (few.vectors.table["train_positives"] == 50).all()
    assert ((few.vectors.weights * study.vectors.weights).sum(1) > 0.98).all()
    assert (vectors_of(d, net, data, positions=50, seed=1).vectors.weights != few.vectors.weights).any()
    monkeypatch.setattr(gathering, "IN_MEMORY", 0)
    from_file = vectors_of(d, net, data, positions=50, folder=tmp_path)
    np.testing.assert_array_equal(from_file.vectors.weights, few.vectors.weights)
    one = vectors_of(d, net, data, positions=50, concepts=["green"])
    np.testing.assert_allclose(one.vectors.table["train_positives"], 50)
    assert one.vectors.names == ("green",)
    assert one.vectors.weights[0] @ few.vectors.weights[1] > 0.999


def test_only_the_images_that_are_needed_run(planted: Any) -> None:
    net, data, d, _ = planted
    seen = 0

    def count(_module: Any, arguments: Any) -> None:
        nonlocal seen
        seen += len(arguments[0])

    handle = net.features.register_forward_pre_hook(count)
    try:
        vectors_of(d, net, data, positions=20, concepts=["red"])
    finally:
        handle.remove()
    assert 0 < seen <= 60
    record = vectors_of(d, net, data, positions=20, concepts=["red"]).vectors.record
    assert record["features"] <= 20 * 6


def test_a_linear_head_is_read(planted: Any) -> None:
    net, data, d, study = planted
    view = global_view(d, study, model=net, data=data, draws=500, progress=False)
    assert view.reason == ""
    assert view.weights is not None
    assert view.classes is not None
    rows = net.fc.weight.detach().double().numpy()
    np.testing.assert_allclose(view.weights.weights, rows - rows.mean(0))
    best = strongest(view.classes, "class", 1).set_index("class")
    assert best.loc["class 0", "concept"] == "red"
    assert best.loc["class 1", "concept"] == "green"
    assert best.loc["class 2", "concept"] == "blue"
    own = view.classes.set_index(["class", "concept"])
    vectors = orthonormal(3, UNITS)
    expected = view.weights.weights[0] @ vectors[0] / np.linalg.norm(view.weights.weights[0])
    assert own.loc[("class 0", "red"), "cosine"] == pytest.approx(expected, abs=0.02)
    assert (view.classes["p"].between(1 / 501, 1)).all()
    assert (view.classes["q"] >= view.classes["p"] - 1e-12).all()
    filters = concept_filters(study.vectors, 3)
    for name, rows_of in filters.groupby("concept"):
        u = study.vectors.weights[study.vectors.find(str(name))]
        assert rows_of["unit"].tolist() == np.argsort(-np.abs(u), kind="stable")[:3].tolist()
        np.testing.assert_allclose(rows_of["weight"], u[rows_of["unit"]], atol=1e-6)


def test_random_vectors_lie_as_the_features_do(planted: Any) -> None:
    _, _, _, study = planted
    u = study.vectors.weights.astype(float)  # the features have three dimensions of 16
    space = FeatureSpace(np.zeros(UNITS), u.T @ u + 1e-9 * np.eye(UNITS), 1.0)
    one = ClassWeights(np.array([0]), ("a",), (0.6 * u[:1] + 0.8 * u[1:2]), np.zeros(1, np.int64), ())
    table = concept_classes(study.vectors, space, one, draws=4000).set_index("concept")
    assert table.loc["red", "cosine"] == pytest.approx(0.6, abs=0.02)
    # |cosine| is uniform in three dimensions: p is 1 - |cosine|; among all 16 a cosine of 0.8 would have p = 0.0002
    for name in NAMES:
        assert table.loc[name, "p"] == pytest.approx(1 - abs(table.loc[name, "cosine"]), abs=0.05)


def test_decisions_add_up(planted: Any) -> None:
    net, data, d, study = planted
    found = list(
        explain_by_concepts(d, study, range(6), model=net, data=data, versus=1, classes=[3], removals=9)
    )
    assert len(found) == 6
    for i, explanation in enumerate(found):
        with torch.no_grad():
            image = torch.from_numpy(data.read_image(i)[0].transpose(2, 0, 1) / 255).float()[None]
            logits = net(image).double().numpy()[0]
        np.testing.assert_allclose(explanation.logits, logits, atol=1e-5)
        assert explanation.predicted == int(logits.argmax())
        for view in explanation.views:
            own = view.evidence
            base = logits.mean() if view.against is None else logits[view.against]
            assert own.score == pytest.approx(logits[view.number] - base, abs=1e-5)
            assert own.contributions.sum() + own.residual + own.rest == pytest.approx(own.score, abs=1e-6)
            table = view.table()
            assert table["part"].tolist() == [*view.names, "residual", "rest"]
            assert table["contribution"].sum() == pytest.approx(own.score, abs=1e-6)
            # under a linear head a removal takes away exactly what the weight on its vector gives
            weight = net.fc.weight.detach().double().numpy()
            w = weight[view.number] - (weight.mean(0) if view.against is None else weight[view.against])
            for place, removal in zip(own.active, view.removals, strict=True):
                u = explanation.groups[place].vector
                expected = -(w @ u) * (u @ explanation.features)
                assert removal.change == pytest.approx(expected, abs=1e-4)
                assert len(removal.chance) == 9


def test_what_stands_for_a_class_does_not_depend_on_the_image(planted: Any) -> None:
    net, data, d, study = planted
    found = [
        e.views[0] if e.predicted == 3 else next(v for v in e.views if v.number == 3)
        for e in explain_by_concepts(d, study, range(4), model=net, data=data, classes=[3], removals=0)
    ]
    for view in found[1:]:
        assert dict(zip(view.names, view.evidence.beta.tolist(), strict=True)) == pytest.approx(
            dict(zip(found[0].names, found[0].evidence.beta.tolist(), strict=True))
        )


def test_a_vocabulary_that_lacks_what_counts_says_so(planted: Any) -> None:
    net, data, d, _ = planted
    study = vectors_of(d, net, data, concepts=["blue"])
    pixels = np.full((32, 32, 3), 10, np.uint8)
    pixels[..., 0] = 250  # red alone
    explanation = next(explain_by_concepts(d, study, pixels, model=net, data=data, removals=0))
    assert not explanation.views[0].evidence.explained


def test_a_head_that_is_not_linear(planted: Any) -> None:
    net, data = Planted(head="tanh").eval(), planted_data()
    d, study = found_in(net, data)
    view = global_view(d, study, model=net, data=data, progress=False)
    assert view.weights is not None
    assert view.weights.images.sum() == 60
    assert set(view.weights.never) | set(view.weights.names) == {f"class {i}" for i in range(4)}
    for row, name in zip(view.weights.weights, view.weights.names, strict=True):
        assert name not in view.weights.never
        assert np.isfinite(row).all()
    for explanation in explain_by_concepts(d, study, [0, 1, 2], model=net, data=data, removals=4):
        for own in explanation.views:
            assert own.evidence.error < 1e-12
            changed = own.removals[0].change
            assert np.isfinite(changed)
            assert changed != 0


def test_gradients_of_classes_by_finite_differences() -> None:
    from fastdissect.methods.explanation.reading import open_network, read_layer
    from fastdissect.methods.semantics.class_weights import class_weights

    net, data = Planted(head="tanh").eval(), planted_data(20)
    d = dissected(net, data)
    network = open_network(d, net)
    batch = network.batch(data.read_image(i)[0] for i in range(20))
    reading = read_layer(d, network, batch[:4], "norm", None, None, None)
    found = class_weights(reading, data, 20)
    with torch.no_grad():
        x = net.double().features(batch.double()).mean((2, 3))
        logits = net.fc(x).tanh() * 2
        taken = logits.argmax(1)
        for row, j in zip(found.weights, found.classes.tolist(), strict=True):
            own = x[taken == j]
            for k in range(0, UNITS, 5):
                step = torch.zeros(UNITS, dtype=torch.float64)
                step[k] = 1e-5
                up, down = (net.fc(own + s).tanh() * 2 for s in (step, -step))
                score = [(y[:, j] - y.mean(1)).mean() for y in (up, down)]
                assert float((score[0] - score[1]) / 2e-5) == pytest.approx(row[k], abs=1e-4)
    net.float()


def test_a_head_that_is_not_found_is_asked_for() -> None:
    net, data = Planted(head="none").eval(), planted_data(40)
    d, study = found_in(net, data)
    view = global_view(d, study, model=net, data=data, progress=False)
    assert view.classes is None
    assert "fc (float32" in view.reason
    with pytest.raises(LayerError, match="--head NAME"):
        explain_by_concepts(d, study, 0, model=net, data=data)
    with pytest.raises(LayerError, match="nothing"):
        global_view(d, study, model=net, data=data, head="nothing", progress=False)
    named = global_view(d, study, model=net, data=data, head="fc", progress=False)
    assert named.classes is not None
    assert len(set(named.classes["class"])) == 4


def test_tokens_are_positions() -> None:
    data = planted_data()
    _, by_map = found_in(Planted().eval(), data)
    tokens = {"layout": "NTC", "tokens": TokenGrid(0, (8, 8))}
    net = Planted(form="tokens").eval()
    d, study = found_in(net, data, tokens)
    np.testing.assert_allclose(study.vectors.weights, by_map.vectors.weights, atol=1e-4)
    explanation = next(explain_by_concepts(d, study, 0, model=net, data=data, removals=5))
    assert explanation.views[0].evidence.maps.shape[1:] == (8, 8)
    assert explanation.views[0].evidence.error < 1e-5
    for removal, contribution in zip(
        explanation.views[0].removals, explanation.views[0].evidence.contributions, strict=True
    ):
        assert np.sign(removal.change) == -np.sign(contribution)


def test_a_head_that_sums_over_the_positions() -> None:
    net, data = Planted(form="sum").eval(), planted_data()
    d, study = found_in(net, data)
    view = global_view(d, study, model=net, data=data, progress=False)
    assert view.weights is not None
    rows = net.fc.weight.detach().double().numpy() * 64
    np.testing.assert_allclose(view.weights.weights, rows - rows.mean(0))
    explanation = next(explain_by_concepts(d, study, 0, model=net, data=data, removals=3))
    own = explanation.views[0].evidence
    assert own.error < 1e-5
    number = explanation.predicted
    w = view.weights.weights[number]
    for place, beta, removal in zip(own.active, own.beta, explanation.views[0].removals, strict=True):
        u = explanation.groups[place].vector
        assert removal.change == pytest.approx(-(w @ u) * (u @ explanation.features), rel=1e-3)
        assert beta <= np.linalg.norm(w) * 1.01


def test_pooled_features_ask_whether_the_image_shows_it() -> None:
    net, data = Planted(form="pooled").eval(), planted_data(200)
    d, study = found_in(net, data)
    assert d["norm"].shape[2:] == (1, 1)
    table = study.vectors.table
    assert (table["train_positives"] == table["train_images"]).all()
    assert table["iou_val"].isna().all()
    assert (table["ap_val"] > 0.95).all()
    assert study.vectors.record["cover"] == 0
    explanation = next(explain_by_concepts(d, study, 0, model=net, data=data))
    assert explanation.views[0].evidence.maps.shape[1:] == (1, 1)


def test_directions_have_vectors_too() -> None:
    net, data, turn = Planted().eval(), planted_data(), orthonormal(8, UNITS, seed=5)
    given = {"mixed": fd.Directions("norm", turn)}
    d = dissected(net, data, "norm", directions=given)
    with pytest.raises(SettingError, match="digest alone"):
        vectors_of(d, net, data, layer="mixed")
    with pytest.raises(SettingError, match="directions that were dissected"):
        vectors_of(d, net, data, layer="mixed", directions={"mixed": fd.Directions("norm", turn[::-1])})
    study = vectors_of(d, net, data, layer="mixed", directions=given)
    assert study.vectors.units == 8
    assert (study.vectors.table["ap_val"] > 0.9).all()
    view = global_view(d, study, model=net, data=data, progress=False)
    assert view.classes is None
    assert "directions, which its head does not read" in view.reason


def test_non_negative_vectors(planted: Any) -> None:
    net, data, d, study = planted
    bounded = vectors_of(d, net, data, nonnegative=True)
    assert (bounded.vectors.weights >= 0).all()
    assert (study.vectors.weights < 0).any()
    assert (bounded.vectors.table["ap_val"] > 0.8).all()


def _one(_i: int, masks: Any) -> Any:
    return np.pad(np.ones((4, 4), bool), (0, 28)) if _i < 9 else None


def _twin(_i: int, masks: Any) -> Any:
    return masks[0]


@pytest.mark.parametrize(
    ("name", "mask", "why"),
    [
        ("tiny", _one, "positions that show it in train, fewer than 20"),
        ("nowhere", lambda _i, _m: None, "no images in train"),
        ("everywhere", lambda _i, _m: np.ones((32, 32), bool), "0 positions without it"),
    ],
)
def test_concepts_with_too_little_are_listed(name: str, mask: Callable[..., Any], why: str) -> None:
    net, data = Planted().eval(), planted_data(more={name: mask})
    _, study = found_in(net, data)
    assert study.vectors.names == NAMES
    assert len(study.vectors.skipped) == 1
    assert study.vectors.skipped[0][0] == name
    assert why in study.vectors.skipped[0][1]
    with pytest.raises(SettingError, match=f"{name!r} was skipped"):
        study.vectors.find(name)


def test_collinear_concepts_share_a_group() -> None:
    net, data = Planted().eval(), planted_data(more={"crimson": _twin})
    d, study = found_in(net, data)
    assert [g.name for g in vocabulary_of(study)] == ["red / crimson", "green", "blue"]
    explanation = next(explain_by_concepts(d, study, 0, model=net, data=data, classes=[0], removals=0))
    names = {name for view in explanation.views for name in view.names}
    assert "red / crimson" in names
    assert not {"red", "crimson"} & names


def test_a_concept_without_images_for_validation_is_marked() -> None:
    from fastdissect.methods.chance.splits import splits_of

    plain = planted_data()
    train = splits_of(plain, [plain.image_name(i) for i in range(60)]).train
    net, data = Planted().eval(), planted_data(more={"shy": lambda i, masks: masks[1] if train[i] else None})
    _, study = found_in(net, data)
    row = study.vectors.table.set_index("concept").loc["shy"]
    assert row["val_images"] == 0
    assert np.isnan(row["ap_val"])
    assert np.isnan(row["iou_val"])
    assert not row["represented"]


def test_a_dead_unit_stays_out() -> None:
    class Dead(Planted):
        def forward(self, images: torch.Tensor) -> Any:
            maps = self.features(images)
            keep = torch.ones(UNITS)
            keep[4] = 0
            return self.fc(self.norm(maps * keep[:, None, None]).mean((2, 3)))

    net, data = Dead().eval(), planted_data()
    _, study = found_in(net, data)
    assert not study.vectors.weights[:, 4].any()


def test_saved_vectors_come_back(planted: Any, tmp_path: Path) -> None:
    _, _, d, study = planted
    study.save(tmp_path)
    back = SemanticVectors.load(tmp_path)
    np.testing.assert_array_equal(back.vectors.weights, study.vectors.weights)
    np.testing.assert_array_equal(back.space.covariance, study.space.covariance)
    assert back.space.scale == study.space.scale
    assert back.vectors.table.equals(study.vectors.table)
    assert kept_vectors(tmp_path, settings_of(d, "norm")) is not None
    assert kept_vectors(tmp_path, settings_of(d, "norm", ridge=0.5)) is None
    assert kept_vectors(tmp_path, settings_of(d, "norm", concepts=["red"])) is None
    assert kept_vectors(tmp_path / "other", settings_of(d, "norm")) is None
    (tmp_path / "features.safetensors").write_bytes(b"")
    with pytest.raises(OutputError, match=r"features\.safetensors"):
        SemanticVectors.load(tmp_path)


def test_vectors_of_another_network_are_refused(planted: Any) -> None:
    _, data, _, study = planted
    other = Planted(orthonormal(UNITS, UNITS, seed=3)).eval()
    d = dissected(other, data)
    for run in (explain_by_concepts, global_view):
        with pytest.raises(SettingError, match="semantic vectors of the run's network"):
            run(d, study, *([0] if run is explain_by_concepts else []), model=other, data=data)


def test_a_large_common_part_of_the_logits_is_no_error() -> None:
    net, data = Planted().eval(), planted_data()
    with torch.no_grad():
        net.fc.weight += 3e4 * torch.randn(UNITS, generator=torch.Generator().manual_seed(0))
    d, study = found_in(net, data)
    explanation = next(explain_by_concepts(d, study, 0, model=net, data=data, removals=0))
    assert abs(explanation.logits).max() > 100 * abs(explanation.views[0].evidence.score)


def test_features_that_are_not_finite_are_named(planted: Any) -> None:
    net, data, d, _ = planted

    def spoil(_module: Any, _arguments: Any, output: torch.Tensor) -> torch.Tensor:
        return output.log() * 0 + output  # NaN where it is below 0

    handle = net.norm.register_forward_hook(spoil)
    try:
        with pytest.raises(ActivationError, match=r"image '00.*finite features"):
            vectors_of(d, net, data)
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concepts": ["rod"]}, "unknown concept 'rod'; nearest: red"),
        ({"concepts": []}, "expected a list of concepts"),
        ({"concepts": "red"}, "expected a list of concepts"),
        ({"concepts": 5}, "expected a list of concepts"),
        ({"concepts": [True]}, "unknown concept True"),
        ({"ridge": "x"}, "expected a ridge above 0"),
        ({"ridge": float("nan")}, "expected a ridge above 0"),
        ({"cover": "x"}, "expected cover to be a share"),
        ({"cover": float("nan")}, "expected cover to be a share"),
        ({"positions": 5}, "positions to be a whole number of 20 or more"),
        ({"ridge": 0.0}, "expected a ridge above 0"),
        ({"cover": 1.5}, "expected cover to be a share"),
        ({"seed": -1}, "seed to be a whole number of 0 or more"),
        ({"shifts": 3}, "shifts to be a whole number of 20 or more"),
        ({"layer": "nrm"}, "no layer 'nrm'"),
        ({"concepts": ["red"], "cover": 1.0, "positions": 20.5}, "whole number"),
    ],
)
def test_what_is_wrong_is_said(planted: Any, options: dict[str, Any], words: str) -> None:
    net, data, d, _ = planted
    with pytest.raises((SettingError, LayerError), match=words.replace("(", r"\(")):
        vectors_of(d, net, data, **options)


def test_no_concept_at_all_is_an_error() -> None:
    with pytest.raises(SettingError, match="at least 20 positions that show it"):
        found_in(Planted().eval(), planted_data(1))


def test_several_layers_ask_for_one(planted: Any) -> None:
    net, data, _, _ = planted
    d = fd.dissect(net, data, ["features", "norm"], cache=None, progress=False, workers=0)
    with pytest.raises(SettingError, match="features, norm"):
        vectors_of(d, net, data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top": 0}, "top to be a whole number of 1 or more"),
        ({"draws": None}, "draws to be a whole number"),
        ({"seed": -1}, "seed to be a whole number of 0"),
        ({"among": [9]}, "expected a class of 0 to 3"),
        ({"class_names": ["a"]}, "expected 4 class names"),
    ],
)
def test_global_options_are_checked(planted: Any, options: dict[str, Any], words: str) -> None:
    net, data, d, study = planted
    with pytest.raises(SettingError, match=words):
        global_view(d, study, model=net, data=data, progress=False, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 5.5}, "expected classes, by name or number"),
        ({"classes": [None]}, "expected a class's name or number"),
        ({"classes": "class 9"}, "unknown class 'class 9'; nearest"),
        ({"versus": 4}, "expected a class of 0 to 3"),
        ({"most": True}, "most to be a whole number"),
        ({"removals": None}, "removals to be a whole number"),
        ({"among": []}, "expected a list of classes"),
        ({"targets": {"0000": "zz"}}, "unknown class 'zz'"),
    ],
)
def test_local_options_are_checked(planted: Any, options: dict[str, Any], words: str) -> None:
    net, data, d, study = planted
    with pytest.raises(SettingError, match=words):
        explain_by_concepts(d, study, 0, model=net, data=data, **options)
