"""`classes:PATH`: folders of images, a folder a class."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import written_classes
from scene_cases import SCENES

from fastdissect.datasets import open_dataset
from fastdissect.datasets.class_folders import ClassFolders
from fastdissect.errors import DataError, SettingError
from fastdissect.types import LabelChannel


def folders(root: Path, *names: str) -> Path:
    """A picture below `root` under each name."""
    for name in names:
        SCENES[1].save(root / name)
    return root


def test_the_scenes(tmp_path: Path) -> None:
    data = pickle.loads(pickle.dumps(open_dataset(written_classes.write(tmp_path))))
    assert [data.image_name(i) for i in range(3)] == ["empty.png", "sky/street.png", "sky/yard.png"]
    assert [data.read_labels(i) for i in range(3)] == [(), (LabelChannel(0, 1),), (LabelChannel(0, 1),)]
    assert [data.is_labelled(i) for i in range(3)] == [False, True, True]
    assert (data.concepts.names, data.concepts.categories) == (("sky",), ("scene",))
    assert (data.read_image(1)[0] == SCENES[0].pixels).all()
    assert data.files(2) == (tmp_path / "sky" / "yard.png",)


def test_numbers_are_ranks_and_images_may_lie_deeper(tmp_path: Path) -> None:
    root = folders(tmp_path, "b/deep/er/1.png", "a/2.png", "c/3.PNG", "top.png")
    (root / "empty class").mkdir()
    (root / "a" / "notes.txt").write_text("no image")
    data = ClassFolders(root, category="object")
    assert data.concepts.names == ("a", "b", "c")
    assert data.concepts.numbers.tolist() == [1, 2, 3]
    assert data.concepts.categories == ("object",)
    labels = {data.image_name(i): data.read_labels(i) for i in range(len(data))}
    assert labels == {
        "a/2.png": (LabelChannel(0, 1),),
        "b/deep/er/1.png": (LabelChannel(0, 2),),
        "c/3.PNG": (LabelChannel(0, 3),),
        "top.png": (),
    }


def test_a_table_names_the_folders(tmp_path: Path) -> None:
    root = folders(tmp_path / "set", "n2/1.png", "n1/2.png", "n3/3.png")
    table = tmp_path / "names.csv"
    table.write_text("wnid,name\nn1,crane\nn2,tench\nn3,crane\nn4,not here\n")
    data = open_dataset(f"classes:{root}?names={table}")
    assert data.concepts.names == ("crane (n1)", "tench", "crane (n3)")
    again = open_dataset(data.name)
    assert again.concepts.names == data.concepts.names
    assert again.fingerprint() == data.fingerprint() != ClassFolders(root).fingerprint()


def test_the_fingerprint_is_of_content_alone(tmp_path: Path) -> None:
    one = ClassFolders(folders(tmp_path / "one", "a/1.png", "b/2.png"))
    assert one.fingerprint() == ClassFolders(folders(tmp_path / "two", "a/1.png", "b/2.png")).fingerprint()
    assert one.fingerprint() != ClassFolders(folders(tmp_path / "three", "a/1.png", "c/2.png")).fingerprint()
    assert one.fingerprint() != ClassFolders(tmp_path / "one", category="object").fingerprint()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "has no folder with images"),
        (["top.png"], "has no folder with images"),
        (
            ["train/a/1.png", "val/a/1.png"],
            "has no folders but train, val, which are splits .* classes:.*/train",
        ),
    ],
)
def test_a_folder_without_classes(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ClassFolders(folders(tmp_path, *files))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*/nowhere"):
        open_dataset(f"classes:{tmp_path / 'nowhere'}")
    with pytest.raises(SettingError, match="category is ''"):
        open_dataset(f"classes:{folders(tmp_path, 'a/1.png')}?category=")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wnid,name\nn1,crane\n", "lacks 1 of 2 folders, the first is 'n2'"),
        ("wnid,name\nn1,crane\nn1,tench\n", "line 3: 'n1' is listed twice"),
        ("wnid,name\nn1,crane\nn2,\n", "line 3: the name of 'n2' is empty"),
        ("id,name\nn1,crane\n", "has no column 'wnid'"),
    ],
)
def test_a_table_that_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    root = folders(tmp_path / "set", "n1/1.png", "n2/2.png")
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        ClassFolders(root, names=str(tmp_path / "names.csv"))
