"""Sets that were damaged or made to harm: each ends in one clear error, none in less data or another program's crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written_labelme
from PIL import Image
from scene_cases import SCENES
from written_webdataset import png, write_tar

from fastdissect.datasets import open_dataset, write_broden
from fastdissect.datasets.folder_tables import list_files
from fastdissect.datasets.merging.building import opened
from fastdissect.datasets.overlays import write_overlays
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.datasets.writing_folder import write_folder
from fastdissect.errors import DataError, SettingError

STREET = SCENES[0]


def labelme(folder: Path, **changes: Any) -> str:
    STREET.save(folder / "street.png")
    (folder / "street.json").write_text(json.dumps(written_labelme.annotation(STREET, **changes)))
    return f"labelme:{folder}"


def car(**changes: Any) -> list[dict[str, Any]]:
    return [written_labelme.shape(STREET.objects[1]) | changes]


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        (car(points=[[10**400, 0], [1, 1], [2, 2]]), "expected at least 3 points"),
        (car(points=[[-(10**9), 0], [1, 1], [2, 2]]), "expected at least 3 points"),
        (car(shape_type=["polygon"]), "has the shape_type"),
        (car(shape_type={}, points=[]), "expected at least 3 points"),
    ],
)
def test_shapes_that_no_program_draws(tmp_path: Path, shapes: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        open_dataset(labelme(tmp_path, shapes=shapes))


def test_a_drawing_that_memory_cannot_hold(tmp_path: Path) -> None:
    """The aspect is right: 640,000 x 960,000 pixels for an image of 32 x 48."""
    corners = [[0, 0], [900_000, 0], [900_000, 600_000]]
    data = open_dataset(
        labelme(tmp_path, imageHeight=640_000, imageWidth=960_000, shapes=car(points=corners))
    )
    with pytest.raises(
        DataError, match=r"states an image of 640000 x 960000 pixels; the limit is 67,108,864"
    ):
        data.read_labels(0)


def test_a_file_that_is_missing_is_not_called_damaged(tmp_path: Path) -> None:
    data = open_dataset(labelme(tmp_path))
    (tmp_path / "street.json").unlink()
    with pytest.raises(DataError, match="missing") as error:
        data.read_labels(0)
    assert "JSON (" not in str(error.value)
    shard = tmp_path / "a.tar"
    write_tar(
        shard,
        {"a.png": png(STREET.pixels), "a.json": b'{"c": 1}', "labels.csv": b"number,name,category\n1,a,b\n"},
    )
    samples = open_dataset(f"webdataset:{shard}?json=c")
    shard.unlink()
    with pytest.raises(DataError, match="cannot be read") as error:
        samples.read_labels(0)
    assert "JSON" not in str(error.value)


def test_a_folder_that_cannot_be_listed_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "open" / "a.png").touch()
    assert list_files(tmp_path) == ["open/a.png"]
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"closed cannot be listed \(Permission denied\)"):
        list_files(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes")
def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "in" / "images").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "in" / "images" / name)
    (tmp_path / "in" / "labels.csv").write_text("number,name,category\n1,cat,object\n")
    data = open_dataset(f"folder:{tmp_path / 'in'}")
    assert data.read_image(0)[0].shape == (4, 4, 3)
    assert data.fingerprint()
    for write in (write_folder, write_broden):
        with pytest.raises(DataError, match="cannot be written: its bytes are not UTF-8"):
            write(data, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("write", [write_folder, write_broden])
def test_labels_that_are_half_a_character(tmp_path: Path, write: Any) -> None:
    data = open_dataset("shapes:images=1,size=16")
    data.concepts = make_concepts({1: ("half \ud83d", 0)}, ("object",))
    with pytest.raises(DataError, match="cannot be written as UTF-8"):
        write(data, tmp_path / "out")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "spec", ["folder:~nobody-has-this-name/x", "broden:~nobody-has-this-name", "merged:a\0b.json"]
)
def test_paths_that_are_none(spec: str) -> None:
    with pytest.raises(SettingError, match=r"Write the whole path|NUL character"):
        open_dataset(spec)


def test_merged_files_that_lead_back(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(json.dumps({"data": ["shapes:images=2,size=16", "merged:two.json"]}))
    two.write_text(json.dumps({"data": ["shapes:images=3,size=16"]}))
    assert len(open_dataset(f"merged:{one}")) == 5
    two.write_text(json.dumps({"data": ["merged:one.json"]}))
    for path in (one, two):
        with pytest.raises(DataError, match="is merged into itself"):
            open_dataset(f"merged:{path}")
    two.write_text(json.dumps({"data": ["shapes:images=3,size=16"]}))
    assert len(open_dataset(f"merged:{one}")) == 5  # nothing is remembered


def test_one_set_by_two_paths(tmp_path: Path) -> None:
    spec = labelme(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for other in (f"labelme:{tmp_path}/a/../a/", f"labelme:{tmp_path / 'link'}"):
        with pytest.raises(SettingError, match="given twice"):
            opened([spec, other])
    assert len(opened([spec, f"{spec}?lines=skip"])) == 2


def test_a_contact_sheet_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Show fewer images"):
        write_overlays(open_dataset("shapes:images=1,size=16"), [0] * 100_000, tmp_path / "o.png")
    assert not any(tmp_path.iterdir())


def test_tables_of_the_datasets_library(tmp_path: Path) -> None:
    """Every byte that may be an offset is damaged in turn, in a process of its own: the library would end it."""
    pytest.importorskip("datasets")
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import datasets, written_hf
from fastdissect.datasets import open_dataset
from fastdissect.errors import DataError
datasets.disable_progress_bars()
spec = written_hf.write(Path({str(tmp_path)!r}))
(file,) = Path({str(tmp_path / "table")!r}).glob("*.arrow")
whole = file.read_bytes()
refused = 0
for at in range(len(whole) - 1, 0, -53):
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    try:
        open_dataset(spec)
    except DataError as error:
        assert "\\n" not in str(error)
        refused += 1
state = file.parent / "state.json"
file.write_bytes(whole)
for text in ('{{"_data_files": []}}', "[]", '{{"_split": 1}}', "{{" * 9000):
    state.write_text(text)
    try:
        open_dataset(spec)
    except DataError:
        refused += 1000
print(refused)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert 4000 < int(found.stdout) < 5000
