"""`ConceptVectors`: saved and loaded bit by bit, damaged files refused; `FilterCounts`: filters needed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.net2vec import ConceptVectors, FilterCounts, ImageScores, sharing


def vectors(**items: Any) -> ConceptVectors:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "concept": ["NA", 'a "b", c\r\nd', "tür"],
            "number": [3, 6, 9],
            "iou_val": [0.1, np.nan, 1 / 3],
            "single_unit": [0, 4, 2],
            "no_val": [False, True, False],
        }
    ).astype({"concept": "str"})
    given: dict[str, Any] = {
        "kind": "segmentation",
        "layer": "conv5",
        "numbers": np.array([3, 6, 9]),
        "names": tuple(table["concept"]),
        "category": np.array([0, 1, 0]),
        "categories": ("object", "part"),
        "weights": rng.normal(size=(3, 5)).astype(np.float32),
        "bias": None,
        "table": table,
        "skipped": (("sky", "no images"),),
        "record": {"settings": {"epochs": 3}},
        "images": ImageScores(
            np.array([0, 0, 2]), np.array([1, 4, 2]), np.array([True, False, True]),
            np.array([5, 0, 7]), np.array([10, 0, 8]),
        ),
    }  # fmt: skip
    return ConceptVectors(**{**given, **items})


@pytest.mark.parametrize("bias", [None, np.array([1, -2, 0.5], np.float32)])
def test_everything_comes_back(tmp_path: Path, bias: Any) -> None:
    found = vectors(bias=bias)
    found.save(tmp_path / "a" / "b")
    back = ConceptVectors.load(tmp_path / "a" / "b")
    for name in ("kind", "layer", "names", "categories", "skipped", "record"):
        assert getattr(back, name) == getattr(found, name)
    for name in ("numbers", "category", "weights", "bias"):
        ours, theirs = getattr(found, name), getattr(back, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours.dtype == theirs.dtype
            assert ours.tobytes() == theirs.tobytes()
    pd.testing.assert_frame_equal(back.table, found.table, check_exact=True)
    assert back.images is not None
    assert found.images is not None
    pd.testing.assert_frame_equal(back.images.table(), found.images.table(), check_exact=True)
    assert {p.name for p in (tmp_path / "a" / "b").iterdir()} == {
        "vectors.csv",
        "vectors.json",
        "vectors.safetensors",
    }


def test_without_images_and_without_concepts(tmp_path: Path) -> None:
    none = vectors()
    empty = dataclasses.replace(
        none,
        numbers=none.numbers[:0],
        names=(),
        category=none.category[:0],
        weights=none.weights[:0],
        table=none.table.iloc[:0],
        images=None,
    )
    empty.save(tmp_path)
    back = ConceptVectors.load(tmp_path)
    assert len(back) == 0
    assert back.weights.shape == (0, 5)
    assert back.images is None
    assert [*back.table.columns] == [*none.table.columns]


@pytest.mark.parametrize("name", ["vectors.csv", "vectors.safetensors"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    vectors().save(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[-2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(OutputError, match=f"{name} is damaged"):
        ConceptVectors.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(OutputError, match=f"{name} cannot be read"):
        ConceptVectors.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.pop("names"), "is damaged"),
        (lambda index: index.update(names=["one"]), "is damaged"),
        (lambda index: index.update(kind="other"), "is damaged"),
        (lambda index: index.update(columns={"concept": "str"}), "is damaged"),
        (lambda index: index.update(format=99), "expected format 1; got 99"),
        (lambda index: index.update(files=3), "is damaged"),
        (lambda index: index.update(categories=["object"]), "is damaged"),
        (lambda index: index.update(names=[1, 2, 3]), "is damaged"),
        (lambda index: index.update(layer=None), "is damaged"),
        (lambda index: index.update(record=[1]), "is damaged"),
        (lambda index: index["columns"].update(concept="float64"), "is damaged"),
        (lambda index: index["columns"].update(concept="no dtype"), "is damaged"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    vectors().save(tmp_path)
    path = tmp_path / "vectors.json"
    index = json.loads(path.read_bytes())
    change(index)
    path.write_text(json.dumps(index))
    with pytest.raises(OutputError, match=message):
        ConceptVectors.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    vectors().save(tmp_path)
    (tmp_path / "vectors.json").write_text(text)
    with pytest.raises(OutputError, match=r"vectors\.json is damaged"):
        ConceptVectors.load(tmp_path)


def test_a_folder_without_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is missing"):
        ConceptVectors.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"kind": "cluster"}, "kind segmentation, classification, semantic; got 'cluster'"),
        ({"weights": np.zeros((3, 5))}, "weights float32"),
        ({"weights": np.zeros((2, 5), np.float32)}, "weights of 3 concepts; got 2"),
        ({"bias": np.zeros(2, np.float32)}, "bias of 3 concepts; got 2"),
        ({"numbers": np.zeros(4, np.int64)}, "numbers of 3 concepts; got 4"),
    ],
)
def test_parts_that_do_not_fit_are_refused(items: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        vectors(**items)


def test_concepts_are_found_by_name_and_number() -> None:
    found = vectors()
    assert (found.find("NA"), found.find(9)) == (0, 2)
    assert found.category_names() == ("object", "part", "object")
    with pytest.raises(SettingError, match="'sky' was skipped: no images"):
        found.find("sky")
    for unknown in ("turm", 4, True):
        with pytest.raises(SettingError, match="3 trained concepts"):
            found.find(unknown)


def test_unit_vectors_have_length_one_or_stay_zero() -> None:
    weights = np.array([[3, 4, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1e-30]], np.float32)
    found = vectors(weights=weights).unit_vectors()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.6, 0.8, 0, 0, 0], [0] * 5, [0, 0, 0, 0, 1]], rtol=1e-6)


def test_image_scores() -> None:
    scores = vectors().images
    assert scores is not None
    assert scores.iou().tolist() == [0.5, 0.0, 0.875]
    np.testing.assert_array_equal(scores.iou_set(3, True), [0.5, np.nan, 0.875])
    np.testing.assert_array_equal(scores.iou_set(3, False), [0.0, np.nan, np.nan])
    assert scores.across(0, 3, train=True).tolist() == [1]
    assert scores.table()["split"].tolist() == ["train", "val", "train"]


def counts() -> FilterCounts:
    val = [[0.1, 0.5, 0.45, 0.4], [0.9, 0.9, 0.95, 1.0], [np.nan] * 4]
    rows = [
        (f"c{c}", 3 * c + 3, size, 0.5, val[c][i]) for c in range(3) for i, size in enumerate((1, 2, 8, 64))
    ]
    table = pd.DataFrame(rows, columns=["concept", "number", "filters", "train", "val"])
    return FilterCounts("iou", 64, ("c0", "c1", "c2"), table, {})


def test_a_folder_in_place_of_the_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vectors.json").mkdir()
    with pytest.raises(OutputError, match="cannot be"):
        vectors().save(tmp_path)
    with pytest.raises(OutputError, match="cannot be read"):
        ConceptVectors.load(tmp_path)


def test_a_save_that_is_killed_leaves_no_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastdissect.methods.net2vec import saving

    vectors().save(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        vectors(weights=np.ones((3, 5), np.float32)).save(tmp_path)
    assert not (tmp_path / "vectors.json").exists()  # the arrays are new, the table is old: no pair


def test_nothing_can_be_said_of_filters_where_all_of_them_score_nothing() -> None:
    rows = [("c", 3, size, 0.5, 0.0) for size in (1, 2, 64)]
    table = pd.DataFrame(rows, columns=["concept", "number", "filters", "train", "val"])
    assert FilterCounts("iou", 64, ("c",), table, {}).needed()["needed"].tolist() == [0]
    with pytest.raises(SettingError, match="weights of every F"):
        FilterCounts("iou", 64, ("c",), table, {}).save("nowhere")


def test_filters_needed() -> None:
    found = counts()
    needed = found.needed()
    assert needed["needed"].tolist() == [2, 1, 0]
    assert needed["best"].tolist() == [2, 64, 0]
    assert needed["val"].tolist()[:2] == [0.5, 0.9]
    assert needed["val_all"].tolist()[:2] == [0.4, 1.0]
    assert found.needed(1.0)["needed"].tolist() == [2, 64, 0]
    assert found.needed(0.9, above_first=True)["needed"].tolist() == [2, 64, 0]
    for tau in (0, 1.5, True):
        with pytest.raises(SettingError, match="tau"):
            found.needed(tau)


def test_curves_over_the_concepts() -> None:
    curve = counts().curve()
    assert curve["concepts"].tolist() == [2, 2, 2, 2]
    np.testing.assert_allclose(curve["mean"], [0.5, 0.7, 0.7, 0.7])
    np.testing.assert_allclose(curve["error"], [0.4, 0.2, 0.25, 0.3])
    assert counts().cumulative()["share"].tolist() == [0.5, 1.0, 1.0, 1.0]


def test_sharing_has_the_published_bins() -> None:
    chosen = np.repeat(np.arange(9), [1, 2, 5, 6, 9, 10, 14, 19, 20])
    table = sharing(chosen, 11)
    assert table["concepts"].tolist() == ["0", "1", "2-5", "6-9", "10-14", "15-19", "20+"]
    assert table["filters"].tolist() == [2, 1, 2, 2, 2, 1, 1]
