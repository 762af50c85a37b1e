from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written_coco
from PIL import Image
from scene_cases import PIXELS, SCENES
from written_coco import LABELS, run_lengths, text

from fastdissect.datasets.check import check_dataset
from fastdissect.datasets.coco.categories import label_numbers
from fastdissect.datasets.coco.instances import Coco
from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError

pytest.importorskip("pycocotools")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(written_coco.write(tmp_path).removeprefix("coco:"))


def change(path: Path, edit: Any) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def pixels(data: Any) -> dict[str, int]:
    report = check_dataset(data, overlays=0)
    assert report.problems == ()
    return dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True))


def test_the_tiny_scenes(path: Path) -> None:
    data = open_dataset(f"coco:{path}")
    assert data.name == f"coco:{path}"
    assert [data.image_name(i) for i in range(len(data))] == ["street.png", "yard.png", "empty.png"]
    assert data.concepts.names == ("person", "car", "cat", "toothbrush")
    assert data.concepts.numbers.tolist() == [1, 3, 17, 90]  # COCO's ids, with their holes
    assert data.concepts.categories == ("object",)
    assert [*data.relations] == [
        ("car", "vehicle", "is-a"), ("cat", "animal", "is-a"), ("toothbrush", "outdoor", "is-a")
    ]  # fmt: skip
    found = pixels(data)
    assert {label: found[name] for label, name in LABELS.items()} == {name: PIXELS[name] for name in LABELS}
    assert found["person"] == found["toothbrush"] == 0
    (labels,) = data.read_labels(0)
    for region in SCENES[0].objects:
        assert (
            labels.labels[region.mask(SCENES[0].size)] == {"car": 3, "cat": 17, "sky": 0}[region.label]
        ).all()
    assert data.is_labelled(0)
    assert data.is_labelled(1)
    assert not data.is_labelled(2)
    assert data.read_labels(2) == ()
    assert data.files(1) == (path.parent.parent / "val2017" / "yard.png",)


def test_it_survives_pickling(path: Path) -> None:
    data = Coco(path)
    again = pickle.loads(pickle.dumps(data))
    assert [c.labels.tolist() for c in again.read_labels(0)] == [
        c.labels.tolist() for c in data.read_labels(0)
    ]


def test_what_is_pickled_does_not_grow_with_the_outlines(path: Path) -> None:
    before = len(pickle.dumps(Coco(path)))

    def fine(content: dict) -> None:
        angle = np.linspace(0, 2 * np.pi, 5000)
        points = np.stack([16 + 8 * np.cos(angle), 16 + 8 * np.sin(angle)], axis=1)
        content["annotations"][0]["segmentation"] = [points.ravel().tolist()]

    change(path, fine)
    assert abs(len(pickle.dumps(Coco(path))) - before) < 100


def test_the_fingerprint_is_content_not_place(path: Path, tmp_path: Path) -> None:
    before = Coco(path).fingerprint()
    moved = (tmp_path / "coco").rename(tmp_path / "elsewhere") / "annotations" / path.name
    assert Coco(moved).fingerprint() == before
    change(moved, lambda content: content["annotations"][0].update(iscrowd=1))
    assert Coco(moved).fingerprint() != before


@pytest.mark.parametrize(
    "place",
    ["val2017", "images/val2017", ".", "images", "annotations", "annotations/val2017", "annotations/images"],
)
def test_where_the_images_are_looked_for(path: Path, place: str) -> None:
    home = path.parent.parent
    old = (home / "val2017").rename(home / "old")
    (home / place).mkdir(parents=True, exist_ok=True)
    for file in old.iterdir():
        file.rename(home / place / file.name)
    data = Coco(path)
    assert data.read_image(0)[0].shape == (32, 48, 3)
    assert data.name == f"coco:{path}"


def test_images_elsewhere_must_be_named(path: Path, tmp_path: Path) -> None:
    (path.parent.parent / "val2017").rename(tmp_path / "photos")
    with pytest.raises(DataError, match=r"street.png is neither in .*val2017.* option images=FOLDER"):
        Coco(path)
    data = open_dataset(f"coco:{path}?images={tmp_path / 'photos'}")
    assert data.name == f"coco:{path}?images={tmp_path / 'photos'}"
    assert open_dataset(data.name).fingerprint() == data.fingerprint()
    with pytest.raises(DataError, match=r"there is no folder of images"):
        Coco(path, images=str(tmp_path / "nowhere"))
    (tmp_path / "photos" / "yard.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images are missing in .*, such as yard.png"):
        Coco(path, images=str(tmp_path / "photos"))


def test_masks_that_overlap_stay(path: Path) -> None:
    """The cat's outline is laid over the left half of the car."""

    def overlap(content: dict) -> None:
        content["annotations"][1].update(image_id=1000, segmentation=[[8, 16, 16, 16, 16, 32, 8, 32]])
        content["annotations"][1]["category_id"] = 17

    change(path, overlap)
    first, second = Coco(path).read_labels(0)
    assert [(first.labels == 3).sum(), (first.labels == 17).sum()] == [256, 256]
    assert [(second.labels == 3).sum(), (second.labels == 17).sum()] == [0, 128]
    assert (second.labels[16:32, 8:16] == 17).all()


def test_stuff_is_of_the_same_form(path: Path) -> None:
    """stuff_val2017.json: run lengths as text alone, "other" beside the kinds of stuff."""
    sky = SCENES[0].objects[0]

    def make(content: dict) -> None:
        content["categories"] = [
            {"supercategory": "sky", "id": 157, "name": "sky-other"},
            {"supercategory": "other", "id": 183, "name": "other"},
        ]
        other = ~sky.mask(SCENES[0].size)
        fields = {"image_id": 1000, "iscrowd": 0}
        content["annotations"] = [
            {"id": 20_000_000, "category_id": 157, "segmentation": run_lengths(sky, (32, 48), as_text=True), **fields},
            {"id": 20_000_001, "category_id": 183, **fields,
             "segmentation": {"size": [32, 48], "counts": text(written_coco.counts(other))}},
        ]  # fmt: skip

    change(path, make)
    data = Coco(path.rename(path.with_name("stuff_val2017.json")))
    assert pixels(data) == {"sky-other": 8 * 48, "other": 24 * 48}
    assert data.relations == (("sky-other", "sky", "is-a"),)


def test_ids_that_start_at_0_become_ranks(path: Path) -> None:
    def shift(content: dict) -> None:
        for entry in content["categories"]:
            entry["id"] -= 1
        for entry in content["annotations"]:
            entry["category_id"] -= 1

    change(path, shift)
    data = Coco(path)
    assert data.concepts.numbers.tolist() == [1, 2, 3, 4]
    assert pixels(data) == {"person": 0, "car": PIXELS["car"], "cat": PIXELS["cat"], "toothbrush": 0}
    assert label_numbers([65535, 1]) == {65535: 65535, 1: 1}
    assert label_numbers([65536, 5]) == {5: 1, 65536: 2}


def test_names_in_any_script(path: Path) -> None:
    content = json.loads(path.read_text())
    content["categories"][2]["name"] = "кошка 猫"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    data = Coco(path)
    assert data.concepts.names[2] == "кошка 猫"
    assert pixels(data)["кошка 猫"] == PIXELS["cat"]


def test_an_image_of_another_size(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = path.parent.parent / "val2017" / "street.png"
    Image.new("RGB", (96, 64)).save(image)
    (labels,) = Coco(path).read_labels(0)
    assert labels.labels.shape == (32, 48)
    assert "masks are resized by nearest neighbour" in caplog.text
    Image.new("RGB", (48, 40)).save(image)
    with pytest.raises(DataError, match=r"'street.png' .* is 32 x 48 and its image 40 x 48"):
        Coco(path).read_labels(0)


def test_an_outline_without_a_pixel_is_a_label_all_the_same(path: Path) -> None:
    change(
        path,
        lambda content: content["annotations"][-1].update(segmentation=[[1, 1, 1, 1, 1, 1]], image_id=986),
    )
    data = Coco(path)
    assert data.is_labelled(2)
    assert not data.read_labels(2)[0].labels.any()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"][0].update(image_id=77), r"not listed, such as image_id 77"),
        (lambda c: c["annotations"][0].update(image_id="1000"), r"image_id .* is '1000'; expected a whole number"),
        (lambda c: c["annotations"][0].update(image_id=2**63), r"image_id .* expected a whole number"),
        (lambda c: c["annotations"][0].update(category_id=2), r"category_id 2, which is not in its list"),
        (lambda c: c["annotations"][0].update(category_id=[3]), r"category_id .* is \[3\]; expected a whole number"),
        (lambda c: c["annotations"][0].update(id=c["annotations"][2]["id"]), r"annotations: the id \d+ comes twice"),
        (lambda c: c["annotations"][0].update(id=None), r"the id None is no whole number"),
        (lambda c: c["annotations"][1].pop("id"), r"annotation number 1 .* has no 'id'"),
        (lambda c: c["annotations"][1].pop("image_id"), r"annotation number 1 .* has no 'image_id'"),
        (lambda c: c["annotations"][1].pop("segmentation"), r"annotation number 1 .* has no 'segmentation'"),
        (lambda c: c["annotations"][0].update(segmentation=[]), r"annotation 900000 has an empty segmentation"),
        (lambda c: c["annotations"].append(3), r"annotation number 3 is 3; expected an object"),
        (lambda c: c.update(annotations={}), r"no valid JSON object .*expected '\['"),
        (lambda c: c.pop("annotations"), r"has no list 'annotations'"),
        (lambda c: c.pop("images"), r"has no list 'images'"),
        (lambda c: c.update(images=[]), r"list of images that is not empty"),
        (lambda c: c.update(images={}), r"list of images that is not empty"),
        (lambda c: c["images"].append(5), r"image number 3 \(5\): expected an id and a file_name"),
        (lambda c: c["images"][1].update(file_name=7), r"image number 1 .*: expected an id and a file_name"),
        (lambda c: c["images"][1].update(file_name="../a.png"), r"refused: it leaves the folder"),
        (lambda c: c["images"][1].update(file_name="/a.png"), r"refused: it is absolute"),
        (lambda c: c["images"][1].update(height=32.5), r"height and width in whole pixels, got 32.5 and 32"),
        (lambda c: c["images"][1].update(width=0), r"whole pixels, got 32 and 0"),
        (lambda c: c["images"][1].update(height=100_000, width=100_000), r"10,000,000,000 pixels; the limit"),
        (lambda c: c["images"][1].update(id=1000), r"images: the id 1000 comes twice"),
        (lambda c: c["images"][1].update(file_name="street.png"), r"image 'street.png' is listed twice"),
        (lambda c: c["images"][1].update(file_name="yard.jpg"), r"1 of 3 images are missing in .* such as yard.jpg"),
        (lambda c: c.pop("categories"), r"list of categories that is not empty"),
        (lambda c: c["categories"][0].update(id=3), r"categories: the id 3 comes twice"),
        (lambda c: c["categories"][0].update(name="cat"), r"the category name 'cat' comes twice"),
        (lambda c: c["categories"][0].pop("name"), r"category number 0 is .*; expected an id and a name"),
        (lambda c: c.update(categories=[{"id": n, "name": str(n)} for n in range(65536)]), r"65,536 categories"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit(path: Path, edit: Any, message: str) -> None:
    change(path, edit)
    with pytest.raises(DataError, match=message) as caught:
        Coco(path)
    assert path.name in str(caught.value) or path.parent.parent.name in str(caught.value)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[500, 16, 24, 16, 24, 32]], r"x = 500, outside its image of 32 x 48"),
        ([[8, 16, 24, 16]], r"at least three points"),
        ({"size": [32, 48], "counts": [1536]}, r"is an empty mask"),
        ({"size": [32, 48], "counts": [1530, 5]}, r"sum to 1535; expected 32 x 48 = 1536"),
        ({"size": [48, 32], "counts": [0, 1536]}, r"for the size \[48, 32\]; expected \[32, 48\]"),
        ({"size": [32, 48], "counts": "0PT"}, r"end within a number"),
        ({"size": [32, 48]}, r"expected outlines, or run lengths"),
        ("0P", r"expected outlines, or run lengths"),
    ],
)
def test_masks_that_are_no_masks(path: Path, segmentation: Any, message: str) -> None:
    change(path, lambda content: content["annotations"][0].update(segmentation=segmentation))
    data = Coco(path)
    with pytest.raises(DataError, match=r"annotation 900000 of image 'street.png'.*" + message):
        data.read_labels(0)
    assert data.read_labels(1)  # the others are in order
    assert check_dataset(data, overlays=0).problem_count == 1


def test_files_that_are_none(path: Path) -> None:
    with pytest.raises(DataError, match=r"none.json is missing"):
        Coco(path.with_name("none.json"))
    with pytest.raises(DataError, match=r"cannot be read"):
        Coco(path.parent)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"no valid JSON object"):
        Coco(path)


def test_names_that_no_file_can_have(path: Path) -> None:
    whole = path.read_text()
    change(path, lambda content: content["images"][0].update(file_name="x" * 400))
    with pytest.raises(DataError, match="were not found: xxx"):
        Coco(path)
    path.write_text(whole)
    change(path, lambda content: content["categories"][0].update(name="\ud800"))
    with pytest.raises(DataError, match=r"label name '\\ud800' cannot be written as UTF-8"):
        Coco(path)
