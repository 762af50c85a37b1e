"""`fastdissect hierarchy`: a finished run, a file of relations, and what it says when something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cli_cases import call

import fastdissect

FILE = "child,parent,kind\nred-c,warm,is-a\norange-c,warm,is-a\nyellow-c,warm,is-a\nwheel,car,part-of\n"


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    patch = pytest.MonkeyPatch()
    patch.setenv("FASTDISSECT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    fastdissect.dissect(
        "builtin:shapes",
        "shapes:images=40,size=32",
        ["conv2", "conv5"],
        out=out,
        progress=False,
        quantile=0.05,
    )
    return out


def rows(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]


def test_the_command_prints_and_writes_what_python_finds(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "colours.csv"
    file.write_text(FILE)
    result = call("hierarchy", run, "--relations", file, "--tolerance", 0, "-l", "conv2")
    assert result.exit_code == 0, result.output
    found = fastdissect.methods.roll_up(
        fastdissect.load(run), "conv2", relations=file, tolerance=0, progress=False
    )["conv2"]
    numbers = found.summary()
    table = rows(result.output)
    assert table[0] == ["conv2", *(f"{n}" for n in (
        numbers.units, numbers.same, numbers.up, numbers.other, numbers.parts, numbers.detectors,
        numbers.adequate_detectors,
    ))]  # fmt: skip
    levels = found.levels()
    assert [row[1:] for row in table[1:]] == [
        [str(n) for n in (row.depth, row.nodes, row.covering, row.detectors, row.units)]
        for row in levels.itertuples()
    ]
    assert len(levels) == 2
    folder = run / "hierarchy"
    assert str(folder / "index.html") in "".join(result.output.split())
    saved = pd.read_csv(folder / "conv2.csv", keep_default_na=False)
    assert saved["adequate"].tolist() == found.units()["adequate"].tolist()
    assert not (folder / "conv5.csv").exists()
    assert "colours.csv" in (folder / "index.html").read_text(encoding="utf-8")


def test_without_a_file_the_data_sets_own(run: Path, tmp_path: Path) -> None:
    result = call("hierarchy", run, "--out", tmp_path / "page", "--share", 0.9)
    assert result.exit_code == 0, result.output
    assert {"conv2.csv", "conv5.csv", "index.html"} <= {p.name for p in (tmp_path / "page").iterdir()}
    assert "geometric shape" in (tmp_path / "page" / "relations.csv").read_text(encoding="utf-8")


def test_what_is_wrong_is_said_in_a_line(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    for text, told in (
        ("child,parent\nrde-c,warm\n", "nearest: red-c"),
        ("child,parent\nred-c,warm\nwarm,red-c\n", "without a circle"),
        ("child,parent,kind\nred-c,warm,sort-of\n", "kind is 'sort-of'"),
        ("a,b\n", "no column 'child'"),
    ):
        file.write_text(text)
        result = call("hierarchy", run, "--relations", file, "--out", tmp_path / "page")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert told in " ".join(result.stderr.split())
    for arguments, told in (
        (("--tolerance", "1"), "tolerance from 0 to below 1"),
        (("--share", "2"), "least share from 0 to 1"),
        (("-l", "conv9"), "conv9"),
        (("--relations", tmp_path / "none.csv"), "none.csv"),
        (("--data", "shapes:images=3,size=32"), "expected the 40 images of the run"),
    ):
        result = call("hierarchy", run, *arguments, "--out", tmp_path / "page")
        assert result.exit_code == 1, result.output
        assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "page").exists()
