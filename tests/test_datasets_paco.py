from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import written_coco
import written_paco
from scene_cases import PIXELS
from written_paco import LABELS

from fastdissect.datasets.check import check_dataset
from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError, SettingError


def change(spec: str, edit: Any) -> None:
    path = Path(spec.removeprefix("paco:").partition("?")[0])
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def pixels(spec: str) -> dict[str, int]:
    data = open_dataset(spec)
    report = check_dataset(data, overlays=0)
    assert report.problems == ()
    return dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True))


def test_the_tiny_scenes(tmp_path: Path) -> None:
    spec = written_paco.write(tmp_path)
    data = open_dataset(spec)
    assert data.name == spec
    assert data.concepts.categories == ("object", "part", "color", "texture", "material", "transparency")
    assert data.concepts.names == (
        "car_(automobile)", "cat", "car_(automobile):wheel", "black", "red", "striped", "metal", "opaque"
    )  # fmt: skip
    assert data.concepts.numbers.tolist() == [207, 225, 1400, 1401, 1402, 1403, 1404, 1405]
    assert data.concepts.category.tolist() == [0, 0, 1, 2, 2, 3, 4, 5]
    assert data.relations == (
        ("car_(automobile):wheel", "car_(automobile)", "part-of"),
        ("car_(automobile):wheel", "wheel", "is-a"),
    )
    found = pixels(spec)
    assert {label: found[name] for label, name in LABELS.items()} == {
        label: PIXELS[label] for label in LABELS
    }
    again = pickle.loads(pickle.dumps(data))
    assert [c.labels.tolist() for c in again.read_labels(0)] == [
        c.labels.tolist() for c in data.read_labels(0)
    ]
    assert data.read_labels(2) == ()


def test_attributes_label_what_has_them(tmp_path: Path) -> None:
    """The car (256 pixels) is black, red and of metal; its wheel (64) black, striped, opaque; a cat (256) is black."""
    spec = written_paco.write(tmp_path)
    found = pixels(spec)
    # the car is black for its wheel's sake alone; no part of it is red or of metal
    assert [found[name] for name in ("black", "red", "striped", "metal", "opaque")] == [
        64 + 256,
        256,
        64,
        256,
        64,
    ]
    found = pixels(f"{spec},attributes=all")
    assert [found[name] for name in ("black", "red", "striped", "metal", "opaque")] == [
        256 + 256,
        256,
        64,
        256,
        64,
    ]
    data = open_dataset(f"{spec},attributes=none")
    assert data.concepts.categories == ("object", "part")
    assert len(data.concepts) == 3
    assert open_dataset(data.name).fingerprint() == data.fingerprint() != open_dataset(spec).fingerprint()
    with pytest.raises(SettingError, match=r"attributes is 'some'; expected one of finest, all, none"):
        open_dataset(f"{spec},attributes=some")


def test_red_lies_over_black(tmp_path: Path) -> None:
    data = open_dataset(written_paco.write(tmp_path))
    colours = [channel.labels for channel in data.read_labels(0) if channel.category == 2]
    assert len(colours) == 2
    wheel = written_paco.SCENES[0].parts[0].mask((32, 48))
    assert {int(labels[wheel].min()) for labels in colours} == {1401, 1402}


def test_boxes_without_a_mask_are_no_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """PACO-EGO4D is published with them."""
    spec = written_paco.write(tmp_path)

    def strip(content: dict) -> None:
        for annotation in content["annotations"]:
            if annotation["image_id"] == 71:
                annotation["segmentation"] = []

    change(spec, strip)
    data = open_dataset(spec)
    assert "1 annotations are boxes without a mask" in caplog.text
    assert not data.is_labelled(1)
    assert data.read_labels(1) == ()
    assert data.is_labelled(0)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("attributes"), r"expected PACO's attributes .* attributes=none"),
        (lambda c: c.pop("attr_type_to_attr_idxs"), r"expected PACO's attributes"),
        (lambda c: c["attr_type_to_attr_idxs"].pop("color"), r"does not list every attribute once"),
        (lambda c: c["attr_type_to_attr_idxs"].update(other=[0]), r"does not list every attribute once"),
        (lambda c: c["attr_type_to_attr_idxs"].update(color=[0, 9]), r"\['color'\] is \[0, 9\]; expected ids"),
        (lambda c: c["attributes"].append({"id": 0, "name": "x"}), r"an id from 0 that comes once"),
        (lambda c: c["attributes"].append({"id": -1, "name": "x"}), r"an id from 0 that comes once"),
        (lambda c: c["attributes"].append({"id": 8}), r"needs a name"),
        (lambda c: c["categories"][0].update(supercategory="vehicle"), r"super-category 'vehicle'; expected OBJECT"),
        (lambda c: c["categories"][2].update(supercategory="OBJECT"), r"super-category 'OBJECT'; expected OBJECT, or"),
        (lambda c: c["categories"][0].update(supercategory="PART"), r"super-category 'PART'"),
        (lambda c: c["categories"][2].update(id=65535) or c["annotations"][2].update(category_id=65535)
            or [a.update(category_id=65535) for a in c["annotations"]], r"label number 65540, above 65535"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit(tmp_path: Path, edit: Any, message: str) -> None:
    spec = written_paco.write(tmp_path)
    change(spec, edit)
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


@pytest.mark.parametrize("ids", [[5], [-1], ["black"], 3, [True]])
def test_attributes_of_an_annotation_that_are_not_listed(tmp_path: Path, ids: Any) -> None:
    spec = written_paco.write(tmp_path)
    change(spec, lambda content: content["annotations"][0].update(attribute_ids=ids))
    with pytest.raises(DataError, match=r"annotation 1 has the attribute_ids"):
        open_dataset(spec).read_labels(0)


def test_cocos_own_files_are_sent_to_their_reader(tmp_path: Path) -> None:
    spec = written_coco.write(tmp_path)
    with pytest.raises(DataError, match=r"For files of COCO's own form write coco:"):
        open_dataset(spec.replace("coco:", "paco:", 1))


def test_the_fingerprint_knows_what_attributes_label(tmp_path: Path) -> None:
    """Cached masks of one choice would else serve the other: their vocabulary is the same."""
    spec = written_paco.write(tmp_path)
    finest, every = open_dataset(spec), open_dataset(f"{spec},attributes=all")
    assert finest.concepts.names == every.concepts.names
    assert finest.fingerprint() != every.fingerprint()
    assert finest.fingerprint() == open_dataset(f"{spec},attributes=finest").fingerprint()
