"""Runs side by side: the counts of the tables, which layers stand beside which, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from comparison_cases import CATEGORIES, CONCEPTS, layer, run

from fastdissect.errors import LayerError, SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.comparison import compare
from fastdissect.methods.comparison.naming import tell_apart


def recount(one: LayerDissection) -> dict[str, int]:
    """Both conventions, unit by unit, from units() alone."""
    best: set[str] = set()
    single: dict[str, set[str]] = {q: set() for q in CATEGORIES}
    counts = {"detectors": 0} | {f"{q} detectors": 0 for q in CATEGORIES}
    for row in one.units().to_dict("records"):
        if row["iou"] > 0.04:
            counts["detectors"] += 1
            best.add(row["label"])
        for q in CATEGORIES:
            if row[f"{q}-iou"] > 0.04:
                counts[f"{q} detectors"] += 1
                single[q].add(row[f"{q}-label"])
    counts |= {q: len(labels) for q, labels in single.items()}
    return counts | {"best": len(best), "sum": sum(map(len, single.values()))}


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_a_recount_of_the_units(seed: int) -> None:
    runs = {
        name: run(*(layer(where, units, seed + 10 * i + j) for j, where in enumerate(("low", "high"))))
        for i, (name, units) in enumerate((("a", 14), ("b", 30), ("c", 1)))
    }
    found = compare(runs)
    assert [(e.slot, e.run, e.layer, e.depth) for e in found.entries] == [
        (slot, name, where, slot) for slot, where in enumerate(("low", "high")) for name in "abc"
    ]
    assert list(found.layers["run"]) == ["a", "b", "c"] * 2
    seen = set()
    for row in found.layers.to_dict("records"):
        one = runs[row["run"]][row["layer"]]
        expected = recount(one)
        seen.add(expected["sum"] != expected["best"])
        assert row["units"] == one.units_count
        assert row["detectors"] == expected["detectors"]
        assert row["detector_share"] == expected["detectors"] / one.units_count
        assert (row["unique_best"], row["unique_sum"]) == (expected["best"], expected["sum"])
        own = found.categories[
            (found.categories["run"] == row["run"]) & (found.categories["layer"] == row["layer"])
        ]
        assert list(own["category"]) == list(CATEGORIES)
        assert list(own["unique"]) == [expected[q] for q in CATEGORIES]
        assert list(own["detectors"]) == [expected[f"{q} detectors"] for q in CATEGORIES]
        assert own["best_detectors"].sum() == expected["detectors"]
        assert own["unique"].sum() == row["unique_sum"]
    assert True in seen  # the two conventions do differ here


def test_an_undetermined_layer_has_no_counts() -> None:
    found = compare({"few": run(layer(seen=100)), "many": run(layer())})
    few, many = found.layers.to_dict("records")
    assert few["undetermined"]
    assert not many["undetermined"]
    for column in ("detectors", "detector_share", "unique_best", "unique_sum"):
        assert pd.isna(found.layers[column].iloc[0])
        assert not pd.isna(found.layers[column].iloc[1])
    assert found.categories["unique"].isna().tolist() == [True] * 3 + [False] * 3


def test_a_single_run_stands_by_itself() -> None:
    one = run(layer("low"), layer("high", seed=1))
    for given in (one, [one], {"net": one}):
        found = compare(given)
        assert list(found.runs) == ["net"]
        assert list(found.layers["layer"]) == ["low", "high"]
    assert found.changes() == ((), ())
    with pytest.raises(SettingError, match="at least two runs"):
        found.matchings()


def test_layers_that_not_all_runs_have_are_left_out_and_named() -> None:
    runs = {"a": run(layer("x"), layer("y")), "b": run(layer("y"), layer("z"))}
    found = compare(runs)
    assert [(e.run, e.layer, e.depth) for e in found.entries] == [("a", "y", 1), ("b", "y", 0)]
    assert found.left_out == ("layer 'x' is not in b", "layer 'z' is not in a")
    assert compare(runs, layers=["y"]).left_out == ()
    with pytest.raises(LayerError, match=r"all runs have; layer 'x' is not in b; .*RUN@LAYER"):
        compare(runs, layers=["x"])
    with pytest.raises(LayerError, match="x, y, z; got 'yy'; nearest: y"):
        compare(runs, layers=["y", "yy"])


def test_runs_without_a_common_layer_are_compared_by_their_last_ones() -> None:
    runs = {"a": run(layer("x"), layer("features.12")), "b": run(layer("layer3"), layer("layer4"))}
    found = compare(runs)
    assert [(e.run, e.layer, e.slot) for e in found.entries] == [("a", "features.12", 0), ("b", "layer4", 0)]
    assert found.left_out == ("no layer is in all runs: each run's last layer is compared",)
    chosen = compare(runs, layers={"a": "x"})
    assert [e.layer for e in chosen.entries] == ["x", "layer4"]
    with pytest.raises(LayerError, match=r"run 'b': .*no layer 'x'"):
        compare(runs, layers={"b": "x"})
    with pytest.raises(SettingError, match="layers of the runs a, b; got 'c'"):
        compare(runs, layers={"c": "x"})


def test_layers_keep_the_order_that_was_asked_for() -> None:
    found = compare(run(layer("x"), layer("y"), layer("z")), layers=["z", "x", "z"])
    assert [(e.layer, e.depth, e.slot) for e in found.entries] == [("z", 2, 0), ("x", 0, 1)]


def test_names_are_the_networks_told_apart() -> None:
    one = run(layer())
    assert list(compare([one, one, run(layer(), model="other")]).runs) == ["net", "net (2)", "other"]
    assert list(compare([one, one], names=["p", "q"]).runs) == ["p", "q"]
    assert list(compare({"p": one, "q": one}, names=["r", "s"]).runs) == ["r", "s"]
    assert list(compare([run(layer(), model="")]).runs) == ["network"]
    for names in (["p"], ["p", "p"], ["p", ""], "pq"):
        with pytest.raises(SettingError, match="2 names, one for each run"):
            compare([one, one], names=names)


def test_equal_names_never_collide() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = [str(rng.choice(["a", "a (2)", "a (3)", "b"])) for _ in range(6)]
        apart = tell_apart(names)
        assert len(set(apart)) == 6
        for name, new in zip(names, apart, strict=True):
            assert new == name or new.startswith(f"{name} (")


def test_training_is_the_mean_of_a_steps_runs() -> None:
    runs = {f"r{i}": run(layer("low", 20, i), layer("high", 20, 50 + i)) for i in range(5)}
    runs["few"] = run(layer("low", seen=10), layer("high", 20, 9))
    steps = [0, 100, 100, 10_000, None, 100]
    found = compare(runs, steps=steps, accuracy={"r0": 0.1, "r1": 0.4, "r2": 0.6})
    table = found.training
    assert list(dict.fromkeys(table["layer"])) == ["low", "high"]
    for row in table.to_dict("records"):
        names = [
            name
            for name, step in zip(runs, steps, strict=True)
            if step == row["step"] and not runs[name][row["layer"]].undetermined
        ]
        own = [recount(runs[name][row["layer"]])[row["category"] or "sum"] for name in names]
        assert row["runs"] == len(own)
        assert row["unique"] == pytest.approx(np.mean(own))
        assert (row["least"], row["most"]) == (min(own), max(own))
        expected = {0: 0.1, 100: 0.5}.get(row["step"])
        assert (math.isnan(row["accuracy"]) and expected is None) or row["accuracy"] == expected
    assert len(table) == 2 * 3 * (1 + len(CATEGORIES))
    for _, own in table.groupby(["layer", "category"]):
        assert list(own["step"]) == [0, 100, 10_000]
    assert compare(runs).training.empty


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([1], "steps for 2 runs; got 1"),
        ([1, -1], "of at least 0; got -1"),
        ([1, math.nan], "finite number"),
        ([1, math.inf], "finite number"),
        ([1, True], "finite number"),
        ([1, "2"], "finite number"),
        ({"a": 1, "bb": 2}, "runs a, b; got one of 'bb'; nearest: b"),
    ],
)
def test_steps_that_are_none_are_refused(steps: object, message: str) -> None:
    one = run(layer())
    with pytest.raises(SettingError, match=message):
        compare({"a": one, "b": one}, steps=steps)  # type: ignore[arg-type]


def test_what_is_no_run_is_refused() -> None:
    with pytest.raises(SettingError, match="at least one run; got none"):
        compare([])
    with pytest.raises(SettingError, match=r"fastdissect\.load or dissect give them; got str"):
        compare(["out"])  # type: ignore[list-item]
    with pytest.raises(SettingError, match="got LayerDissection"):
        compare({"conv": layer()})  # type: ignore[dict-item]


RENAMED = dataclasses.replace(CONCEPTS, names=("scarlet", *CONCEPTS.names[1:]))
MOVED = dataclasses.replace(CONCEPTS, category=np.array([0, 1, 1, 1, 1, 1, 2, 2, 2]))
RENUMBERED = dataclasses.replace(CONCEPTS, numbers=np.arange(2, 11))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (
            run(layer(), key={"data set": "e" * 32}),
            r"data set: planted \[d{24}\] \(a\), planted \[e{24}\] \(b\)",
        ),
        (run(layer(), key={}), r"data set: planted \[d{24}\] \(a\), planted \[no digest recorded\] \(b\)"),
        (run(layer(images=7)), r"images: 6 \(a\), 7 \(b\)"),
        (run(layer(), names=("0.jpg", "x.jpg", *"cdef")), r"name of image 1: '1.jpg' \(a\), 'x.jpg' \(b\)"),
        (run(layer(mask=(20, 16))), r"mask size: 16 x 16 \(a\), 20 x 16 \(b\)"),
        (run(layer(cut=0.1)), r"profile's cut: 0.04 \(a\), 0.1 \(b\)"),
        (run(layer(quantile="1/100")), r"profile's quantile: 1/200 \(a\), 1/100 \(b\)"),
        (
            run(layer(concepts=RENAMED)),
            r"vocabulary: 9 concepts .*with 1 'scarlet' of 'color' where the first has 1 'red'",
        ),
        (
            run(layer(concepts=MOVED)),
            r"vocabulary: .*with 2 'blue' of 'object' where the first has 2 'blue' of 'color'",
        ),
        (
            run(layer(concepts=RENUMBERED)),
            r"vocabulary: .*with 2 'red' of 'color' where the first has 1 'red'",
        ),
    ],
)
def test_runs_that_differ_are_refused_and_forced(other: object, what: str) -> None:
    runs = {"a": run(layer()), "b": other}
    with pytest.raises(SettingError, match=f"they differ in {what}.*; dissect them alike.*--force"):
        compare(runs)  # type: ignore[arg-type]
    forced = compare(runs, force=True)  # type: ignore[arg-type]
    assert forced.warning.startswith("Not made under the same conditions: ")
    assert len(forced.layers) == 2


def test_every_difference_is_named_with_both_values_and_their_runs() -> None:
    runs = {f"r{i}": run(layer()) for i in range(5)}
    runs["odd"] = run(layer(images=7, mask=(20, 20), cut=0.1), key={"data set": "e" * 32})
    with pytest.raises(SettingError) as caught:
        compare(runs)
    for part in (
        "data set: ",
        "images: 6 (r0, r1, r2 and 2 more), 7 (odd)",
        "mask size: 16 x 16 (r0, r1, r2 and 2 more), 20 x 20 (odd)",
        "profile's cut: 0.04 (r0, r1, r2 and 2 more), 0.1 (odd)",
    ):
        assert part in str(caught.value)


def test_a_layers_own_cut_is_a_difference() -> None:
    """A run whose layers were given cuts of their own, as the calibrated ones are."""
    other = run(layer(cut=0.07))
    other.profile = run(layer()).profile
    with pytest.raises(SettingError, match=r"differ in profile's cut: 0.04 \(a\), 0.07 \(b\)"):
        compare({"a": run(layer()), "b": other})


def test_what_does_not_matter_is_no_difference() -> None:
    """Networks, their record, the path of the data set, and the words of a profile."""
    other = run(layer(units=30, seed=4), model="another", data="elsewhere", seconds=3.0)
    other.profile = dataclasses.replace(other.profile, notes="other words")
    assert compare({"a": run(layer()), "b": other}).warning == ""
    assert compare({"a": run(layer()), "b": other}, force=True).warning == ""
