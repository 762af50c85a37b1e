from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from fastdissect.conventions import PROFILES
from fastdissect.errors import DataError, SettingError
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
    path.write_bytes(text.encode(errors="surrogateescape"))
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
        ("3,object", "1,object", ["line 3", "got 1", "unit 3 is missing"]),
        ("3,object", "999999999,object", ["line 2", "got 999999999", "unit 3 is missing"]),
        ("4,color", "3,color", ["unit 4 is missing"]),
        ("3,object", "3,objects", ["column category", "object, color", "'objects'"]),
        ("dog,0.5", "dog,half", ["line 2", "column score", "a score from 0", "'half'"]),
        ("500,0.5", "500,nan", ["column object-iou", "'nan'"]),
        ("500,0.5", "500,-0.5", ["column object-iou", "'-0.5'"]),
        ("500,0.5,red-c", "500,0.5", ["line 2", "expected 14 cells", "got 13"]),
        ("500,0.5,red-c", "500,0.5,,red-c", ["line 2", "expected 14 cells", "got 15"]),
        ("dog,0.5", "dog,0_5", ["line 2", "column score", "'0_5'"]),
        ("dog,0.5", "dog, 0.5", ["line 2", "column score", "' 0.5'"]),
        ("dog,0.5", "dog,inf", ["line 2", "column score", "'inf'"]),
        (
            "90,30,0.25",
            "90,30.5,0.25",
            ["line 3", "column color-intersect", "whole number of pixels", "'30.5'"],
        ),
        ("90,30,0.25", "-90,30,0.25", ["line 3", "column color-activation", "'-90'"]),
        ("90,30,0.25", ",30,0.25", ["line 3", "column color-activation", "''"]),
        ("10,20", "many,20", ["line 3", "column object-truth", "'many'"]),
        ("10,20", "1e300,20", ["line 3", "column object-truth", "'1e300'"]),
        ("10,20", "9007199254740993.0,20", ["line 3", "column object-truth", "whole number"]),
        ("10,20", "10000000000000000000,20", ["line 3", "column object-truth", "whole number"]),
        ("2,color,,0.0", "2,color,\udcff,0.0", ["NetDissect's table", "UTF-8"]),
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


def test_counts_are_whole_pixels_a_row_a_unit_and_category(tmp_path):
    tally = read_tally(write(tmp_path, RELEASED))
    table = tally.counts()
    assert table.columns.tolist() == ["unit", "category", "label", "truth", "activation", "intersect", "iou"]
    assert table["unit"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert table["category"].tolist() == ["object", "color"] * 4
    third = table[table["unit"] == 2]
    assert third["label"].tolist() == ["dog", "red-c"]
    assert third["truth"].tolist() == [900, 70]
    assert third["activation"].tolist() == [800, 800]
    assert third["intersect"].tolist() == [500, 40]
    assert third["iou"].tolist() == [0.5, 0.05]
    for item in ("truth", "activation", "intersect"):
        assert table[item].dtype == np.int64
        assert getattr(tally, item).shape == (4, 2)
        assert getattr(tally, item).ravel().tolist() == table[item].tolist()


def test_all_zero_counts_of_an_empty_label(tmp_path):
    assert read_tally(write(tmp_path, RELEASED)).activation[1].tolist() == [5, 5]


def released(seed, units=40, *, decimals, order, shuffle):
    """A table with the peculiarities of released ones, and what it holds: (unit, category) -> cells.

    decimals: columns whose counts were written as floats; order: rows "score" or "unit"; shuffle: columns mixed.
    In "texture" the unlabelled pixels win now and then: no name, an activation of 0, and a small IoU.
    """
    rng = np.random.default_rng(seed)
    categories = ["object", "color", "texture"]
    truth = {f"{q[0]}{i}": int(rng.integers(100, 1000)) for q in categories for i in range(6)}
    rows, cells = [], {}
    for unit in range(1, units + 1):
        row, best = {"unit": str(unit)}, (-1.0, "", "")
        for q in categories:
            if q == "texture" and rng.random() < 0.3:
                name, g, b, i = "", 24_924_928, 0, int(rng.integers(1, 99_999))
            else:
                name = f"{q[0]}{rng.integers(6)}"
                g, b = truth[name], int(rng.integers(50, 1000))
                i = int(rng.integers(0, min(g, b) // (8 if q == "color" else 2)))
            score = i / (b + g - i)
            cells[unit - 1, q] = (name, g, b, i, score)
            for item, value in zip(("truth", "activation", "intersect"), (g, b, i), strict=True):
                row[f"{q}-{item}"] = f"{value}.0" if item in decimals else str(value)
            row[f"{q}-label"], row[f"{q}-iou"] = name, repr(score)
            best = max(best, (score, q, name))
        row["score"], row["category"], row["label"] = repr(best[0]), best[1], best[2]
        rows.append(row)
    if order == "score":
        rows.sort(key=lambda row: -float(row["score"]))
    header = ["unit", "category", "label", "score"]
    header += [
        f"{q}-{item}" for q in categories for item in ("label", "truth", "activation", "intersect", "iou")
    ]
    if shuffle:
        header = [header[i] for i in rng.permutation(len(header))]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue(), cells


STYLES = [
    {"decimals": ("activation",), "order": "score", "shuffle": False},  # NetDissect
    {"decimals": ("truth", "activation", "intersect"), "order": "score", "shuffle": False},  # NetDissect-Lite
    {"decimals": (), "order": "unit", "shuffle": False},  # as CLIP-Dissect keeps them
    {"decimals": ("truth",), "order": "unit", "shuffle": True},
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(3))
def test_tables_of_every_style_hold_the_same(tmp_path, style, seed):
    text, cells = released(seed, **style)
    tally = read_tally(write(tmp_path, text))
    assert sorted(tally.categories) == ["color", "object", "texture"]
    for row in tally.counts().itertuples():
        expected = cells[row.unit, row.category]
        assert (row.label, row.truth, row.activation, row.intersect, row.iou) == expected
        assert row.iou == row.intersect / (row.activation + row.truth - row.intersect)
    assert any(not cell[0] for cell in cells.values())


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_both_counts_are_those_of_a_plain_loop(tmp_path, style, inclusive):
    text, cells = released(7, **style)
    cut = sorted(cell[4] for cell in cells.values())[len(cells) // 2]  # one of the scores themselves
    found = read_tally(write(tmp_path, text), cut=cut, cut_inclusive=inclusive).summary()

    def passes(score):
        return score >= cut if inclusive else score > cut

    total, units = 0, sorted({unit for unit, _ in cells})
    for row in found.by_category:
        names = [cells[u, row.category][0] for u in units if passes(cells[u, row.category][4])]
        assert (row.detectors, row.unique) == (len(names), len(set(names)))
        total += len(set(names))
    best = [max((cells[u, q][4], q, cells[u, q][0]) for q in ("object", "color", "texture")) for u in units]
    winners = [name for score, _, name in best if passes(score)]
    assert (found.detectors, found.unique_detectors) == (len(winners), len(set(winners)))
    assert found.unique_by_category_total == total
    assert total > found.unique_detectors > 1


@pytest.mark.parametrize(
    "text", ["1016043", "1016043.0", "1016043.", "1.016043e6", "1.016043E+06", "1016043.0e0"]
)
def test_whole_counts_in_any_writing(tmp_path, text):
    tally = read_tally(write(tmp_path, RELEASED.replace("900,800", f"900,{text}")))
    assert tally.activation[2, 0] == 1016043


def test_integers_beyond_a_floats_reach_are_kept_exactly(tmp_path):
    tally = read_tally(write(tmp_path, RELEASED.replace("900,800", "900,9007199254740993")))
    assert tally.activation[2, 0] == 2**53 + 1


def test_the_line_is_counted_through_names_that_hold_line_breaks(tmp_path):
    text = RELEASED.replace("dog", '"do\ng"').replace("0.25,cat", "x,cat")
    with pytest.raises(DataError, match="line 5: column score"):  # the first row takes lines 2 to 4
        read_tally(write(tmp_path, text))


def test_a_cut_anywhere_before_the_last_cell_is_noticed(tmp_path):
    whole = RELEASED.rstrip()
    for end in range(len(whole) - len("0.0")):
        with pytest.raises(DataError, match=r"result\.csv"):
            read_tally(write(tmp_path, whole[:end]))


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


@pytest.mark.parametrize("cut", [-0.1, 1.5, float("nan"), "0.04", None])
def test_a_cut_is_an_iou(tmp_path, cut):
    with pytest.raises(SettingError, match="expected cut to be an IoU from 0 to 1"):
        read_tally(tmp_path / "absent.csv", cut=cut)


def test_a_table_shows_itself_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.csv"
    path.write_text(
        "unit,category,label,score,q-label,q-truth,q-activation,q-intersect,q-iou\n1,q,a,0.5,a,2,2,1,0.5\n"
    )
    assert repr(read_tally(path)) == "Tally('alexnet.csv': 1 units, 1 categories, 1 detectors, 1 unique)"
