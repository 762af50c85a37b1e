from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from written_voc import count, expected, save_palette, write_text
from written_voc_context import LABELS, save_mat, write, write_59

from fastdissect.datasets.opening import open_dataset
from fastdissect.datasets.pascal.context_labels import LABELS_59
from fastdissect.errors import BackendError, DataError, SettingError


def test_counts_of_459(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert count(data) == expected(LABELS)
    assert data.concepts.numbers.tolist() == [1, 2, 59, 65, 360, 459]  # without 431, unknown
    assert [data.image_name(i) for i in range(3)] == ["empty.png", "street.png", "yard.png"]
    assert {relation.child for relation in data.relations} == {"aeroplane", "car", "cat"}
    assert open_dataset(data.name).fingerprint() == data.fingerprint()


def test_counts_of_59(tmp_path: Path) -> None:
    spec = write_59(tmp_path)
    data = open_dataset(spec)
    assert count(data) == expected(LABELS)
    assert len(data.concepts) == 59
    val = open_dataset(f"{spec}?split=val")
    assert [val.image_name(i) for i in range(len(val))] == ["yard.png", "street.png"]
    with pytest.raises(SettingError, match="expected val"):
        open_dataset(f"{spec}?split=train")


def test_the_59_are_in_the_order_of_their_names() -> None:
    # Among the 459, which are by alphabet too: aeroplane 2, bag 9, bed 18, bedclothes 19, ... wood 458.
    assert sorted(LABELS_59) == list(LABELS_59)
    assert len(set(LABELS_59)) == 59


def test_both_forms_in_one_folder(tmp_path: Path) -> None:
    write(tmp_path)
    write_59(tmp_path)
    sizes = [
        len(open_dataset(f"voc-context:{tmp_path}{option}").concepts)
        for option in ("", "?labels=459", "?labels=59")
    ]
    assert sizes == [6, 6, 59]
    with pytest.raises(SettingError, match="expected 459 or 59"):
        open_dataset(f"voc-context:{tmp_path}?labels=33")


@pytest.mark.parametrize("place", ["JPEGImages", "../VOC2010/JPEGImages", "../VOCdevkit/VOC2010/JPEGImages"])
def test_photographs_are_found_near(tmp_path: Path, place: str) -> None:
    home = tmp_path / "context"
    write(home)
    data = open_dataset(f"voc-context:{home}")
    (home / place).parent.mkdir(parents=True, exist_ok=True)
    (home / "VOC2010" / "JPEGImages").rename(home / place)
    assert open_dataset(f"voc-context:{home}").fingerprint() == data.fingerprint()


def test_photographs_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "context")
    (tmp_path / "context" / "VOC2010" / "JPEGImages").rename(tmp_path / "photos")
    with pytest.raises(DataError, match="option images"):
        open_dataset(f"voc-context:{tmp_path / 'context'}")
    data = open_dataset(f"voc-context:{tmp_path / 'context'}?images={tmp_path / 'photos'}")
    assert len(open_dataset(data.name)) == 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((32, 48), 460, np.uint16), "holds label number 460, which is not in labels.txt"),
        (np.full((32, 48), 1.5), "no whole number"),
        (np.full((32, 48), -1, np.int32), "no whole number"),
        (np.full((32, 48, 3), 1, np.uint16), "no map of numbers"),
        (np.full((32, 32), 1, np.uint16), "expected the same aspect"),
        ("sky", "no map of numbers"),
    ],
)
def test_bad_maps(tmp_path: Path, labels, message: str) -> None:
    data = open_dataset(write(tmp_path))
    scipy.io.savemat(tmp_path / "trainval" / "street.mat", {"LabelMap": labels})
    with pytest.raises(DataError, match=message):
        data.read_labels(1)


def test_damaged_files_say_so(tmp_path: Path) -> None:
    """Cut at every length, and bytes flipped: the map, or an error that names the file; nothing else gets out."""
    data = open_dataset(write(tmp_path))
    path = tmp_path / "trainval" / "street.mat"
    whole = path.read_bytes()
    want = np.asarray(data.read_labels(1)[0].labels)
    for end in range(0, len(whole), 3):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"street\.mat"):
            data.read_labels(1)
    rng, errors = np.random.default_rng(5), 0
    for _ in range(200):
        spoiled = np.frombuffer(whole, np.uint8).copy()
        spoiled[rng.integers(116, len(whole))] ^= rng.integers(1, 256)
        path.write_bytes(spoiled.tobytes())
        try:
            assert np.asarray(data.read_labels(1)[0].labels).shape == want.shape
        except DataError as error:
            assert "street.mat" in str(error)  # noqa: PT017
            errors += 1
    assert errors > 100


def test_other_variables_and_formats(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    path = tmp_path / "trainval" / "street.mat"
    scipy.io.savemat(path, {"Labels": np.zeros((32, 48))})
    with pytest.raises(DataError, match="no variable 'LabelMap'"):
        data.read_labels(1)
    head = io.BytesIO()
    scipy.io.savemat(head, {"LabelMap": np.zeros((32, 48))})
    path.write_bytes(head.getvalue()[:124] + b"\x00\x02IM" + bytes(50))  # version 7.3, which is HDF5
    with pytest.raises(DataError, match="no MATLAB file that can be read"):
        data.read_labels(1)


@pytest.mark.parametrize(
    "lines", [[], ["accordion"], ["1: accordion", "1: car"], ["0: none"], ["70000: much"], ["3:"]]
)
def test_bad_tables(tmp_path: Path, lines: list[str]) -> None:
    spec = write(tmp_path)
    write_text(tmp_path / "labels.txt", lines)
    with pytest.raises(DataError, match=r"labels\.txt"):
        open_dataset(spec)


def test_missing_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write(tmp_path)
    save_mat(tmp_path / "trainval" / "alone.mat", np.zeros((4, 4)))
    with pytest.raises(DataError, match="image 'alone' is missing"):
        open_dataset(spec)
    (tmp_path / "trainval").rename(tmp_path / "maps")
    with pytest.raises(DataError, match="none of the folders trainval"):
        open_dataset(spec)
    with pytest.raises(DataError, match="SegmentationClassContext"):
        open_dataset(f"voc-context:{tmp_path / 'nowhere'}")
    write_59(tmp_path)
    save_palette(tmp_path / "VOCdevkit/VOC2010/SegmentationClassContext/yard.png", np.full((32, 32), 60))
    data = open_dataset(f"{spec}?labels=59")
    with pytest.raises(DataError, match="label number 60, which is not in PASCAL Context's list of 59"):
        data.read_labels(2)

    (tmp_path / "maps").rename(tmp_path / "trainval")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(BackendError, match=r"pip install 'fastdissect\[mat\]'"):
        open_dataset(f"{spec}?labels=459")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((0, 0)), "is 0 x 0 and its image 32 x 48"),
        (np.full((32, 48), np.nan), "no whole number from 0 to 65535"),
        (np.full((32, 48), np.inf), "no whole number from 0 to 65535"),
    ],
)
def test_maps_without_pixels_or_numbers(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    data = open_dataset(write(tmp_path))
    scipy.io.savemat(tmp_path / "trainval" / "street.mat", {"LabelMap": labels})
    with pytest.raises(DataError, match=message):
        [data.read_labels(i) for i in range(len(data))]
