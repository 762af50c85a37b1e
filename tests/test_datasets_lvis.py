from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import written_lvis
from scene_cases import PIXELS
from written_lvis import LABELS

from fastdissect.datasets.check import check_dataset
from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError

pytest.importorskip("pycocotools")


def change(spec: str, edit: Any) -> None:
    path = Path(spec.removeprefix("lvis:").partition("?")[0])
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_the_tiny_scenes(tmp_path: Path) -> None:
    data = open_dataset(written_lvis.write(tmp_path))
    assert [data.image_name(i) for i in range(3)] == [
        "val2017/street.png",
        "train2017/yard.png",
        "val2017/empty.png",
    ]
    assert data.concepts.numbers.tolist() == [207, 225, 1164, 1203]
    report = check_dataset(data, overlays=0)
    assert report.problems == ()
    found = dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True))
    assert found == {**{LABELS[label]: PIXELS[label] for label in LABELS}, "zucchini": 0}
    # the wheel is an object of its own here, over the car: two maps
    assert len(data.read_labels(0)) == 2
    assert data.relations == ()
    assert open_dataset(data.name).fingerprint() == data.fingerprint()


def test_what_lvis_says_beside_the_masks(tmp_path: Path) -> None:
    data = open_dataset(written_lvis.write(tmp_path))
    assert data.synonyms == {
        "car_(automobile)": ("auto_(automobile)", "automobile"),
        "zucchini": ("courgette",),
    }
    assert data.synsets["cat"] == "cat.n.01"
    assert data.frequencies == {"car_(automobile)": "f", "cat": "f", "wheel": "f", "zucchini": "c"}
    assert [data.not_exhaustive(i) for i in range(3)] == [(207,), (), ()]
    assert [data.absent(i) for i in range(3)] == [(1203,), (1203,), (1203, 225)]


def test_images_beside_the_file(tmp_path: Path) -> None:
    spec = written_lvis.write(tmp_path)
    (tmp_path / "lvis" / "lvis_v1_val.json").rename(tmp_path / "coco" / "lvis_v1_val.json")
    assert len(open_dataset(f"lvis:{tmp_path / 'coco' / 'lvis_v1_val.json'}")) == 3
    with pytest.raises(DataError, match=r"lvis_v1_val.json is missing"):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda c: c["categories"][0].update(synonyms="auto"),
            r"synonyms of 'car_\(automobile\)' are 'auto'",
        ),
        (lambda c: c["categories"][0].update(synonyms=[3]), r"expected a list of names"),
        (
            lambda c: c["images"][0].update(not_exhaustive_category_ids=[1.5]),
            r"not_exhaustive_category_ids of image 50",
        ),
        (lambda c: c["images"][0].update(neg_category_ids=7), r"neg_category_ids of image 50 is 7"),
        (lambda c: c["images"][0].pop("coco_url"), r"expected an id and a file_name \(or coco_url\)"),
        (lambda c: c["images"][0].update(coco_url="http://x/../a.png"), r"'../a.png' is refused"),
        (
            lambda c: c["images"][0].update(coco_url="http://x/val2017/a.png"),
            r"missing in .*, such as val2017/a.png",
        ),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, edit: Any, message: str) -> None:
    spec = written_lvis.write(tmp_path)
    change(spec, edit)
    with pytest.raises(DataError, match=message):
        open_dataset(spec)
