"""`fastdissect compare`, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cli_cases import call, environment, failure
from comparison_cases import layer, run
from test_comparison_page import MAPS, figure_text, pair, read_csv

from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.cut import CUTS, write_cuts
from fastdissect.results import load


class Level(NamedTuple):
    """What a file of calibrated cuts holds of a layer."""

    cut: float
    layer: LayerDissection
    level: float = 0.05
    permutations: int = 1000
    seed: int = 0


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs with two layers and activations, and one under another cut."""
    for name, one in pair().items():
        one.save(tmp_path / name)
    run(layer("low", maps=MAPS, cut=0.1), layer("high", maps=MAPS, cut=0.1)).save(tmp_path / "cut")
    return tmp_path


def test_it_prints_the_tables_and_writes_the_page(runs: Path) -> None:
    result = call("compare", runs / "one", runs / "other", "--pairs", "--match", "--out", runs / "out")
    assert result.exit_code == 0, result.output
    assert (runs / "out" / "index.html").is_file()
    assert str(runs / "out" / "index.html") in result.stdout.replace("\n", "")
    summary = load(runs / "one")["high"].summary()
    words = [cell.strip() for line in result.stdout.splitlines() for cell in line.split("│")]
    for expected in (summary.detectors, summary.unique_detectors, summary.unique_by_category_total):
        assert str(expected) in words
    for heading in ("unique (sum)", "kept of detectors", "mean correlation"):
        assert heading in result.stdout.replace("┃", " ")
    assert "1.000" in words  # permuted units are found again
    assert set(read_csv(runs / "out" / "layers.csv")["run"]) == {"one", "other"}


def test_layers_names_and_steps(runs: Path) -> None:
    out = runs / "out"
    options = ["--layers", "high", "--names", "before, after", "--steps", "0,1e4"]
    result = call("compare", runs / "one", runs / "other", *options, "--out", out)
    assert result.exit_code == 0, result.output
    table = read_csv(out / "layers.csv")
    assert list(table["run"]) == ["before", "after"]
    assert list(table["layer"]) == ["high", "high"]
    assert list(table["step"]) == [0, 10_000]
    assert (out / "figures" / "training.svg").is_file()


def test_a_layer_for_each_run(runs: Path) -> None:
    result = call("compare", f"{runs}/one@low", f"{runs}/one@high", "--match", "--out", runs / "out")
    assert result.exit_code == 0, result.output
    table = read_csv(runs / "out" / "layers.csv")
    assert list(zip(table["run"], table["layer"], strict=True)) == [("one@low", "low"), ("one@high", "high")]
    result = call("compare", f"{runs}/one@low", runs / "other", "--layers", "low", "--out", runs / "out")
    assert result.exit_code == 2
    assert "RUN@LAYER" in result.stderr


def test_folders_of_one_name_are_told_apart(runs: Path) -> None:
    (runs / "more").mkdir()
    (runs / "one").rename(runs / "more" / "other")
    result = call("compare", runs / "other", runs / "more" / "other", "-l", "low", "--out", runs / "out")
    assert result.exit_code == 0, result.output
    names = set(read_csv(runs / "out" / "layers.csv")["run"])
    assert names == {str(runs / "other"), str(runs / "more" / "other")}
    twice = call("compare", runs / "other", runs / "other", "-l", "low", "--pairs", "--out", runs / "out")
    assert twice.exit_code == 0, twice.output
    assert "100.0 %" in twice.stdout


def test_a_sweep_is_expanded(runs: Path) -> None:
    record = [
        {"name": "first", "folder": "one", "step": 0, "accuracy": 0.2, "error": None},
        {"name": "last", "folder": "other", "step": 500, "accuracy": 0.9, "error": None},
        {"name": "broken", "folder": "none", "step": 50, "accuracy": None, "error": "it failed"},
    ]
    (runs / "sweep.json").write_text(json.dumps({"runs": record}))
    result = call("compare", runs, "--out", runs / "out")
    assert result.exit_code == 0, result.output
    table = read_csv(runs / "out" / "layers.csv")
    assert list(table["run"]) == ["first", "last"] * 2
    assert list(table["accuracy"]) == [0.2, 0.9] * 2
    assert "left out: broken of the sweep failed: it failed" in result.stdout
    assert "Broken of the sweep failed: it failed." in (runs / "out" / "index.html").read_text()


@pytest.mark.parametrize("text", ["run,accuracy\none,0.5\nother,0.75\n", "accuracy,step\n0.75,7\n0.5,0\n"])
def test_accuracies_from_a_file(runs: Path, text: str) -> None:
    (runs / "accuracy.csv").write_text(text)
    options = ["-l", "high", "--steps", "0,7", "--accuracy", runs / "accuracy.csv", "--out", runs / "out"]
    result = call("compare", runs / "one", runs / "other", *options)
    assert result.exit_code == 0, result.output
    assert list(read_csv(runs / "out" / "layers.csv")["accuracy"]) == [0.5, 0.75]
    assert "accuracy" in figure_text(runs / "out" / "figures" / "training.svg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a CSV with a row a run"),
        ("run,score\none,1\n", "expected a CSV with a row a run"),
        ("net,accuracy\none,1\n", "expected a CSV with a row a run"),
        ("run,accuracy\none,good\n", "expected a CSV with a row a run"),
        ("run,accuracy\none\n", "expected a CSV with a row a run"),
        ("run,accuracy\none,nan\n", "to be a finite number of at least 0; got nan"),
        ("run,accuracy\nthree,1\n", "expected a run of the runs, one, other; got three"),
        ("step,accuracy\n3,1\n", "expected a step of the runs, None, None; got 3.0"),
        ("run,accuracy\none,1\none,0.5\n", "each run once; got 2 rows for 1"),
    ],
)
def test_accuracies_that_are_none(runs: Path, text: str, message: str) -> None:
    (runs / "accuracy.csv").write_text(text)
    result = call(
        "compare", runs / "one", runs / "other", "--accuracy", runs / "accuracy.csv", "-o", runs / "out"
    )
    assert message in failure(result)
    assert not (runs / "out").exists()


def test_runs_that_differ_are_refused_or_forced(runs: Path) -> None:
    line = failure(call("compare", runs / "one", runs / "cut", "--out", runs / "out"))
    assert "profile's cut: 0.04 (one), 0.1 (cut)" in line
    assert "--force" in line
    assert not (runs / "out").exists()
    result = call("compare", runs / "one", runs / "cut", "-l", "low", "--force", "--out", runs / "out")
    assert result.exit_code == 0, result.output
    assert (
        "warning: Not made under the same conditions: profile's cut: 0.04 (one), 0.1 (cut)" in result.stdout
    )
    for path in (runs / "out" / "figures").glob("*.svg"):
        assert "profile's cut: 0.04 (one), 0.1 (cut)" in figure_text(path)


def test_another_cut(runs: Path) -> None:
    """A number makes runs of different cuts comparable; calibrated cuts differ, and stand in the table."""
    both = ("compare", runs / "one", runs / "cut", "--out", runs / "out")
    result = call(*both, "--cut", 0.2)
    assert result.exit_code == 0, result.output
    assert read_csv(runs / "out" / "layers.csv")["cut"].tolist() == [0.2] * 4
    assert "┃ cut" not in result.stdout
    assert "run `fastdissect chance" in failure(call(*both, "--cut", "calibrated"))
    for name, value in (("one", 0.3), ("cut", 0.01)):
        (runs / name / "chance").mkdir()
        layers = load(runs / name).items()
        write_cuts(runs / name / "chance" / CUTS, {layer: Level(value, own) for layer, own in layers})
    result = call(*both, "--cut", "calibrated")
    assert result.exit_code == 0, result.output
    table = read_csv(runs / "out" / "layers.csv")
    assert table["cut"].tolist() == [0.3, 0.01, 0.3, 0.01]
    for row in table.to_dict("records"):
        units = load(runs / row["run"])[row["layer"]].units()
        assert row["detectors"] == (units["iou"] > row["cut"]).sum()
    words = [cell.strip() for line in result.stdout.splitlines() for cell in line.split("│")]
    assert words.count("0.3000") == words.count("0.0100") == 2
    assert "warning" not in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--names", "a"], "expected 2 names, one for each run, all different; got 'a'"),
        (["--names", "a,a"], "expected 2 names"),
        (["--names", "a, "], "expected 2 names"),
        (["--steps", "1,b"], "expected numbers with commas"),
        (["--steps", ""], "expected numbers with commas"),
    ],
)
def test_options_that_are_none(runs: Path, options: list[str], message: str) -> None:
    result = call("compare", runs / "one", runs / "other", *options, "--out", runs / "out")
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("│", " ").split())
    assert message in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "other", "--layers", "hihg"], "got 'hihg'; nearest: high"),
        (["one", "missing"], "is no folder"),
        (["one", "other", "--steps", "1"], "expected steps for 2 runs; got 1"),
        (["one", "other", "--steps", "1,-2"], "at least 0; got -2.0"),
        (["one", "--pairs"], "expected at least two runs"),
        (["one", "--match"], "expected at least two runs"),
        (["one", "other", "--accuracy", "none.csv"], "none.csv cannot be read"),
    ],
)
def test_what_cannot_be_compared(
    runs: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(runs)
    assert message in failure(call("compare", *arguments, "--out", "out"))


def test_hostile_names_do_not_reach_the_terminal(runs: Path) -> None:
    result = call(
        "compare",
        runs / "one",
        runs / "other",
        "-l",
        "low",
        "--names",
        "a\x1b[31m,<script>",
        "--out",
        runs / "out",
    )
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "a\\x1b[31m" in result.stdout
    assert "<script>" not in (runs / "out" / "index.html").read_text().replace(
        '<script src="assets/theme.js">', ""
    )


def test_help_loads_nothing_heavy() -> None:
    assert "RUN@LAYER" in call("compare", "--help").stdout
    code = (
        "import sys, fastdissect.cli.compare; "
        "print({'torch', 'scipy', 'matplotlib', 'pandas', 'numba'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.strip() == "set()"
