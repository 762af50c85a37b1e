from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastdissect.datasets import Folder
from fastdissect.errors import DataError

CAT = np.array([[0, 1, 1, 2], [2, 2, 1, 0]], dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "mine"
    for name in ("x/one.jpg", "x/two.png", "three.2.bmp"):
        save(home / "images" / name, np.full((4, 8, 3), 90, np.uint8))
    (home / "images" / "notes.txt").write_text("not an image")
    (home / "images" / ".hidden.png").write_text("not an image")
    save(home / "masks" / "object" / "x" / "one.png", CAT)
    save(home / "masks" / "part" / "x" / "one.png", CAT * 0 + 3)
    save(home / "masks" / "part" / "x" / "one.10.png", CAT * 0 + 7)
    save(home / "masks" / "part" / "x" / "one.2.png", (CAT > 1).astype(np.uint16) * 1000)
    save(home / "masks" / "object" / "three.2.png", CAT)
    (home / "labels.csv").write_text(
        'number,name,category\n2,dog,object\n1,cat,object\n3,tail,part\n1000,"tip, <i>",part\n7,ear,part\n9,dog,pet\n'
    )
    (home / "image_labels.csv").write_text("image,label\nx/two.png,cat\nx/two.png,9\nx/one.jpg,9\n")
    return home


def test_images_masks_and_labels(home: Path) -> None:
    data = Folder(home)
    assert [data.image_name(i) for i in range(len(data))] == ["three.2.bmp", "x/one.jpg", "x/two.png"]
    assert data.concepts.categories == ("object", "part", "pet")
    assert data.concepts.numbers.tolist() == [1, 2, 3, 7, 9, 1000]
    assert data.concepts.names == ("cat", "dog", "tail", "ear", "dog", "tip, <i>")
    assert data.concepts.category.tolist() == [0, 0, 1, 1, 2, 1]
    channels = data.read_labels(1)
    assert [c.category for c in channels] == [0, 1, 1, 1, 2]
    assert np.array_equal(channels[0].labels, CAT)
    assert [int(np.max(c.labels)) for c in channels[1:]] == [
        3,
        1000,
        7,
        9,
    ]  # channels by number, then images'
    assert channels[4].labels == 9
    assert [c.labels for c in data.read_labels(2)] == [1, 9]
    # "three.2" is an image's own name, not the second channel of "three".
    assert np.array_equal(data.read_labels(0)[0].labels, CAT)
    assert [path.name for path in data.files(1)] == [
        "one.jpg",
        "one.png",
        "one.png",
        "one.2.png",
        "one.10.png",
    ]
    assert data.read_image(1)[0].shape == data.read_image(0)[0].shape == (4, 8, 3)
    assert pickle.loads(pickle.dumps(data)).read_labels(2) == data.read_labels(2)


def test_fingerprint_is_content_not_place(home: Path) -> None:
    before = Folder(home).fingerprint()
    moved = home.rename(home.with_name("yours"))
    assert Folder(moved).fingerprint() == before
    (moved / "masks" / "part" / "x" / "one.2.png").unlink()
    assert Folder(moved).fingerprint() != before


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_tables_that_do_not_fit(home: Path) -> None:
    image_labels = (home / "image_labels.csv").read_text()
    replace(home / "image_labels.csv", "x/two.png,cat", "x/tow.png,cat")
    with pytest.raises(DataError, match=r"no images/x/tow.png; nearest: x/two.png"):
        Folder(home)
    for wrong in ("dog", "cats", "8", ""):  # "dog" is two labels
        (home / "image_labels.csv").write_text(image_labels.replace("two.png,cat", f"two.png,{wrong}"))
        with pytest.raises(DataError, match="exactly one label"):
            Folder(home)
    (home / "image_labels.csv").unlink()
    assert len(Folder(home)) == 3
    labels = (home / "labels.csv").read_text()
    for old, new, message in (
        ("3,tail", "1,tail", "listed twice"),
        ("3,tail", "0,tail", "from 1 to 65535"),
        ("tail,part", "tail,../part", "no folder name"),
        ("number,name", "no,name", "no column 'number'"),
        (labels[21:], "", "lists no label"),
    ):
        (home / "labels.csv").write_text(labels.replace(old, new))
        with pytest.raises(DataError, match=message):
            Folder(home)


def test_masks_that_fit_nothing(home: Path) -> None:
    save(home / "masks" / "part" / "x" / "won.png", CAT)
    with pytest.raises(DataError, match=r"masks/part/x/won.png belongs to no image.*x/one.png"):
        Folder(home)
    (home / "masks" / "part" / "x" / "won.png").rename(home / "masks" / "part" / "x" / "two.jpg")
    with pytest.raises(DataError, match="belongs to no image"):
        Folder(home)
    (home / "masks" / "part" / "x" / "two.jpg").unlink()
    save(home / "masks" / "parts" / "x" / "two.png", CAT)
    with pytest.raises(DataError, match=r"'parts' is no category of labels.csv.*nearest: part"):
        Folder(home)


def test_images_that_cannot_be_told_apart_or_are_absent(home: Path) -> None:
    save(home / "images" / "x" / "one.png", np.zeros((4, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"'x/one.jpg' and 'x/one.png' would share a mask"):
        Folder(home)
    (home / "images").rename(home / "pictures")
    with pytest.raises(DataError, match="has no folder images/"):
        Folder(home)
    (home / "images").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        Folder(home)
    (home / "images" / "x").symlink_to(home / "pictures" / "x")
    with pytest.raises(DataError, match="is a link to a folder"):
        Folder(home)


def test_masks_are_held_against_image_and_labels(home: Path) -> None:
    save(home / "masks" / "object" / "x" / "one.png", CAT.T.copy())
    with pytest.raises(
        DataError, match=r"object/x/one.png' of image 'x/one.jpg' is 4 x 2 and the image 4 x 8"
    ):
        Folder(home).read_labels(1)
    save(home / "masks" / "object" / "x" / "one.png", CAT + 50)
    with pytest.raises(DataError, match=r"label number 50, which is not in labels.csv"):
        Folder(home).read_labels(1)
    with pytest.raises(DataError, match="max_pixels"):
        Folder(home, max_pixels=31).read_image(1)
