from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import written_coco_stuff
from PIL import Image
from scene_cases import PIXELS
from written_coco_stuff import LABELS

from fastdissect.datasets.check import check_dataset
from fastdissect.datasets.coco.stuff import CocoStuff
from fastdissect.errors import DataError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    written_coco_stuff.write(tmp_path)
    return tmp_path


def open_stuff(home: Path) -> CocoStuff:
    return CocoStuff(home / "stuffthingmaps" / "val2017", images=str(home / "coco" / "val2017"))


def test_the_tiny_scenes(home: Path) -> None:
    data = open_stuff(home)
    assert data.name == f"coco-stuff:{home}/stuffthingmaps/val2017?images={home}/coco/val2017"
    assert [data.image_name(i) for i in range(len(data))] == ["empty.png", "street.png", "yard.png"]
    report = check_dataset(data, overlays=0)
    assert report.problems == ()
    found = dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True))
    assert {name: count for name, count in found.items() if count} == {
        LABELS[label]: PIXELS[label] for label in LABELS
    }
    assert data.read_labels(0) == ()
    assert [data.is_labelled(i) for i in range(3)] == [False, True, True]
    assert len(data.files(0)) == 1
    assert data.files(1)[1] == home / "stuffthingmaps" / "val2017" / "street.png"
    again = pickle.loads(pickle.dumps(data))
    assert (again.read_labels(1)[0].labels == data.read_labels(1)[0].labels).all()


def test_the_vocabulary_is_the_published_one(home: Path) -> None:
    concepts = open_stuff(home).concepts
    assert len(concepts) == 80 + 91
    names = dict(zip(concepts.numbers.tolist(), concepts.names, strict=True))
    # ends of both lists, and the ids beside COCO's holes
    assert [names[id] for id in (1, 11, 13, 90, 92, 182)] == [
        "person", "fire hydrant", "stop sign", "toothbrush", "banner", "wood"
    ]  # fmt: skip
    assert [names[id] for id in (67, 82, 110, 157, 165, 181)] == [
        "dining table", "refrigerator", "desk-stuff", "sky-other", "table", "window-other"
    ]  # fmt: skip
    assert not {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91} & names.keys()


def test_every_value_is_its_id_less_one(home: Path) -> None:
    data = open_stuff(home)
    values = np.zeros((32, 48), np.uint8)
    wanted = np.ones((32, 48), np.uint16)
    for column, number in enumerate([*data.concepts.numbers.tolist(), 0]):
        values.flat[column] = (number - 1) % 256
        wanted.flat[column] = number
    Image.fromarray(values).save(data.files(1)[1])
    assert (data.read_labels(1)[0].labels == wanted).all()


@pytest.mark.parametrize("place", ["stuffthingmaps/images", "val2017", "images/val2017"])
def test_where_the_images_are_looked_for(home: Path, place: str) -> None:
    (home / place).parent.mkdir(exist_ok=True)
    (home / "coco" / "val2017").rename(home / place)
    assert len(CocoStuff(home / "stuffthingmaps" / "val2017")) == 3


def test_both_splits_at_once(home: Path) -> None:
    (home / "stuffthingmaps" / "val2017").rename(home / "coco" / "annotations")
    annotations = home / "coco" / "annotations"
    (annotations / "val2017").mkdir()
    for file in annotations.glob("*.png"):
        file.rename(annotations / "val2017" / file.name)
    (home / "coco" / "test2017").mkdir()
    Image.new("RGB", (8, 8)).save(home / "coco" / "test2017" / "unseen.png")
    data = CocoStuff(annotations)
    # a folder of images without maps is none of the set's
    assert [data.image_name(i) for i in range(3)] == [
        "val2017/empty.png",
        "val2017/street.png",
        "val2017/yard.png",
    ]
    assert len(data) == 3


def test_folders_that_do_not_fit(home: Path, tmp_path: Path) -> None:
    masks = home / "stuffthingmaps" / "val2017"
    with pytest.raises(DataError, match=r"images of .* were not found in .*val2017.* option images=FOLDER"):
        CocoStuff(masks)
    with pytest.raises(DataError, match=r"there is no folder"):
        CocoStuff(home / "none")
    with pytest.raises(DataError, match=r"holds no PNG"):
        CocoStuff((home / "none").mkdir() or home / "none")
    Image.new("RGB", (8, 8)).save(home / "coco" / "val2017" / "yard.jpg")
    with pytest.raises(DataError, match=r"yard.jpg and yard.png; expected one image"):
        open_stuff(home)
    (home / "coco" / "val2017" / "yard.jpg").unlink()
    (home / "coco" / "val2017" / "yard.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 maps have no image in .*, such as yard.png"):
        open_stuff(home)


@pytest.mark.parametrize("value", [11, 25, 90, 182, 254])
def test_values_that_cocostuff_has_not(home: Path, value: int) -> None:
    data = open_stuff(home)
    Image.fromarray(np.full((32, 48), value, np.uint8)).save(data.files(1)[1])
    with pytest.raises(
        DataError, match=rf"map 'street.png' of image 'street.png' holds the value {value}; expected"
    ):
        data.read_labels(1)


def test_a_map_of_another_form(home: Path) -> None:
    data = open_stuff(home)
    Image.fromarray(np.full((32, 32), 2, np.uint8)).save(data.files(1)[1])
    with pytest.raises(DataError, match=r"is 32 x 32 and its image 32 x 48"):
        data.read_labels(1)
    Image.fromarray(np.full((32, 48), 300, np.uint16)).save(data.files(1)[1])
    with pytest.raises(DataError, match=r"holds the value 300"):
        data.read_labels(1)
