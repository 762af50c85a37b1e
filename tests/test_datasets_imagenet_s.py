from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written_imagenet_s import IGNORED, LABELS, WNIDS, write
from written_voc import count, expected, save_palette, save_rgb, write_text

from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError, SettingError

MASK = f"validation-segmentation/{WNIDS[49]}/street.png"


def test_counts_are_those_of_the_scenes(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert count(data) == expected(LABELS)
    assert [data.image_name(i).rpartition("/")[2] for i in range(3)] == [
        "empty.png",
        "yard.png",
        "street.png",
    ]
    assert data.concepts.numbers.tolist() == list(range(1, 51))
    assert data.concepts.names[1:4] == (f"crane ({WNIDS[1]})", f"crane ({WNIDS[2]})", "cat")
    assert open_dataset(data.name).fingerprint() == data.fingerprint()


def test_without_names_labels_are_wnids(tmp_path: Path) -> None:
    write(tmp_path)
    assert open_dataset(f"imagenet-s:{tmp_path / 'ImageNetS50'}").concepts.names == tuple(WNIDS)


@pytest.mark.parametrize("place", ["", "ImageNetS50"])
def test_the_list_of_classes_serves_a_part_of_the_set(tmp_path: Path, place: str) -> None:
    spec = write(tmp_path)
    for kind in ("validation", "validation-segmentation"):
        (tmp_path / "ImageNetS50" / kind / WNIDS[30]).rmdir()
    with pytest.raises(
        DataError, match=r"has 49 classes; ImageNetS50 says 50.*ImageNetS_categories_im50.txt"
    ):
        open_dataset(spec)
    write_text(
        tmp_path / place / "ImageNetS_categories_im50.txt", WNIDS[::-1]
    )  # the ranks are of sorted wnids
    assert count(open_dataset(spec)) == expected(LABELS)
    write_text(tmp_path / place / "ImageNetS_categories_im50.txt", [*WNIDS[1:], WNIDS[1]])
    with pytest.raises(DataError, match="lists a class twice"):
        open_dataset(spec)


def test_numbers_above_255_and_the_ignored_one(tmp_path: Path) -> None:
    """A set of 919 classes; every number against R + 256 G."""
    home = tmp_path / "ImageNetS919"
    write(tmp_path)
    (tmp_path / "ImageNetS50").rename(home)
    write_text(home / "ImageNetS_categories_im919.txt", WNIDS + [f"n2{n:07d}" for n in range(869)])
    numbers = np.resize(np.array([*range(920), IGNORED]), (32, 48))
    save_rgb(home / MASK, numbers % 256, numbers // 256)
    labels = open_dataset(f"imagenet-s:{home}").read_labels(2)[0].labels
    assert np.array_equal(labels, np.where(numbers == IGNORED, 0, numbers))


def test_splits(tmp_path: Path) -> None:
    assert count(open_dataset(write(tmp_path, "train-semi"))) == expected(LABELS)
    spec = f"imagenet-s:{tmp_path / 'ImageNetS50'}"
    with pytest.raises(SettingError, match="no split 'validation'; there are train-semi"):
        open_dataset(spec)
    home = tmp_path / "ImageNetS50"
    (home / "train-semi-segmentation").rename(tmp_path / "away")
    (home / "train-semi").rename(home / "test")
    data = open_dataset(f"{spec}?split=test")
    assert [data.read_labels(i) for i in range(3)] == [(), (), ()]
    assert not data.is_labelled(0)
    assert len(data.concepts) == 50


def test_bad_folders(tmp_path: Path) -> None:
    spec = write(tmp_path)
    home = tmp_path / "ImageNetS50"
    (home / MASK).rename(tmp_path / "mask")
    with pytest.raises(DataError, match=f"the first, {WNIDS[49]}/street, has no mask"):
        open_dataset(spec)
    (tmp_path / "mask").rename(home / MASK)
    (home / "validation" / WNIDS[49] / "street.png").unlink()
    with pytest.raises(DataError, match=f"the first, {WNIDS[49]}/street, has no image"):
        open_dataset(spec)
    with pytest.raises(DataError, match="is no folder"):
        open_dataset(f"imagenet-s:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["wnid,name", f"{WNIDS[0]},cat"], f"no name for 49 classes, the first {WNIDS[1]}"),
        (["wnid,label"], "no column 'name'"),
    ],
)
def test_bad_names(tmp_path: Path, lines: list[str], message: str) -> None:
    spec = write(tmp_path)
    write_text(tmp_path / "names.csv", lines)
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


def test_bad_masks(tmp_path: Path) -> None:
    data, mask = open_dataset(write(tmp_path)), tmp_path / "ImageNetS50" / MASK
    save_rgb(mask, np.full((32, 48), 51), np.zeros((32, 48)))
    with pytest.raises(DataError, match="holds label number 51, which is not in the list of 50 classes"):
        data.read_labels(2)
    save_rgb(mask, np.full((32, 48), 5), np.zeros((32, 48)), 1)
    with pytest.raises(DataError, match="blue != 0"):
        data.read_labels(2)
    save_rgb(mask, np.zeros((48, 48)), np.zeros((48, 48)))
    with pytest.raises(DataError, match="expected the same aspect"):
        data.read_labels(2)


def test_a_palette_would_be_other_numbers(tmp_path: Path) -> None:
    data, mask = open_dataset(write(tmp_path)), tmp_path / "ImageNetS50" / MASK
    save_palette(mask, np.full((32, 48), 4))
    with pytest.raises(DataError, match="no PNG with 8-bit RGB"):
        data.read_labels(2)


def test_two_images_of_one_mask(tmp_path: Path) -> None:
    spec = write(tmp_path)
    image = tmp_path / "ImageNetS50" / "validation" / WNIDS[49] / "street.png"
    image.with_suffix(".JPEG").write_bytes(image.read_bytes())
    with pytest.raises(DataError, match=r"street\.JPEG and street\.png; expected one file of that name"):
        open_dataset(spec)
