"""`chance`, and `--cut` of `show` and `report`: a run on disk, its planes, its calibrated cuts."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from cli_cases import call
from typer.testing import CliRunner, Result

import fastdissect
from fastdissect.caching import cache_folder
from fastdissect.cli.chance import _table, chance
from fastdissect.cli.failing import Commands
from fastdissect.datasets import Shapes
from fastdissect.errors import DataError, LayerError, OutputError, SettingError
from fastdissect.methods.chance import (
    chance_level,
    layer_chance,
    planes_of,
    read_cuts,
    run_images,
    splits_of,
    with_cut,
    write_cuts,
)
from fastdissect.reports.studies.chance_page import write_chance_study

DATA = "shapes:images=80,size=64"
COMMANDS = typer.Typer(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
COMMANDS.command()(chance)
COMMANDS.command()(lambda: None)  # a group has more than one command


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    patch = pytest.MonkeyPatch()
    patch.setenv("FASTDISSECT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def held(*arguments: object) -> Result:
    return CliRunner().invoke(COMMANDS, ["chance", *(str(a) for a in arguments)])


def failure(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: "), result.stderr
    return " ".join(result.stderr.split())


def dissected(out: Path, **more: Any) -> Path:
    fastdissect.dissect(
        "builtin:shapes", DATA, ["conv3", "conv5"], out=out, progress=False, quantile=0.01, **more
    )
    return out


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its chance level."""
    out = dissected(tmp_path_factory.mktemp("runs") / "run")
    result = held(out, "--permutations", 60, "--bootstrap", 20, "--level", 0.1, "--seed", 4)
    assert result.exit_code == 0, result.output
    for word in ("conv3", "conv5", "calibrated cut", "q <= 0.1", str(out / "chance" / "index.html")):
        assert word in " ".join(result.output.split())
    return out


def test_the_folder_holds_page_tables_figures_and_cuts(done: Path) -> None:
    folder, d = done / "chance", fastdissect.load(done)
    page = (folder / "index.html").read_text(encoding="utf-8")
    for text in (
        "conv3: why 0.04?",
        "conv5: why 0.04?",
        "60, seed 4",
        "20 replicates",
        "md5 of the image names",
    ):
        assert text in page
    for name in ("conv3", "conv5"):
        found = chance_level(d[name], planes_of(d), permutations=60, seed=4, level=0.1)
        table = pd.read_csv(folder / f"{name}.csv", keep_default_na=False)
        assert table["unit"].tolist() == list(range(d[name].units_count))
        np.testing.assert_allclose(table["p"], found.p)
        np.testing.assert_allclose(table["iou"], d[name].iou().max(1))
        assert {"low", "high", "stability", "null_mean", "null_95", "beyond_chance"} <= set(table.columns)
        assert json.loads((folder / "cuts.json").read_text())["layers"][name]["cut"] == found.cut
        split = pd.read_csv(folder / f"{name}-train-val.csv", keep_default_na=False)
        assert {"train_iou", "val_iou", "val_label", "same_label"} <= set(split.columns)
        for kind in ("null", "units"):
            assert (folder / "figures" / f"{name}-{kind}.svg").stat().st_size > 1000
            assert (folder / "figures" / f"{name}-{kind}.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "overview.csv").open(encoding="utf-8") as file:
        assert [row["layer"] for row in csv.DictReader(file)] == ["conv3", "conv5"]


def test_the_same_call_writes_the_same_bytes(done: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        result = held(done, "-l", "conv5", "--permutations", 5, "--bootstrap", 0, "--out", tmp_path / folder)
        assert result.exit_code == 0, result.output
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert Path("conv5.csv") in names
    assert Path("conv3.csv") not in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert "stability" not in (tmp_path / "a" / "conv5.csv").read_text(encoding="utf-8")
    page = (tmp_path / "a" / "index.html").read_text(encoding="utf-8")
    assert "no p can be below 0.17" in page  # 5 permutations, and a level of 0.05
    assert "no p can be" not in (done / "chance" / "index.html").read_text(encoding="utf-8")


def test_show_and_report_under_other_cuts(done: Path, tmp_path: Path) -> None:
    d = fastdissect.load(done)
    cuts = read_cuts(done, d)
    for given, cut in (("0.1", dict.fromkeys(d, 0.1)), ("calibrated", cuts)):
        result = call("show", done, "--cut", given, "--units", 0)
        assert result.exit_code == 0, result.output
        rows = {
            line.split("│")[1].strip(): line.split("│") for line in result.output.splitlines() if "│" in line
        }
        for name in d:
            expected = int((d[name].iou().max(1) > cut[name]).sum())
            assert int(rows[name][4]) == expected
    assert f"conv5 {cuts['conv5']:.4f}" in result.output
    copy = shutil.copytree(done, tmp_path / "copy")
    result = call("report", copy, "--cut", "0.25", "--data", "none")
    assert result.exit_code == 0, result.output
    assert "&gt; 0.25" in (copy / "report" / "index.html").read_text(encoding="utf-8")
    assert fastdissect.load(copy).profile.cut == 0.04  # the run itself is as it was


def test_another_cut_changes_detectors_and_nothing_else(done: Path) -> None:
    d = fastdissect.load(done)
    other = with_cut(d, 0.2)
    assert other.profile.cut == other["conv5"].profile.cut == 0.2
    assert other["conv5"].intersection is d["conv5"].intersection
    assert other["conv5"].summary().detectors == (d["conv5"].iou().max(1) > 0.2).sum()
    some = with_cut(d, {"conv5": 0.3})
    assert list(some) == ["conv5"]
    assert d["conv5"].profile.cut == 0.04
    with pytest.raises(LayerError, match="no layer 'conv9'"):
        with_cut(d, {"conv9": 0.3})
    for wrong in (-0.1, 1.5, float("nan"), "0.1"):
        with pytest.raises(SettingError, match="expected cut"):
            with_cut(d, wrong)  # type: ignore[arg-type]


def test_calibrated_cuts_that_are_not_there(done: Path, tmp_path: Path) -> None:
    d = fastdissect.load(done)
    copy = shutil.copytree(done, tmp_path / "copy", ignore=shutil.ignore_patterns("chance"))
    assert "fastdissect chance" in failure(call("show", copy, "--cut", "calibrated"))
    cuts = copy / "chance" / "cuts.json"
    cuts.parent.mkdir()
    for text in (
        "",
        "{}",
        "[]",
        '{"layers": {"conv5": {}}}',
        '{"layers": {"conv5": {"cut": "x", "counts": ""}}}',
        "\xff",
    ):
        cuts.write_bytes(text.encode("latin-1"))
        with pytest.raises(OutputError, match="fastdissect chance"):
            read_cuts(copy, d)
    cuts.write_text('{"layers": {"conv1": {"cut": 0.1, "counts": ""}}}')
    with pytest.raises(OutputError, match="got conv1"):
        read_cuts(copy, d)
    record = json.loads((done / "chance" / "cuts.json").read_text())
    record["layers"]["conv5"]["counts"] = "0" * 32
    cuts.write_text(json.dumps(record))
    with pytest.raises(OutputError, match="other counts"):
        read_cuts(copy, d)
    assert "--cut" in call("show", done, "--cut", "high").stderr
    assert "from 0 to 1" in failure(call("show", done, "--cut", "2"))


def test_cuts_of_some_layers(done: Path, tmp_path: Path) -> None:
    d = fastdissect.load(done)
    found = chance_level(d["conv5"], planes_of(d), permutations=3)
    write_cuts(tmp_path / "chance" / "cuts.json", {"conv5": found})
    assert read_cuts(tmp_path, d) == {"conv5": found.cut}


def test_planes_come_from_the_cache_and_are_the_same_without(done: Path, tmp_path: Path) -> None:
    d = fastdissect.load(done)
    entries = list((cache_folder() / "planes").iterdir())
    cached = planes_of(d)
    assert isinstance(cached.words, np.memmap)
    assert list((cache_folder() / "planes").iterdir()) == entries  # the run's own entry was found
    for place in (None, tmp_path / "other"):
        packed = planes_of(d, cache=place)
        assert not isinstance(packed.words, np.memmap)
        for name in ("plane_start", "concept", "pixels", "word_row", "words"):
            np.testing.assert_array_equal(getattr(packed, name), getattr(cached, name))
    assert isinstance(planes_of(d, cache=tmp_path / "other").words, np.memmap)  # kept the first time


class Moved(Shapes):
    """The same images, each with the labels of the next one."""

    def read_labels(self, index: int) -> Any:
        return super().read_labels((index + 1) % len(self))


def test_data_that_is_not_the_runs(done: Path) -> None:
    d = fastdissect.load(done)
    with pytest.raises(DataError, match="80 images"):
        planes_of(d, "shapes:images=20,size=64")
    other = planes_of(d, Moved(images=80, size=64), cache=None)
    with pytest.raises(DataError, match="counts come out again"):
        chance_level(d["conv5"], other, permutations=1)
    words = failure(held(done, "--data", "shapes:images=80,size=64,seed=9", "--permutations", 1))
    assert "expected the 80 images of the run" in words
    assert "no layer 'conv9'" in failure(held(done, "-l", "conv9"))
    assert "between 0 and 1" in failure(held(done, "--level", "5"))


def test_runs_that_leave_images_without_labels_out(tmp_path: Path) -> None:
    out = dissected(tmp_path / "run", unlabelled="removed")
    d = fastdissect.load(out)
    planes, images = planes_of(d), run_images(d)
    assert planes.images == len(d.image_names) == len(images) < 80
    assert splits_of(images, d.image_names).train.shape == (planes.images,)
    chance_level(d["conv5"], planes, permutations=2)


def test_runs_without_activations_or_masks_are_refused(tmp_path: Path) -> None:
    assert "--no-activations" in failure(held(dissected(tmp_path / "bare", activations=False)))
    few = tmp_path / "few"
    fastdissect.dissect("builtin:shapes", "shapes:images=1,size=64", ["conv5"], out=few, quantile=0.0001)
    assert "too few images" in failure(held(few))


def test_many_detectors_by_chance_are_written_out(done: Path, tmp_path: Path) -> None:
    """At a cut of 0 every unit that fires passes under every permutation: a whole number, no power of ten."""
    d = with_cut(fastdissect.load(done), 0)
    planes, names = planes_of(d), d.image_names
    one = layer_chance(d["conv5"], planes, splits_of(run_images(d), names), permutations=4, replicates=0)
    units = one.level.summary().chance_detectors
    assert units >= 10
    page = write_chance_study(d, {"conv5": one}, tmp_path / "page").read_text(encoding="utf-8")
    assert f"{units:,.0f} would pass" in page
    assert "e+0" not in page
    assert list(_table({"conv5": one}).columns[3].cells) == [f"{units:,.0f}"]
