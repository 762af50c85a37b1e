"""Tables that the peers read: `export()` of planted results, and back."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from report_cases import HOSTILE, Photos, make_concepts, make_dissection, plant

from fastdissect.errors import FastdissectError, LayerError, OutputError, SettingError
from fastdissect.exporting import FORMATS, export
from fastdissect.layer import LayerDissection
from fastdissect.results import Dissection
from fastdissect.tally import read_tally

LAYERS = ("layer1", "layer2.0.conv1", "a/b c")
FOLDERS = ("layer1", "layer2.0.conv1", "a%2Fb%20c")
TABLES = ("netdissect-lite", "netdissect", "dissect", "clip-dissect")


@pytest.fixture
def run() -> Dissection:
    """Three layers over 30 images; the last units of each overlap with nothing; some names are hostile."""
    concepts = make_concepts(25, ("NA", 'say "hi"', "a,b", "line\nbreak", "=1+1", " padded ", "日本"))
    layers = [plant(name, units, 30, concepts) for name, units in zip(LAYERS, (13, 7, 40), strict=True)]
    for layer in layers:
        layer.intersection[-2:] = 0
    return make_dissection(layers, Photos(30, concepts=concepts))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def same_as(layer: LayerDissection, path: Path) -> None:
    """The table reads back as the layer's own units, counts and summary."""
    tally = read_tally(path)
    ours, theirs = layer.units(), tally.units()
    for column in theirs.columns:
        assert theirs[column].tolist() == ours[column].tolist(), column
    one, other = layer.summary(), tally.summary()
    assert (one.units, one.detectors, one.unique_detectors) == (
        other.units,
        other.detectors,
        other.unique_detectors,
    )
    assert one.unique_by_category_total == other.unique_by_category_total
    assert sorted(one.by_category, key=str) == sorted(other.by_category, key=str)
    assert one.detectors > 1
    for row in tally.counts().itertuples():
        q = layer.concepts.categories.index(row.category)
        column = layer.labels.column[row.unit, q]
        expected = (
            (0, 0) if column < 0 else (layer.concept_area[column], layer.intersection[row.unit, column])
        )
        assert (row.truth, row.intersect) == expected
        assert row.activation == layer.unit_area[row.unit, q]


def test_lites_tables_read_back_as_the_run(run: Dissection, tmp_path: Path) -> None:
    written = export(run, tmp_path / "lite", "netdissect-lite")
    assert written == [tmp_path / "lite" / f / n for f in FOLDERS for n in ("tally.csv", "quantile.npy")]
    for name, folder in zip(LAYERS, FOLDERS, strict=True):
        same_as(run[name], tmp_path / "lite" / folder / "tally.csv")
        levels = np.load(tmp_path / "lite" / folder / "quantile.npy", allow_pickle=False)
        assert levels.dtype == np.float64  # what Lite keeps, and float32 thresholds fit in
        assert levels.tolist() == run[name].thresholds.astype(np.float64).tolist()
        scores = [float(row["score"]) for row in rows_of(tmp_path / "lite" / folder / "tally.csv")]
        assert scores == sorted(scores, reverse=True)


def test_netdissects_tables_read_back_as_the_run(run: Dissection, tmp_path: Path) -> None:
    written = export(run, tmp_path / "v1", "netdissect")
    assert written == [tmp_path / "v1" / f"{folder}-result.csv" for folder in FOLDERS]
    for name, path in zip(LAYERS, written, strict=True):
        same_as(run[name], path)
        assert sorted(int(row["unit"]) for row in rows_of(path)) == list(range(1, run[name].units_count + 1))
    found = read_tally(written[2]).summary()
    assert found.detectors > found.unique_detectors > 1  # nothing trivial


def test_netdissects_categories_stand_where_its_plots_look_for_them(run: Dissection, tmp_path: Path) -> None:
    path = export(run, tmp_path / "v1", "netdissect", layers=["layer1"])[0]
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header[:4] == ["unit", "category", "label", "score"]
    labels = header[4::5]  # the released scripts take every fifth column
    assert labels == [
        f"{q}-label" for q in ("object", "color", "material", "scene", "texture", "part", "mood")
    ]
    assert header[8::5] == [c.replace("label", "iou") for c in labels]


def test_clip_dissects_tables_are_the_run(run: Dissection, tmp_path: Path) -> None:
    written = export(run, tmp_path / "clip", "clip-dissect")
    assert written[0] == tmp_path / "clip" / "descriptions.csv"
    rows = rows_of(written[0])
    assert list(rows[0]) == ["layer", "unit", "description", "similarity"]
    expected = []
    for name in LAYERS:
        table = run[name].units()
        expected += [(name, *row) for row in zip(table["unit"], table["label"], table["iou"], strict=True)]
    got = [(r["layer"], int(r["unit"]), r["description"], float(r["similarity"])) for r in rows]
    assert got == expected
    assert written[1:] == [tmp_path / "clip" / "NetDissect_results" / f"{folder}.csv" for folder in FOLDERS]
    for name, path in zip(LAYERS, written[1:], strict=True):
        same_as(run[name], path)
        assert [int(row["unit"]) for row in rows_of(path)] == list(range(1, run[name].units_count + 1))


def test_dissects_report_is_the_run(run: Dissection, tmp_path: Path) -> None:
    written = export(run, tmp_path / "dissect", "dissect")
    assert written == [
        tmp_path / "dissect" / f / n for f in FOLDERS for n in ("report.json", "concepts_99.svg")
    ]
    for name, folder in zip(LAYERS, FOLDERS, strict=True):
        report = json.loads((tmp_path / "dissect" / folder / "report.json").read_text(encoding="utf-8"))
        assert sorted(report) == ["header", "units"]
        assert report["header"]["image"] == "concepts_99.svg"
        assert name in report["header"]["name"]
        ElementTree.parse(tmp_path / "dissect" / folder / report["header"]["image"])
        table = run[name].units()
        assert [u["unit"] for u in report["units"]] == list(range(len(table)))
        for key, column in (("iou", "iou"), ("label", "label"), ("cat", "category")):
            assert [u[key] for u in report["units"]] == table[column].tolist()
        assert report["units"][3]["image"] == "image/unit3.jpg"


@pytest.mark.parametrize("name", TABLES)
def test_hostile_names_come_back_whole(name: str, tmp_path: Path) -> None:
    concepts = make_concepts(20, HOSTILE)
    run = make_dissection([plant("l", 20, 30, concepts)], Photos(30, concepts=concepts))
    export(run, tmp_path / "x", name)
    labels = run["l"].units()["label"].tolist()
    assert set(HOSTILE) & set(labels)
    if name == "dissect":
        report = json.loads((tmp_path / "x" / "l" / "report.json").read_text(encoding="utf-8"))
        assert [u["label"] for u in report["units"]] == labels
    elif name == "clip-dissect":
        assert [r["description"] for r in rows_of(tmp_path / "x" / "descriptions.csv")] == labels
    else:
        path = next((tmp_path / "x").rglob("*.csv"))
        assert read_tally(path).units()["label"].tolist() == labels


@pytest.mark.parametrize("name", TABLES)
def test_chosen_layers_alone_are_written_once(run: Dissection, name: str, tmp_path: Path) -> None:
    export(run, tmp_path / "x", name, layers=["a/b c", "layer1", "a/b c"])
    text = " ".join(str(p) for p in (tmp_path / "x").rglob("*"))
    assert "layer1" in text
    assert "a%2Fb%20c" in text
    assert "layer2" not in text


@pytest.mark.parametrize("name", TABLES)
def test_a_run_without_activations_has_its_tables(name: str, tmp_path: Path) -> None:
    concepts = make_concepts()
    kept = make_dissection([plant("l", 9, 30, concepts)], Photos(30))
    bare = make_dissection([plant("l", 9, 30, concepts, keep=False)], Photos(30))
    for folder, run in (("kept", kept), ("bare", bare)):
        export(run, tmp_path / folder, name)
    found = [
        {p.relative_to(tmp_path / f): p.read_bytes() for p in (tmp_path / f).rglob("*") if p.is_file()}
        for f in ("kept", "bare")
    ]
    assert found[0] == found[1]
    assert len(found[0]) > 1


@pytest.mark.parametrize("name", TABLES)
def test_an_undetermined_run_has_tables_of_zeros(name: str, tmp_path: Path) -> None:
    run = make_dissection([plant("l", 9, 30, make_concepts(), seen=100)], Photos(30))
    assert run["l"].undetermined
    export(run, tmp_path / "x", name)
    if name == "netdissect-lite":
        tally = read_tally(tmp_path / "x" / "l" / "tally.csv")
        assert tally.summary().detectors == 0
        assert set(tally.units()["label"]) == {""}


def test_a_run_is_taken_from_its_folder(run: Dissection, tmp_path: Path) -> None:
    run.save(tmp_path / "out")
    export(tmp_path / "out", tmp_path / "one", "netdissect-lite")
    export(str(tmp_path / "out"), str(tmp_path / "two"), "netdissect-lite")
    for folder in FOLDERS:
        own = (tmp_path / "out" / "layers" / folder / "tally.csv").read_bytes()
        for where in ("one", "two"):
            assert (tmp_path / where / folder / "tally.csv").read_bytes() == own


@pytest.mark.parametrize(
    ("error", "words", "more"),
    [
        (
            SettingError,
            "expected a format of netdissect-lite, .*; got 'milann'; nearest: milan",
            {"format": "milann"},
        ),
        (SettingError, r"got 'tally\.csv'", {"format": "tally.csv"}),
        (LayerError, "no layer 'layer11'.*nearest: layer1", {"layers": ["layer11"]}),
        (SettingError, "at least one layer of layer1, ", {"layers": []}),
        (SettingError, r"got the text 'layer1'; write \['layer1'\]", {"layers": "layer1"}),
        (SettingError, "'netdissect' has no pictures: leave out --top", {"top": 3}),
        (SettingError, "'netdissect' has no pictures: leave out", {"size": (64, 64), "dataset": Photos(30)}),
        (SettingError, "'dissect' has no pictures without a data set", {"format": "dissect", "top": 3}),
        (SettingError, "expected the run's data set; got none.*'photos:", {"format": "milan"}),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    run: Dissection, tmp_path: Path, error: type[FastdissectError], words: str, more: dict[str, object]
) -> None:
    with pytest.raises(error, match=words):
        export(run, tmp_path / "x", **{"format": "netdissect", **more})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_damaged_run_is_refused(run: Dissection, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="none is no folder"):
        export(tmp_path / "none", tmp_path / "x", "netdissect")
    run.save(tmp_path / "out")
    counts = tmp_path / "out" / "layers" / "layer1" / "counts.npz"
    counts.write_bytes(counts.read_bytes()[:-100])
    with pytest.raises(OutputError, match=re.escape(str(counts))):
        export(tmp_path / "out", tmp_path / "x", "netdissect")
    (tmp_path / "out" / "run.json").unlink()
    with pytest.raises(OutputError, match="no finished run"):
        export(tmp_path / "out", tmp_path / "x", "netdissect")
    assert not (tmp_path / "x").exists()


def test_every_format_is_named_in_the_documentation_of_export() -> None:
    assert export.__doc__ is not None
    assert [name for name in FORMATS if f'"{name}"' not in export.__doc__] == []
