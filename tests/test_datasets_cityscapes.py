from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scene_cases import SCENES
from written_cityscapes import IMAGES, LABELS, write
from written_voc import count, expected, save_grey, save_rgb

from fastdissect.datasets.opening import open_dataset
from fastdissect.datasets.relations import Relation
from fastdissect.errors import DataError, SettingError

STREET = "train/aachen/aachen_000000_000019"
# labels.py of cityscapesScripts: id, name, ignored in the evaluation
EVALUATED = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
RARE = {
    4: "static", 5: "dynamic", 6: "ground", 9: "parking", 10: "rail track", 14: "guard rail", 15: "bridge",
    16: "tunnel", 18: "polegroup", 29: "caravan", 30: "trailer",
}  # fmt: skip


def test_counts_are_those_of_the_scenes(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert count(data) == expected(LABELS)
    assert all(data.image_name(i).endswith(IMAGES[scene.name]) for i, scene in enumerate(SCENES))
    assert dict(zip(data.concepts.numbers.tolist(), data.concepts.names, strict=True)) == EVALUATED
    assert Relation("car", "vehicle", "is-a") in data.relations
    assert {relation.child for relation in data.relations} | {"sky"} == set(EVALUATED.values())
    assert data.read_image(0)[0].shape == (32, 48, 3)
    assert len(data.files(0)) == 2


def test_ignored_classes_on_request(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path) + "?ignored=yes")
    assert dict(zip(data.concepts.numbers.tolist(), data.concepts.names, strict=True)) == EVALUATED | RARE
    rows = sum(scene.size[1] for scene in SCENES)
    assert count(data)["static"] == rows - 16  # a row of each image, without the car's columns
    assert "ego vehicle" not in data.concepts.names
    assert open_dataset(data.name).name == data.name


@pytest.mark.parametrize("ignored", ["no", "yes"])
def test_every_id(tmp_path: Path, ignored: str) -> None:
    data = open_dataset(f"{write(tmp_path)}?ignored={ignored}")
    ids = np.array([*range(34), 255, *range(13)])[None].repeat(32, 0)
    save_grey(tmp_path / f"gtFine/{STREET}_gtFine_labelIds.png", ids)
    shown = EVALUATED | RARE if ignored == "yes" else EVALUATED
    want = np.array([[n if n in shown else 0 for n in row] for row in ids.tolist()])
    assert np.array_equal(data.read_labels(0)[0].labels, want)


def test_splits_and_coarse_annotations(tmp_path: Path) -> None:
    spec = write(tmp_path)
    assert [len(open_dataset(f"{spec}?split={split}")) for split in ("train", "val")] == [1, 2]
    with pytest.raises(SettingError, match=r"no split 'vale'; there are train, val; nearest: val"):
        open_dataset(f"{spec}?split=vale")
    with pytest.raises(DataError, match="no folder gtCoarse/"):
        open_dataset(f"{spec}?annotations=gtCoarse")
    with pytest.raises(SettingError, match="expected gtFine or gtCoarse"):
        open_dataset(f"{spec}?annotations=gtBbox")
    write(tmp_path, "gtCoarse")
    assert count(open_dataset(f"{spec}?annotations=gtCoarse")) == expected(LABELS)
    for kind in ("leftImg8bit", "gtFine"):
        (tmp_path / kind / "train").rename(tmp_path / kind / "test")
    assert len(open_dataset(spec)) == 2  # without test
    assert len(open_dataset(f"{spec}?split=test")) == 1


def test_lonely_files(tmp_path: Path) -> None:
    spec = write(tmp_path)
    mask = tmp_path / f"gtFine/{STREET}_gtFine_labelIds.png"
    mask.rename(tmp_path / "kept")
    with pytest.raises(DataError, match=f"split train: 1 images .* {STREET}, has no mask"):
        open_dataset(spec)
    (tmp_path / "kept").rename(mask)
    (tmp_path / f"gtFine/{STREET}_gtFine_color.png").write_bytes(b"")  # others of the release are left alone
    assert len(open_dataset(spec)) == 3
    (tmp_path / f"leftImg8bit/{STREET}_leftImg8bit.png").unlink()
    with pytest.raises(DataError, match="has no image"):
        open_dataset(spec)


def test_bad_masks(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    mask = tmp_path / f"gtFine/{STREET}_gtFine_labelIds.png"
    for labels, message in ((np.full((32, 48), 34), "number 34, which is not in the list of Cityscapes' ids"),
                            (np.full((32, 40), 7), "expected the same aspect")):  # fmt: skip
        save_grey(mask, labels)
        with pytest.raises(DataError, match=message):
            data.read_labels(0)
    save_rgb(mask, np.full((32, 48), 7), np.full((32, 48), 7), 7)
    with pytest.raises(DataError, match="blue"):
        data.read_labels(0)
    mask.write_bytes(mask.read_bytes()[:60])
    with pytest.raises(DataError, match="truncated"):
        data.read_labels(0)
    with pytest.raises(DataError, match="no folder leftImg8bit/"):
        open_dataset(f"cityscapes:{tmp_path / 'nowhere'}")
