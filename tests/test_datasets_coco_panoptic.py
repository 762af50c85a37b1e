from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written_coco_panoptic
from PIL import Image
from scene_cases import PIXELS, SCENES
from written_coco_panoptic import LABELS, SEGMENTS

from fastdissect.datasets.check import check_dataset
from fastdissect.datasets.coco.panoptic import CocoPanoptic
from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(written_coco_panoptic.write(tmp_path).removeprefix("coco-panoptic:"))


def change(path: Path, edit: Any) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_the_tiny_scenes(path: Path) -> None:
    data = open_dataset(f"coco-panoptic:{path}")
    assert [data.image_name(i) for i in range(len(data))] == ["street.png", "yard.png", "empty.png"]
    assert data.concepts.numbers.tolist() == [3, 17, 187]
    assert data.concepts.categories == ("object",)
    assert data.things == {"car", "cat"}
    assert ("sky-other-merged", "sky", "is-a") in data.relations
    report = check_dataset(data, overlays=0)
    found = dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True))
    assert found == {LABELS[label]: PIXELS[label] for label in LABELS}
    assert report.problems == ()
    (labels,) = data.read_labels(1)
    for region in SCENES[1].objects:
        wanted = {"sky": 187, "cat": 17}[region.label]
        assert (labels.labels[region.mask(SCENES[1].size)] == wanted).all()
    assert (labels.labels == 0).sum() == 16 * 16  # void
    assert data.read_labels(2) == ()
    assert not data.is_labelled(2)
    assert data.files(0) == (
        path.parent.parent / "val2017" / "street.png",
        path.with_suffix("") / "street.png",
    )
    assert data.files(2) == (path.parent.parent / "val2017" / "empty.png",)
    again = pickle.loads(pickle.dumps(data))
    assert (again.read_labels(1)[0].labels == labels.labels).all()


def test_folders_elsewhere(path: Path, tmp_path: Path) -> None:
    before = CocoPanoptic(path).fingerprint()
    path.with_suffix("").rename(tmp_path / "maps")
    (path.parent.parent / "val2017").rename(tmp_path / "photos")
    with pytest.raises(
        DataError, match=r"no folder of segment maps .*panoptic_val2017.* option masks=FOLDER"
    ):
        CocoPanoptic(path)
    data = open_dataset(f"coco-panoptic:{path}?masks={tmp_path / 'maps'},images={tmp_path / 'photos'}")
    assert data.fingerprint() == before
    assert open_dataset(data.name).read_labels(0)[0].labels.any()


def test_a_segment_of_a_crowd_is_one_of_its_category(path: Path) -> None:
    change(path, lambda content: content["annotations"][0]["segments_info"][2].update(iscrowd=1))
    assert (CocoPanoptic(path).read_labels(0)[0].labels == 17).sum() == 256


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"][1].update(image_id=1000), r"image_id 1000 has two segment maps"),
        (lambda c: c["annotations"][0].update(image_id=5), r"not listed, such as image_id 5"),
        (
            lambda c: c["annotations"][0].update(file_name=None),
            r"segment map None of image_id 1000 is refused",
        ),
        (lambda c: c["annotations"][0].update(file_name="../a.png"), r"refused: it leaves the folder"),
        (
            lambda c: c["annotations"][0].update(file_name="a.png"),
            r"1 of 2 segment maps are missing .* a.png",
        ),
        (lambda c: c["annotations"][0].update(segments_info=3), r"segments_info of image_id 1000 is 3"),
        (lambda c: c["annotations"][0].update(segments_info=[3]), r"expected a list of objects"),
        (lambda c: c["annotations"][0].pop("segments_info"), r"has no 'segments_info'"),
        (
            lambda c: c["annotations"][0]["segments_info"][0].update(category_id=4),
            r"category_id 4, which is not",
        ),
        (lambda c: c["annotations"][0]["segments_info"][0].pop("category_id"), r"has no 'category_id'"),
        (lambda c: c["categories"][0].update(id=17), r"the id 17 comes twice"),
    ],
)
def test_files_that_do_not_fit(path: Path, edit: Any, message: str) -> None:
    change(path, edit)
    with pytest.raises(DataError, match=message):
        CocoPanoptic(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop(), r"holds the segment id 775, which its segments_info does not list"),
        (lambda s: s.append({**s[0], "id": 9}), r"no pixel of its segment 9"),
        (lambda s: s.append(s[0]), r"the segment id \d+ comes twice"),
        (lambda s: s[0].update(id=0), r"the segment id 0 is not from 1 to 16777215"),
        (lambda s: s[0].update(id=1 << 24), r"the segment id 16777216 is not"),
        (lambda s: s[0].update(id="5"), r"the id of .* is '5'; expected a whole number"),
    ],
)
def test_segments_that_do_not_fit_their_map(path: Path, edit: Any, message: str) -> None:
    change(path, lambda content: edit(content["annotations"][0]["segments_info"]))
    with pytest.raises(DataError, match=message):
        CocoPanoptic(path).read_labels(0)


def test_maps_that_are_none(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, file = CocoPanoptic(path), path.with_suffix("") / "street.png"
    image = Image.open(file)
    image.resize((24, 16), Image.Resampling.NEAREST).save(file)
    assert (data.read_labels(0)[0].labels == 17).sum() == 64
    assert "resized by nearest neighbour" in caplog.text
    image.resize((48, 48), Image.Resampling.NEAREST).save(file)
    with pytest.raises(DataError, match=r"'street.png' is 48 x 48 and its image 32 x 48"):
        data.read_labels(0)
    image.save(file, format="JPEG")
    with pytest.raises(DataError, match=r"is no PNG"):
        data.read_labels(0)
    Image.fromarray(np.full((32, 48), 9, np.uint8)).save(file)  # grey: R, G and B are 9
    with pytest.raises(DataError, match=r"segment id 592137, which"):
        data.read_labels(0)
    image.save(file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"truncated"):
        data.read_labels(0)


def test_the_largest_segment_id(path: Path) -> None:
    assert max(SEGMENTS.values()) > 1 << 23
    file = path.with_suffix("") / "street.png"
    array = np.array(Image.open(file))
    array[array[:, :, 2] == 253] = 255
    Image.fromarray(array).save(file)
    change(path, lambda content: content["annotations"][0]["segments_info"][0].update(id=(1 << 24) - 1))
    assert (CocoPanoptic(path).read_labels(0)[0].labels == 187).sum() == 8 * 48


def test_map_names_in_any_script(path: Path) -> None:
    content = json.loads(path.read_text())
    for entry in content["annotations"]:
        before = path.with_suffix("") / entry["file_name"]
        entry["file_name"] = f"Straße {before.name}"
        before.rename(before.with_name(entry["file_name"]))
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    data = CocoPanoptic(path)
    assert data.files(0)[1].name == "Straße street.png"
    assert (data.read_labels(0)[0].labels > 0).sum() == 384 + 256 + 256


@pytest.mark.parametrize("value", [None, "5", 5.0])
def test_segments_without_an_id(path: Path, value: Any) -> None:
    def edit(content: Any) -> None:
        entry = content["annotations"][0]["segments_info"][0]
        del entry["id"]
        if value is not None:
            entry["id"] = value

    change(path, edit)
    with pytest.raises(
        DataError, match="has no 'id'" if value is None else "the id of .* expected a whole number"
    ):
        CocoPanoptic(path)
