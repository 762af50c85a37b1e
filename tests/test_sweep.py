"""`sweep`: planes packed once, failures reported and passed by, going on, names, steps, and what each run records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import fastdissect
from fastdissect import batches, dissection
from fastdissect.datasets import Shapes
from fastdissect.errors import FastdissectError, ModelError, OutputError, SettingError
from fastdissect.methods.sweeps import record
from fastdissect.methods.sweeps.models import candidates_of, checkpoint_files
from fastdissect.methods.sweeps.record import RecordedRun
from fastdissect.methods.sweeps.result import Sweep, SweepRun
from fastdissect.methods.sweeps.steps import last_number, with_steps
from fastdissect.methods.sweeps.sweeping import sweep
from fastdissect.models import load_model
from fastdissect.reopening import reopen_model

CODE = """
import sys
from torch import nn

class Raises(nn.Module):
    def forward(self, x):
        raise RuntimeError("no kernel for this")

class Divides(nn.Module):
    def forward(self, x):
        return x / 0 * 0

def build():
    return nn.Sequential(nn.Conv2d(3, 5, 5, 4, 2), nn.ReLU())

def wide():
    return nn.Sequential(nn.Conv2d(3, 8, 5, 4, 2), nn.ReLU())

def raises():
    return nn.Sequential(nn.Conv2d(3, 5, 5, 4, 2), Raises())

def nan():
    return nn.Sequential(nn.Conv2d(3, 5, 5, 4, 2), Divides())

def breaks():
    raise OSError("no disk")

def leaves():
    sys.exit("usage: net.py FILE")
"""
DATA = Shapes(images=24, size=32)
IMAGES = len(DATA)


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 5, 5, 4, 2), nn.ReLU())


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FASTDISSECT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "net.py").write_text(CODE)
    return str(tmp_path / "net.py")


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the images whose masks were packed."""
    names: list[str] = []
    pack = batches.image_planes

    def counted(*args: Any, **kwargs: Any) -> Any:
        names.append(kwargs["image"])
        return pack(*args, **kwargs)

    monkeypatch.setattr(batches, "image_planes", counted)
    return names


def recorded(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "sweep.json").read_text())["runs"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("cache", ["auto", None])
def test_masks_are_packed_once(code: str, packed: list[str], tmp_path: Path, cache: str | None) -> None:
    out = tmp_path / "runs"
    models = {"a": f"{code}:build", "b": f"{code}:wide", "c": network(3)}
    found = sweep(models, DATA, "1", out=out, cache=cache, workers=0, batch_size=7)
    assert not found.failed
    assert sorted(packed) == sorted(DATA.image_name(i) for i in range(IMAGES))
    assert sorted(p.name for p in out.iterdir()) == ["a", "b", "c", "sweep.json"]
    for name, model in models.items():  # each is the run that dissect alone would have given
        alone = fastdissect.dissect(model, DATA, "1", cache=None, batch_size=7)
        own = fastdissect.load(out / name)
        np.testing.assert_array_equal(own["1"].intersection, alone["1"].intersection)
        np.testing.assert_array_equal(own["1"].thresholds, alone["1"].thresholds)


def test_failures_are_reported_and_the_rest_goes_on(code: str, tmp_path: Path) -> None:
    out, seen = tmp_path / "runs", []
    names = ("breaks", "leaves", "raises", "nan", "gone", "build")

    def on_run(run: SweepRun, d: Any) -> None:
        seen.append((run.name, d is None))

    found = sweep({n: f"{code}:{n}" for n in names}, DATA, "1", out=out, on_run=on_run)
    assert seen == [(n, n != "build") for n in names]
    errors = {run.name: run.error for run in found.failed}
    for name, part in {
        "breaks": "OSError: no disk",
        "leaves": "SystemExit: usage: net.py FILE",
        "raises": "RuntimeError: no kernel for this",
        "nan": "NaN",
        "gone": "has no 'gone'",
    }.items():
        assert part in errors[name]
    assert recorded(out) == [
        {"name": n, "folder": n, "step": None, "accuracy": None, "error": errors.get(n)} for n in names
    ]
    assert [p.name for p in out.iterdir() if p.is_dir()] == ["build"]
    assert [name for name, _ in found.dissections()] == ["build"]


def test_a_layer_that_one_model_lacks(code: str, tmp_path: Path) -> None:
    models = {"deep": nn.Sequential(network(0), nn.Conv2d(5, 4, 3)), "flat": f"{code}:build"}
    found = sweep(models, DATA, "0.1", out=tmp_path / "runs")
    assert [run.error is None for run in found.runs] == [True, False]
    assert "unknown layer '0.1'" in str(found.runs[1].error)


def test_the_same_call_goes_on(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished runs stay as they are, failed ones are tried again; Ctrl-C stops all and loses nothing."""
    out, tried = tmp_path / "runs", []
    real = dissection.dissect

    def watched(model: Any, *args: Any, **kwargs: Any) -> Any:
        tried.append(kwargs["out"].name)
        if kwargs["out"].name == "second" and len(tried) < 3:
            raise KeyboardInterrupt
        return real(model, *args, **kwargs)

    monkeypatch.setattr(dissection, "dissect", watched)
    models = {"first": f"{code}:build", "second": f"{code}:wide", "third": f"{code}:later"}
    with pytest.raises(KeyboardInterrupt):
        sweep(models, DATA, "1", out=out, cache=None)
    assert [run["name"] for run in recorded(out)] == ["first"]
    assert not (out / ".planes").exists()
    before = (out / "first" / "run.json").stat().st_mtime_ns
    found = sweep(models, DATA, "1", out=out, cache=None)
    assert [run.name for run in found.failed] == ["third"]
    assert (out / "first" / "run.json").stat().st_mtime_ns == before
    Path(code).write_text(CODE.replace("def wide", "def later"))
    again = sweep({"third": f"{code}:later"}, DATA, "1", out=out, cache=None)
    assert not again.failed
    assert [(run["name"], run["error"]) for run in recorded(out)] == [
        ("first", None),
        ("second", None),
        ("third", None),
    ]
    assert again.table()["seconds"].tolist() == [fastdissect.load(out / "third").run["seconds"]]


def test_other_settings_do_not_go_on(code: str, tmp_path: Path) -> None:
    out, models = tmp_path / "runs", {"a": f"{code}:build"}
    sweep(models, DATA, "1", out=out)
    other = sweep(models, DATA, "1", out=out, quantile=0.02)
    assert "profile" in str(other.runs[0].error)
    fresh = sweep(models, DATA, "1", out=out, quantile=0.02, fresh=True)
    assert not fresh.failed
    assert fastdissect.load(tmp_path / "runs.1" / "a").profile != fastdissect.load(out / "a").profile


def test_the_table(code: str, tmp_path: Path) -> None:
    found = sweep(
        {"a": f"{code}:build", "b": f"{code}:gone", "c": f"{code}:wide"},
        DATA,
        ["0", "1"],
        out=tmp_path / "runs",
        steps=[0, 5, 10],
        accuracy={"a": 0.1, "c": 0.75},
    )
    table = found.table()
    assert table[["name", "layer"]].values.tolist() == [
        ["a", "0"],
        ["a", "1"],
        ["b", ""],
        ["c", "0"],
        ["c", "1"],
    ]
    assert table["step"].tolist() == [0, 0, 5, 10, 10]
    assert table["accuracy"].dropna().tolist() == [0.1, 0.1, 0.75, 0.75]
    runs = dict(found.dissections())
    for row in table[table["error"] == ""].itertuples():
        summary = runs[row.name][row.layer].summary()
        assert (row.units, row.detectors) == (summary.units, summary.detectors)
        assert (row.unique, row.unique_by_category) == (
            summary.unique_detectors,
            summary.unique_by_category_total,
        )
    by_category = table.filter(like="-unique").sum(axis=1)
    assert (by_category == table["unique_by_category"].fillna(0)).all()
    assert by_category.any()
    assert "has no 'gone'" in table["error"][2]
    assert pd.isna(table["detectors"][2])
    assert [(r["step"], r["accuracy"]) for r in recorded(tmp_path / "runs")] == [
        (0, 0.1),
        (5, None),
        (10, 0.75),
    ]


@pytest.fixture
def saved(code: str, tmp_path: Path) -> Path:
    """ckpt/: three state dicts of the network, numbered 2, 10, 100; a damaged one, 20; another network's, 30."""
    folder = tmp_path / "ckpt"
    folder.mkdir()
    for number, seed in ((2, 0), (10, 1), (100, 2)):
        torch.save({"model": network(seed).state_dict()}, folder / f"epoch_{number}.pt")
    (folder / "epoch_20.pt").write_bytes(b"half written")
    torch.save(load_model(f"{code}:wide").module.state_dict(), folder / "epoch_30.pt")
    return folder


def check_checkpoints(found: Sweep, saved: Path) -> None:
    assert found.steps == "steps from the last number in each file's name"
    assert [(run.name, run.step) for run in found.runs] == [
        (f"epoch_{n}", float(n)) for n in (2, 10, 20, 30, 100)
    ]
    errors = {run.name: str(run.error) for run in found.failed}
    assert set(errors) == {"epoch_20", "epoch_30"}
    assert "shapes" in errors["epoch_30"]
    for name, d in found.dissections():
        assert d.run["key"]["weights"] == load_model(_loaded(saved / f"{name}.pt")).weights_digest


def _loaded(file: Path) -> nn.Module:
    net = network(0)
    net.load_state_dict(torch.load(file, weights_only=True)["model"])
    return net


def test_checkpoints_of_a_named_model(
    code: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths may be relative; a run opens its network again from anywhere."""
    monkeypatch.chdir(tmp_path)
    found = sweep("net.py:build", DATA, "1", out="runs", checkpoints="ckpt/*.pt")
    check_checkpoints(found, saved)
    assert found.runs[0].model == f"net.py:build?weights={Path('ckpt', 'epoch_2.pt')}"
    monkeypatch.chdir("/")
    for name in ("epoch_2", "epoch_100"):
        d = fastdissect.load(tmp_path / "runs" / name)
        assert reopen_model(d).weights_digest == d.run["key"]["weights"]
    torch.save(network(7).state_dict(), saved / "epoch_2.pt")  # it was trained on since
    with pytest.raises(ModelError, match="expected the network that was dissected"):
        reopen_model(fastdissect.load(tmp_path / "runs" / "epoch_2"))


def test_checkpoints_of_a_module(saved: Path, tmp_path: Path) -> None:
    net = network(5)
    before = load_model(net).weights_digest
    found = sweep([net], DATA, "1", out=tmp_path / "runs", cache=None, checkpoints=saved / "*.pt")
    check_checkpoints(found, saved)
    assert load_model(net).weights_digest == before


def test_an_interrupted_run_of_the_sweep_goes_on(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of the second model: its checkpoint is used by the next call."""
    out = tmp_path / "runs"
    models = {"a": f"{code}:build", "b": f"{code}:wide"}
    whole = sweep(models, DATA, "1", out=tmp_path / "whole", batch_size=5)
    seen = 0
    network_input = batches.network_input

    def interrupted(*args: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == IMAGES + 14:
            raise KeyboardInterrupt
        return network_input(*args)

    monkeypatch.setattr(batches, "network_input", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(models, DATA, "1", out=out, batch_size=5, workers=0)
    assert list((out / "b" / "unfinished").glob("checkpoint-*.json"))
    seen = -1000
    found = sweep(models, DATA, "1", out=out, batch_size=5, workers=0)
    assert seen + 1000 <= 14  # of 24 images; ten had been seen
    assert fastdissect.load(out / "b").run["resumed"] == 1
    for (_, one), (_, other) in zip(found.dissections(), whole.dissections(), strict=True):
        np.testing.assert_array_equal(one["1"].intersection, other["1"].intersection)


@pytest.mark.parametrize(
    ("stem", "number"),
    [
        ("epoch=3-step=1000", 1000),
        ("step1000", 1000),
        ("model_12_best", 12),
        ("model_12_acc0.93", 12),
        ("007", 7),
        ("resnet18-5c106cde", 18),
        ("run_1e5", None),
        ("12k", None),
        ("best", None),
        ("", None),
    ],
)
def test_the_last_number_of_a_name(stem: str, number: float | None) -> None:
    assert last_number(stem) == number


def steps_of(folder: Path, contents: dict[str, Any]) -> tuple[list[float | None], str]:
    folder.mkdir()
    for name, content in contents.items():
        if content is None:
            (folder / name).write_bytes(b"damaged")
        else:
            torch.save({"model": {"w": torch.zeros(1)}, **content}, folder / name)
    found, source = with_steps(candidates_of("m:f", None if not contents else str(folder / "*")), None)
    return [c.step for c in found], source


def test_where_steps_come_from(tmp_path: Path) -> None:
    entries = {
        "a.pt": {"epoch": 2, "step": 9},
        "b.pt": {"step": 9, "epoch": 1},
        "c.pt": {"step": 9, "epoch": 7},
    }
    assert steps_of(tmp_path / "1", entries) == ([2, 1, 7], "steps from each file's entry 'epoch'")
    damaged = {"a.pt": {"step": 3}, "b.pt": None, "c.pt": {"step": 1}}
    assert steps_of(tmp_path / "2", damaged) == ([3, None, 1], "steps from each file's entry 'step'")
    none, said = steps_of(tmp_path / "3", {"net18_a.pt": {"step": 1}, "net18_b.pt": {}})
    assert none == [None, None]
    assert "give them with steps" in said
    assert steps_of(tmp_path / "4", {"e10.pt": {"step": 1}, "e9.pt": {"step": 2}}) == (
        [9, 10],
        "steps from the last number in each file's name",
    )
    named = candidates_of({"a": "m:f", "b": "m:g"})
    assert [c.step for c in with_steps(named, [0.5, 2])[0]] == [0.5, 2]
    assert with_steps(named, None)[1] == ""


def test_names_of_folders(tmp_path: Path) -> None:
    specs = [
        "torchvision:resnet18",
        "a/nets.py:wide",
        "builtin:shapes?weights=x/y 1.pt",
        "timm:a/b.c_d",
        nn.ReLU(),
    ]
    assert [c.name for c in candidates_of(specs)] == [
        "torchvision-resnet18",
        "nets-wide",
        "builtin-shapes-y-1",
        "timm-a-b.c_d",
        "ReLU",
    ]
    (tmp_path / "b[1].pt").touch()
    (tmp_path / "b1.pt").touch()
    assert checkpoint_files(str(tmp_path / "b[1].pt")) == [tmp_path / "b[1].pt"]  # a file before a pattern
    assert checkpoint_files([tmp_path / "b?.pt", tmp_path / "*.pt"]) == [
        tmp_path / "b1.pt",
        tmp_path / "b[1].pt",
    ]


def bad(**more: Any) -> dict[str, Any]:
    return {"models": {"a": "m:f"}, "checkpoints": None, "accuracy": None, "steps": None, **more}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad(models={}), "at least one model"),
        (bad(models=["x:y", "x:y"]), "'x:y' and 'x:y' are both 'x-y'"),
        (bad(models={"A": "x:y", "a": "x:z"}), "'x:y' and 'x:z' are both 'a'"),
        (bad(models={"../up": "x:y"}), r"can be folders: .*; got '\.\./up'"),
        (bad(models={"sweep.json": "x:y"}), "can be folders"),
        (bad(models={".hidden": "x:y"}), "can be folders"),
        (bad(models={"": "x:y"}), "can be folders"),
        (bad(models=["x:y", "x:z"], checkpoints="*.pt"), "expected one model, .*; got 2"),
        (bad(checkpoints="nowhere/*.pt"), r"files that fit 'nowhere/\*\.pt'; there are none"),
        (bad(checkpoints=[]), "at least one model"),
        (bad(models="m:f?weights=none", checkpoints=["1.pt"]), "leave the part from '\\?' on out"),
        (bad(checkpoints=["1.pt", "sub/1.pt"]), r"'1\.pt' and '.*1\.pt' are both '1'"),
        (bad(accuracy={"b": 0.5}), "no model is called 'b'"),
        (bad(accuracy={"a": 97}), "expected 0 to 1 for 'a'; got 97"),
        (bad(accuracy={"a": float("nan")}), "expected 0 to 1"),
        (bad(steps=[1, 2]), "one for each of the 1 models, in the order a; got 2"),
        (bad(steps=[float("inf")]), "expected numbers; got inf"),
        (bad(steps=["1"]), "expected numbers; got '1'"),
        (bad(quantile=2), "quantile"),
        (bad(no_such_option=1), "no_such_option"),
    ],
)
def test_bad_arguments_stop_before_anything(
    arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("1.pt", "sub/1.pt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    with pytest.raises(SettingError, match=message):
        sweep(data=DATA, layers="1", out=tmp_path / "runs", **arguments)
    assert not (tmp_path / "runs").exists()


def test_bad_data_and_folders(code: str, tmp_path: Path) -> None:
    models = {"a": f"{code}:build"}
    with pytest.raises(FastdissectError):
        sweep(models, "no-such-set", "1", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").touch()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "sweep.json").write_text('{"runs": [{"na')
    for name, message in {
        "file": "a file of that name",
        "other": "one of an earlier sweep",
        "torn": "expected the runs of a sweep",
    }.items():
        with pytest.raises(OutputError, match=message):
            sweep(models, DATA, "1", out=tmp_path / name)
    assert not sweep(models, DATA, "1", out=tmp_path / "torn", fresh=True).failed
    assert (tmp_path / "torn.1" / "sweep.json").exists()


def test_the_record_holds_what_was_written(tmp_path: Path) -> None:
    runs = [RecordedRun("a", "a", 0.5, 0.25), RecordedRun("b", "b", error="no \udcff.pt, \u00e9")]
    record.prepare_sweep(tmp_path, fresh=False)
    for run in (runs[0]._replace(error="tried again"), *runs):
        record.write_entry(tmp_path, run)
    assert record.read_record(tmp_path) == runs


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_folder_that_cannot_be_written(code: str, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError):
        sweep({"a": f"{code}:build"}, DATA, "1", out=tmp_path / "locked" / "runs")
