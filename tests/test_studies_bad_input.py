"""The studies' commands and functions with bad and hostile input: one line that says why, and nothing lost or written."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_cases import call, failure
from PIL import Image

import fastdissect as fd
from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.chance.level import check_count
from fastdissect.methods.classes import find_class
from fastdissect.methods.comparison.run_folders import FoundRun, run_names
from fastdissect.methods.rotation.checks import checked_alpha, checked_seeds
from fastdissect.methods.sweeps.record import prepare_sweep, read_record
from fastdissect.reports.studies.free import check_study_folder

NET = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
"""
DATA = "shapes:images=30,size=32"
LONG = "x" * 300  # longer than a file's name may be
posix = pytest.mark.skipif(os.name != "posix", reason="names of any bytes, pipes, links")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "net.py").write_text(NET)
    arguments = ("-l", "0", "-o", folder / "run", "--quantile", "0.05", "--no-report", "--cache", "none")
    assert call("run", f"{folder / 'net.py'}:build", DATA, *arguments).exit_code == 0
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTDISSECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def net(made: Path) -> str:
    return f"{made / 'net.py'}:build"


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    with path.open("wb") as file:
        Image.fromarray(pixels).save(file, "png")
    return path


STUDIES = {
    "chance": ("chance", "run", "--permutations", "2", "--bootstrap", "0"),
    "compare": ("compare", "run"),
    "explain": ("explain", "run", "-i", "0"),
    "class": ("explain", "run", "--class", "0"),
    "ablate": ("ablate", "run", "--units", "0", "--random-groups", "1"),
}


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("the work was begun")


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("theirs", "expected .*theirs to be free"),
        ("run", "expected .*run to be free"),
        ("file", "expected .*file to be free"),
        ("file/below", "file is no folder"),
        (LONG, "cannot be made: File name too long"),
        pytest.param("loop", "a link to nothing", marks=posix),
        pytest.param("dangling", "a link to nothing", marks=posix),
    ],
)
def test_a_folder_that_is_not_free_is_refused_before_the_work(
    run: Path, study: str, place: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chance.layer_chance", "comparison.compare", "explanation.explain_each"):
        monkeypatch.setattr(f"fastdissect.methods.{name}", _refuse)
    monkeypatch.setattr("fastdissect.methods.explanation.class_units", _refuse, raising=False)
    monkeypatch.setattr("fastdissect.methods.ablation.ablating.ablate", _refuse)
    Path("theirs").mkdir()
    Path("theirs/notes.txt").write_text("mine")
    Path("file").write_text("mine")
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    before = sorted(p.name for p in Path.cwd().iterdir())
    found = failure(call(*STUDIES[study], "--out", place))
    assert re.search(said, found), found
    assert sorted(p.name for p in Path.cwd().iterdir()) == before
    assert Path("theirs/notes.txt").read_text() == Path("file").read_text() == "mine"


def test_asking_whether_a_folder_is_free_leaves_nothing(tmp_path: Path) -> None:
    check_study_folder(tmp_path / "new")
    check_study_folder(tmp_path / "deep" / "er" / "new")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="free"):
        check_study_folder(tmp_path.parent)


def test_rotate_refuses_its_folders_before_the_run(run: Path, net: str) -> None:
    Path("out/report").mkdir(parents=True)
    Path("out/report/notes.txt").write_text("mine")
    assert "report to be free" in failure(call("rotate", net, DATA, "-l", "0", "-o", "out"))
    assert not Path("out/run").exists()
    assert "File name too long" in failure(call("rotate", net, DATA, "-l", "0", "-o", LONG))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--seeds", "9" * 30), "at most 1,000 rotations"),
        (("--seeds", "1001"), "at most 1,000 rotations"),
        (("--alphas", "1e308"), "alpha from -1,000,000 to 1,000,000; got 1e"),
        (("--permutations", "1" * 14), "at most 1,000,000 permutations"),
    ],
)
def test_rotate_refuses_what_would_never_end(
    run: Path, net: str, options: tuple[str, ...], said: str
) -> None:
    assert said in failure(call("rotate", net, DATA, "-l", "0", "-o", "out", "--quantile", "0.05", *options))
    assert not Path("out").exists()


@pytest.mark.parametrize("option", ["--permutations", "--bootstrap"])
@pytest.mark.parametrize("count", ["1000001", "9" * 400])
def test_chance_refuses_what_would_never_end(run: Path, option: str, count: str) -> None:
    assert "at most 1,000,000" in failure(call("chance", run, option, count))
    assert not (run / "chance").exists()


def test_the_largest_numbers_that_are_allowed() -> None:
    check_count("permutations", 1_000_000)
    assert checked_seeds(1000) == tuple(range(1000))
    assert checked_seeds([7, 10**30]) == (7, 10**30)
    assert checked_alpha(-1e6) == -1e6


@pytest.mark.parametrize("count", ["10001", "9" * 30])
def test_ablate_refuses_what_would_never_end(run: Path, count: str) -> None:
    found = failure(call("ablate", run, "--units", "0", "--random-groups", count))
    assert "at most 10,000 random groups" in found


def test_unknown_labels_and_categories_name_some_that_there_are(run: Path) -> None:
    assert "there are color, object" in failure(call("ablate", run, "--category", "zz"))
    assert "; there are black-c, " in failure(call("ablate", run, "--label", ""))
    with pytest.raises(SettingError, match="'zigzag'"):  # one name, not its letters
        fd.methods.ablate(fd.load(run), labels="zigzag")
    with pytest.raises(fd.errors.LayerError, match="'conv5'"):
        fd.methods.compare([fd.load(run)], layers="conv5")


# Images


@pytest.mark.parametrize(
    "name", [LONG, "~nobody-of-that-name/a.png", "9" * 30, "9" * 5000, "-1", "1.5", "\x1b[31m.png"]
)
def test_images_that_cannot_be(run: Path, name: str) -> None:
    assert "is missing: expected a file or a folder of images" in failure(call("explain", run, "-i", name))


@posix
def test_a_pipe_or_a_device_is_no_image(run: Path) -> None:
    os.mkfifo("pipe.png")
    for name in ("pipe.png", "/dev/zero"):
        assert f"image '{name}' is no file" in failure(call("explain", run, "-i", name))
    picture(Path("folder/a.png"))
    os.mkfifo("folder/b.png")
    assert "image 'b.png' is no file" in failure(call("explain", run, "-i", "folder"))
    assert not (run / "explanations").exists()


@posix
def test_names_that_are_no_text(run: Path) -> None:
    """Linux takes any bytes as a name; pandas' strings are UTF-8."""
    name = os.fsdecode(b"\xff\xfe")
    try:
        picture(Path("folder") / f"{name}.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    result = call("explain", run, "-i", "folder")
    assert result.exit_code == 0, result.output
    assert r"\udcff\udcfe.png" in (run / "explanations" / "images.csv").read_text()
    shutil.copytree(run, name)
    result = call("compare", run, name, "-o", "out")
    assert result.exit_code == 0, result.output
    assert r"\udcff\udcfe" in Path("out/layers.csv").read_text()


def test_run_names_are_text() -> None:
    found = [FoundRun(name, Path(name)) for name in ("a", "\udcff", "a")]
    for name in run_names(found):
        name.encode()
    assert run_names(found)[1] == r"\udcff"


# Classes


def test_classes_by_long_numbers(run: Path) -> None:
    assert find_class("0" * 17 + "1", ["a", "b"]) == 1
    for number in ("9" * 19, "9" * 5000):
        with pytest.raises(SettingError, match=r"expected a class of 0 to 1, or a name; got 9{19,40};"):
            find_class(number, ["a", "b"])
    assert "expected a class of 0 to 3" in failure(call("explain", run, "-i", "0", "--class", "9" * 5000))
    assert "expected a class of 0 to 3" in failure(call("ablate", run, "--units", "0", "--class", "9" * 5000))


def test_names_of_classes_are_lines(run: Path) -> None:
    """Not of a byte order mark, and not cut at characters that some call line ends."""
    Path("names.txt").write_bytes("first\r\nse\x0ccond\r\nthi\u2028rd\r\nfourth\r\n".encode("utf-8-sig"))
    result = call(
        "explain", run, "-i", "0", "--classes", "names.txt", "--class", "first", "--class", "se\x0ccond"
    )
    assert result.exit_code == 0, result.output


# Files of a finished study


@pytest.mark.parametrize("value", [-0.1, 1.5, 10**400, "0.1", True, None, [0.1], float("nan"), float("inf")])
def test_a_calibrated_cut_that_is_none(run: Path, value: object) -> None:
    assert call("chance", run, "--permutations", "2", "--bootstrap", "0").exit_code == 0
    path = run / "chance" / "cuts.json"
    record = json.loads(path.read_text())
    assert call("show", run, "--cut", "calibrated").exit_code == 0
    record["layers"]["0"]["cut"] = value
    path.write_text(json.dumps(record))
    assert "cuts.json: expected calibrated cuts; the file is damaged" in failure(
        call("show", run, "--cut", "calibrated")
    )


def test_calibrated_cuts_without_an_end(run: Path) -> None:
    (run / "chance").mkdir()
    (run / "chance" / "cuts.json").write_text("[" * 100_000)
    assert "the file is damaged" in failure(call("show", run, "--cut", "calibrated"))


@pytest.mark.parametrize("key", ["step", "accuracy"])
def test_a_number_of_a_sweep_that_is_too_large(tmp_path: Path, key: str) -> None:
    runs = [{"name": "a", "folder": "a", key: 10**400}]
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": runs}))
    with pytest.raises(OutputError, match="truncated or damaged"):
        read_record(tmp_path)
    assert "truncated or damaged" in failure(call("compare", tmp_path, "-o", tmp_path / "out"))


@pytest.mark.parametrize("key", [None, "text", 5, ["list"]])
def test_runs_whose_record_holds_no_key_are_compared_as_unknown(run: Path, key: object) -> None:
    record = json.loads((run / "run.json").read_text())
    record["key"] = key
    shutil.copytree(run, "other")
    Path("other/run.json").write_text(json.dumps(record))
    assert "no digest recorded" in failure(call("compare", run, "other", "-o", "out"))


# Sweeps


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch-size", "0"), "batch_size to be a whole number"),
        (("--images", "0"), "images to be a whole number"),
        (("--device", "nonsense"), "expected a device"),
        (("--size", "0"), "expected size"),
        (("--mask-size", "x"), "expected mask_size"),
        (("--nan", "maybe"), "expected nan"),
        (("--steps=-1",), "steps: expected numbers of 0 or more; got -1.0"),
        (("--checkpoints", "~nobody-of-that-name/*.pt"), "there are none"),
        (("--checkpoints", LONG), "there are none"),
    ],
)
def test_what_would_fail_for_every_model_is_said_once(
    run: Path, net: str, options: tuple[str, ...], said: str
) -> None:
    assert said in failure(call("sweep", f"a={net}", "-d", DATA, "-l", "0", "-o", "out", *options))
    assert not Path("out").exists()


def test_folders_of_sweeps(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be used: File name too long"):
        prepare_sweep(tmp_path / LONG, fresh=False)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="a file of that name"):
        prepare_sweep(tmp_path / "file", fresh=False)
    prepare_sweep(tmp_path / "new", fresh=False)
    assert read_record(tmp_path / "new") == []
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="an empty folder or one of an earlier sweep"):
        prepare_sweep(tmp_path / "theirs", fresh=False)
    with pytest.raises(OutputError, match="a file of that name"):
        prepare_sweep(tmp_path / "file" / "below", fresh=False)


def test_half_characters_in_a_record_reach_no_file(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["key"]["data set"] = "\ud800"
    shutil.copytree(run, "other")
    Path("other/run.json").write_text(json.dumps(record))
    result = call("compare", run, "other", "-o", "out", "--force")
    assert result.exit_code == 0, result.output
    assert r"\ud800" in Path("out/layers.csv").read_text(encoding="utf-8")
