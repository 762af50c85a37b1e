from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from written_voc import LABELS, count, expected, save_grey, save_palette, write, write_text

from fastdissect.datasets.opening import open_dataset
from fastdissect.datasets.relations import Relation
from fastdissect.errors import DataError, SettingError

YEAR = "VOCdevkit/VOC2012"


def test_counts_are_those_of_the_scenes(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert count(data) == expected(LABELS) == {"car": 16 * 16, "cat": 2 * 16 * 16}
    assert [data.image_name(i) for i in range(3)] == [
        "street.png",
        "yard.png",
        "empty.png",
    ]  # the list's order
    assert data.concepts.numbers.tolist() == list(range(1, 21))
    assert data.concepts.categories == ("object",)
    assert Relation("cat", "animal", "is-a") in data.relations
    assert {relation.child for relation in data.relations} | {"person"} == set(data.concepts.names)
    assert data.synonyms.keys() <= set(data.concepts.names)
    assert all(data.is_labelled(i) for i in range(3))
    assert [path.name for path in data.files(0)] == ["street.png", "street.png"]


@pytest.mark.parametrize("place", ["", "VOCdevkit", YEAR])
def test_opens_from_any_of_its_folders(tmp_path: Path, place: str) -> None:
    data = open_dataset(write(tmp_path))
    other = open_dataset(f"voc:{tmp_path / place}")
    assert other.fingerprint() == data.fingerprint()
    assert open_dataset(other.name).name == other.name
    copy = pickle.loads(pickle.dumps(other))
    assert np.array_equal(copy.read_labels(0)[0].labels, data.read_labels(0)[0].labels)


def test_the_last_year_wins(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "VOCdevkit" / "VOC2007" / "SegmentationClass").mkdir(parents=True)
    assert len(open_dataset(f"voc:{tmp_path}")) == 3


def test_splits(tmp_path: Path) -> None:
    spec = write(tmp_path)
    assert [len(open_dataset(f"{spec}?split={split}")) for split in ("train", "val", "trainval")] == [1, 2, 3]
    assert open_dataset(f"{spec}?split=val").fingerprint() != open_dataset(spec).fingerprint()
    with pytest.raises(SettingError, match=r"'test' is not in .*expected train, trainval, val"):
        open_dataset(f"{spec}?split=test")


def test_every_number_is_itself_and_void_is_none(tmp_path: Path) -> None:
    spec = write(tmp_path)
    mask = np.concatenate([np.arange(21), [255] * 3]).astype(np.uint8)[None].repeat(16, 0)
    mask = np.concatenate([mask, mask[:, ::-1]], 1)
    Image.new("RGB", (48, 16)).save(tmp_path / YEAR / "JPEGImages" / "street.png")
    for save in (save_palette, save_grey):
        save(tmp_path / YEAR / "SegmentationClass" / "street.png", mask)
        labels = open_dataset(spec).read_labels(0)[0].labels
        assert np.array_equal(labels, np.where(mask == 255, 0, mask))


def test_a_smaller_mask_is_allowed_another_aspect_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = open_dataset(write(tmp_path))
    path = tmp_path / YEAR / "SegmentationClass" / "street.png"
    full = np.asarray(Image.open(path))
    save_palette(path, full[::2, ::2])
    assert (np.asarray(data.read_labels(0)[0].labels) == 7).sum() == 16 * 16 // 4
    data.read_labels(0)
    assert len([r for r in caplog.records if "resized by nearest neighbour" in r.message]) == 1
    save_palette(path, full[:, :32])
    with pytest.raises(DataError, match=r"street.png.* is 32 x 32 and its image 32 x 48"):
        data.read_labels(0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda home: (home / "SegmentationClass/yard.png").unlink(),
            r"trainval.txt, line 2: mask 'yard' is missing",
        ),
        (lambda home: (home / "JPEGImages/yard.png").unlink(), r"line 2: image 'yard' is missing"),
        (lambda home: write_text(home / "ImageSets/Segmentation/trainval.txt", []), "lists no image"),
        (lambda home: write_text(home / "ImageSets/Segmentation/trainval.txt", ["../x"]), "refused"),
        (
            lambda home: write_text(home / "ImageSets/Segmentation/trainval.txt", ["yard", "yard"]),
            "listed twice",
        ),
        (lambda home: (home / "ImageSets/Segmentation/trainval.txt").write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda home: (home / "SegmentationClass").rename(home / "masks"), "holds no PASCAL VOC"),
    ],
)
def test_bad_folders(tmp_path: Path, spoil, message: str) -> None:
    spec = write(tmp_path)
    spoil(tmp_path / YEAR)
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


def test_bad_masks(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    path = tmp_path / YEAR / "SegmentationClass" / "street.png"
    whole = path.read_bytes()
    save_palette(path, np.full((32, 48), 21))
    with pytest.raises(DataError, match=r"mask 'street.png' of image 'street.png' holds label number 21"):
        data.read_labels(0)
    for content in (whole[:-20], whole[: len(whole) // 2], b"", b"no image"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"street\.png"):
            data.read_labels(0)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    spec = write(tmp_path)
    image = tmp_path / YEAR / "JPEGImages" / "yard.png"
    image.with_suffix(".jpg").write_bytes(image.read_bytes())
    with pytest.raises(
        DataError, match=r"JPEGImages holds yard\.jpg and yard\.png; expected one file of that name"
    ):
        open_dataset(spec)
