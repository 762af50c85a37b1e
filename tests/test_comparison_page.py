"""The page of a comparison, its figures and tables: nothing lost, nothing that a name could steer."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from comparison_cases import layer, permuted, run
from report_cases import HOSTILE

from fastdissect.errors import OutputError
from fastdissect.methods.comparison import Comparison, compare
from fastdissect.reports.studies.comparison_page import write_comparison
from fastdissect.results import Dissection
from fastdissect.types import Concepts

MAPS = np.random.default_rng(0).normal(size=(8, 12, 4, 4)).astype(np.float32)
SVG = "{http://www.w3.org/2000/svg}"


def write(found: Comparison, out: Path, *, units: bool = True) -> Path:
    if not units:
        return write_comparison(found, out)
    changes, left = found.changes()
    return write_comparison(found, out, changes=changes, matchings=found.matchings(), left_out=left)


def figure_text(path: Path) -> str:
    """All words of an SVG, in one line."""
    texts = ElementTree.parse(path).iter(f"{SVG}text")
    return " ".join(" ".join("".join(text.itertext()).split()) for text in texts)


def page_text(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page.read_text()))


def pair(*layers: str) -> dict[str, Dissection]:
    """Two runs, the second with its units in another order; of the layers "low" and "high", or those named."""
    own = [layer(name, maps=MAPS, seed=i) for i, name in enumerate(layers or ("low", "high"))]
    order = np.random.default_rng(1).permutation(12)
    return {"one": run(*own), "other": run(*(permuted(one, order) for one in own))}


def read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""], comment=None)


def test_all_that_there_is_gets_written(tmp_path: Path) -> None:
    runs = {
        f"r{i}": run(layer("low", maps=MAPS, seed=i), layer("high", maps=MAPS, seed=9 + i)) for i in range(3)
    }
    page = write(compare(runs, steps=[0, 10, 1000], accuracy=[0.1, None, 0.7]), tmp_path / "out")
    files = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    names = [
        "unique-detectors",
        "unique-detectors-by-category",
        "layers",
        "layers-by-category",
        "training",
        "changes",
    ]
    names += [f"{what}-{where}" for what in ("transitions", "matching") for where in ("low", "high")]
    assert {f for f in files if f.startswith("figures/")} == {
        f"figures/{name}.{end}" for name in names for end in ("svg", "png")
    }
    tables = ("layers", "categories", "training", "changes", "transitions", "matches")
    assert {f for f in files if f.endswith(".csv")} == {f"{name}.csv" for name in tables}
    text = page.read_text()
    for name in names:
        assert f"figures/{name}.svg" in text
        assert (tmp_path / "out" / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    words = figure_text(tmp_path / "out" / "figures" / "training.svg")
    for word in ("training step", "accuracy", "unique detectors", "object", "low", "high", "1k", "all"):
        assert word in words
    assert "Step 0, the untrained network" in text


def test_a_comparison_without_units_has_no_sections_of_them(tmp_path: Path) -> None:
    page = write(compare({"a": run(layer()), "b": run(layer(seed=1))}), tmp_path / "out", units=False)
    assert sorted(p.name for p in (tmp_path / "out" / "figures").glob("*.svg")) == [
        "unique-detectors-by-category.svg",
        "unique-detectors.svg",
    ]
    for word in ("Over the layers", "Over training", "Unit by unit", "Matched units", "Left out"):
        assert word not in page_text(page)


def test_a_single_run_is_a_page(tmp_path: Path) -> None:
    page = write(compare(run(layer("low"), layer("high"))), tmp_path / "out", units=False)
    assert "Over the layers" in page_text(page)
    assert sorted(p.name for p in (tmp_path / "out" / "figures").glob("*.svg")) == [
        "layers-by-category.svg",
        "unique-detectors.svg",
    ]


def test_bars_say_what_was_counted(tmp_path: Path) -> None:
    found = compare({f"run {i}": run(layer(units=40, seed=i)) for i in range(4)})
    write(found, tmp_path / "out", units=False)
    words = figure_text(tmp_path / "out" / "figures" / "unique-detectors.svg").split()
    for total in found.layers["unique_sum"]:
        assert str(total) in words
    panels = figure_text(tmp_path / "out" / "figures" / "unique-detectors-by-category.svg").split()
    for count in found.categories["unique"]:
        assert str(count) in panels


def test_the_same_comparison_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(compare(pair("low")), tmp_path / name)
    one, two = (
        {str(p.relative_to(tmp_path / n)): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()}
        for n in ("one", "two")
    )
    assert one == two


def test_tables_come_back_from_their_csv(tmp_path: Path) -> None:
    found = compare(pair("low"), steps=[0, 3], accuracy=[0.25, 1 / 3])
    write(found, tmp_path / "out")
    changes, _ = found.changes()
    layers = read_csv(tmp_path / "out" / "layers.csv")
    for column in found.layers:
        assert list(layers[column]) == list(found.layers[column]), column
    assert list(read_csv(tmp_path / "out" / "categories.csv")["unique"]) == list(found.categories["unique"])
    table = read_csv(tmp_path / "out" / "changes.csv")
    assert list(table["run_before"]) == ["one"] * 12
    assert list(table["layer_after"]) == ["low"] * 12
    for column in ("change", "iou_before", "iou_after", "detector_after"):
        expected = [value for p in changes for value in p.changes.units[column]]
        assert list(table[column]) == expected, column
    matrix = read_csv(tmp_path / "out" / "transitions.csv")
    for p in changes:
        own = matrix[matrix["layer_before"] == p.before.layer]
        for row in own.to_dict("records"):
            assert row["units"] == p.changes.transitions.loc[row["category_before"], row["category_after"]]
        assert own["units"].sum() == 12
    matches = read_csv(tmp_path / "out" / "matches.csv")
    expected_pairs = [value for m in found.matchings() for value in m.matching.units["unit_b"]]
    assert list(matches["unit_b"]) == expected_pairs
    assert list(matches["run_b"]) == ["other"] * 12


def test_a_forced_comparison_says_so_everywhere(tmp_path: Path) -> None:
    runs = pair() | {"cut": run(layer("low", maps=MAPS, cut=0.1), layer("high", maps=MAPS, cut=0.1))}
    found = compare(runs, force=True, steps=[0, 1, 5])
    assert found.warning == "Not made under the same conditions: profile's cut: 0.04 (one, other), 0.1 (cut)"
    page = write(found, tmp_path / "out")
    figures = sorted((tmp_path / "out" / "figures").glob("*.svg"))
    assert len(figures) == 10
    for path in figures:
        assert found.warning in figure_text(path), path.name
    for path in (tmp_path / "out").glob("*.csv"):
        assert path.read_text().splitlines()[0] == f"# {found.warning}"
    assert found.warning in page_text(page)


def test_figures_without_force_have_no_warning(tmp_path: Path) -> None:
    page = write(compare(pair("low")), tmp_path / "out")
    for path in (tmp_path / "out" / "figures").glob("*.svg"):
        assert "conditions" not in figure_text(path)
    assert 'role="alert"' not in page.read_text()


def test_an_undetermined_layer_is_called_so(tmp_path: Path) -> None:
    runs = {
        "few": run(layer("low", seen=9), layer("high")),
        "many": run(layer("low", seed=1), layer("high", seed=2)),
    }
    found = compare(runs, steps=[1, 10])
    changes, left = found.changes()
    page = write_comparison(found, tmp_path / "out", changes=changes, left_out=left)
    assert "undetermined" in figure_text(tmp_path / "out" / "figures" / "unique-detectors.svg")
    text = page_text(page)
    assert text.count("undetermined") >= 4
    assert "Few · low, many · low: undetermined, too few images for the quantile." in text
    row = read_csv(tmp_path / "out" / "layers.csv").iloc[0]
    assert row["undetermined"]
    assert pd.isna(row["unique_sum"])


def test_names_are_only_text(tmp_path: Path) -> None:
    """Of runs, layers, concepts and categories, in the page, the figures, the tables and the file names."""
    hostile = (*HOSTILE, "bell\x07esc\x1b[31m", 'comma, "quote" and\r\nline', "$x_1$ \\frac{1}")
    names = tuple(f"{name}{i}" for i in range(2) for name in hostile)
    concepts = Concepts(np.arange(1, len(names) + 1), names, np.arange(len(names)) % 5, hostile[-5:])
    layers = hostile[:2]
    runs = {
        name: run(
            *(layer(one, maps=MAPS, seed=3 * i + j, concepts=concepts) for j, one in enumerate(layers)),
            key={"data set": name if i == 3 else "others"},
        )
        for i, name in enumerate(hostile)
    }
    found = compare(runs, force=True, steps=range(len(hostile)), layers=[layers[0]])
    few = compare({name: runs[name] for name in hostile[:2]}, force=True)
    page = write_comparison(
        found,
        tmp_path / "out",
        changes=few.changes()[0],
        matchings=few.matchings(),
        left_out=hostile,
    )
    text = page.read_text()
    tags = set(re.findall(r"<([a-zA-Z]+)", text))
    assert not tags & {"i", "b"}
    assert re.findall(r"<script[^>]*>", text) == ['<script src="assets/theme.js">']
    assert all(source.startswith("figures/") for source in re.findall(r'<img src="([^"]*)"', text))
    assert text.count("<img") == 8
    figures = list((tmp_path / "out" / "figures").glob("*.svg"))
    assert len(figures) == 8
    for path in figures:
        root = ElementTree.parse(path)  # well-formed
        assert not [e for e in root.iter() if e.tag == f"{SVG}script" or "onerror" in e.attrib]
        assert "Not made under the same conditions: data set" in figure_text(path)
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert all(re.fullmatch(r"[\w.%-]+", p.name) for p in files)
    with (tmp_path / "out" / "layers.csv").open(newline="", encoding="utf-8") as file:
        file.readline()  # the warning
        rows = list(csv.DictReader(io.StringIO(file.read(), newline="")))
    assert [row["run"] for row in rows] == list(hostile)
    assert {row["layer"] for row in rows} == {layers[0]}


def test_a_warning_is_no_mathematics(tmp_path: Path) -> None:
    r"""What stands between two dollars would be read as TeX, and \frac alone would be an error."""
    names = (r"a $\frac$ b", "c")
    found = compare({name: run(layer(cut=0.01 * i)) for i, name in enumerate(names, 1)}, force=True)
    write(found, tmp_path / "out", units=False)
    assert found.warning in figure_text(tmp_path / "out" / "figures" / "unique-detectors.svg")


def test_a_data_set_without_categories_has_nothing_but_zeros(tmp_path: Path) -> None:
    empty = Concepts(np.empty(0, np.int64), (), np.empty(0, np.int64), ())
    runs = {name: run(layer("low", concepts=empty), layer("high", concepts=empty)) for name in "ab"}
    found = compare(runs, steps=[0, 2])
    changes, _ = found.changes()
    write_comparison(found, tmp_path / "out", changes=changes)
    assert list(read_csv(tmp_path / "out" / "layers.csv")["unique_sum"]) == [0] * 4


def test_another_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="choose another folder"):
        write(compare(run(layer())), tmp_path, units=False)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    write(compare(run(layer())), tmp_path / "out", units=False)
    write(compare(run(layer(seed=3))), tmp_path / "out", units=False)  # an older page is replaced
    assert (tmp_path / "out" / "index.html").exists()


def test_many_units_are_shown_in_part_and_kept_whole(tmp_path: Path) -> None:
    found = compare({"a": run(layer(units=300)), "b": run(layer(units=300, seed=1))})
    changes, _ = found.changes()
    page = write_comparison(found, tmp_path / "out", changes=changes)
    moved = int(changes[0].changes.counts["units"][1:4].sum())
    assert moved > 40
    assert f"40 of {moved} rows" in page_text(page)
    assert len(read_csv(tmp_path / "out" / "changes.csv")) == 300
