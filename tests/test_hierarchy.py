"""The adequate label and the whole of a unit: planted truth, and the rule written out again over random layers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hierarchy_cases import SIDE, drawn, layer_with, run_of, union

import fastdissect
from fastdissect.datasets import Shapes
from fastdissect.errors import DataError, LayerError, SettingError
from fastdissect.methods.hierarchy import RollUp, build_hierarchy, check_relations, roll_up_layer

NAMES = ("poodle", "dachshund", "cat", "sky", "dog")
RELATIONS = check_relations(
    [
        ("poodle", "dog"),
        ("dachshund", "dog"),
        ("dog", "animal"),
        ("cat", "animal"),
        ("animal", "living thing"),
    ]
)
WHERE = {
    "poodle": [(0, slice(0, 5)), (1, slice(0, 5))],
    "dachshund": [(2, slice(0, 5)), (3, slice(0, 3))],
    "cat": [(4, slice(2, 9))],
    "sky": [(i, slice(9, 10)) for i in range(6)],
    "dog": [(5, slice(0, 1))],  # labelled dog, of no breed
}


def rolled(masks: list[Any], labels: Any, names: Any, relations: Any, **more: Any) -> Any:
    keep = {k: more.pop(k) for k in ("tolerance", "least_share") if k in more}
    layer, planes = layer_with(np.stack(masks, 1), labels, names, **more)
    tree = build_hierarchy(layer.concepts, relations, known=False)
    return roll_up_layer(layer, planes, tree, **keep)


@pytest.fixture(scope="module")
def planted() -> Any:
    labels = drawn(WHERE, NAMES, 6)
    poodle, dachshund, cat, sky, dog = labels.transpose(1, 0, 2, 3)
    nothing = np.zeros_like(sky)
    units = [
        union(poodle, dachshund, dog),  # the parent's union
        poodle,  # a child
        union(poodle, dachshund, dog, cat),  # two branches
        sky,
        nothing,
        union(poodle, cat),  # a child and an uncle
        dog,  # what is a dog and nothing else
    ]
    return labels, units


def test_units_are_found_where_they_were_planted(planted: Any) -> None:
    labels, masks = planted
    found = rolled(masks, labels, NAMES, RELATIONS)
    table = found.units()
    assert table["adequate"].tolist() == ["dog", "poodle", "animal", "sky", "", "animal", "dog (itself)"]
    assert table["label"].tolist() == ["poodle", "poodle", "poodle", "sky", "", "poodle", "dog"]
    assert table["change"].tolist() == ["up", "same", "up", "same", "", "up", "same"]
    assert table["adequate_iou"].tolist() == [1, 1, 1, 1, 0, pytest.approx(170 / 260), 1]
    assert table["iou"].tolist() == pytest.approx([100 / 190, 1, 100 / 260, 1, 0, 100 / 170, 1])
    assert table["path"][0] == "living thing > animal > dog"
    assert table["depth"].tolist()[:4] == [2, 3, 1, 0]
    assert pd.isna(table["depth"][4])
    assert table["made_of"][0] == "poodle 0.53, dachshund 0.42, dog (itself) 0.05"
    assert table["made_of"][2] == "dog 0.73, cat 0.27"
    assert table["made_of"][1] == ""
    numbers = found.summary()
    assert (numbers.units, numbers.same, numbers.up, numbers.other) == (7, 3, 3, 0)
    assert (numbers.detectors, numbers.adequate_detectors, numbers.nodes) == (6, 6, 5)
    assert found.detector.tolist() == [True] * 4 + [False] + [True] * 2


def test_nodes_and_levels_count_what_stands_at_and_below(planted: Any) -> None:
    labels, masks = planted
    found = rolled(masks, labels, NAMES, RELATIONS)
    nodes = found.nodes().set_index("name")
    assert nodes.loc["animal", ["labels", "units", "units_below", "unit"]].tolist() == [4, 2, 5, 0]
    assert nodes.loc["living thing", ["units", "units_below"]].tolist() == [0, 5]
    assert nodes.loc["dachshund", "units_below"] == 0
    assert nodes.loc["dog", "pixels"] == labels[:, [0, 1, 4]].any(1).sum()
    levels = found.levels()
    assert levels["units"].sum() == 6
    assert levels["depth"].tolist() == [0, 1, 2, 3]
    assert levels["units"].tolist() == [1, 2, 1, 2]
    assert levels["nodes"].tolist() == [2, 1, 2, 3]
    assert levels["covering"].tolist() == [1, 1, 1, 2]


def test_the_tolerance_decides_between_near_equals() -> None:
    names = ("poodle", "dachshund")
    labels = drawn(
        {"poodle": [(0, slice(0, 9)), (1, slice(0, 10))], "dachshund": [(2, slice(0, 1))]}, names, 3
    )
    relations = check_relations([("poodle", "dog"), ("dachshund", "dog")])
    mask = [labels.any(1)]  # dog: 1; poodle: 19/20
    for tolerance, adequate in (
        (0.0, "dog"),
        (0.04, "dog"),
        (0.05, "poodle"),
        (0.1, "poodle"),
        (0.99, "poodle"),
    ):
        found = rolled(mask, labels, names, relations, tolerance=tolerance).units()
        assert found["adequate"][0] == adequate, tolerance
        assert (found["best"][0], found["best_iou"][0]) == ("dog", 1.0)


def test_children_that_overlap_are_no_sum() -> None:
    """The same pixels under three names: the parent's counts are those of one."""
    names = ("a", "b", "c")
    labels = np.repeat(drawn({"a": [(0, slice(0, 4))]}, ("a",), 2), 3, axis=1)
    labels[0, 1, 3:6] = True
    found = rolled([labels[:, 0]], labels, names, check_relations([(n, "all") for n in names]))
    assert found.counts.counts.intersection.tolist() == [[4 * SIDE]]
    assert found.counts.counts.concept_area.tolist() == [6 * SIDE]
    assert found.layer.intersection.sum() > 4 * SIDE
    assert found.units()["adequate"][0] == "a"


def test_a_union_of_another_branch_may_be_better_than_the_label() -> None:
    names = ("night", "poodle", "dachshund", "terrier")
    own = {name: [(i, slice(0, 6))] for i, name in enumerate(names[1:])}
    labels = drawn({**own, "night": [(0, slice(0, 8)), (1, slice(0, 8))]}, names, 3)
    found = rolled([labels[:, 1:].any(1)], labels, names, check_relations([(n, "dog") for n in names[1:]]))
    table = found.units()
    assert (table["label"][0], table["adequate"][0], table["change"][0]) == ("night", "dog", "other")


def test_equal_scores_stay_with_the_runs_label() -> None:
    names = ("night", "sky")  # the same pixels, and "later" categories win ties
    labels = np.repeat(drawn({"night": [(0, slice(0, 4))]}, ("night",), 1), 2, axis=1)
    relations = check_relations([("night", "time"), ("sky", "stuff")])
    for category, label in (([0, 2], "sky"), ([2, 0], "night")):
        found = rolled([labels[:, 0]], labels, names, relations, category=category).units()
        assert (found["label"][0], found["adequate"][0], found["change"][0]) == (label, label, "same")


def random_case(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 7, SIDE, SIDE), bool)
    for n, c in np.argwhere(rng.random((12, 7)) < 0.5):
        y, x = rng.integers(0, SIDE - 3, 2)
        labels[n, c, y : y + rng.integers(2, 7), x : x + rng.integers(2, 7)] = True
    names = tuple(f"l{c}" for c in range(7))
    masks = []
    for _ in range(20):
        own = labels[:, rng.permutation(7)[: rng.integers(1, 5)]].any(1)
        masks.append(own & (rng.random(own.shape) < rng.uniform(0.5, 1)))
    given = [(f"l{c}", f"n{rng.integers(4)}") for c in range(7)] + [
        ("n3", "n1"),
        ("n2", "n1"),
        ("n1", "n0"),
        ("n2", "n0"),
    ]
    given += [("l5", "l6")] + [(f"l{c}", f"n{rng.integers(4)}", "part-of") for c in range(3)]
    return labels, masks, names, check_relations(given), rng.integers(0, 2, 7)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.4])
def test_the_rule_over_random_layers(seed: int, tolerance: float) -> None:
    labels, masks, names, relations, category = random_case(seed)
    found = rolled(masks, labels, names, relations, tolerance=tolerance, category=category)
    tree, score, chosen = found.hierarchy, found.iou(), found.chosen

    def above(node: int) -> set[int]:
        return set().union({node}, *(above(p) for p in tree.parents[node]))

    for unit, row in enumerate(score):
        best = int(chosen.best[unit])
        assert row[best] == row.max() == chosen.best_iou[unit] >= chosen.label_iou[unit]
        near = {n for n in range(len(tree)) if best in above(n) and row[n] >= (1 - tolerance) * row.max()}
        lowest = {n for n in near if not any(n in above(m) for m in near - {n})}
        node = int(chosen.node[unit])
        assert node in lowest
        assert row[node] == max(row[n] for n in lowest) == chosen.iou[unit]
        if tolerance == 0:
            assert row[node] == row.max()
    assert found.levels()["units"].sum() == (chosen.node >= 0).sum() == 20


@pytest.mark.parametrize("seed", range(4))
def test_wholes_over_random_layers(seed: int) -> None:
    labels, masks, names, relations, category = random_case(seed)
    found = rolled(masks, labels, names, relations, category=category, least_share=0.0)
    tree, parts = found.hierarchy, found.parts
    for i in range(len(parts.unit)):
        part, whole = (labels[:, list(tree.members[n])].any(1) for n in (parts.part[i], parts.whole[i]))
        mask = masks[parts.unit[i]]
        counts = [x.sum() for x in (part & mask, part & mask & whole, part, part & whole)]
        assert [parts.under[i], parts.on_whole[i], parts.pixels[i], parts.pixels_on_whole[i]] == counts
        assert parts.part[i] == found.chosen.node[parts.unit[i]]
        assert parts.share[i] == counts[1] / counts[0]
        assert parts.base[i] == counts[3] / counts[2]
    table = found.wholes()
    assert (table["share"] > 0).all()
    for unit in range(20):
        own = np.flatnonzero(parts.unit == unit)
        row = parts.chosen[unit]
        assert (row >= 0) == (parts.on_whole[own].any() if len(own) else False)
        if row >= 0:
            assert row in own
            assert parts.share[row] >= 0.9 * parts.share[own].max()


def test_parts_under_the_wholes_on_which_they_lie() -> None:
    """Wheels of cars and of buses: one unit sees all, one those of cars, one wheels that lie on nothing."""
    names = ("wheel", "car", "bus", "sky")
    labels = drawn(
        {
            "wheel": [(i, slice(8, 10)) for i in range(5)],
            "car": [(0, slice(4, 10)), (1, slice(4, 10))],
            "bus": [(2, slice(0, 10)), (3, slice(0, 10))],
        },
        names,
        5,
    )
    relations = check_relations(
        [("wheel", "car", "part-of"), ("wheel", "bus", "part-of"), ("car", "vehicle"), ("bus", "vehicle")]
    )
    wheels = labels[:, 0]
    images = [
        np.isin(np.arange(5), own)[:, None, None] for own in ([0, 1, 2, 3], [0, 1], [4], [0, 1, 2, 3, 4])
    ]
    masks = [wheels & own for own in images]
    found = rolled(masks, labels, names, relations)
    table = found.units()
    assert table["adequate"].tolist() == ["wheel"] * 4
    assert table["whole"].tolist() == ["vehicle", "car", "", "vehicle"]
    assert table["whole_share"].tolist()[:2] == [1.0, 1.0]
    assert table["whole_share"][3] == table["whole_base"][3] == 0.8
    assert table["whole_base"][1] == 0.4
    assert pd.isna(table["whole_share"][2])
    rows = found.wholes()
    assert rows[rows["unit"] == 0]["share"].tolist() == [0.5, 0.5, 1.0]
    assert rows[rows["chosen"]]["unit"].tolist() == [0, 1, 3]
    strict = rolled(masks, labels, names, relations, least_share=0.9).units()
    assert strict["whole"].tolist() == ["vehicle", "car", "", ""]
    assert found.summary().parts == 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    fastdissect.dissect(
        "builtin:shapes",
        "shapes:images=40,size=64",
        ["conv3", "conv5"],
        out=out,
        progress=False,
        quantile=0.02,
        cache=None,
    )
    return out


def test_a_finished_run_with_its_data_sets_relations(run: Path, tmp_path: Path) -> None:
    d = fastdissect.load(run)
    found = fastdissect.methods.roll_up(d, cache=None, progress=False)
    assert isinstance(found, RollUp)
    assert list(found) == ["conv3", "conv5"]
    assert found.hierarchy.relations == Shapes.relations
    table = found["conv5"].units()
    own = d["conv5"].units()
    assert table[["label", "category", "iou", "detector"]].equals(
        own[["label", "category", "iou", "detector"]]
    )
    assert (table["adequate_iou"] >= 0.9 * table["iou"]).all()
    assert "conv9" not in found
    assert found.get("conv9") is None
    with pytest.raises(LayerError, match="expected a layer of conv3, conv5; got 'conv4'"):
        found["conv4"]
    found.save(tmp_path / "a")
    again = fastdissect.methods.roll_up(d, "conv5", relations=Shapes.relations, cache=None, progress=False)
    again.save(tmp_path / "b")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert {
        "overview.csv",
        "relations.csv",
        "conv3.csv",
        "conv5.csv",
        "conv5-nodes.csv",
        "conv5-wholes.csv",
    } <= names
    for name in ("conv5.csv", "conv5-nodes.csv", "conv5-levels.csv", "conv5-wholes.csv", "relations.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    saved = pd.read_csv(tmp_path / "a" / "conv5.csv", keep_default_na=False)
    assert saved["path"].tolist() == table["path"].tolist()


def test_what_a_run_cannot_be_rolled_up_by(run: Path) -> None:
    d = fastdissect.load(run)
    roll_up = fastdissect.methods.roll_up
    with pytest.raises(LayerError, match="conv9"):
        roll_up(d, "conv9")
    with pytest.raises(LayerError, match="at least one layer of conv"):
        roll_up(d, [])
    with pytest.raises(DataError, match=r"expected relations, .* got 3"):
        roll_up(d, relations=3)
    with pytest.raises(DataError, match=r"nowhere\.csv: expected a CSV file"):
        roll_up(d, relations=run / "nowhere.csv")
    with pytest.raises(SettingError, match="tolerance"):
        roll_up(d, tolerance=2)
    with pytest.raises(DataError, match="got 'treee'"):
        roll_up(d, relations=[("treee", "plant")])
    bare = Shapes(images=40, size=64)
    bare.relations = ()  # type: ignore[misc]
    with pytest.raises(DataError, match="states no relations between its labels; give a file"):
        roll_up(d, data=bare)


def test_no_unions_and_no_units_are_no_trouble() -> None:
    names = ("a", "b")
    labels = drawn({"a": [(0, slice(0, 3))]}, names, 1)
    found = rolled([labels[:, 0]], labels, names, check_relations([("a", "x")]))
    assert found.units()["path"].tolist() == ["x > a"]
    assert found.hierarchy.unions == ()
    assert len(found.wholes()) == 0
    layer = found.layer
    assert run_of(layer)["layer"].units_count == 1
    assert dataclasses.asdict(found.summary())["same"] == 1
