"""Data sets written as a plain folder, and to Broden's format and back: labels, relations and synonyms survive."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from merging_cases import Small, area
from PIL import Image
from scene_cases import PIXELS, SCENES

from fastdissect.datasets import Broden, Dataset, Folder, Shapes, check_dataset, write_broden
from fastdissect.datasets.files import digest
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.writing_folder import write_folder
from fastdissect.errors import DataError, OutputError

RELATIONS = (Relation("wheel", "car", "part-of"), Relation("cat", "animal", "is-a"))
SYNONYMS = {"car": ("auto", "motor car, with comma"), "cat": ("puss",)}


def channels_of(data: Dataset, index: int) -> list[tuple[str, object]]:
    names = data.concepts.categories
    return [
        (names[c.category], c.labels if isinstance(c.labels, int) else c.labels.tolist())
        for c in data.read_labels(index)
    ]


def counts_of(data: Dataset) -> dict[tuple[str, str], tuple[int, int]]:
    found = check_dataset(data)
    assert found.ok, found.problems
    concepts = found.concepts
    return {
        (name, concepts.categories[q]): (images, pixels)
        for name, q, images, pixels in zip(
            concepts.names,
            concepts.category.tolist(),
            found.concept_images.tolist(),
            found.concept_pixels.tolist(),
            strict=True,
        )
    }


@pytest.fixture
def scenes(tmp_path: Path) -> Folder:
    """The tiny scenes of all readers, as a folder with relations and synonyms."""
    home = tmp_path / "scenes"
    numbers = {"sky": 1, "car": 300, "cat": 3, "wheel": 7}
    for scene in SCENES:
        scene.save(home / "images" / f"{scene.name}.png")
        for category, regions in (("object", scene.objects), ("part", scene.parts)):
            if regions:
                labels = np.zeros(scene.size, np.uint16)
                for region in regions:
                    labels[region.mask(scene.size)] = numbers[region.label]
                path = home / "masks" / category / f"{scene.name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(labels).save(path)
    (home / "labels.csv").write_text(
        'number,name,category,synonyms\n1,sky,object,\n300,car,object,"auto;motor car, with comma"\n'
        "3,cat,object,puss;cat; puss\n7,wheel,part,\n"
    )
    (home / "relations.csv").write_text("child,parent,kind\nwheel,car,part-of\ncat,animal,is-a\n")
    return Folder(home)


def test_relations_and_synonyms_are_read(scenes: Folder) -> None:
    assert scenes.relations == RELATIONS
    assert scenes.synonyms == SYNONYMS
    assert {name: pixels for (name, _), (_, pixels) in counts_of(scenes).items()} == PIXELS


def test_a_folder_comes_back_as_it_was(scenes: Folder, tmp_path: Path) -> None:
    copy = Folder(write_folder(scenes, tmp_path / "copy"))
    assert [copy.image_name(i) for i in range(3)] == [scenes.image_name(i) for i in range(3)]
    for index in range(3):
        assert channels_of(copy, index) == channels_of(scenes, index)
        assert copy.files(index)[0].read_bytes() == scenes.files(index)[0].read_bytes()
    assert copy.concepts.categories == scenes.concepts.categories
    assert copy.concepts.numbers.tolist() == scenes.concepts.numbers.tolist()
    assert (copy.relations, copy.synonyms) == (RELATIONS, SYNONYMS)
    # Another copy of the copy is the same set.
    again = Folder(write_folder(copy, tmp_path / "again"))
    assert again.fingerprint() == copy.fingerprint()
    assert not (tmp_path / "copy" / "image_labels.csv").exists()


def test_broden_to_folder_to_broden(scenes: Folder, tmp_path: Path) -> None:
    first = Broden(write_broden(scenes, tmp_path / "b1"))
    assert (set(first.relations), first.synonyms) == (set(RELATIONS), SYNONYMS)
    middle = Folder(write_folder(first, tmp_path / "f"))
    second = Broden(write_broden(middle, tmp_path / "b2", mask_scale=0.5))
    assert counts_of(first) == counts_of(middle) == counts_of(second)
    assert (second.relations, second.synonyms) == (first.relations, first.synonyms)
    assert second.fingerprint() == first.fingerprint()
    # Regions lie on multiples of 8: a mask of half the sides holds a quarter.
    assert {name: pixels for (name, _), (_, pixels) in counts_of(second).items()} == {
        name: pixels // 4 for name, pixels in PIXELS.items()
    }


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=st.integers(1, 9), size=st.integers(16, 33), seed=st.integers(0, 10**6))
def test_shapes_come_back_from_a_folder(tmp_path_factory, images: int, size: int, seed: int) -> None:
    source = Shapes(images=images, size=size, seed=seed)
    copy = Folder(write_folder(source, tmp_path_factory.mktemp("w") / "set"))
    place = {copy.image_name(i): i for i in range(len(copy))}
    assert len(place) == images
    for index in range(images):
        other = place[source.image_name(index)]
        assert np.array_equal(copy.read_image(other)[0], source.read_image(index)[0])
        # The reader puts labels of whole images behind the maps of their category.
        assert sorted(map(repr, channels_of(copy, other))) == sorted(map(repr, channels_of(source, index)))
    assert counts_of(copy) == counts_of(source)


def test_nothing_is_written_that_the_set_does_not_state(tmp_path: Path) -> None:
    data = Small("x", {1: ("a", "object")}, [[("object", area(1, 4))]])
    home = write_folder(data, tmp_path / "set")
    assert (home / "labels.csv").read_text() == "number,name,category\n1,a,object\n"
    broden = write_broden(data, tmp_path / "b")
    assert not list(tmp_path.rglob("relations.csv"))
    with (broden / "label.csv").open(newline="") as file:
        assert [row["syns"] for row in csv.DictReader(file)] == [""]


def test_further_channels_keep_off_the_masks_of_other_images(tmp_path: Path) -> None:
    data = Small(
        "two",
        {1: ("cat", "object"), 2: ("dog", "object")},
        [[("object", area(1, 9)), ("object", area(2, 5)), ("object", area(1, 3))], [("object", area(2, 40))]],
    )
    names = ["photo.png", "photo.2.png"]
    data.image_name = names.__getitem__  # type: ignore[method-assign]
    copy = Folder(write_folder(data, tmp_path / "set"))
    assert sorted(p.name for p in (tmp_path / "set" / "masks" / "object").iterdir()) == [
        "photo.2.png",
        "photo.3.png",
        "photo.4.png",
        "photo.png",
    ]
    assert [copy.image_name(i) for i in (0, 1)] == ["photo.2.png", "photo.png"]
    assert channels_of(copy, 1) == channels_of(data, 0)
    assert channels_of(copy, 0) == channels_of(data, 1)


def test_a_whole_image_label_outside_its_category_becomes_a_map(tmp_path: Path) -> None:
    data = Small(
        "x",
        {1: ("water", "object"), 2: ("wood", "material")},
        [[("material", 1), ("object", 1)], [("material", area(2, 7))]],
    )
    copy = Folder(write_folder(data, tmp_path / "set"))
    assert counts_of(copy)["wood", "material"] == (1, 7)
    assert channels_of(copy, 0) == [("object", 1), ("material", np.ones((6, 8), int).tolist())]
    assert (tmp_path / "set" / "image_labels.csv").read_text() == "image,label\n0.png,1\n"


def test_a_category_without_labels_of_its_own(tmp_path: Path) -> None:
    labels = {1: ("water", "object")}
    empty = Small("x", labels, [[("object", area(1, 3))]], categories=("part", "object"))
    assert Folder(write_folder(empty, tmp_path / "set")).concepts.categories == ("object",)
    used = Small("x", labels, [[("part", area(1, 3))]], categories=("part", "object"))
    with pytest.raises(DataError, match=r"category 'part'.*--to broden"):
        write_folder(used, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a.png", "a.jpg"], "would share a mask"),
        (["a.txt", "b.png"], "ends in"),
        ([".a.png", "b.png"], "begin with a dot"),
        (["../a.png", "b.png"], "cannot be written"),
        (["a.png", "a"], "one name"),
    ],
)
def test_names_that_the_folder_cannot_hold(tmp_path: Path, names: list[str], problem: str) -> None:
    data = Small("x", {1: ("a", "object")}, [[], []])
    data.image_name = names.__getitem__  # type: ignore[method-assign]
    with pytest.raises(DataError, match=problem):
        write_folder(data, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("category", ["a/b", "", "..", "split", "a\\b", "x\ny"])
@pytest.mark.parametrize("write", [write_folder, write_broden])
def test_categories_that_are_no_file_names(tmp_path: Path, category: str, write) -> None:
    data = Small("x", {1: ("a", category)}, [[]])
    with pytest.raises(DataError, match="cannot be written"):
        write(data, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [write_folder, write_broden])
def test_synonyms_and_numbers_that_the_formats_cannot_hold(tmp_path: Path, write) -> None:
    data = Small("x", {1: ("a", "object")}, [[]], synonyms={"a": ("b;c",)})
    with pytest.raises(DataError, match="separates synonyms"):
        write(data, tmp_path / "set")
    wide = Small("x", {70_000: ("a", "object")}, [[("object", 70_000)]])
    with pytest.raises(DataError, match="ends at 65535"):
        write(wide, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        write_folder(Shapes(images=2, size=16), tmp_path / "set")
    assert list((tmp_path / "set").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("child,parent\na,b\n", "no column 'kind'"),
        ("child,parent,kind\na,a,is-a\n", "two different labels"),
        ("child,parent,kind\n,a,is-a\n", "two different labels"),
        ("child,parent,kind\na,b,inside\n", "expected part-of or is-a"),
        ("child,parent,kind\na,b\n", "2 fields came"),
    ],
)
def test_wrong_relations(scenes: Folder, tmp_path: Path, text: str, problem: str) -> None:
    broden = write_broden(scenes, tmp_path / "b")
    for home, reader in ((scenes.path, Folder), (broden, Broden)):
        (home / "relations.csv").write_text(text)
        with pytest.raises(DataError, match=problem):
            reader(home)


def test_fingerprints_of_sets_without_relations_are_what_they_were(tmp_path: Path) -> None:
    """A run that an older version recorded finds its data set again: the tables that it knew, and nothing else."""
    data = Small("x", {1: ("a", "object"), 2: ("b", "part")}, [[("object", area(1, 4))], [("part", 2)]])
    broden, folder = write_broden(data, tmp_path / "b"), write_folder(data, tmp_path / "f")

    def of(home: Path, *names: str) -> list[bytes]:
        return [digest((home / name).read_bytes()).encode() for name in names]

    tables = of(broden, "index.csv", "category.csv", "c_object.csv", "c_part.csv", "label.csv")
    assert Broden(broden).fingerprint() == digest(b"broden\0", b"".join(tables), b"None")
    tables = of(folder, "labels.csv", "image_labels.csv")
    names = "0.png\x001.png\0\0(0, [(0, 1, 'object/0.png')])"
    assert Folder(folder).fingerprint() == digest(b"folder\0", *tables, names.encode())
    for home, reader in ((broden, Broden), (folder, Folder)):
        before = reader(home).fingerprint()
        (home / "relations.csv").write_text("child,parent,kind\nb,a,part-of\n")
        assert reader(home).fingerprint() != before
