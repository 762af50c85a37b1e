from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_cases import SCENES
from written_opensurfaces import IMAGES, LABELS, write
from written_voc import count, expected, save_grey, save_rgb, whole

from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError

SHAPE = (32, 48)


def test_counts_are_those_of_the_scenes(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert count(data) == expected(LABELS)
    assert [data.image_name(i) for i in range(3)] == [IMAGES[scene.name] for scene in SCENES]
    assert [whole(data, i) for i in range(3)] == [["Street - outdoor"], ["Yard"], []]
    assert data.concepts.categories == ("material", "object", "scene")
    assert data.concepts.numbers.tolist() == [3, 32, 256 + 1, 256 + 254, 512 + 1, 512 + 2]
    assert data.synonyms["Carpet/rug"] == ("carpet", "rug")
    assert data.synonyms["Car"] == ("car",)
    assert [path.parent.name for path in data.files(0)] == ["photos", "photos-labels"]


def test_smaller_masks_are_resized_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = open_dataset(write(tmp_path, shrink=2))
    assert count(data) == {name: pixels // 4 for name, pixels in expected(LABELS).items()}
    assert len([r for r in caplog.records if "resized by nearest neighbour" in r.message]) == 1


def test_every_code(tmp_path: Path) -> None:
    """Red, green and blue are independent: random codes against the definition."""
    spec, rng = write(tmp_path), np.random.default_rng(2)
    red, green = rng.choice([0, 3, 32], SHAPE), rng.choice([0, 1, 254], SHAPE)
    save_rgb(tmp_path / "photos-labels" / "11.png", red, green, 1)
    material, thing, scene = open_dataset(spec).read_labels(0)
    assert np.array_equal(material.labels, red)
    assert np.array_equal(thing.labels, np.where(green, 256 + green, 0))
    assert (material.category, thing.category, scene.category, scene.labels) == (0, 1, 2, 513)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "photos.csv",
            "Yard",
            "Garden",
            "photos.csv, line 3: scene 'Garden' is not in label-scene-colors.csv",
        ),
        ("photos.csv", "7,", "8,", r"photos lacks 1 files of photos.csv, the first 8\.jpg"),
        ("photos.csv", "7,", "x,", "photo_id is 'x'"),
        ("photos.csv", "7,", "11,", "listed twice"),
        ("photos.csv", "photo_id", "id", "no column 'photo_id'"),
        (
            "label-name-colors.csv",
            ",1\n",
            ",256\n",
            "green_color is '256'; expected a whole number from 1 to 255",
        ),
        ("label-name-colors.csv", ",1\n", ",254\n", "green_color 254 is listed twice"),
        ("label-name-colors.csv", "Car", "", "has no name"),
        ("label-substance-colors.csv", "red_color", "colour", "no column 'red_color'"),
    ],
)
def test_bad_tables(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    spec = write(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


def test_bad_masks(tmp_path: Path) -> None:
    data, mask = open_dataset(write(tmp_path)), tmp_path / "photos-labels" / "11.png"
    save_rgb(mask, np.full(SHAPE, 4), np.zeros(SHAPE))
    with pytest.raises(
        DataError, match=r"11.png.*\(material\) holds label number 4, which is not in the label-"
    ):
        data.read_labels(0)
    save_rgb(mask, np.zeros((48, 32)), np.zeros((48, 32)))
    with pytest.raises(DataError, match="expected the same aspect"):
        data.read_labels(0)
    save_grey(mask, np.full(SHAPE, 3))
    with pytest.raises(DataError, match="no PNG with 8-bit RGB"):
        data.read_labels(0)
    Image.new("RGB", (48, 32)).save(mask, format="JPEG")
    with pytest.raises(DataError, match="no PNG with 8-bit RGB"):
        data.read_labels(0)
    mask.unlink()
    with pytest.raises(DataError, match=r"photos-labels lacks 1 files"):
        open_dataset(data.name)
    with pytest.raises(DataError, match="is no folder"):
        open_dataset(f"opensurfaces:{tmp_path / 'nowhere'}")
