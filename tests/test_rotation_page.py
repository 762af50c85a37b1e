"""The page of a rotation study and `fastdissect rotate`."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from cli_cases import failure, write_net
from dissect_cases import PLAIN, Labelled, Net
from typer.testing import CliRunner, Result

import fastdissect
from fastdissect.cli.failing import Commands
from fastdissect.cli.rotate import rotate as command
from fastdissect.errors import BackendError
from fastdissect.methods import extras
from fastdissect.methods.rotation import RotationStudy, rotate
from fastdissect.reports.studies.rotation_page import write_rotation_study
from fastdissect.types import Concepts

DATA = "shapes:images=40,size=32"
app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
app.command("rotate")(command)
app.callback()(lambda: None)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["rotate", *map(str, arguments)])


@pytest.fixture(scope="module")
def study() -> RotationStudy:
    options = {"cache": None, "progress": False, "preprocessing": PLAIN}
    return rotate(
        Net(),
        "shapes:images=60,size=64",
        "third",
        seeds=2,
        alphas=(0, 0.5, 1),
        cut=0.02,
        random_weights=True,
        permutations=9,
        **options,
    )


def test_the_page_and_its_files(study: RotationStudy, tmp_path: Path) -> None:
    page = write_rotation_study(study, tmp_path / "page")
    assert page == tmp_path / "page" / "index.html"
    text = page.read_text()
    for name in ("unique", "categories", "iou"):
        assert f'src="figures/{name}.svg"' in text
        svg = (page.parent / "figures" / f"{name}.svg").read_text()
        assert "alpha: 0 the layer" in svg
        assert (page.parent / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    expected = {
        "rotations": study.table(),
        "categories": study.by_category(),
        "curve": study.curve(),
        "baselines": study.baselines(),
    }
    for name, table in expected.items():
        written = pd.read_csv(page.parent / f"{name}.csv")
        pd.testing.assert_frame_equal(written, table, check_dtype=False, rtol=1e-12)
    units = pd.read_csv(page.parent / "units.csv")
    assert len(units) == 5
    assert "third, 5 units" in text
    assert "IoU &gt; 0.02" in text
    assert "2, seeds 0, 1" in text
    for baseline in ("random weights", "permuted images"):
        assert baseline in text
        assert baseline in (page.parent / "figures" / "iou.svg").read_text()


def test_a_page_without_baselines_says_so(study: RotationStudy, tmp_path: Path) -> None:
    bare = dataclasses.replace(study, random=None, chance=None)
    page = write_rotation_study(bare, tmp_path / "page")
    assert "No baseline was asked for" in page.read_text()
    assert not (page.parent / "units.csv").exists()
    assert "Dashed" not in page.read_text()


def test_the_same_study_gives_the_same_files(study: RotationStudy, tmp_path: Path) -> None:
    one, two = (write_rotation_study(study, tmp_path / name).parent for name in ("one", "two"))
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(two) for p in two.rglob("*") if p.is_file())
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def hostile(concepts: Concepts, images: int = 6) -> Labelled:
    pixels = np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    columns = np.random.default_rng(1).integers(0, len(concepts) + 1, (images, 32, 32)).astype(np.uint16)
    return Labelled(pixels, [[(0, own)] for own in columns], concepts)


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    words = Concepts(
        np.array([1, 2]), ("<b>", "\x1b[31m"), np.array([0, 1]), ("<script>alert(1)</script>", "$\\alpha$\n")
    )
    options = {"cache": None, "progress": False, "preprocessing": PLAIN}
    study = rotate(Net(), hostile(words), "first", alphas=[0, 1], seeds=1, **options)
    page = write_rotation_study(study, tmp_path / "page")
    assert "<script>alert" not in page.read_text()
    assert "&lt;script&gt;alert" in page.read_text()
    svg = (page.parent / "figures" / "categories.svg").read_text()
    assert "<script>alert" not in svg


def test_too_few_images_are_said_above_all(tmp_path: Path) -> None:
    words = Concepts(np.array([1]), ("a",), np.array([0]), ("q",))
    options = {"cache": None, "progress": False, "preprocessing": PLAIN, "quantile": "1/10000"}
    study = rotate(Net(), hostile(words, 2), "third", alphas=[0, 1], seeds=1, **options)
    page = write_rotation_study(study, tmp_path / "page")
    assert re.search(r'role="alert">\s*Too few images', page.read_text())
    assert (page.parent / "rotations.csv").read_text().startswith("# Too few images")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_net(tmp_path_factory.mktemp("rotate"))


def test_the_command_runs_prints_and_writes(net: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [f"{net}:build", DATA, "-l", "4", "-o", out, "--cache", "none", "--alphas", "0,.5,1"]
    arguments += [
        "--seeds",
        "2",
        "--random-weights",
        "--permutations",
        5,
        "--images",
        30,
        "--quantile",
        "0.02",
    ]
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["random-weights", "report", "run"]
    assert f"Report: {out / 'report' / 'index.html'}" in result.output
    table = pd.read_csv(out / "report" / "rotations.csv")
    assert table["alpha"].tolist() == [0, 0, 0.5, 0.5, 1, 1]
    d = fastdissect.load(out / "run")
    assert len(d) == 1 + 4
    assert d["4"].shape[0] == 30
    rows = {line.split("│")[1].strip(): line.split("│") for line in result.output.splitlines() if "│" in line}
    assert set(rows) == {"0", "0.5", "1", "random weights", "permuted images"}
    summary = d["4"].summary()
    found = [cell.strip() for cell in rows["0"][2:6]]
    assert found[:3] == [
        str(n) for n in (summary.detectors, summary.unique_detectors, summary.unique_by_category_total)
    ]
    assert found[3] == f"{d['4'].iou().max(1).mean():.3f}"
    mean = table.loc[table["alpha"] == 1, "mean_iou"].mean()
    assert rows["1"][5].strip().startswith(f"{mean:.3f}")


def test_again_it_goes_on_and_takes_another_cut(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    arguments = [f"{net}:build", DATA, "-l", "4", "-o", out, "--cache", "none", "--seeds", "1,5"]
    arguments += ["--random-weights"]

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fastdissect.running.Run.collect", interrupted)
        result = call(*arguments)
    assert result.exit_code == 130
    assert "the same command goes on where it stopped" in result.stderr
    assert call(*arguments).exit_code == 0
    record = (out / "run" / "run.json").read_bytes()
    for more in (["--cut", "0.5"], ["--set", "cut=0.5"]):
        again = call(*arguments, *more)
        assert again.exit_code == 0, again.output
        assert "detectors at IoU > 0.5" in again.output
    assert (out / "run" / "run.json").read_bytes() == record
    assert "differs in directions" in failure(call(*arguments, "--alphas", "0,1"))
    fresh = call(*arguments, "--alphas", "0,1", "--fresh", "--no-report")
    assert fresh.exit_code == 0
    assert (out / "run.1").is_dir()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["-l", "4", "--alphas", "0,x"], 2, "expected numbers with commas"),
        (["-l", "4", "--alphas", ""], 2, "expected numbers with commas"),
        (["-l", "4", "--alphas", "0,inf"], 1, "finite number"),
        (["-l", "4", "--alphas", "0,0"], 1, "each once"),
        (["-l", "4", "--seeds", "0"], 1, "at least one seed"),
        (["-l", "4", "--seeds", "1,1"], 1, "each once"),
        (["-l", "4", "--seeds", "1.5"], 2, "expected numbers with commas"),
        (["-l", "4", "--cut", "2"], 1, "cut"),
        (["-l", "4", "--cut", "0.1", "--set", "cut=0.1"], 2, "give it once"),
        (["-l", "4", "--permutations", "0"], 2, "permutations"),
        (["-l", "nope"], 1, "unknown layer 'nope'"),
        (["-l", "*"], 1, "fits one layer"),
        (["-l", "4", "--random-model", "builtin:shapes"], 1, "layer"),
        (["-l", "4", "--profile", "mine"], 1, "expected a profile"),
    ],
)
def test_what_is_wrong_is_said(net: str, tmp_path: Path, more: list[str], code: int, said: str) -> None:
    result = call(f"{net}:build", DATA, "-o", tmp_path / "out", "--cache", "none", *more)
    assert result.exit_code == code, result.output
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())
    assert said in words
    assert not (tmp_path / "out" / "run" / "run.json").exists()


def test_the_folder_of_a_run_is_left_alone(net: str, tmp_path: Path) -> None:
    fastdissect.dissect(f"{net}:build", DATA, "4", out=tmp_path, cache=None, progress=False)
    line = failure(call(f"{net}:build", DATA, "-l", "4", "-o", tmp_path, "--cache", "none"))
    assert "a folder of this study's own" in line
    assert not (tmp_path / "report").exists()


def test_a_missing_library_is_said_before_the_run(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        if name == "matplotlib":
            raise BackendError("expected matplotlib; pip install 'fastdissect[studies]'")

    monkeypatch.setattr(extras, "need", missing)
    line = failure(call(f"{net}:build", DATA, "-l", "4", "-o", tmp_path / "out", "--cache", "none"))
    assert "fastdissect[studies]" in line
    assert not (tmp_path / "out").exists()
