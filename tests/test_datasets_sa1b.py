from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written_sa1b
from PIL import Image
from scene_cases import PIXELS, SCENES
from written_coco import counts, text
from written_sa1b import LABELS

from fastdissect.datasets.check import check_dataset
from fastdissect.datasets.coco.sa1b import Sa1b
from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    written_sa1b.write(tmp_path)
    return tmp_path / "sa_000020"


def pixels(data: Any) -> dict[str, int]:
    report = check_dataset(data, overlays=0)
    assert report.problems == ()
    return dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True))


def test_the_tiny_scenes(tmp_path: Path) -> None:
    spec = written_sa1b.write(tmp_path)
    data = open_dataset(spec)
    assert data.name == spec
    assert [data.image_name(i) for i in range(3)] == ["sa_0_street.png", "sa_1_yard.png", "sa_2_empty.png"]
    assert data.concepts.names == ("car", "cat", "sky", "wheel")
    assert data.concepts.numbers.tolist() == [1, 2, 3, 4]
    assert data.concepts.categories == ("object",)
    assert pixels(data) == {LABELS[label]: PIXELS[label] for label in LABELS}
    assert len(data.read_labels(0)) == 2  # the wheel lies on the car
    assert data.read_labels(2) == ()
    assert [data.is_labelled(i) for i in range(3)] == [True, True, False]
    assert data.files(0)[1].name == "sa_0_street.json"
    assert len(data.files(2)) == 1
    again = pickle.loads(pickle.dumps(data))
    assert [c.labels.tolist() for c in again.read_labels(0)] == [
        c.labels.tolist() for c in data.read_labels(0)
    ]


def test_masks_without_labels_have_a_size(home: Path) -> None:
    """Of 480 x 640 pixels, below 32 x 32 is small and from 96 x 96 on large, as COCO has it."""
    areas = {1: 1023, 2: 1024, 3: 9215, 4: 9216, 5: 480 * 640, 6: 1}
    Image.new("RGB", (640, 480)).save(home / "sa_9.jpg")
    annotations = []
    for id, area in areas.items():
        mask = np.arange(480 * 640).reshape(480, 640) < area
        annotations.append({"id": id, "segmentation": {"size": [480, 640], "counts": text(counts(mask))}})
    content = {"image": {"width": 640, "height": 480}, "annotations": annotations}
    (home / "sa_9.json").write_text(json.dumps(content))
    data = Sa1b(home)
    assert data.concepts.names == ("small region", "medium region", "large region")
    assert data.concepts.categories == ("region",)
    channels = data.read_labels(3)
    found = [int(np.any([c.labels == n for c in channels], axis=0).sum()) for n in (1, 2, 3)]
    assert found == [1023, 9215, 480 * 640]
    assert [(id, int(region.mask.sum())) for id, region in data.read_regions(3)] == list(areas.items())


def test_the_same_share_of_a_small_image_is_of_the_same_size(home: Path) -> None:
    """32 x 48 is a 200th of 480 x 640: below 5.12 pixels is small, from 46.08 on large. All the scenes' masks are large."""
    found = pixels(Sa1b(home))
    assert found["small region"] == found["medium region"] == 0
    assert found["large region"] == PIXELS["sky"] + PIXELS["car"] + PIXELS["cat"]  # the wheel lies on the car


def test_regions_to_label(home: Path) -> None:
    data = Sa1b(home)
    regions = data.read_regions(0)
    wanted = (*SCENES[0].objects, *SCENES[0].parts)
    assert [id for id, _ in regions] == [500_000_000, 500_000_001, 500_000_002, 500_000_003]
    for (_, region), scene in zip(regions, wanted, strict=True):
        assert (region.whole((32, 48)) == scene.mask((32, 48))).all()
    assert data.read_regions(2) == ()


def test_a_table_of_labels(home: Path, tmp_path: Path) -> None:
    table = tmp_path / "some.csv"
    table.write_text(
        'id,note,label,image\n500000001,x,"car, red",sa_0_street.png\n500000001,x,vehicle,sa_0_street.png\n'
        "500000003,x,vehicle,sa_0_street.png\n"
    )
    data = Sa1b(home, labels=str(table))
    assert pixels(data) == {"car, red": 256, "vehicle": 256}
    assert not data.is_labelled(1)
    assert data.read_labels(1) == ()
    assert len(data.read_regions(1)) == 2
    before = data.fingerprint()
    table.write_text(table.read_text().replace("vehicle", "Vehicle"))
    assert Sa1b(home, labels=str(table)).fingerprint() != before
    assert Sa1b(home).fingerprint() != before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("image,id\n", r"has no column 'label'"),
        ("image,id,label\n", r"has 0 labels; expected 1 to 65,535"),
        (
            "image,id,label\nsa_0_street.jpg,1,a\n",
            r"line 2: there is no image 'sa_0_street.jpg'; nearest: sa_0",
        ),
        ("image,id,label\nsa_0_street.png,x,a\n", r"line 2: id is 'x'"),
        ("image,id,label\nsa_0_street.png,1,\n", r"the label '' of mask 1 is empty"),
        ("image,id,label\nsa_0_street.png,1,a\nsa_0_street.png,1,a\n", r"line 3: .* listed already"),
        ("image,id,label\nsa_0_street.png,1\n", r"line 2: 2 fields came"),
    ],
)
def test_tables_that_do_not_fit(home: Path, tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(lines)
    with pytest.raises(DataError, match=message):
        Sa1b(home, labels=str(tmp_path / "t.csv"))


def test_a_label_of_no_mask(home: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,id,label\nsa_0_street.png,7,a\n")
    with pytest.raises(
        DataError, match=r"t.csv labels the mask 7 of image 'sa_0_street.png', which has none"
    ):
        Sa1b(home, labels=str(tmp_path / "t.csv")).read_labels(0)


def test_folders_that_do_not_fit(home: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*none"):
        Sa1b(home / "none")
    (home / "none").mkdir()
    with pytest.raises(DataError, match=r"expected at least one image below"):
        Sa1b(home / "none")
    Image.new("RGB", (8, 8)).save(home / "sa_1_yard.jpg")
    with pytest.raises(DataError, match=r"holds two images of one name"):
        Sa1b(home)
    (home / "sa_1_yard.jpg").unlink()
    (home / "sa_1_yard.png").unlink()
    with pytest.raises(DataError, match=r"got sa_1_yard.json without one"):
        Sa1b(home)


def test_an_image_in_which_nothing_was_found(home: Path) -> None:
    (home / "sa_2_empty.json").write_text('{"image": {"width": 32, "height": 48}, "annotations": []}')
    data = Sa1b(home)
    assert data.is_labelled(2)
    assert not data.read_labels(2)[0].labels.any()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("image"), r"expected SA-1B's form"),
        (lambda c: c.pop("annotations"), r"expected SA-1B's form"),
        (lambda c: c.update(annotations=3), r"expected SA-1B's form"),
        (lambda c: c["annotations"][0].pop("segmentation"), r"expected SA-1B's form"),
        (lambda c: c["annotations"][0].update(id="7"), r"the id of .* is '7'; expected a whole number"),
        (lambda c: c["annotations"][0].update(id=500_000_001), r"the id 500000001 comes twice"),
        (lambda c: c["image"].update(height=40), r"is 40 x 48 and its image 32 x 48"),
        (lambda c: c["image"].update(height=0), r"height and width of at least 1, got 0 and 48"),
        (lambda c: c["image"].update(height=16, width=24), r"size \[32, 48\]; expected \[16, 24\]"),
        (lambda c: c["annotations"][1]["segmentation"].update(counts="0"), r"mask 500000001 of .* sum to 0"),
    ],
)
def test_masks_that_do_not_fit(home: Path, edit: Any, message: str) -> None:
    path = home / "sa_0_street.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    data = Sa1b(home)
    with pytest.raises(DataError, match=message):
        data.read_labels(0)
    path.write_text("[1]")
    with pytest.raises(DataError, match=r"expected SA-1B's form"):
        data.read_labels(0)
    path.write_text("{")
    with pytest.raises(DataError, match=r"is no valid JSON"):
        data.read_labels(0)


def test_a_size_that_no_memory_holds(home: Path) -> None:
    path = home / "sa_0_street.json"
    for content in (json.loads(path.read_text()), {"image": {}, "annotations": []}):
        content["image"].update(height=32 * 10**6, width=48 * 10**6)
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"the limit is 67,108,864.*max_pixels"):
            Sa1b(home).read_labels(0)
