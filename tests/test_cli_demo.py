"""`demo`: two networks side by side, in a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_cases import call, failure

import fastdissect
from fastdissect.cli.demo import demo


@pytest.mark.slow
def test_demo_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for images in (60, 40):
        result = call("demo", "--images", images)
        assert result.exit_code == 0, result.output
        page = tmp_path / "fastdissect-demo" / "trained" / "report" / "index.html"
        assert page.is_file()
        assert result.output.splitlines()[-2:] == [f"Report: {page}", f"        {page.as_uri()}"]
        runs = {
            name: fastdissect.load(tmp_path / "fastdissect-demo" / name) for name in ("trained", "random")
        }
        said = re.search(
            r"trained: (\d+) detectors, (\d+) unique; random weights: (\d+) detectors, (\d+) unique",
            result.output,
        )
        last = [list(run.values())[-1].summary() for run in runs.values()]
        assert said is not None
        assert [int(n) for n in said.groups()] == [
            n for found in last for n in (found.detectors, found.unique_detectors)
        ]
        assert {len(run.image_names) for run in runs.values()} == {images}
    assert [p.name for p in tmp_path.iterdir()] == ["fastdissect-demo"]  # nothing outside it


@pytest.mark.slow
def test_a_trained_network_has_far_more_detectors(tmp_path: Path) -> None:
    assert call("demo", "--out", tmp_path / "demo", "--images", 200).exit_code == 0
    trained, random = (
        fastdissect.load(tmp_path / "demo" / name)["conv5"].summary() for name in ("trained", "random")
    )
    assert trained.detectors > trained.units / 2
    assert trained.unique_detectors > 2 * random.unique_detectors


def test_a_folder_that_is_not_the_demos(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "trained").mkdir(parents=True)
    (mine / "trained" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for where in (mine, tmp_path / "file"):
        assert "something else is there" in failure(call("demo", "--out", where, "--images", 5))
    assert (mine / "trained" / "thesis.txt").read_text() == "x"
    assert [p.name for p in mine.iterdir()] == ["trained"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    own, precious = tmp_path / "demo", tmp_path / "precious"
    own.mkdir()
    precious.mkdir()
    (precious / "thesis.txt").write_text("x")
    (own / ".fastdissect-demo").touch()
    (own / "trained").symlink_to(precious, target_is_directory=True)
    assert "got a link" in failure(call("demo", "--out", own, "--images", 5))
    assert (precious / "thesis.txt").read_text() == "x"


def test_the_default_folder_is_where_one_stands() -> None:
    assert demo.__defaults__ is not None
    assert demo.__defaults__[:2] == (Path("fastdissect-demo"), 500)
