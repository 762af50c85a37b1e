"""Merging: which labels become one, what stays, and a merged set that reads as its parts do."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from merging_cases import Small, area

from fastdissect.datasets import Broden, Folder, Shapes, check_dataset, open_dataset, write_broden
from fastdissect.datasets.merging import MergeOptions, building, merge_datasets, read_synonyms
from fastdissect.datasets.merging.accounting import account, write_account
from fastdissect.datasets.merging.folding import fold
from fastdissect.datasets.merging.merged_file import write_merged
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.writing_folder import write_folder
from fastdissect.errors import DataError, OutputError, SettingError


def named(merged) -> dict[str, list[tuple[int, int]]]:
    """{"category/name": [(set, number)]} of the labels that stay."""
    return {f"{x.category}/{x.name}": [(m.set, m.number) for m in x.members] for x in merged.labels}


@given(st.text())
def test_folding_is_final(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert fold(f"  {name}\t") == fold(name)
    assert fold(name.replace("_", " ")) == fold(name)


def test_what_is_one_name() -> None:
    assert fold("Traffic  Light") == fold("traffic_light ") == "traffic light"
    assert len({fold(n) for n in ("t-shirt", "t shirt", "tshirt", "street-s", "street")}) == 5


def test_labels_of_one_name_are_one_inside_a_category() -> None:
    a = Small("a", {3: ("traffic light", "object"), 9: ("orange", "object"), 4: ("orange", "color")}, [[]])
    b = Small("b", {1: ("Orange", "color"), 3: ("Traffic_Light", "Object"), 7: ("sky", "object")}, [[]])
    assert named(merge_datasets([a, b])) == {
        "object/traffic light": [(0, 3), (1, 3)],
        "color/orange": [(0, 4), (1, 1)],
        "object/orange": [(0, 9)],
        "object/sky": [(1, 7)],
    }
    across = merge_datasets([a, b], across_categories=True)
    assert [len(label.members) for label in across.labels] == [2, 3, 1]
    broden = merge_datasets([a, b], across_categories=True, broden_names=True)
    assert list(named(broden)) == ["object/traffic light", "color/orange-c", "object/orange", "object/sky"]
    assert merge_datasets([broden, a], across_categories=True, broden_names=True).concepts.names == (
        broden.concepts.names
    )


def test_synonyms_join_labels_of_different_sets() -> None:
    a = Small("a", {1: ("tv", "object"), 2: ("puppy", "object"), 3: ("dog", "object")}, [[]])
    b = Small(
        "b",
        {1: ("television set", "object"), 2: ("dog", "object"), 3: ("tv", "scene")},
        [[]],
        synonyms={"television set": ("TV", "telly"), "dog": ("puppy", "hound")},
    )
    merged = merge_datasets([a, b])
    # "puppy" is a dog's synonym, but set a tells the two apart; the scene is no object.
    assert named(merged) == {
        "object/tv": [(0, 1), (1, 1)],
        "object/puppy": [(0, 2)],
        "object/dog": [(0, 3), (1, 2)],
        "scene/tv": [(1, 3)],
    }
    assert merged.synonyms == {"tv": ("television set", "telly"), "dog": ("puppy", "hound")}
    assert [x.name for x in merged.labels if x.by_synonym] == ["tv"]
    # the other way round the first set's spelling stays
    assert next(iter(named(merge_datasets([b, a])))) == "object/television set"


def test_a_synonym_of_several_labels_is_left_alone() -> None:
    a = Small("a", {1: ("bat", "object")}, [[]])
    b = Small(
        "b",
        {1: ("bat (animal)", "object"), 2: ("baseball bat", "object")},
        [[]],
        synonyms={"bat (animal)": ("bat",), "baseball bat": ("bat",)},
    )
    merged = merge_datasets([a, b])
    assert len(merged.labels) == 3
    assert merged.unified.ambiguous == (("bat", ("bat (animal)", "baseball bat")),)


def test_given_synonyms_join_labels_also_of_one_set(tmp_path: Path) -> None:
    a = Small("a", {1: ("puppy", "object"), 2: ("Dog", "object"), 3: ("hall", "scene")}, [[("object", 1)]])
    b = Small("b", {5: ("hound", "object"), 6: ("corridor", "scene")}, [[("object", 5)]])
    table = tmp_path / "synonyms.csv"
    table.write_text("name,synonym\ndog,puppy\ndog,HOUND\ncorridor,hall\ndog,pooch\n")
    merged = merge_datasets([a, b], synonyms=table)
    assert named(merged) == {"object/dog": [(0, 1), (0, 2), (1, 5)], "scene/corridor": [(0, 3), (1, 6)]}
    assert merged.unified.unused == ("pooch",)
    assert merged.synonyms == {"dog": ("puppy", "hound"), "corridor": ("hall",)}
    assert merge_datasets([a, b], synonyms=read_synonyms(table)).concepts.names == merged.concepts.names


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("name,synonim\na,b\n", "no column 'synonym'"),
        ("name,synonym\na,A\n", "two different names"),
        ("name,synonym\na,\n", "two different names"),
        ("name,synonym\na,b\nc,B\n", "of another name already"),
        ("name,synonym\na,b\nb,c\n", "is itself a synonym"),
    ],
)
def test_wrong_tables_of_synonyms(tmp_path: Path, lines: str, problem: str) -> None:
    (tmp_path / "s.csv").write_text(lines)
    with pytest.raises(DataError, match=problem):
        read_synonyms(tmp_path / "s.csv")


def test_categories_are_mapped() -> None:
    a = Small("a", {1: ("cat", "object")}, [[("object", area(1, 4))]])
    b = Small("b", {1: ("cat", "thing"), 2: ("grass", "stuff")}, [[("thing", area(1, 5)), ("stuff", 2)]])
    merged = merge_datasets([a, b], categories={"Thing": "object", "stuff": "object"})
    assert merged.concepts.categories == ("object",)
    assert named(merged) == {"object/cat": [(0, 1), (1, 1)], "object/grass": [(1, 2)]}
    assert [c.category for c in merged.read_labels(1)] == [0, 0]
    with pytest.raises(SettingError, match=r"no data set has the category 'things'.*nearest: thing"):
        merge_datasets([a, b], categories={"things": "object"})


def brute_force(sets, merged) -> None:
    """Every pixel of every image means what its own set said."""
    names = dict(zip(merged.concepts.numbers.tolist(), merged.concepts.names, strict=True))
    into = {(m.set, m.number): label.name for label in merged.labels for m in label.members}
    kept, at = {fold(name) for name in merged.concepts.categories}, 0
    for number, data in enumerate(sets):
        for index in range(len(data)):
            expected, found = data.read_labels(index), merged.read_labels(at)
            assert merged.image_name(at) == f"{merged.prefixes[number]}/{data.image_name(index)}"
            assert np.array_equal(merged.read_image(at)[0], data.read_image(index)[0])
            told = [
                (
                    fold(data.concepts.categories[c.category]),
                    [into.get((number, n), "") for n in np.ravel(c.labels).tolist()],
                )
                for c in expected
                if fold(data.concepts.categories[c.category]) in kept
            ]
            read = [
                (
                    fold(merged.concepts.categories[c.category]),
                    [names.get(n, "") for n in np.ravel(c.labels).tolist()],
                )
                for c in found
            ]
            assert sorted(read) == sorted(x for x in told if len(x[1]) > 1 or x[1] != [""])
            assert merged.is_labelled(at) == bool(found)
            at += 1
    assert at == len(merged)


def test_a_merged_set_reads_as_its_parts_do() -> None:
    sets = [Shapes(images=12, size=16), Shapes(images=9, size=24, seed=5)]
    merged = merge_datasets(sets)
    brute_force(sets, merged)
    brute_force(sets, merge_datasets(sets, min_images=6))
    assert merged.image_size() == (16, 16)
    parts, whole = [check_dataset(data) for data in sets], check_dataset(merged)
    order = [merged.concepts.names.index(name) for name in sets[0].concepts.names]
    assert whole.concept_pixels[order].tolist() == sum(p.concept_pixels for p in parts).tolist()
    again = pickle.loads(pickle.dumps(merged))
    assert again.fingerprint() == merged.fingerprint()
    assert [c.category for c in again.read_labels(15)] == [c.category for c in merged.read_labels(15)]
    for index in (-1, 21):
        with pytest.raises(IndexError):
            merged.read_labels(index)


def test_fingerprints_say_what_defines_the_set() -> None:
    a, b = Shapes(images=3, size=16), Shapes(images=3, size=16, seed=1)
    sets = [
        merge_datasets([a, b]),
        merge_datasets([b, a]),
        merge_datasets([a]),
        merge_datasets([a, b], min_images=2),
        merge_datasets([a, b], by_frequency=True),
        merge_datasets([a, b], broden_names=True),
        merge_datasets([a, b], categories={"material": "object"}),
    ]
    assert len({data.fingerprint() for data in sets}) == len(sets) - 1  # shapes' colours end in -c already
    assert sets[0].concepts.names == merge_datasets([a, b]).concepts.names


def planted() -> list[Small]:
    """Labels of known frequency and coverage: in 48ths of an image."""
    labels = {1: ("rare", "object"), 2: ("thin", "object"), 3: ("big", "object"), 4: ("often", "material")}
    first = [[("object", area(3, 48)), ("material", area(4, 10))] for _ in range(6)]
    first += [[("object", area(2, 1))] for _ in range(12)]
    second = [[("thing", area(7, 40)), ("material", 5)] for _ in range(7)]
    second += [[("thing", area(8, 48))] for _ in range(9)]
    b = Small("b", {5: ("OFTEN", "material"), 7: ("big", "thing"), 8: ("rare", "thing")}, second)
    return [Small("a", labels, first), b]


def test_filters_and_numbers_by_hand() -> None:
    merged = merge_datasets(planted(), categories={"thing": "object"}, recipe="broden")
    # big: 6 + 7 images, 6 + 7 * 40 / 48; often: 6 + 7 images, 6 * 10 / 48 + 7; thin: 12 images, 12 / 48; rare: 9
    found = {x.name: (x.images, round(x.coverage, 9), x.dropped) for x in merged.unified.labels}
    assert found == {
        "big": (13, round(6 + 7 * 40 / 48, 9), ""),
        "often": (13, round(6 * 10 / 48 + 7, 9), ""),
        "thin": (12, 0.25, "coverage 0.25, less than 0.5"),
        "rare": (9, 9.0, "9 images, fewer than 10"),
    }
    # equal images: the larger coverage goes first
    assert merged.concepts.names == ("big", "often")
    assert merged.concepts.categories == ("object", "material")
    assert [x.name for x in merge_datasets(planted(), by_frequency=True).labels] == [
        "often", "thin", "rare", "big", "big", "rare",
    ]  # fmt: skip
    only = merge_datasets(planted(), categories={"thing": "object"}, min_coverage=10)
    assert only.concepts.names == ("big",)
    assert only.concepts.categories == ("object",)
    assert not only.is_labelled(8) or only.read_labels(8)[0].labels.max() == 0
    with pytest.raises(DataError, match=r"none of 4 labels stays.*Lower min_images"):
        merge_datasets(planted(), categories={"thing": "object"}, min_images=99)


def test_the_primary_category_across_categories_is_the_one_of_largest_coverage() -> None:
    labels = {1: ("wood", "object"), 2: ("door", "object"), 3: ("door", "part"), 4: ("wood", "material")}
    images = [
        [("object", area(1, 4)), ("material", area(4, 5)), ("object", area(2, 9)), ("part", area(3, 9))]
    ]
    merged = merge_datasets([Small("a", labels, images)], across_categories=True, by_frequency=True)
    # of equals the category listed later
    assert {x.name: x.category for x in merged.labels} == {"wood": "material", "door": "part"}
    assert len(merged.concepts) == 2


def test_the_recipe_written_is_the_recipe_read(tmp_path: Path) -> None:
    merged = merge_datasets(planted(), categories={"thing": "object"}, recipe="broden")
    data = Broden(write_broden(merged, tmp_path / "set", mask_scale=1))
    assert data.concepts.names == merged.concepts.names
    assert data.concepts.numbers.tolist() == [1, 2]
    with (tmp_path / "set" / "label.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["name"], int(r["frequency"])) for r in rows] == [(x.name, x.images) for x in merged.labels]
    assert [float(r["coverage"]) for r in rows] == pytest.approx([x.coverage for x in merged.labels])
    with (tmp_path / "set" / "category.csv").open(newline="") as file:
        firsts = [int(r["first"]) for r in csv.DictReader(file)]
    assert firsts == sorted(firsts)


def test_relations_are_told_in_the_merged_names() -> None:
    a = Small(
        "a",
        {1: ("Wheel", "part"), 2: ("car", "object")},
        [[]],
        relations=[Relation("Wheel", "car", "part-of"), Relation("car", "vehicle", "is-a")],
    )
    b = Small(
        "b",
        {1: ("wheel", "part"), 2: ("automobile", "object")},
        [[]],
        synonyms={"automobile": ("car",)},
        relations=[Relation("wheel", "automobile", "part-of"), Relation("AUTOMOBILE", "Car", "is-a")],
    )
    assert merge_datasets([a, b]).relations == (
        Relation("Wheel", "car", "part-of"),
        Relation("car", "vehicle", "is-a"),
        Relation("AUTOMOBILE", "car", "is-a"),
    )
    c = Small("c", {1: ("street", "scene")}, [[]], relations=[Relation("street", "outdoors", "is-a")])
    assert merge_datasets([c], broden_names=True).relations == (Relation("street-s", "outdoors", "is-a"),)


def test_image_names_below_their_sets(tmp_path: Path) -> None:
    for parent in ("x", "y"):
        write_broden(Shapes(images=2, size=16), tmp_path / parent / "mine")
    sets = [f"broden:{tmp_path}/{p}/mine" for p in "xy"]
    merged = merge_datasets([*sets, "shapes:images=1,size=16"])
    assert merged.prefixes == ("mine", "mine-2", "shapes")
    assert len({merged.image_name(i) for i in range(5)}) == 5
    assert merged.files(0)[0].read_bytes()
    assert merged.files(4) == ()


def test_a_label_number_that_its_set_does_not_list() -> None:
    for wrong in (area(4, 3), area(9, 3), 4, 9):
        a = Small("a", {3: ("cat", "object"), 7: ("dog", "object")}, [[("object", wrong)]])
        with pytest.raises(DataError, match=r"image 'a/0.png' holds a label number that a does not list"):
            merge_datasets([a]).read_labels(0)


def test_more_labels_than_masks_hold() -> None:
    many = [
        Small(
            name,
            {n: (f"{name}{n}", "object") for n in range(1, count + 1)},
            [[("object", 5)], [("object", 6)]],
        )
        for name, count in (("a", 40_000), ("b", 25_535))
    ]
    merged = merge_datasets(many)
    assert len(merged.concepts) == 65_535
    assert merged.read_labels(2)[0].labels == 40_005
    many[1] = Small("b", {n: (f"b{n}", "object") for n in range(1, 25_537)}, [[("object", 5)]])
    with pytest.raises(DataError, match="65,536 labels; masks hold numbers up to 65,535"):
        merge_datasets(many)
    # Filters come first: they count with wider numbers.
    assert merge_datasets(many, min_images=1).concepts.names == ("a5", "a6", "b5")


def test_what_cannot_be_merged(tmp_path: Path) -> None:
    shapes = Shapes(images=1, size=16)
    for wrong in ([], "shapes", shapes):
        with pytest.raises(SettingError, match="expected a list of data sets"):
            merge_datasets(wrong)
    with pytest.raises(SettingError, match="given twice"):
        merge_datasets([shapes, Shapes(images=1, size=16)])
    with pytest.raises(SettingError, match="unknown recipe"):
        merge_datasets([shapes], recipe="brodn")
    for filters in ({"min_images": -1}, {"min_coverage": -0.5}, {"min_coverage": float("nan")}):
        with pytest.raises(SettingError, match=">= 0"):
            merge_datasets([shapes], **filters)
    with pytest.raises(DataError):
        merge_datasets([shapes, f"folder:{tmp_path / 'nope'}"])


# merged:FILE.json


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    homes = [tmp_path / "one", tmp_path / "two"]
    write_folder(Shapes(images=8, size=16), homes[0])
    write_broden(Shapes(images=7, size=16, seed=3), homes[1])
    return homes


def test_a_file_opens_what_was_merged(tmp_path: Path, homes: list[Path], monkeypatch) -> None:
    specs = [f"folder:{homes[0]}", f"broden:{homes[1]}"]
    merged = merge_datasets(specs, min_images=3, by_frequency=True, across_categories=True)
    path = write_merged(merged, tmp_path / "both.json")
    monkeypatch.setattr(building, "count_labels", None)  # nothing is counted again
    data = open_dataset(f"merged:{path}")
    assert data.name == f"merged:{path}"
    assert data.fingerprint() == merged.fingerprint()
    assert data.concepts.names == merged.concepts.names
    assert [data.image_name(i) for i in range(15)] == [merged.image_name(i) for i in range(15)]
    brute_force(data.sets, data)
    assert pickle.loads(pickle.dumps(data)).fingerprint() == data.fingerprint()
    assert {x.name for x in data.unified.labels if x.dropped} == {
        x.name for x in merged.unified.labels if x.dropped
    }
    with pytest.raises(OutputError, match="exists already"):
        write_merged(merged, path)


def test_a_file_by_hand(tmp_path: Path, homes: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"data": ["folder:one", f"broden:{homes[1]}"]}))
    data = open_dataset(f"merged:{path}")
    assert (len(data), len(data.concepts), data.prefixes) == (15, 61, ("one", "two"))
    path.write_text(json.dumps({"data": ["folder:one"], "options": {"min_images": 2, "min_coverage": 1}}))
    assert len(open_dataset(f"merged:{path}").concepts) < 61
    assert "counted each time" in caplog.text


def test_a_file_whose_sets_changed(tmp_path: Path, homes: list[Path]) -> None:
    path = write_merged(merge_datasets([f"folder:{homes[0]}"]), tmp_path / "m.json")
    (homes[0] / "labels.csv").write_text((homes[0] / "labels.csv").read_text() + "900,new,object\n")
    with pytest.raises(DataError, match="not those whose labels were counted"):
        open_dataset(f"merged:{path}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("{", "is no JSON"),
        ("[]", "another kind of JSON"),
        ({"format": "x"}, "another kind of JSON"),
        ({"data": []}, "must list the names"),
        ({"data": "folder:one"}, "must list the names"),
        ({"sets": []}, "unknown entry 'sets'"),
        ({"options": []}, '"options" must be'),
        ({"options": {"min_image": 3}}, "unknown option 'min_image'.*nearest: min_images"),
        ({"options": {"min_images": "3"}}, "min_images is '3'"),
        ({"options": {"min_images": True}}, "min_images is True"),
        ({"options": {"across_categories": 1}}, "across_categories is 1"),
        ({"options": {"synonyms": {"a": 1}}}, "synonyms is"),
        ({"options": {"min_coverage": 10**400}}, "a finite min_coverage"),
        ({"options": {"min_coverage": float("nan")}}, "a finite min_coverage"),
        ("[" * 100_000, "is no JSON"),
        ({"labels": [["object"]]}, "pairs"),
        ({"labels": [["object", "sky"]], "categories": ["part"]}, '"categories" must list'),
        ({"labels": [["object", "nothing"]], "categories": ["object"]}, "no set has the label 'nothing'"),
        ({"labels": [["object", "sky"]] * 2, "categories": ["object"]}, "listed twice"),
        ({"labels": [["object", "sky"]], "categories": ["object"], "fingerprints": ["0"]}, "changed since"),
    ],
)
def test_wrong_files(tmp_path: Path, homes: list[Path], change: object, problem: str) -> None:
    path = tmp_path / "m.json"
    good = {"data": ["folder:one"], "fingerprints": [Folder(homes[0]).fingerprint()]}
    path.write_text(change if isinstance(change, str) else json.dumps({**good, **change}))  # type: ignore[dict-item]
    with pytest.raises((DataError, SettingError), match=problem):
        open_dataset(f"merged:{path}")


def test_a_set_that_no_name_opens(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no name that opens it"):
        write_merged(merge_datasets([Small("mine", {1: ("a", "object")}, [[]])]), tmp_path / "m.json")
    with pytest.raises(DataError, match="is missing"):
        open_dataset(f"merged:{tmp_path / 'm.json'}")


def test_the_account_adds_up(tmp_path: Path) -> None:
    merged = merge_datasets(planted(), categories={"thing": "object"}, recipe="broden")
    rows = {row.category: row for row in account(merged)}
    assert tuple(rows["object"])[1:] == (5, 3, 2, 0, 2, 1)
    assert tuple(rows["material"])[1:] == (2, 1, 1, 0, 0, 1)
    write_account(merged, tmp_path / "merge.csv")
    with (tmp_path / "merge.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(x["number"], x["name"], x["unified_by"], x["images"]) for x in lines] == [
        ("1", "big", "name", "13"),
        ("2", "often", "name", "13"),
        ("", "rare", "name", "9"),
        ("", "thin", "", "12"),
    ]
    assert lines[0]["members"] == "a:big (3);b:big (7)"
    write_account(merge_datasets(planted()), tmp_path / "uncounted.csv")
    assert (tmp_path / "uncounted.csv").read_text().splitlines()[1].startswith("1,rare,object,,,,,")


def test_options_are_frozen_and_recorded() -> None:
    options = MergeOptions(synonyms={"a": "b"}, min_images=2)
    assert MergeOptions(**options.record()) == options
    assert options.counts
    assert not MergeOptions().counts
