from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written_ade20k_150 import LABELS, write
from written_voc import count, expected, save_grey, whole, write_text

from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError, SettingError

HOME = "ADEChallengeData2016"


def test_counts_are_those_of_the_scenes(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert count(data) == expected(LABELS)
    assert [data.image_name(i) for i in range(3)] == [
        "training/street.png",
        "training/yard.png",
        "validation/empty.png",
    ]
    assert [whole(data, i) for i in range(3)] == [["street"], ["yard"], []]  # misc is no scene
    assert data.concepts.numbers.tolist() == [*range(1, 151), 151, 152]
    assert data.concepts.names[7] == "bed"
    assert data.synonyms == {"car": ("auto", "automobile", "machine", "motorcar")}
    assert open_dataset(f"ade20k-150:{tmp_path / HOME}").fingerprint() == data.fingerprint()


def test_splits_keep_the_vocabulary(tmp_path: Path) -> None:
    spec = write(tmp_path)
    data = open_dataset(f"{spec}?split=validation")
    assert len(data) == 1
    assert data.concepts.names == open_dataset(spec).concepts.names
    with pytest.raises(SettingError, match="no split 'test'; there are training, validation"):
        open_dataset(f"{spec}?split=test")


def test_scenes_are_optional(tmp_path: Path) -> None:
    spec = write(tmp_path)
    before = open_dataset(spec).fingerprint()
    path = tmp_path / HOME / "sceneCategories.txt"
    path.write_text(path.read_text().replace("yard yard", "yard street"))
    other = open_dataset(spec)
    assert whole(other, 1) == ["street"]
    assert other.fingerprint() != before
    path.unlink()
    data = open_dataset(spec)
    assert data.concepts.categories == ("object",)
    assert whole(data, 0) == []


def test_every_number(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    labels = np.resize(np.arange(151), (32, 48))
    save_grey(tmp_path / HOME / "annotations/training/street.png", labels)
    assert np.array_equal(data.read_labels(0)[0].labels, labels)
    save_grey(tmp_path / HOME / "annotations/training/street.png", labels + 1)
    with pytest.raises(DataError, match=r"street\.png.*number 151, which is not in objectInfo150\.txt"):
        open_dataset(f"{data.name}").read_labels(0)


def test_columns_padded_with_blanks(tmp_path: Path) -> None:
    spec = write(tmp_path)
    before, path = open_dataset(spec), tmp_path / HOME / "objectInfo150.txt"
    path.write_text(path.read_text().replace("\t", "\t  \t"))
    assert open_dataset(spec).concepts.names == before.concepts.names


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("objectInfo150.txt", "150\t", "149\t", "expected a new number from 1 to 150"),
        ("objectInfo150.txt", "150\t", "151\t", "expected a new number from 1 to 150"),
        ("objectInfo150.txt", "150\t0.0450\t6604\t643\tclass 150\n", "", "lists 149 classes; expected 150"),
        ("objectInfo150.txt", "\tclass 7\n", "\n", "expected a new number"),
        (
            "sceneCategories.txt",
            "yard yard",
            "street yard",
            "line 2: 'street yard' came; expected a new image",
        ),
        ("sceneCategories.txt", "yard yard", "yard", "expected a new image and its scene"),
    ],
)
def test_bad_tables(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    spec = write(tmp_path)
    text = (tmp_path / HOME / file).read_text()
    assert old in text
    write_text(tmp_path / HOME / file, text.replace(old, new).splitlines())
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


def test_bad_folders(tmp_path: Path) -> None:
    spec = write(tmp_path)
    mask = tmp_path / HOME / "annotations/training/yard.png"
    mask.unlink()
    with pytest.raises(
        DataError, match="training: 1 images or masks stand alone; the first, yard, has no mask"
    ):
        open_dataset(spec)
    save_grey(mask, np.zeros((32, 40)))
    with pytest.raises(DataError, match="expected the same aspect"):
        open_dataset(spec).read_labels(1)
    (tmp_path / HOME / "objectInfo150.txt").unlink()
    with pytest.raises(DataError, match=r"objectInfo150\.txt is missing"):
        open_dataset(spec)
    with pytest.raises(DataError, match="none of the folders annotations"):
        open_dataset(f"ade20k-150:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("text", ["", "street street\nempty misc\n"])
def test_a_table_of_scenes_that_was_cut(tmp_path: Path, text: str) -> None:
    spec = write(tmp_path)
    (tmp_path / HOME / "sceneCategories.txt").write_text(text)
    with pytest.raises(DataError, match=r"sceneCategories\.txt lacks . of 3 images, the first training/"):
        open_dataset(spec)


def test_two_images_of_one_mask(tmp_path: Path) -> None:
    spec = write(tmp_path)
    image = tmp_path / HOME / "images/training/street.png"
    image.with_suffix(".jpg").write_bytes(image.read_bytes())
    with pytest.raises(
        DataError, match=r"training holds street\.jpg and street\.png; expected one file of that name"
    ):
        open_dataset(spec)
