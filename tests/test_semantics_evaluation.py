"""How far semantic vectors can be trusted: pointing, decisions, removals, seeds; brute force and plants beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from semantics_cases import NAMES, UNITS, Planted, dissected, orthonormal, planted_data

from fastdissect.errors import LayerError, SettingError
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.semantics import Evaluation, evaluate_vectors, explain_by_concepts, semantic_vectors
from fastdissect.methods.semantics.cell_areas import CellAreas
from fastdissect.methods.semantics.decided import decisions_of, removals_by_concept
from fastdissect.methods.semantics.gathering import Features
from fastdissect.methods.semantics.pointing import images_to_point_at, pointing_game
from fastdissect.reports.studies.semantics_evaluation import means_by_category, write_evaluation

QUIET: dict[str, Any] = {"cache": None, "progress": False}


def vectors_of(weights: Any, single: list[int], signs: list[int]) -> ConceptVectors:
    count = len(weights)
    names = tuple(f"c{i}" for i in range(count))
    table = pd.DataFrame({"concept": names, "single_unit": single, "single_sign": signs})
    zeros = np.zeros(count, np.int64)
    return ConceptVectors(
        kind="semantic", layer="x", numbers=np.arange(count), names=names, category=zeros, categories=("q",),
        weights=np.asarray(weights, np.float32), bias=None, table=table,
    )  # fmt: skip


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_the_game_from_its_definition(seed: int, images: int, cells: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    units, concepts = 3, 2
    covered = rng.integers(0, 3, (images * concepts, cells)) * (rng.random((images * concepts, cells)) < 0.5)
    areas = CellAreas(
        (1, cells), 2, np.repeat(np.arange(images), concepts), np.tile(np.arange(concepts), images),
        np.arange(images * concepts), covered.astype(np.uint16),
    )  # fmt: skip
    maps = rng.integers(0, 3, (images, cells, units)) if coarse else rng.normal(size=(images, cells, units))
    maps = maps.astype(np.float32)
    weights, random = rng.integers(-2, 3, (concepts, units)).astype(float), rng.normal(size=(4, units))
    played = rng.random(images) < 0.8
    pairs = images_to_point_at(areas, [0, 1], played)
    some = np.unique(np.concatenate([areas.image[p] for p in pairs.values()]))
    positions = (some[:, None] * cells + np.arange(cells)).ravel()
    features = Features(positions, maps[some].reshape(-1, units))
    found = pointing_game(vectors_of(weights, [1, 2], [1, -1]), [0, 1], areas, pairs, features, random)
    for c in range(concepts):
        own = []
        for n in range(images):
            inside = covered[n * concepts + c] > 0
            if not played[n] or inside.all() or not inside.any():
                continue
            of = []
            for u in (weights[c], [0, 1, 0] if c == 0 else [0, 0, -1], *random):
                values = maps[n].astype(float) @ np.asarray(u, float)
                of.append(inside[values == values.max()].mean())
            own.append([of[0], of[1], np.mean(of[2:]), inside.mean()])
        row = found.iloc[c]
        assert row["images"] == len(own)
        got = row[["vector", "single_unit", "random", "blind"]].to_numpy(float)
        if own:
            np.testing.assert_allclose(got, np.mean(own, 0), atol=1e-9)
        else:
            assert np.isnan(got).all()


@pytest.fixture(scope="module")
def planted() -> tuple[Any, ...]:
    net, data = Planted().eval(), planted_data(more={"crimson": lambda _i, masks: masks[0]})
    d = dissected(net, data)
    study = semantic_vectors(d, model=net, data=data, **QUIET)
    found = evaluate_vectors(d, study, model=net, data=data, seeds=2, removals=8, **QUIET)
    return net, data, d, study, found


def test_planted_vectors_point_at_their_concepts(planted: tuple[Any, ...]) -> None:
    *_, study, found = planted
    game = found.pointing.set_index("concept")
    assert list(game.index) == list(study.vectors.names)
    assert (game["vector"] == 1).all()
    assert (game["vector"] > game["random"] + 0.2).all()
    assert (game["vector"] >= game["single_unit"]).all()
    assert (game["single_unit"] >= game["blind"]).all()
    assert (game["images"] > 5).all()


def test_planted_decisions_are_explained(planted: tuple[Any, ...]) -> None:
    net, data, d, study, found = planted
    assert found.images == found.of == len(found.decisions)
    assert (
        found.decisions["residual_share"] < 0.35
    ).all()  # what speaks against a class is in no concept's favour
    assert found.decisions["explained"].all()
    assert "red / crimson" in set(found.removals["concept"])
    first = found.removals[found.removals["rank"] == 1]
    assert (first["change"] < 0).all()  # what speaks for a class most lowers it when it is gone
    names = [data.image_name(i) for i in range(60)]
    number = names.index(found.decisions["image"][2])
    one = next(explain_by_concepts(d, study, number, model=net, data=data, removals=8))
    own = found.removals[found.removals["image"] == one.image]
    np.testing.assert_allclose(own["contribution"], one.views[0].evidence.contributions)
    np.testing.assert_allclose(own["change"], [r.change for r in one.views[0].removals])
    np.testing.assert_allclose(own["chance"], [np.sqrt((r.chance**2).mean()) for r in one.views[0].removals])
    assert found.decisions["residual_share"][2] == pytest.approx(one.views[0].evidence.residual_share)
    table = removals_by_concept(found.removals)
    assert table["images"].sum() == len(found.removals)
    row, of = table.iloc[0], found.removals[found.removals["concept"] == table.iloc[0]["concept"]]
    assert row["change"] == pytest.approx(of["change"].mean())
    assert row["more"] == pytest.approx((of["change"].abs() > of["chance"]).mean())


def test_planted_vectors_are_stable(planted: tuple[Any, ...]) -> None:
    *_, found = planted
    assert (found.stability["least"] > 0.95).all()
    assert (found.stability["least"] <= found.stability["cosine"]).all()
    assert found.seeds == 2


def test_stability_compares_with_the_seeds_that_follow(planted: tuple[Any, ...]) -> None:
    net, data, d, *_ = planted
    study = semantic_vectors(d, model=net, data=data, positions=30, seed=4, **QUIET)
    found = evaluate_vectors(d, study, model=net, data=data, seeds=1, removals=0, images=1, **QUIET)
    other = semantic_vectors(d, model=net, data=data, positions=30, seed=5, **QUIET)
    cosine = (study.vectors.unit_vectors().astype(float) * other.vectors.unit_vectors()).sum(1)
    assert found.stability is not None
    np.testing.assert_allclose(found.stability["least"], cosine, atol=1e-12)
    assert (cosine < 0.99999).all()


def test_noise_is_neither_stable_nor_explained() -> None:
    net, data = Planted().eval(), planted_data(shuffled=True)
    with torch.no_grad():  # without noise the three planted directions are all there is
        net.features.weight += 0.02 * torch.randn(
            net.features.weight.shape, generator=torch.Generator().manual_seed(0)
        )
    d = dissected(net, data)
    study = semantic_vectors(d, model=net, data=data, positions=40, **QUIET)
    found = evaluate_vectors(d, study, model=net, data=data, seeds=2, **QUIET)
    assert found.decisions is None
    assert "no concept is above its control" in found.reason
    assert found.stability is not None
    assert (found.stability["least"] < 0.95).any()
    assert found.pointing is not None
    assert (found.pointing["vector"] < 0.9).all()


def test_few_images_are_drawn(planted: tuple[Any, ...]) -> None:
    net, data, d, study, found = planted
    options: dict[str, Any] = {"model": net, "data": data, "seeds": 0, "removals": 0, "images": 4, **QUIET}
    few, again = (evaluate_vectors(d, study, **options) for _ in range(2))
    assert few.images == 4
    assert few.of == found.of
    assert few.stability is None
    assert set(few.decisions["image"]) < set(found.decisions["image"])
    assert len(few.removals) == 0
    pd.testing.assert_frame_equal(few.decisions, again.decisions)
    pd.testing.assert_frame_equal(few.pointing, again.pointing)
    other = evaluate_vectors(d, study, **{**options, "seed": 3})
    assert set(other.decisions["image"]) != set(few.decisions["image"])


def test_the_page(planted: tuple[Any, ...], tmp_path: Path) -> None:
    *_, found = planted
    page = write_evaluation(tmp_path / "evaluation", found, eyebrow="<b>x</b>")
    text = page.read_text()
    assert "our formulation" in text
    assert "<b>x" not in text
    for name in ("pointing", "decisions", "removals", "stability", "concepts"):
        assert (page.parent / f"{name}.csv").is_file()
    for name in ("single", "pointing", "residuals", "removals", "stability"):
        assert (page.parent / "figures" / f"{name}.svg").is_file()
    assert "4 of 4 concepts stay above 0.95" in text
    again = write_evaluation(tmp_path / "again", found, eyebrow="<b>x</b>")
    for path in sorted(page.parent.rglob("*.*")):
        assert (again.parent / path.relative_to(page.parent)).read_bytes() == path.read_bytes(), path


def test_the_page_of_what_could_not_be_evaluated(planted: tuple[Any, ...], tmp_path: Path) -> None:
    *_, study, _ = planted
    nothing = Evaluation(study, None, None, None, None, "the <head> is missing", 3, 9, 0)
    text = write_evaluation(tmp_path / "evaluation", nothing).read_text()
    assert "the &lt;head&gt; is missing" in text
    assert "no held-out image shows a concept in some of its cells" in text


def test_means_by_category() -> None:
    table = pd.DataFrame({"category": ["b", "a", "b"], "x": [1.0, 5.0, np.nan]})
    found = means_by_category(table, ["x"]).set_index("category")
    assert found.loc["b"].tolist() == [2, 1.0]
    assert found.loc["a"].tolist() == [1, 5.0]


def test_no_decisions_make_empty_tables() -> None:
    decisions, removals = decisions_of([])
    assert len(decisions) == len(removals) == 0
    assert removals_by_concept(removals).columns[0] == "concept"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"images": 0}, SettingError, "images to be a whole number of 1 or more"),
        ({"seeds": -1}, SettingError, "seeds to be a whole number of 0 or more"),
        ({"removals": 1.5}, SettingError, "removals to be a whole number"),
        ({"most": 0}, SettingError, "most to be a whole number of 1"),
        ({"seed": True}, SettingError, "seed to be a whole number"),
        ({"head": "nothing"}, LayerError, "nothing"),
        ({"class_names": ["a"]}, SettingError, "expected 4 class names"),
        ({"among": ["kitchen"]}, SettingError, "unknown class 'kitchen'"),
    ],
)
def test_what_is_wrong_is_said(
    planted: tuple[Any, ...], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    net, data, d, study, _ = planted
    with pytest.raises(error, match=words):
        evaluate_vectors(d, study, model=net, data=data, **{**QUIET, "seeds": 0, "images": 2, **options})


def test_the_best_unit_is_the_best_on_train() -> None:
    net, data = Planted(orthonormal(UNITS, UNITS, 2)).eval(), planted_data()
    d = dissected(net, data)
    table = semantic_vectors(d, model=net, data=data, **QUIET).vectors.table.set_index("concept")
    from fastdissect.methods.chance.splits import splits_of
    from fastdissect.methods.semantics.precision import average_precision

    train = splits_of(data, [data.image_name(i) for i in range(60)]).train
    with torch.no_grad():
        images = (
            torch.from_numpy(np.stack([data.read_image(i)[0] for i in range(60)])).permute(0, 3, 1, 2) / 255
        )
        maps = net.features(images.float()).double().numpy()[train]
    masks = np.stack([[c.labels[::4, ::4] > 0 for c in data.read_labels(i)] for i in range(60)])[train]
    for c, name in enumerate(NAMES):
        told = masks[:, c].ravel()
        scores = maps.transpose(1, 0, 2, 3).reshape(UNITS, -1)
        every = [max(float(average_precision(sign * s, told)) for sign in (1, -1)) for s in scores]
        unit, sign = int(table.loc[name, "single_unit"]), int(table.loc[name, "single_sign"])
        assert (
            float(average_precision(sign * scores[unit], told)) > max(every) - 0.03
        )  # negatives are drawn, not all
