"""`fastdissect sweep`: the command, its table, its exit codes, and what is wrong with a command line."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from cli_cases import DATA, call, command, environment, failure, needs_signals, write_net
from torch import nn

import fastdissect


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FASTDISSECT_CACHE", str(tmp_path / "cache"))
    return write_net(tmp_path)


def checkpoint(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), nn.ReLU(), nn.ReLU(), nn.Conv2d(6, 7, 3, 2, 1), nn.ReLU())
    path.parent.mkdir(exist_ok=True)
    torch.save(net.state_dict(), path)


def rows(text: str) -> list[list[str]]:
    return [
        [part.strip() for part in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")
    ]


def test_checkpoints(net: str, tmp_path: Path) -> None:
    for step, seed in ((0, 1), (20, 2), (100, 3)):
        checkpoint(tmp_path / "ckpt" / f"step{step}.pt", seed)
    (tmp_path / "accuracy.csv").write_text("name,accuracy\nstep0,0.1\nstep100,0.9\n")
    out = tmp_path / "runs"
    arguments = (
        *("sweep", f"{net}:build", "--data", DATA, "-l", "1,4", "-o", out),
        *("--checkpoints", tmp_path / "ckpt" / "*.pt", "--accuracy", tmp_path / "accuracy.csv"),
    )
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    table, by_category = (
        [row for row in rows(part) if row[0].startswith("step")]
        for part in result.output.split("distinct labels by category")
    )
    assert [row[:3] for row in table] == [[f"step{n}", str(n), layer] for n in (0, 20, 100) for layer in "14"]
    for name, _, layer, units, detectors, best, total, *_rest in table:
        found = fastdissect.load(out / name)[layer].summary()
        numbers = (found.units, found.detectors, found.unique_detectors, found.unique_by_category_total)
        assert (units, detectors, best, total) == tuple(map(str, numbers))
    for name, layer, *counts in by_category:
        unique = sum(row.unique for row in fastdissect.load(out / name)[layer].summary().by_category)
        assert sum(map(int, counts)) == unique
    assert len(by_category) == len(table)
    assert "steps from the last number in each file's name" in result.output
    recorded = json.loads((out / "sweep.json").read_text())["runs"]
    assert [(r["step"], r["accuracy"]) for r in recorded] == [(0, 0.1), (20, None), (100, 0.9)]
    assert not (out / "step0" / "report").exists()
    assert call(*arguments, "--report").exit_code == 0
    assert (out / "step100" / "report" / "index.html").is_file()


def test_a_failure_is_the_exit_code(net: str, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    result = call(
        *("sweep", f"bad\x1b={net}:nan", f"x={net}:nan", f"{net}:build", "-d", DATA, "-l", "1", "-o", out)
    )
    assert result.exit_code == 1  # the name is no folder's: it is taken for the model's, which does not exist
    result = call("sweep", f"x={net}:nan", f"{net}:build", "-d", DATA, "-l", "1", "-o", out)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line]
    assert lines[0].startswith("error: x: layer '1'")
    assert lines[-1] == "error: 1 of 2 models failed; the same command tries them again"
    assert ["x", "", "failed"] in [row[:3] for row in rows(result.output)]
    assert fastdissect.load(out / "net-build")["1"].units_count == 6
    Path(net).write_text(Path(net).read_text().replace("return x / x.new_zeros(())", "return x"))
    assert call("sweep", f"x={net}:nan", f"{net}:build", "-d", DATA, "-l", "1", "-o", out).exit_code == 0


@needs_signals
def test_interrupted(net: str, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    arguments = (
        "sweep",
        f"a={net}:build",
        f"b={net}:build",
        "-d",
        DATA,
        "-l",
        "4",
        "-o",
        out,
        "--batch-size",
        2,
    )
    process = subprocess.Popen(
        command(*arguments, "--workers", 0),
        env=environment(TEST_PAUSE="0.1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if (out / "b" / "unfinished").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "the same command goes on where it stopped" in stderr
    assert [run["name"] for run in json.loads((out / "sweep.json").read_text())["runs"]] == ["a"]
    result = call(*arguments, "--workers", 0)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--steps", "1,x"), 2, "such as 0,100,200"),
        (("--steps", "1,2"), 1, "steps: expected one for each of the 1 models"),
        (("--checkpoints", "nowhere/*.pt"), 1, "there are none"),
        (("--accuracy", "nowhere.csv"), 1, "the columns name and accuracy; got No such file"),
        (("--quantile", "0.1", "--set", "quantile=0.2"), 2, "give it once"),
        (("--profile", "netdisect"), 1, "nearest: netdissect"),
        (("--dtype", "int8"), 2, "expected float32"),
    ],
)
def test_a_wrong_command_line(
    more: tuple[str, ...], code: int, message: str, net: str, tmp_path: Path
) -> None:
    result = call("sweep", f"{net}:build", "-d", DATA, "-l", "1", "-o", tmp_path / "runs", *more)
    assert result.exit_code == code
    assert message in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("model,accuracy\na,1\n", "got the columns model, accuracy"),
        ("", "got the columns none"),
        ("name,accuracy\na,0.5\na,0.6\n", "'a' twice"),
        ("name,accuracy\na,high\n", "expected a number for 'a'; got 'high'"),
    ],
)
def test_a_wrong_table_of_accuracies(text: str, got: str, net: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    result = call(
        *("sweep", f"{net}:build", "-d", DATA, "-l", "1", "-o", tmp_path / "runs"),
        *("--accuracy", tmp_path / "a.csv"),
    )
    assert got in failure(result)


def test_names_twice(net: str, tmp_path: Path) -> None:
    result = call("sweep", f"a={net}:build", f"a={net}:nan", "-d", DATA, "-l", "1", "-o", tmp_path / "runs")
    assert result.exit_code == 2
    assert "each name once" in result.output
    assert "name them" in failure(
        call("sweep", f"{net}:build", f"{net}:build", "-d", DATA, "-l", "1", "-o", tmp_path / "runs")
    )
