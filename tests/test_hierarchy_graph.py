"""Relations -> nodes: unions, ways up, wholes; names that do not fit, and circles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastdissect.datasets import Shapes
from fastdissect.datasets.relations import Relation
from fastdissect.errors import DataError
from fastdissect.methods.hierarchy import Hierarchy, build_hierarchy, check_relations, read_relations
from fastdissect.methods.hierarchy.wholes import most_specific_whole, wholes_of
from fastdissect.types import Concepts

ANIMALS = [("poodle", "dog"), ("cat", "animal"), ("dog", "animal"), ("animal", "entity")]


def concepts(*names: str, category: Any = None) -> Concepts:
    of = np.zeros(len(names), np.int64) if category is None else np.array(category)
    return Concepts(np.arange(1, len(names) + 1) * 10, names, of, ("object", "part"))


def tree(labels: str, relations: list[Any], **more: Any) -> Hierarchy:
    return build_hierarchy(concepts(*labels.split()), check_relations(relations), **more)


def united(found: Hierarchy) -> dict[str, list[str]]:
    return {
        name: [found.concepts.names[c] for c in own]
        for name, own in zip(found.names, found.members, strict=True)
    }


def test_a_label_above_others_is_their_union_and_itself_below_it() -> None:
    found = tree("cat dog poodle sky", ANIMALS)
    assert united(found) == {
        "cat": ["cat"],
        "dog (itself)": ["dog"],
        "poodle": ["poodle"],
        "sky": ["sky"],
        "dog": ["dog", "poodle"],
        "animal": ["cat", "dog", "poodle"],
        "entity": ["cat", "dog", "poodle"],
    }
    node = {name: i for i, name in enumerate(found.names)}
    assert found.path(node["poodle"]) == "entity > animal > dog > poodle"
    assert found.path(node["dog (itself)"]) == "entity > animal > dog > dog (itself)"
    assert found.path(node["sky"]) == "sky"
    assert found.depth.tolist() == [2, 3, 3, 0, 2, 1, 0]
    assert {found.names[n] for n in found.below[node["animal"]]} == {"cat", "dog", "dog (itself)", "poodle"}
    assert found.unions == ((1, 2), (0, 1, 2))  # animal and entity are the same one
    assert found.extent.tolist() == [0, 1, 2, 3, 4, 5, 5]


def test_several_ways_up_and_the_longest_is_shown() -> None:
    found = tree(
        "ashtray", [("ashtray", "thing"), ("ashtray", "tray"), ("tray", "vessel"), ("vessel", "thing")]
    )
    assert found.path(0) == "thing > vessel > tray > ashtray"
    assert {found.names[p] for p in found.parents[0]} == {"thing", "tray"}
    assert found.unions == ()  # a chain of one label unites nothing
    assert found.extent.tolist() == [0, 0, 0, 0]


def test_the_order_of_relations_changes_names_of_nodes_and_no_union() -> None:
    rng = np.random.default_rng(0)
    labels = [f"l{i}" for i in range(12)]
    given = [(f"l{i}", f"n{rng.integers(5)}") for i in range(12)] + [
        (f"n{i}", f"n{i - 1}") for i in range(1, 5)
    ]
    given += [("l1", "l0"), ("l2", "l0")]
    one = tree(" ".join(labels), given)
    for _ in range(5):
        other = tree(" ".join(labels), [given[i] for i in rng.permutation(len(given))])
        assert united(one) == united(other)
        depths = [dict(zip(t.names, t.depth.tolist(), strict=True)) for t in (one, other)]
        assert depths[0] == depths[1]


def test_below_is_all_that_parents_lead_from() -> None:
    found = build_hierarchy(Shapes().concepts, Shapes().relations)
    for node in range(len(found)):
        reached = {node}
        for _ in range(len(found)):
            reached |= {n for n in range(len(found)) if reached & set(found.parents[n])}
        assert found.below[node].tolist() == sorted(reached - {node})
        columns = {c for n in reached if n < len(found.concepts) for c in [n]}
        assert set(found.members[node]) == columns


def test_shapes_says_how_its_labels_hang_together() -> None:
    data = Shapes()
    found = build_hierarchy(data.concepts, data.relations)
    nodes = united(found)
    assert sorted(nodes["plant"]) == ["flower", "grass", "tree"]
    assert nodes["building"] == ["house", "building"]
    assert len(nodes["outdoor scene"]) == 7
    names = set(data.concepts.names)
    for child, parent, kind in data.relations:
        assert child in names
        assert kind == "is-a" or parent in names


def test_wholes_along_both_kinds_and_of_parts_below() -> None:
    given = [
        ("car wheel", "car", "part-of"), ("bus wheel", "bus", "part-of"), ("car wheel", "wheel"), ("bus wheel", "wheel"),
        ("car", "vehicle"), ("hub", "car wheel", "part-of"), ("bus", "vehicle"), ("engine", "motor yard", "part-of"),
    ]  # fmt: skip
    found = build_hierarchy(
        concepts("car", "bus", "car wheel", "bus wheel", "hub", "engine"), check_relations(given)
    )
    node = {name: i for i, name in enumerate(found.names)}

    def wholes(name: str) -> set[str]:
        return {found.names[w] for w in wholes_of(found, node[name])}

    assert wholes("car wheel") == {"car", "vehicle"}
    assert wholes("wheel") == {"car", "bus", "vehicle"}
    assert wholes("hub") == {"car wheel", "wheel", "car", "vehicle"}
    assert wholes("car") == set()
    assert wholes("engine") == set()  # the yard is no label, and none lies below it


def test_what_holds_the_part_itself_is_no_whole() -> None:
    given = [
        ("wall", "house", "part-of"),
        ("wall", "built"),
        ("house", "built"),
        ("house", "thing"),
        ("thing", "all"),
    ]
    found = build_hierarchy(concepts("wall", "house", "tree"), check_relations([*given, ("tree", "all")]))
    assert [found.names[w] for w in wholes_of(found, 0)] == ["house", "thing", "all"]


def test_the_most_specific_whole() -> None:
    given = [("pupil", "eye", "part-of"), ("eye", "face", "part-of"), ("pupil", "doll", "part-of")]
    found = build_hierarchy(concepts("pupil", "eye", "face", "doll"), check_relations(given))
    own = wholes_of(found, 0)
    assert [found.names[w] for w in own] == ["eye", "face", "doll"]
    for share, best in (
        ([1.0, 1.0, 0.0], "eye"),
        ([0.95, 1.0, 0.0], "eye"),
        ([0.85, 1.0, 0.0], "face"),
        ([0.9, 0.95, 1.0], "doll"),
        ([0.3, 0.2, 0.31], "doll"),
    ):
        assert found.names[own[most_specific_whole(found, own, np.array(share), 0.1)]] == best
    assert most_specific_whole(found, own, np.zeros(3), 0.1) == -1
    assert most_specific_whole(found, own[:0], np.zeros(0), 0.1) == -1


def test_part_of_may_go_in_a_circle() -> None:
    given = [("box", "shelf", "part-of"), ("shelf", "box", "part-of"), ("lid", "box", "part-of")]
    found = build_hierarchy(concepts("lid", "box", "shelf"), check_relations(given))
    assert wholes_of(found, 0).tolist() == [1, 2]
    assert wholes_of(found, 1).tolist() == [2]
    assert most_specific_whole(found, np.array([1, 2]), np.array([0.9, 0.91]), 0.1) == 1


def test_circles_of_is_a_are_refused() -> None:
    with pytest.raises(DataError, match=r"without a circle; got 'cat' is a .*remove one") as error:
        tree("cat", [("cat", "animal"), ("animal", "pet"), ("pet", "cat")])
    assert str(error.value).count(" is a ") == 3


def test_unknown_children_are_named_with_what_is_near() -> None:
    with pytest.raises(DataError, match=r"got 'podle' \(is-a 'dog'\), which is neither; nearest: poodle"):
        tree("poodle dog", [("podle", "dog")])
    with pytest.raises(DataError, match="got 'whel'"):
        tree("wheel car", [("whel", "car", "part-of")])
    found = tree("poodle dog", [("podle", "dog"), ("poodle", "dog")], known=False)
    assert united(found)["podle"] == []
    assert found.extent.tolist() == [0, 1, -1, 2] or found.extent[found.names.index("podle")] == -1


def test_a_name_of_two_labels_is_told_apart_by_their_numbers() -> None:
    labels = concepts("window", "house", "window", category=[0, 0, 1])
    with pytest.raises(
        DataError, match=r"'window' may be window#10 \(object\), window#30 \(part\); write which"
    ):
        build_hierarchy(labels, check_relations([("window", "house", "part-of")]))
    found = build_hierarchy(
        labels, check_relations([("window#30", "house", "part-of"), ("window#10", "opening")])
    )
    assert found.wholes == ((), (), (1,), ())
    assert found.members[3] == (0,)
    other = build_hierarchy(labels, check_relations([("house#20", "thing"), ("house", "building")]))
    assert len(other) == 5  # house and house#20 are one label
    assert other.parents[1] == (3, 4)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "at least one relation"),
        (["ab"], "expected .child, parent"),
        ([("a",)], "expected .child, parent"),
        ([("a", "b", "is-a", "c")], "expected .child, parent"),
        ([("a", "a")], "two different labels"),
        ([("a", "")], "two different labels"),
        ([("a", 3)], "two different labels"),
        ([("a", "b", "kind-of")], "relation 0: kind is 'kind-of'; expected part-of or is-a"),
    ],
)
def test_relations_that_are_none(given: list[Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        check_relations(given)


def test_a_file_of_relations(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"

    def read(text: str) -> tuple[Relation, ...]:
        file.write_text(text, encoding="utf-8")
        return read_relations(file)

    assert read("child,parent\npoodle,dog\npoodle,dog\n") == (Relation("poodle", "dog", "is-a"),)
    both = read('note,kind,parent,child\n,part-of,"car, auto",wheel\nx,is-a,animal,dog\n')
    assert both == (Relation("wheel", "car, auto", "part-of"), Relation("dog", "animal", "is-a"))
    for text, told in (
        ("", "no column 'child'"),
        ("child,above\na,b\n", "no column 'parent'"),
        ("child,parent\n", "holds no relation"),
        ("child,parent\na\n", "line 2: 1 fields came"),
        ("child,parent\na,a\n", "line 2: expected the names of two different labels"),
        ("child,parent,kind\na,b,is-a\nc,d,\n", "line 3: kind is ''; expected part-of or is-a"),
    ):
        with pytest.raises(DataError, match=told):
            read(text)
    with pytest.raises(DataError, match=r"none\.csv"):
        read_relations(tmp_path / "none.csv")
