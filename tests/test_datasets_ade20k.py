from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from written_ade20k import (
    FOLDERS_2016,
    FOLDERS_2021,
    LABELS,
    NAMES,
    save_classes,
    save_index,
    write,
    write_2016,
)
from written_voc import count, expected, save_grey, whole

from fastdissect.datasets.ade20k.names import class_names
from fastdissect.datasets.opening import open_dataset
from fastdissect.datasets.relations import Relation
from fastdissect.errors import BackendError, DataError, SettingError

TREE_2021, TREE_2016 = "ADE20K_2021_17_01/images/ADE", "ADE20K_2016_07_26/images"
STREET = f"{TREE_2021}/{FOLDERS_2021['street']}"
releases = pytest.mark.parametrize(
    ("make", "tree", "folders"), [(write, TREE_2021, FOLDERS_2021), (write_2016, TREE_2016, FOLDERS_2016)]
)


@releases
def test_counts_are_those_of_the_scenes(tmp_path: Path, make, tree: str, folders: dict[str, str]) -> None:
    data = open_dataset(make(tmp_path))
    assert count(data) == expected(LABELS)
    assert [data.image_name(i) for i in range(3)] == sorted(
        f"{place}/{name}.png" for name, place in folders.items()
    )
    scenes = {"street": ["street"], "yard": [folders["yard"].split("/", 2)[2]], "empty": []}
    assert {Path(data.image_name(i)).stem: whole(data, i) for i in range(3)} == scenes
    assert data.concepts.categories == ("object", "part", "scene")
    numbers = dict(zip(data.concepts.numbers.tolist(), data.concepts.names, strict=True))
    assert {n: numbers[n] for n in (401, 255, 420, 513)} == {
        401: "car",
        255: "cat",
        420: "sky",
        513: "wheel",
    }
    assert [n for n in numbers if n > 10000] == [10001, 10002]
    kinds = dict(zip(data.concepts.names, data.concepts.category.tolist(), strict=True))
    assert (kinds["car"], kinds["wheel"], kinds["street"]) == (0, 1, 2)
    assert data.synonyms["car"] == ("auto", "automobile", "machine", "motorcar")
    assert {Relation("car", "motor vehicle", "is-a"), Relation("motor vehicle", "vehicle", "is-a")} <= set(
        data.relations
    )
    assert open_dataset(data.name).fingerprint() == data.fingerprint()
    assert pickle.loads(pickle.dumps(data)).image_name(0) == data.image_name(0)
    assert all(path.is_file() for i in range(3) for path in data.files(i))


def test_parts_of_2021(tmp_path: Path) -> None:
    assert Relation("wheel", "car", "part-of") in open_dataset(write(tmp_path)).relations


@releases
def test_splits(tmp_path: Path, make, tree: str, folders: dict[str, str]) -> None:
    spec = make(tmp_path)
    data = open_dataset(f"{spec}?split=validation")
    assert [Path(data.image_name(i)).stem for i in range(len(data))] == ["yard"]
    whole_set = open_dataset(spec)
    scenes = [n for n in whole_set.concepts.numbers.tolist() if n > 10000]
    assert [n for n in data.concepts.numbers.tolist() if n > 10000] == scenes  # ranks over all splits
    with pytest.raises(SettingError, match="no split 'val'; there are training, validation; nearest: val"):
        open_dataset(f"{spec}?split=val")


def test_every_class_number_is_decoded(tmp_path: Path) -> None:
    """All 6,655 codes in one mask, and instances in blue that mean nothing."""
    spec = write_2016(tmp_path)
    save_index(
        tmp_path / "ADE20K_2016_07_26" / "index_ade20k.mat", ["-", *(f"class {n}" for n in range(2, 6656))]
    )
    data = open_dataset(spec)
    numbers = np.resize(np.arange(6656), (104, 64))
    place = tmp_path / TREE_2016 / FOLDERS_2016["street"]
    save_grey(place / "street.png", np.zeros((104, 64)))
    save_classes(place / "street_seg.png", numbers)
    save_classes(place / "street_parts_1.png", numbers)
    index = next(i for i in range(3) if "street.png" in data.image_name(i))
    for channel in data.read_labels(index)[:2]:
        assert np.array_equal(channel.labels, np.where(numbers == 1, 0, numbers))  # class 1 is "-", none


def test_levels_of_parts_are_channels(tmp_path: Path) -> None:
    spec = write(tmp_path)
    level_2 = np.zeros((32, 48), np.uint16)
    level_2[24:28, 8:12] = 401
    save_classes(tmp_path / STREET / "street_parts_2.png", level_2)
    data = open_dataset(spec)
    index = next(i for i in range(3) if "street.png" in data.image_name(i))
    assert [channel.category for channel in data.read_labels(index)] == [0, 1, 1, 2]
    assert np.array_equal(data.read_labels(index)[2].labels, level_2)
    assert count(data)["car"] == 256  # the part of this class lies on the object
    assert [path.name for path in data.files(index)][1:] == [
        "street_seg.png",
        "street_parts_1.png",
        "street_parts_2.png",
    ]


def test_names_that_begin_alike() -> None:
    listed = {
        1: "bag",
        2: "bag, handbag, purse",
        3: "bag, handbag, purse",
        4: "door; double door",
        5: " cup ",
    }
    names, synonyms = class_names(listed)
    assert names == {
        1: "bag",
        2: "bag, handbag, purse (2)",
        3: "bag, handbag, purse (3)",
        4: "door",
        5: "cup",
    }
    assert synonyms["door"] == ("double door",)
    assert "cup" not in synonyms


def annotate(folder: Path, change) -> None:
    path = folder / STREET / "street.json"
    found = json.loads(path.read_text())
    change(found["annotation"]["object"])
    path.write_text(json.dumps(found))


def test_a_class_named_in_two_ways(tmp_path: Path) -> None:
    spec = write(tmp_path)

    def rename(objects: list[dict]) -> None:
        extra = [{**objects[1], "id": 90 + n, "name": "car, auto"} for n in range(2)]
        objects += extra

    annotate(tmp_path, rename)
    assert open_dataset(spec).synonyms["car"] == ("auto",)


def test_a_part_of_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = write(tmp_path)
    annotate(tmp_path, lambda objects: objects[-1]["parts"].update(ispartof=77))
    data = open_dataset(spec)
    assert not [relation for relation in data.relations if relation.kind == "part-of"]
    assert "1 parts name an object that their file lacks" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda objects: objects[0].pop("name_ndx"), "KeyError 'name_ndx'"),
        (lambda objects: objects[0].update(name_ndx=0), "name_ndx 0"),
        (lambda objects: objects[0].update(name_ndx=6656), "name_ndx 6656"),
        (lambda objects: objects[0].update(name=""), "with the name ''"),
        (lambda objects: objects[0].update(parts=[]), "TypeError"),
        (lambda objects: objects[0].update(id=objects[1]["id"]), "two objects with one id"),
        (lambda objects: objects.append("sky"), "TypeError"),
    ],
)
def test_bad_annotations(tmp_path: Path, change, message: str) -> None:
    spec = write(tmp_path)
    annotate(tmp_path, change)
    with pytest.raises(DataError, match=f"'street.json'.*{message}"):
        open_dataset(spec)


@pytest.mark.parametrize("content", [b"", b"{", b'{"annotation": 5}', b"[" * 100_000, b"\xff"])
def test_annotations_that_are_none(tmp_path: Path, content: bytes) -> None:
    spec = write(tmp_path)
    (tmp_path / STREET / "street.json").write_bytes(content)
    with pytest.raises(DataError, match=r"street\.json"):
        open_dataset(spec)


@releases
def test_bad_folders(tmp_path: Path, make, tree: str, folders: dict[str, str]) -> None:
    spec = make(tmp_path)
    place = tmp_path / tree / folders["street"]
    (place / "street_parts_1.png").rename(place / "street_parts_2.png")
    with pytest.raises(DataError, match=r"lacks its mask street_parts_1\.png"):
        open_dataset(spec)
    (place / "street_parts_2.png").unlink()
    (place / "street_seg.png").rename(place / "street_kept.txt")
    with pytest.raises(DataError, match=r"lacks its mask street_seg\.png"):
        open_dataset(spec)
    (place / "street_kept.txt").rename(place / "road_seg.png")
    with pytest.raises(DataError, match=r"road_seg.png is the mask of no image"):
        open_dataset(spec)
    with pytest.raises(DataError, match="holds no ADE20K"):
        open_dataset(f"ade20k:{tmp_path / 'nowhere'}")


@releases
def test_bad_masks(tmp_path: Path, make, tree: str, folders: dict[str, str]) -> None:
    data, mask = open_dataset(make(tmp_path)), tmp_path / tree / folders["street"] / "street_seg.png"
    index = next(i for i in range(3) if "street.png" in data.image_name(i))
    content = mask.read_bytes()
    save_classes(mask, np.full((48, 48), 401))
    with pytest.raises(DataError, match="expected the same aspect"):
        data.read_labels(index)
    save_grey(mask, np.full((32, 48), 20))
    with pytest.raises(DataError, match="no PNG with 8-bit RGB"):
        data.read_labels(index)
    mask.write_bytes(content[:-30])
    with pytest.raises(DataError, match="truncated"):
        data.read_labels(index)
    if make is write:
        save_classes(mask, np.full((32, 48), 400))
        with pytest.raises(DataError, match="number 400, which is not in the JSON files"):
            data.read_labels(index)


def test_bad_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write_2016(tmp_path)
    path = tmp_path / "ADE20K_2016_07_26" / "index_ade20k.mat"
    save_index(path, ["-", "door, double door"])
    data = open_dataset(spec)
    assert data.concepts.names[0] == "door"
    with pytest.raises(DataError, match=r"which is not in index_ade20k\.mat"):
        [data.read_labels(i) for i in range(3)]
    save_index(path, ["a"] * 6656)
    with pytest.raises(DataError, match=r"6656 names.*at most 6655"):
        open_dataset(spec)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"index_ade20k\.mat is no MATLAB file"):
        open_dataset(spec)
    path.unlink()
    with pytest.raises(DataError, match=r"index_ade20k\.mat is missing"):
        open_dataset(spec)
    save_index(path, list(NAMES.values()))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(BackendError, match=r"pip install 'fastdissect\[mat\]'"):
        open_dataset(spec)


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    spec = write(tmp_path)
    (tmp_path / STREET / "more").symlink_to(tmp_path)
    with pytest.raises(DataError, match="is a link to a folder"):
        open_dataset(spec)


@releases
def test_two_images_of_one_mask(tmp_path: Path, make, tree: str, folders: dict[str, str]) -> None:
    spec, image = make(tmp_path), tmp_path / tree / folders["street"] / "street.png"
    image.with_suffix(".jpg").write_bytes(image.read_bytes())
    with pytest.raises(DataError, match=r"holds street\.jpg and street\.png; expected one file of that name"):
        open_dataset(spec)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, listed = write(tmp_path), os.scandir

    def scandir(path):
        if str(path).endswith("street"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"street cannot be listed \(Permission denied\)"):
        open_dataset(spec)


def test_shares_that_are_no_numbers(tmp_path: Path) -> None:
    spec = write_2016(tmp_path)
    index = {
        name: np.array([["a", "b"]], object)
        for name in ("objectnames", "proportionClassIsPart", "wordnet_hypernym")
    }
    scipy.io.savemat(
        tmp_path / "ADE20K_2016_07_26" / "index_ade20k.mat", {"index": index}, long_field_names=True
    )
    with pytest.raises(DataError, match="proportionClassIsPart holds something else than numbers"):
        open_dataset(spec)
