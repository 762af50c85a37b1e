from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from fastdissect.conventions import PROFILES
from fastdissect.errors import DataError
from fastdissect.layer import LayerDissection
from fastdissect.storage.tally_file import write_tally
from fastdissect.tally import read_tally
from fastdissect.types import Concepts, Counts
from fastdissect.upsampling import make_upsampling

# Four units in two categories, as NetDissect-Lite writes them: best score first, units from 1.
RELEASED = """\
unit,category,label,score,object-label,object-truth,object-activation,object-intersect,object-iou,\
color-label,color-truth,color-activation,color-intersect,color-iou
3,object,dog,0.5,dog,900,800,500,0.5,red-c,70,800,40,0.05
1,color,red-c,0.25,cat,10,20,1,0.03,red-c,70,90,30,0.25
4,color,red-c,0.04,cat,10,20,1,0.04,red-c,70,90,30,0.04
2,color,,0.0,,0,5,0,0.0,,0,5,0,0.0
"""


def write(tmp_path, text):
    path = tmp_path / "result.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_released_table_gives_units_and_both_counts(tmp_path, newline):
    tally = read_tally(write(tmp_path, "\ufeff" + RELEASED.replace("\n", newline) + newline))
    table = tally.units()
    assert table["unit"].tolist() == [0, 1, 2, 3]
    assert table["label"].tolist() == ["red-c", "", "dog", "red-c"]
    assert table["category"].tolist() == ["color", "color", "object", "color"]
    assert table["iou"].tolist() == [0.25, 0, 0.5, 0.04]
    assert table["detector"].tolist() == [True, False, True, False]
    assert table["object-label"].tolist() == ["cat", "", "dog", "cat"]
    assert table["color-iou"].tolist() == [0.25, 0, 0.05, 0.04]
    got = tally.summary()
    assert (got.units, got.detectors, got.unique_detectors) == (4, 2, 2)
    assert got.unique_by_category_total == 2  # dog; red-c of units 1 and 3
    objects, colours = got.by_category
    assert (objects.category, objects.detectors, objects.unique) == ("object", 1, 1)
    assert (colours.detectors, colours.unique) == (2, 1)
    assert (colours.best_detectors, colours.best_unique) == (1, 1)


def test_the_reports_cut_includes_0_04(tmp_path):
    got = read_tally(write(tmp_path, RELEASED), cut_inclusive=True).summary()
    assert (got.detectors, got.unique_by_category_total) == (3, 3)  # cat of unit 4 joins


def test_names_like_na_stay_names(tmp_path):
    tally = read_tally(write(tmp_path, RELEASED.replace("dog", "nan").replace(",cat,", ",NA,")))
    assert tally.units()["label"].tolist() == ["red-c", "", "nan", "red-c"]
    assert tally.summary().unique_detectors == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("score", "iou", ["no column 'score'", "unit, category, label, score"]),
        ("color-truth", "colour-truth", ["no column 'color-truth'", "q-truth"]),
        ("unit,category", "unit,layer,category", ["foreign column 'layer'"]),
        ("unit,category", "unit,unit,category", ["column 'unit' twice"]),
        ("3,object", "x,object", ["column unit", "'x'"]),
        ("3,object", "0,object", ["unit 3 is missing"]),
        ("3,object", "1,object", ["unit 3 is missing"]),
        ("3,object", "999999999,object", ["unit 3 is missing"]),
        ("4,color", "3,color", ["unit 4 is missing"]),
        ("3,object", "3,objects", ["column category", "object, color", "'objects'"]),
        ("dog,0.5", "dog,half", ["row 1", "column score", "'half'"]),
        ("500,0.5", "500,nan", ["column object-iou", "'nan'"]),
        ("500,0.5", "500,-0.5", ["column object-iou", "'-0.5'"]),
        ("500,0.5,red-c", "500,0.5", ["row 1", "expected 14 cells; got 13"]),
        ("dog,0.5", '"dog,0.5', ["NetDissect's table"]),
    ],
)
def test_a_foreign_or_damaged_table_is_refused(tmp_path, old, new, words):
    assert old in RELEASED
    path = write(tmp_path, RELEASED.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        read_tally(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["", "unit\n", "unit,category,label,score\n1,a,b,0.5\n"])
def test_a_file_without_rows_or_categories_is_refused(tmp_path, text):
    with pytest.raises(DataError, match="expected"):
        read_tally(write(tmp_path, text))


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        read_tally(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"binary\.csv"):
        read_tally(tmp_path / "binary.csv")


def test_cutting_off_whole_rows_is_noticed(tmp_path):
    lines = RELEASED.splitlines(keepends=True)
    for kept in range(2, 5):
        with pytest.raises(DataError, match="truncated"):
            read_tally(write(tmp_path, "".join(lines[:kept])))


def found(seed: int, units: int = 30) -> LayerDissection:
    rng = np.random.default_rng(seed)
    names = (
        "cat",
        'say "hi"',
        "a,b",
        "line\nbreak",
        "return\rcarriage",
        "=1+1",
        "<b>",
        " padded ",
        "NA",
        "日本",
    )
    concepts = Concepts(
        np.sort(rng.choice(99, 10, replace=False)) + 1, names, rng.integers(0, 3, 10), ("x", "y", "z")
    )
    intersection = rng.integers(0, 3, (units, 10)) * rng.integers(0, 2, (units, 10))
    intersection[:2] = 0
    counts = Counts(intersection, rng.integers(2, 5, (units, 3)), rng.integers(2, 5, 10), np.full(units, 9))
    return LayerDissection(
        name="layer4",
        profile=PROFILES["netdissect"],
        concepts=concepts,
        shape=(8, units, 2, 2),
        thresholds=np.zeros(units, np.float32),
        seen=np.full(units, 320),
        counts=counts,
        upsampling=make_upsampling("half-pixel", (2, 2), (4, 4)),
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_reads_back_with_the_same_results(tmp_path, seed):
    layer = found(seed)
    text = io.StringIO(newline="")
    write_tally(layer, text)
    tally = read_tally(write(tmp_path, text.getvalue()))
    ours, theirs = layer.units(), tally.units()
    for column in theirs.columns:
        assert theirs[column].tolist() == ours[column].tolist(), column
    assert dataclass_dict(tally.summary()) == dataclass_dict(layer.summary())


def dataclass_dict(summary):
    return (summary.units, summary.detectors, summary.unique_detectors, summary.by_category)


@pytest.mark.parametrize("seed", range(4))
def test_the_written_rows_are_lites(seed):
    layer = found(seed)
    text = io.StringIO(newline="")
    write_tally(layer, text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    best = layer.iou().max(1)
    order = sorted(range(30), key=lambda k: (best[k], k), reverse=True)
    assert [int(row["unit"]) - 1 for row in rows] == order
    by_name = {name: c for c, name in enumerate(layer.concepts.names)}
    for row in rows:
        k = int(row["unit"]) - 1
        for q, category in enumerate(layer.concepts.categories):
            c = by_name.get(row[f"{category}-label"])
            expected = (0, 0) if c is None else (layer.concept_area[c], layer.intersection[k, c])
            assert (int(row[f"{category}-truth"]), int(row[f"{category}-intersect"])) == expected
            assert int(row[f"{category}-activation"]) == layer.unit_area[k, q]
            assert float(row[f"{category}-iou"]) == (0 if c is None else layer.iou()[k, c])
