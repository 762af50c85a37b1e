from __future__ import annotations

from pathlib import Path

import pytest

from fastdissect.datasets import Broden, Folder, Shapes, open_dataset, write_broden
from fastdissect.errors import DataError, FastdissectError, SettingError


def test_shapes_and_its_options() -> None:
    assert open_dataset("shapes").name == Shapes().name
    data = open_dataset("shapes:images=5,size=32,seed=9")
    assert isinstance(data, Shapes)
    assert (len(data), data.size, data.seed) == (5, 32, 9)
    assert open_dataset("shapes?size=32,images=5,seed=9").name == data.name


def test_a_data_set_is_returned_as_it_is() -> None:
    data = Shapes(images=2)
    assert open_dataset(data) is data


def test_names_open_the_same_set_again(tmp_path: Path) -> None:
    home = tmp_path / "a: b?c=d e, f"  # a colon, a question mark and a comma in the path
    write_broden(Shapes(images=20, size=32), home)
    plain = open_dataset(f"broden:{home}?split=train")
    assert isinstance(plain, Broden)
    for spec in (f"broden:{home}?split=val", f"broden:{home}?max_pixels=5000,split=train"):
        data = open_dataset(spec)
        again = open_dataset(data.name)
        assert again.name == data.name
        assert again.fingerprint() == data.fingerprint()
        assert [again.image_name(i) for i in range(len(again))] == [
            data.image_name(i) for i in range(len(data))
        ]
    (home / "labels.csv").write_text("number,name,category\n1,a,b\n")
    data = open_dataset(f"folder:{home / 'images' / '..'}?max_pixels=2000")
    assert isinstance(data, Folder)
    assert data.max_pixels == 2000


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("brodn:/x", r"expected broden:PATH.*folder:PATH, shapes.*nearest: broden"),
        ("imagenet", "unknown data set 'imagenet'"),
        ("", "unknown data set ''"),
        ("shape", "nearest: shapes"),
        ("broden", "names no folder"),
        ("broden:?split=val", "names no folder"),
        ("shapes:image=5", "unknown option 'image=5'.*nearest: images"),
        ("shapes:5", "unknown option '5'"),
        ("shapes:size=big", "expected a whole number"),
        ("shapes:size=-5", "expected a whole number"),
        ("shapes:size=5", "from 16 to 4096"),
        ("shapes:size=64,size=65", "twice"),
        ("folder:/x?split=val", "unknown option 'split=val'"),
        ("broden:/nowhere/at/all", "is no folder"),
    ],
)
def test_wrong_names_say_what_is_right(spec: str, message: str) -> None:
    with pytest.raises(FastdissectError, match=message):
        open_dataset(spec)


def test_a_folder_without_scheme_is_told_the_schemes(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f'write "broden:{tmp_path}" or "folder:{tmp_path}"'):
        open_dataset(str(tmp_path))
    with pytest.raises(SettingError, match=r"got PosixPath|got WindowsPath"):
        open_dataset(tmp_path)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"index.csv is missing"):
        open_dataset(f"broden:{tmp_path}")
