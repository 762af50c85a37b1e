"""`fastdissect export` on real runs of a small network."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from cli_cases import DATA, call, failure, write_net

import fastdissect
from fastdissect.cli.export import _listed
from fastdissect.tally import read_tally


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two layers."""
    home = tmp_path_factory.mktemp("export")
    given = ("run", f"{write_net(home)}:build", DATA, "-l", "1,4", "-o", home / "done", "--cache", "none")
    assert call(*given, "--no-report").exit_code == 0
    return home / "done"


@pytest.fixture(scope="module")
def bare(done: Path) -> Path:
    """The same run without activations."""
    net = f"{done.parent / 'net.py'}:build"
    given = ("run", net, DATA, "-l", "1", "-o", done.parent / "bare", "--cache", "none", "--no-report")
    assert call(*given, "--no-activations").exit_code == 0
    return done.parent / "bare"


def test_each_format_goes_into_the_run_by_itself(done: Path) -> None:
    for name, files in {
        "netdissect-lite": ["1/quantile.npy", "1/tally.csv", "4/quantile.npy", "4/tally.csv"],
        "netdissect": ["1-result.csv", "4-result.csv"],
        "clip-dissect": ["NetDissect_results/1.csv", "NetDissect_results/4.csv", "descriptions.csv"],
    }.items():
        result = call("export", done, "--format", name)
        assert result.exit_code == 0, result.output
        folder = done / "export" / name
        assert sorted(result.stdout.splitlines()) == [str(folder / file) for file in files]
        assert all((folder / file).is_file() for file in files)
    assert set(fastdissect.load(done)) == {"1", "4"}  # the run is as it was
    found = fastdissect.load(done)["4"].summary()
    tally = read_tally(done / "export" / "netdissect" / "4-result.csv").summary()
    assert (tally.detectors, tally.unique_by_category_total) == (
        found.detectors,
        found.unique_by_category_total,
    )
    assert call("show", done).exit_code == 0


def test_milans_exemplars_of_a_real_run(done: Path, tmp_path: Path) -> None:
    given = ("export", done, "-f", "milan", "-o", tmp_path / "m", "-l", "4", "--top", 3, "--size", "24x40")
    result = call(*given)
    assert result.exit_code == 0, result.output
    images = np.load(tmp_path / "m" / "4" / "images.npy")
    assert images.shape == (7, 3, 3, 24, 40)
    with (tmp_path / "m" / "4" / "ids.csv").open(newline="") as file:
        ids = [[int(cell) for cell in row] for row in csv.reader(file)]
    assert ids == fastdissect.load(done)["4"].top_images(3).tolist()
    assert not (tmp_path / "m" / "1").exists()


def test_dissect_with_and_without_pictures(done: Path, bare: Path, tmp_path: Path) -> None:
    result = call("export", done, "-f", "dissect", "-o", tmp_path / "with", "-l", "1", "--top", 2)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "with" / "1" / "image").glob("*.jpg"))) == 6
    result = call("export", bare, "-f", "dissect", "-o", tmp_path / "without", "--data", "none")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "without" / "1" / "image").exists()
    assert (tmp_path / "without" / "1" / "report.json").is_file()


def test_an_earlier_export_is_moved_only_when_asked(done: Path, tmp_path: Path) -> None:
    given = ("export", done, "-f", "netdissect", "-o", tmp_path / "x")
    assert call(*given).exit_code == 0
    assert "holds an earlier export" in failure(call(*given))
    assert call(*given, "--fresh").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "x.1"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--format", "lite"), ["expected a format of netdissect-lite", "nearest: netdissect-lite"]),
        (("--format", "milan", "--layers", "44"), ["no layer '44'", "it has 1, 4", "nearest: 4"]),
        (("--format", "milan", "--top", "41"), ["expected 1 to 40 images a unit", "got 41", "--top"]),
        (("--format", "milan", "--size", "big"), ["expected --size such as 224 or 224x320", "'big'"]),
        (
            ("--format", "milan", "--data", "none"),
            ["expected the run's data set", "--data", DATA.split(":")[0]],
        ),
        (("--format", "milan", "--data", "shapes:images=40,size=32,seed=9"), ["expected image", "--data"]),
        (("--format", "milan", "--data", "folder:nowhere"), ["nowhere"]),
        (("--format", "netdissect", "--top", "3"), ["'netdissect' has no pictures", "--top"]),
    ],
)
def test_bad_requests_end_in_one_line(
    done: Path, tmp_path: Path, given: tuple[str, ...], words: list[str]
) -> None:
    line = failure(call("export", done, *given, "-o", tmp_path / "x"))
    for word in words:
        assert word in line
    assert list(tmp_path.iterdir()) == []


def test_runs_that_are_none_or_keep_too_little(bare: Path, tmp_path: Path) -> None:
    assert "is no folder" in failure(call("export", tmp_path / "none", "-f", "netdissect"))
    assert "no finished run" in failure(call("export", tmp_path, "-f", "netdissect"))
    assert "--no-activations" in failure(call("export", bare, "-f", "milan"))
    line = failure(call("export", bare, "-f", "dissect"))
    assert "--data none" in line


def test_without_a_format_the_command_line_is_wrong(done: Path) -> None:
    result = call("export", done)
    assert result.exit_code == 2
    assert "--format" in result.stderr


def test_help_shows_an_example() -> None:
    text = call("export", "--help").stdout
    assert "fastdissect export out --format netdissect-lite" in text
    for name in ("netdissect-lite", "netdissect", "dissect", "clip-dissect", "milan"):
        assert name in text


def test_folders_of_many_files_are_one_line() -> None:
    few, many = [Path("a/1"), Path("a/2")], [Path(f"b/{n}") for n in range(9)]
    assert _listed([*few, *many]) == [str(Path("a/1")), str(Path("a/2")), "b (9 files)"]
