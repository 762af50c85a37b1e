"""`rotate()`: the planted network of METHODS 2.4 and its two traps, alpha = 0, the tables, what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from dissect_cases import PLAIN, Labelled, Net, assert_is, dissect_plainly, gather, same_results, vocabulary
from rotation_cases import SIDE, Planted, plant

import fastdissect
from fastdissect.errors import LayerError, OutputError, SettingError
from fastdissect.labels import summarize
from fastdissect.methods.rotation import (
    RotationPath,
    RotationStudy,
    random_rotation,
    rotate,
)

ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SMALL: dict[str, Any] = {"cache": None, "progress": False, "preprocessing": PLAIN, "batch_size": 5}


@pytest.fixture(scope="module", params=[0, 1])
def planted(request: pytest.FixtureRequest) -> RotationStudy:
    """64 units, 64 concepts, each at 0.45 % of the positions."""
    seed = request.param
    options = {"size": SIDE, "mask_size": SIDE, "cache": None, "progress": False}
    return rotate(Planted(64), plant(seed, 64), "read", seeds=[seed], cut=0.5, **options)


def test_a_planted_basis_is_lost_by_rotating(planted: RotationStudy, record_testsuite_property: Any) -> None:
    """METHODS 2.4, item 3: about 1.00, .89, .87, .59, .30, .29 and 64, 64, 64, 51, 2, 1 (seed 1: 48 and 3)."""
    table = planted.table()
    seed = planted.seeds[0]
    iou, unique = table["mean_iou"].tolist(), table["unique_detectors"].tolist()
    record_testsuite_property(f"planted seed {seed}", f"{np.round(iou, 3).tolist()} {unique}")
    assert table["alpha"].tolist() == list(ALPHAS)
    assert (iou[0], unique[0]) == (1.0, 64)  # masks are exactly the concepts
    np.testing.assert_allclose(iou, (1.0, 0.89, 0.87, 0.59, 0.30, 0.29), atol=0.07)
    assert iou[2] > iou[3] > iou[4] > iou[5]
    assert unique[:3] == [64, 64, 64]
    assert 40 <= unique[3] < 60
    assert max(unique[4:]) <= 6
    assert table["unique_by_category_total"].tolist() == unique  # each concept has one category


def test_trap_a_low_cut_hides_the_fall(planted: RotationStudy) -> None:
    low = planted.with_cut(0.04).table()["unique_detectors"].tolist()
    assert low[:4] == [64, 64, 64, 64]
    assert 30 <= min(low) < 55  # at 0.5: almost none
    assert planted.cut == 0.5  # a new study


def test_trap_few_concepts_and_many_units_hide_it_at_any_cut() -> None:
    options = {"size": SIDE, "mask_size": SIDE, "cache": None, "progress": False}
    study = rotate(Planted(64), plant(0, 9), "read", seeds=1, cut=0.5, **options)
    for cut in (0.04, 0.3, 0.5):
        assert study.with_cut(cut).table()["unique_detectors"].tolist() == [9] * 6, cut


def test_what_a_linear_probe_reads_is_not_lost() -> None:
    """Q can be undone: a rotation changes where concepts lie, not whether they are there."""
    path = RotationPath(random_rotation(64, 0))
    pixels = torch.from_numpy(plant(0, 64)._images[:4].transpose(0, 3, 1, 2).astype(np.float32) / 255)
    maps = Planted(64)((pixels - 0.5) / 0.25).numpy().astype(np.float64)
    flat = maps.transpose(0, 2, 3, 1).reshape(-1, 64)
    rotated = flat @ path.power(1).T
    np.testing.assert_allclose(rotated @ path.power(1), flat, atol=1e-12)


def data(images: int = 12, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    words = vocabulary([f"a{c}" for c in range(5)], [f"b{c}" for c in range(3)])
    pixels = rng.integers(0, 256, (images, 48, 64, 3), dtype=np.uint8)
    labels = [
        [(0, rng.integers(0, 6, (48, 64)).astype(np.uint16)), (1, int(rng.integers(6, 9)))]
        for _ in range(images)
    ]
    return Labelled(pixels, labels, words)


@pytest.fixture(scope="module")
def study() -> RotationStudy:
    return rotate(Net(), data(), "second", alphas=(1, 0, 0.5), seeds=(4, 0), **SMALL)


def test_alpha_0_is_the_layer_bit_for_bit(study: RotationStudy) -> None:
    alone = fastdissect.dissect(Net(), data(), "second", **SMALL)
    same_results({"second": study.dissection["second"]}, dict(alone))
    for seed in study.seeds:
        assert study.names[0.0, seed] == "second"
    table = study.table()
    summary = alone["second"].summary()
    for _, row in table[table["alpha"] == 0].iterrows():
        assert row["detectors"] == summary.detectors
        assert row["mean_iou"] == alone["second"].iou().max(1).mean()


def test_a_rotated_layer_is_the_rotation_of_its_maps(study: RotationStudy) -> None:
    """Against the plain computation: the maps gathered, multiplied, sorted, counted."""
    maps = gather(Net().eval(), data(), ["second"], 5, (48, 64))["second"]
    for alpha, seed, layer in study.results():
        q = RotationPath(random_rotation(9, seed)).power(alpha).astype(np.float32)
        parts = [torch.matmul(torch.from_numpy(q), own.flatten(2)) for own in maps.split(5)]
        mixed = maps if alpha == 0 else torch.cat(parts).view(maps.shape)
        profile, table = layer.profile, layer.upsampling
        assert_is(layer, dissect_plainly(mixed.numpy(), data(), profile, table))


def test_one_forward_pass_serves_all(study: RotationStudy) -> None:
    calls = []
    net = Net()
    net.second.register_forward_hook(lambda *_: calls.append(1))
    rotate(net, data(), "second", seeds=2, **SMALL)
    assert len(calls) == 3 + 2  # batches, and zeros twice: how many units, which shapes


def test_the_results_are_one_run(study: RotationStudy) -> None:
    assert study.alphas == (0.0, 0.5, 1.0)
    assert study.seeds == (4, 0)
    assert [(a, s) for a, s, _ in study.results()] == [(a, s) for a in (0, 0.5, 1) for s in (4, 0)]
    assert set(study.names.values()) == set(study.dissection)
    assert len(study.dissection) == 1 + 4
    kept = [name for name, layer in study.dissection.items() if layer.activations is not None]
    assert kept == ["second"]
    assert "second" in repr(study)


def test_the_tables_count_both_ways(study: RotationStudy) -> None:
    study = study.with_cut(0.06)
    table, own = study.table(), study.by_category()
    assert len(table) == 6
    assert len(own) == 12
    for row, (alpha, seed, layer) in zip(table.to_dict("records"), study.results(), strict=True):
        found = summarize(layer.labels, ("q0", "q1"), 0.06, False)
        assert (row["alpha"], row["seed"], row["units"]) == (alpha, seed, 9)
        assert row["detectors"] == found.detectors
        assert row["unique_detectors"] == found.unique_detectors
        assert row["unique_by_category_total"] == row["q0-unique"] + row["q1-unique"]
        assert not row["undetermined"]
        rows = own[(own["alpha"] == alpha) & (own["seed"] == seed)].set_index("category")
        assert rows["best_detectors"].sum() == row["detectors"]
        for q, name in enumerate(("q0", "q1")):
            assert rows.loc[name, "unique"] == row[f"{name}-unique"]
            assert rows.loc[name, "best_unique"] == row[f"{name}-best_unique"]
            assert rows.loc[name, "mean_iou"] == layer.labels.score[:, q].mean()


def test_the_curve_is_over_the_seeds(study: RotationStudy) -> None:
    study = study.with_cut(0.06)
    table, own, curve = study.table(), study.by_category(), study.curve()
    assert len(curve) == 3 * (4 + 2 * 5)
    assert (curve["seeds"] == 2).all()
    for row in curve.to_dict("records"):
        of = table if pd.isna(row["category"]) else own[own["category"] == row["category"]]
        values = of.loc[of["alpha"] == row["alpha"], row["measure"]].to_numpy(float)
        assert row["mean"] == pytest.approx(values.mean())
        assert (row["min"], row["max"]) == (values.min(), values.max())
        assert row["sd"] == pytest.approx(values.std(ddof=1))
    assert (curve.loc[curve["alpha"] == 0, "sd"] == 0).all()


def test_one_seed_has_no_spread() -> None:
    curve = rotate(Net(), data(), "second", alphas=[0.3], seeds=1, **SMALL).curve()
    assert curve["sd"].isna().all()
    assert curve["mean"].notna().all()


def test_the_cut_is_the_profiles_unless_given() -> None:
    one = rotate(Net(), data(), "second", alphas=[0], seeds=1, profile="netdissect-lite", **SMALL)
    assert one.cut == 0.04
    assert len(one.dissection) == 1  # nothing is rotated
    score = float(one.dissection["second"].labels.score.max())
    assert one.with_cut(score).table()["detectors"].tolist() == [1]  # Lite's report: score >= cut
    with pytest.raises(SettingError, match="cut"):
        one.with_cut(1.5)


def test_few_images_are_undetermined_not_0() -> None:
    study = rotate(Net(), data(2), "third", alphas=[0, 1], seeds=1, quantile="1/1000", **SMALL)
    assert study.table()["undetermined"].all()


def test_odd_and_even_layers_and_tokens() -> None:
    for layer, units in (("first", 7), ("second", 9), ("head", 4)):
        study = rotate(Net(), data(), layer, alphas=[0.5], seeds=1, **SMALL)
        assert study.dissection[study.names[0.5, 0]].units_count == units


def test_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**SMALL, "seeds": 2, "alphas": (0, 1), "out": tmp_path / "out", "random_weights": True}
    first = rotate(Net(), data(), "second", **options)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["random-weights", "run"]

    def never(*_: Any) -> None:
        raise AssertionError("the network runs again")

    monkeypatch.setattr("fastdissect.running.Run.collect", never)
    again = rotate(Net(), data(), "second", cut=0.1, **options)  # another cut needs no new run
    pd.testing.assert_frame_equal(again.with_cut(first.cut).table(), first.table())
    with pytest.raises(OutputError, match="belongs to another run; it differs in directions"):
        rotate(Net(), data(), "second", **{**options, "seeds": 3})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"alphas": []}, "at least one alpha"),
        ({"alphas": [0, 0.5, 0.5]}, "each once"),
        ({"alphas": [0.0, -0.0]}, "each once"),
        ({"alphas": [0, math.nan]}, "finite number"),
        ({"alphas": [math.inf]}, "finite number"),
        ({"alphas": ["1"]}, "finite number"),
        ({"seeds": 0}, "at least one seed"),
        ({"seeds": []}, "at least one seed"),
        ({"seeds": [1, 1]}, "each once"),
        ({"seeds": -1}, "whole number of 0 or more"),
        ({"seeds": [0, -3]}, "whole number of 0 or more; got -3"),
        ({"seeds": 1.5}, "whole number"),
        ({"seeds": True}, "whole number"),
        ({"cut": 2}, "cut"),
        ({"thresholds": {"second": np.zeros(9)}}, "thresholds"),
        ({"directions": {}}, "directions"),
        ({"permutations": 0}, "permutations of 1 or more"),
        ({"permutations": 10, "activations": False}, "to be kept"),
        ({"quantile": 0.9}, "top fraction"),
    ],
)
def test_what_is_refused(more: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("refused only after the network ran")

    monkeypatch.setattr("fastdissect.running.Run.collect", never)
    with pytest.raises(SettingError, match=said):
        rotate(Net(), data(), "second", **{**SMALL, **more})


@pytest.mark.parametrize("layer", ["secnd", "*", "", 3])
def test_one_layer_that_there_is(layer: Any) -> None:
    with pytest.raises(LayerError, match="layer"):
        rotate(Net(), data(), layer, **SMALL)


def test_one_unit_cannot_be_rotated() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3))
    with pytest.raises(SettingError, match=r"layer '0': expected at least 2 units; got 1: SO\(1\)"):
        rotate(net, data(), "0", **SMALL)
