"""Units before and after: what became of each, against a loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from comparison_cases import CATEGORIES, CONCEPTS, layer, run

from fastdissect.errors import SettingError
from fastdissect.methods.comparison import compare, unit_changes


def plainly(before: list[dict[str, object]], after: list[dict[str, object]]) -> list[str]:
    found = []
    for a, b in zip(before, after, strict=True):
        if a["iou"] > 0.04 and b["iou"] > 0.04:  # type: ignore[operator]
            found.append("kept" if a["label"] == b["label"] else "changed")
        elif a["iou"] > 0.04:  # type: ignore[operator]
            found.append("lost")
        else:
            found.append("gained" if b["iou"] > 0.04 else "neither")  # type: ignore[operator]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_changes_and_transitions_are_those_of_a_loop(seed: int) -> None:
    a, b = layer(units=200, seed=seed), layer(units=200, seed=100 + seed)
    before, after = (one.units().to_dict("records") for one in (a, b))
    expected = plainly(before, after)
    found = unit_changes(a, b)
    assert list(found.units["change"]) == expected
    assert set(expected) == {"kept", "changed", "gained", "lost", "neither"}  # all occur
    counts = found.counts.set_index("change")
    over = 200 - expected.count("neither")
    for kind in set(expected):
        assert counts.loc[kind, "units"] == expected.count(kind)
        assert counts.loc[kind, "share"] == expected.count(kind) / 200
        if kind != "neither":
            assert counts.loc[kind, "share_of_detectors"] == expected.count(kind) / over
    assert np.isnan(counts.loc["neither", "share_of_detectors"])
    assert found.kept == expected.count("kept") / over
    names = [*CATEGORIES, "no concept"]
    matrix = dict.fromkeys(((p, q) for p in names for q in names), 0)
    for one, other in zip(before, after, strict=True):
        ends = [row["category"] if row["iou"] > 0.04 else "no concept" for row in (one, other)]
        matrix[ends[0], ends[1]] += 1
    assert {(p, q): found.transitions.loc[p, q] for p, q in matrix} == matrix
    assert found.transitions.to_numpy().sum() == 200
    for end, rows in (("before", before), ("after", after)):
        for column in ("label", "category", "iou", "detector"):
            assert list(found.units[f"{column}_{end}"]) == [row[column] for row in rows]


def test_identical_networks_keep_everything() -> None:
    one = layer(units=50, seed=3)
    found = unit_changes(one, one)
    assert found.kept == 1.0
    assert dict(zip(found.counts["change"], found.counts["units"], strict=True))["neither"] > 0
    matrix = found.transitions.to_numpy()
    assert (matrix == np.diag(np.diag(matrix))).all()


def test_a_layer_without_detectors_has_no_share() -> None:
    one = layer(units=5)
    silent = dataclasses.replace(
        one, counts=dataclasses.replace(one.counts, intersection=0 * one.intersection)
    )
    found = unit_changes(silent, silent)
    assert np.isnan(found.kept)
    assert list(found.counts["units"]) == [0, 0, 0, 0, 5]
    assert found.transitions.loc["no concept", "no concept"] == 5


def test_swapping_before_and_after_swaps_gained_and_lost() -> None:
    a, b = layer(units=80, seed=1), layer(units=80, seed=2)
    one, other = unit_changes(a, b), unit_changes(b, a)
    swap = {"gained": "lost", "lost": "gained"}
    assert [swap.get(kind, kind) for kind in one.units["change"]] == list(other.units["change"])
    assert (one.transitions.to_numpy() == other.transitions.to_numpy().T).all()


def test_numbers_of_another_vocabulary_are_other_concepts() -> None:
    """The same numbers under other names: a label is the same only where its name and category are."""
    renamed = dataclasses.replace(CONCEPTS, names=("red", "blue", "dog", "cat", *CONCEPTS.names[4:]))
    a, b = layer(units=300, seed=5), layer(units=300, seed=5, concepts=renamed)
    found = unit_changes(a, b).units
    over = found[found["detector_before"]]
    swapped = over["label_before"].isin(["cat", "dog"])
    assert swapped.any()
    assert (over["change"] == np.where(swapped, "changed", "kept")).all()


def test_categories_of_both_vocabularies_stand_in_the_matrix() -> None:
    other = dataclasses.replace(CONCEPTS, categories=("color", "no concept", "mood"))
    found = unit_changes(layer(units=60, seed=1), layer(units=60, seed=2, concepts=other))
    assert list(found.transitions.index) == ["color", "object", "part", "no concept", "mood", "no concept"]
    assert found.transitions.to_numpy().sum() == 60


def test_other_numbers_of_units_are_refused() -> None:
    with pytest.raises(
        SettingError, match=r"equally many units .* got 12 of 'conv' and 13 of 'conv'.*--match"
    ):
        unit_changes(layer(units=12), layer(units=13))


def test_an_undetermined_layer_is_refused() -> None:
    with pytest.raises(SettingError, match="'conv' is undetermined: too few images for the quantile 1/200"):
        unit_changes(layer(), layer(seen=10))


def test_pairs_are_with_the_first_run_or_the_step_before() -> None:
    runs = {name: run(layer(seed=i), layer("last", seed=9 + i)) for i, name in enumerate("abc")}
    pairs, left = compare(runs).changes()
    assert [(p.before.title, p.after.title) for p in pairs] == [
        (f"a · {where}", f"{name} · {where}") for where in ("conv", "last") for name in "bc"
    ]
    assert left == ()
    chained, _ = compare(runs, steps=[7, 0, 3], layers=["conv"]).changes()
    assert [(p.before.run, p.after.run) for p in chained] == [("b", "c"), ("c", "a")]
    for steps in ([7, 0, None], [7, 7, 0]):  # not all known, or not all different: no order of training
        unchained, _ = compare(runs, steps=steps, layers=["conv"]).changes()
        assert [(p.before.run, p.after.run) for p in unchained] == [("a", "b"), ("a", "c")]


def test_pairs_that_do_not_fit_are_named() -> None:
    runs = {
        "a": run(layer()),
        "wide": run(layer(units=20)),
        "few": run(layer(seen=10)),
        "b": run(layer(seed=2)),
    }
    pairs, left = compare(runs).changes()
    assert [p.after.run for p in pairs] == ["b"]
    assert left == (
        "a · conv has 12 units, wide · conv 20: not matched by index",
        "a · conv, few · conv: undetermined, too few images for the quantile",
    )
