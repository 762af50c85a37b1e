"""`fastdissect report --pictures`, and `show` of a run of many layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_cases import call
from report_cases import Photos, make_dissection, plant

from fastdissect.cli.reporting import DEFAULT_PICTURES
from fastdissect.reports.pictured import PICTURED


@pytest.mark.parametrize("wrong", ["", "some", "-1", "1.5", "1e3", "٣", "9" * 30])
def test_a_number_or_all(wrong: str, tmp_path: Path) -> None:
    result = call("report", tmp_path, "--pictures", wrong)
    assert result.exit_code == 2
    assert "expected a number of units from 0, or all" in result.stderr.replace("\n", " ").replace("│", "")


def test_the_default_is_the_functions() -> None:
    assert int(DEFAULT_PICTURES) == PICTURED


@pytest.mark.parametrize(("pictures", "files"), [("3", 3), ("all", 12), ("0", 0)])
def test_so_many_units_get_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: str, files: int
) -> None:
    data = Photos(6)
    make_dissection([plant("a", 12, 6, data.concepts)], data).save(tmp_path)
    monkeypatch.setattr("fastdissect.cli.run_data.run_dataset", lambda d: data)
    result = call("report", tmp_path, "--pictures", pictures)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "report" / "images").rglob("*.jpg"))) == files
    said = f"{files} of 12 units have pictures" in (tmp_path / "report" / "index.html").read_text("utf-8")
    assert said == (files < 12)


def test_of_many_layers_show_tells_the_best_units_of_all(tmp_path: Path) -> None:
    data = Photos(6)
    layers = [plant(f"blocks.{i}", 5 + i, 6, data.concepts, keep=False) for i in range(13)]
    make_dissection(layers, data).save(tmp_path)
    shown = call("show", tmp_path, "--units", "4").stdout
    assert "Best units of all layers" in shown
    assert "blocks.3: detectors" not in shown
    best = [
        line.split("│")[1:3]
        for line in shown.split("Best units of all layers")[1].splitlines()
        if "concept" in line
    ]
    assert [(layer.strip(), int(unit)) for layer, unit in best] == [(f"blocks.{i}", 0) for i in range(4)]
    named = call("show", tmp_path, "--layers", "blocks.3").stdout
    assert "blocks.3: detectors" in named
    assert "blocks.3: best units" in named


def test_run_json_is_untouched_by_a_report(tmp_path: Path) -> None:
    data = Photos(6)
    make_dissection([plant("a", 3, 6, data.concepts)], data).save(tmp_path)
    before = json.loads((tmp_path / "run.json").read_bytes())
    assert call("report", tmp_path, "--data", "none").exit_code == 0
    assert json.loads((tmp_path / "run.json").read_bytes()) == before
