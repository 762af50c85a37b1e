"""`run`, `show`, `report` and `layers`: a whole run, again, interrupted, and everything that can be wrong with it."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from cli_cases import DATA, call, command, environment, failure, needs_signals, same_files, shell, write_net
from PIL import Image

import fastdissect


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def net(home: Path) -> str:
    return write_net(home)


@pytest.fixture(scope="module")
def done(home: Path, net: str) -> Path:
    """A finished run of two layers, with its report."""
    out = home / "done"
    result = call("run", f"{net}:build", DATA, "-l", "1,4", "-o", out, "--cache", "none")
    assert result.exit_code == 0, result.output
    assert f"Report: {out / 'report' / 'index.html'}" in result.output
    assert (out / "report" / "index.html").as_uri() in result.output
    return out


def test_a_run_says_what_it_found(home: Path, net: str, done: Path) -> None:
    result = call(
        "run", f"{net}:build", DATA, "-l", "1", "-l", "4", "-o", done, "--cache", "none", "--no-report"
    )
    assert result.exit_code == 0
    assert "holds a finished run" in result.output  # the same settings, however they are written
    assert "It was complete already" in result.output
    d = fastdissect.load(done)
    for name, layer in d.items():
        found = layer.summary()
        row = next(line for line in result.output.splitlines() if line.split()[1:2] == [name])
        numbers = [part.strip() for part in row.split("│")][3:7]
        assert numbers == [
            str(n)
            for n in (
                found.units,
                found.detectors,
                found.unique_detectors,
                found.unique_by_category_total,
            )
        ]
    assert "40 images" in result.output


def test_the_options_reach_the_run(home: Path, net: str) -> None:
    np.savez(home / "known.npz", **{"1": np.full(6, 0.25, np.float32)})
    out = home / "options"
    result = call(
        *("run", f"{net}:build", "shapes:images=40,size=32", "--layers", "1", "--out", out, "--images", 12),
        *(
            "--quantile",
            "0.02",
            "--profile",
            "netdissect-lite",
            "--set",
            "cut=0.01",
            "--set",
            "presence=image",
        ),
        *("--thresholds", home / "known.npz", "--batch-size", 5, "--workers", 0, "--size", "40x48"),
        *("--mask-size", 10, "--memory", "100MB", "--passes", 1, "--no-activations", "--nan", "omit"),
        *("--layout", "NCHW", "--cache", home / "cache", "--no-report", "--device", "cpu"),
    )
    assert result.exit_code == 0, result.output
    d = fastdissect.load(out)
    layer, key = d["1"], d.run["key"]
    assert layer.shape == (12, 6, 10, 12)
    assert layer.upsampling.size == (10, 10)
    assert (layer.thresholds == 0.25).all()
    assert layer.activations is None
    assert str(layer.profile.quantile) == "1/50"
    assert (layer.profile.cut, layer.profile.presence, layer.profile.cut_inclusive) == (0.01, "image", True)
    assert (key["batch size"], key["nan"], key["layout"]) == (5, "omit", "NCHW")
    assert list((home / "cache" / "planes").iterdir())
    assert not (out / "report").exists()


def test_the_first_images_in_the_report(home: Path, net: str) -> None:
    out = home / "first"
    result = call("run", f"{net}:build", DATA, "-l", "4", "-o", out, "--images", 9, "--cache", "none")
    assert result.exit_code == 0, result.output
    assert (out / "report" / "index.html").is_file()
    assert call("report", out, "--top-images", 2).exit_code == 0


def test_show(done: Path) -> None:
    result = call("show", done, "--layers", "4", "--units", 3)
    assert result.exit_code == 0
    assert "4: best units" in result.output
    assert "1: best units" not in result.output
    best = fastdissect.load(done)["4"].units().sort_values(["iou", "unit"], ascending=[False, True]).head(3)
    after = result.output.partition("4: best units")[2]
    rows = [[part.strip() for part in line.split("│")] for line in after.splitlines() if line.startswith("│")]
    assert [row[1] for row in rows] == [str(unit) for unit in best["unit"]]
    assert [row[2] for row in rows] == [label or "-" for label in best["label"]]
    assert "nearest" in failure(call("show", done, "--layers", "44"))


def test_report_again(done: Path, home: Path) -> None:
    page = done / "report" / "index.html"
    page.unlink()
    result = call("report", done, "--top-images", 3)
    assert result.exit_code == 0, result.output
    assert page.is_file()
    assert str(page) in result.output
    assert call("report", done, "--data", "none").exit_code == 0
    assert call("report", done, "--data", DATA).exit_code == 0
    assert "expected the run's 40 images" in failure(
        call("report", done, "--data", "shapes:images=10,size=32")
    )
    assert "seed=3; open the data set of the run" in failure(
        call("report", done, "--data", "shapes:images=40,size=32,seed=3")
    )


def test_report_finds_a_data_set_whose_path_was_relative(
    home: Path, net: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(home)
    assert call("data", "write", "shapes:images=8,size=32", "broden").exit_code == 0
    assert (
        call("run", f"{net}:build", "broden:broden", "-l", "4", "-o", "rel", "--cache", "none").exit_code == 0
    )
    monkeypatch.chdir(tmp_path)
    assert call("report", home / "rel").exit_code == 0
    (home / "broden").rename(home / "moved")
    assert "--data SPEC" in failure(call("report", home / "rel"))
    assert call("report", home / "rel", "--data", f"broden:{home / 'moved'}").exit_code == 0


def test_layers(net: str) -> None:
    result = call("layers", f"{net}:flat", "--data", DATA, "--images", 10)
    assert result.exit_code == 0
    rows = [[part.strip() for part in line.split("│")] for line in result.output.splitlines() if "│" in line]
    assert [row[1:5] for row in rows] == [
        ["0", "Conv2d", "6", "8 x 8"],
        ["1", "AdaptiveAvgPool2d", "6", "1 x 1"],
        ["2", "Flatten", "6", "1 x 1"],
    ]
    assert "Input 32 x 32" in result.output
    assert "10 images" in result.output
    assert "Input 40 x 48" in call("layers", f"{net}:build", "--size", "40x48").output
    assert "**.relu" in result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["NET:build", DATA, "-l", "nope"], "unknown layer 'nope'"),
        (["NET:build", DATA, "-l", ","], "expected at least one layer"),
        (["NET:nope", DATA, "-l", "1"], "has no 'nope'"),
        (["nope.py:f", DATA, "-l", "1"], "nope.py"),
        (["builtin:shape", DATA, "-l", "1"], "unknown model"),
        (["NET:build", DATA, "-l", "1", "--profile", "nope"], "netdissect-lite"),
        (["NET:build", DATA, "-l", "1", "--quantile", "0"], "between 0 and 1"),
        (["NET:build", DATA, "-l", "1", "--quantile", "1"], "between 0 and 1"),
        (["NET:build", DATA, "-l", "1", "--quantile", "0.995"], "did you mean 1 - 0.995 = 0.005"),
        (["NET:build", DATA, "-l", "1", "--quantile", "many"], "expected a quantile"),
        (["NET:build", DATA, "-l", "1", "--set", "nope=1"], "category_ties"),
        (["NET:build", DATA, "-l", "1", "--set", "cut=2"], "from 0 to 1"),
        (["NET:build", DATA, "-l", "1", "--nan", "maybe"], "omit"),
        (["NET:build", DATA, "-l", "1", "--size", "big"], "224x320"),
        (["NET:build", DATA, "-l", "1", "--device", "abacus"], "abacus"),
        (["NET:build", DATA, "-l", "1", "--batch-size", "0"], "batch_size"),
        (["NET:build", DATA, "-l", "1", "--memory", "1kB"], "--memory"),
        (["NET:build", DATA, "-l", "1", "--thresholds", "nope.npz"], "No such file"),
        (["NET:build", "shapes:image=3", "-l", "1"], "unknown option"),
        (["NET:build", "nope", "-l", "1"], "broden:PATH"),
        (["NET:build", "broden:nope", "-l", "1"], "is no folder"),
        (["NET:nan", DATA, "-l", "1"], "unit 0"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    arguments: list[str], expected: str, net: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = call("run", *(a.replace("NET", net) for a in arguments), "-o", out, "--cache", "none")
    assert expected in failure(result)
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--memory", "4XB"],
        ["--passes", "4"],
        ["--tokens", "14"],
        ["--layout", "CHWN"],
        ["--set", "cut"],
        ["--quantile", "0.01", "--set", "quantile=0.01"],
        ["--threads", "0"],
        ["--top-images", "0"],
    ],
)
def test_a_wrong_option_ends_with_2(arguments: list[str], net: str, tmp_path: Path) -> None:
    result = call("run", f"{net}:build", DATA, "-l", "1", "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert arguments[0].lstrip("-") in result.stderr
    assert not (tmp_path / "out").exists()


def test_thresholds_in_another_form(net: str, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(6, np.float32))
    (tmp_path / "text.npz").write_text("no numbers")
    np.savez(tmp_path / "objects.npz", **{"1": np.array([None])})
    for name in ("one.npy", "text.npz", "objects.npz"):
        result = call(
            *("run", f"{net}:build", DATA, "-l", "1", "-o", tmp_path / "out", "--thresholds", tmp_path / name)
        )
        assert "numpy.savez" in failure(result)


def test_an_out_folder_that_is_not_this_run(net: str, done: Path, tmp_path: Path) -> None:
    files = {p: p.read_bytes() for p in done.rglob("*") if p.is_file()}
    other = failure(call("run", f"{net}:build", DATA, "-l", "1", "-o", done, "--quantile", "0.01"), 1)
    assert "belongs to another run; it differs in" in other
    assert "layers: ['1', '4'] then, ['1'] now" in other
    assert {p: p.read_bytes() for p in done.rglob("*") if p.is_file()} == files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for where in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        assert str(where) in failure(call("run", f"{net}:build", DATA, "-l", "1", "-o", where))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_fresh_moves_aside(net: str, home: Path, done: Path) -> None:
    out = home / "fresh"
    for more in ([], ["--fresh", "--quantile", "0.01"]):
        result = call(
            "run", f"{net}:build", DATA, "-l", "1", "-o", out, "--cache", "none", "--no-report", *more
        )
        assert result.exit_code == 0, result.output
    assert fastdissect.load(out).profile.quantile != fastdissect.load(home / "fresh.1").profile.quantile


def test_a_full_disk_leaves_nothing_half_written(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = ("run", f"{net}:build", DATA, "-l", "1", "-o", tmp_path / "out", "--cache", "none")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        message = failure(call(*arguments))
        assert "cannot be written" in message
        assert not (tmp_path / "out").exists()
    assert call(*arguments).exit_code == 0


@needs_signals
def test_files_that_may_not_grow(net: str, tmp_path: Path) -> None:
    import resource

    result = subprocess.run(
        command("run", f"{net}:build", "shapes:images=60,size=64", "-l", "1", "-o", tmp_path / "out"),
        env=environment(FASTDISSECT_CACHE=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert result.returncode == 1
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def wait_for(path: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not list(path.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@needs_signals
@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_and_the_same_command_again(net: str, tmp_path: Path, workers: int) -> None:
    def arguments(out: str) -> tuple[object, ...]:
        return (
            *("run", f"{net}:build", "shapes:images=120,size=32", "-l", "1,4", "-o", tmp_path / out),
            *("--batch-size", 4, "--threads", 1, "--workers", workers, "--cache", "none", "--no-report"),
        )

    process = subprocess.Popen(
        command(*arguments("out")),
        env=environment(TEST_PAUSE="0.2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(tmp_path / "out" / "unfinished", "layer-0/means.raw", process)
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the worker processes too
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert shown == "interrupted; the same command goes on where it stopped\n"
    assert not (tmp_path / "out" / "run.json").exists()
    state = json.loads(next((tmp_path / "out" / "unfinished").glob("checkpoint-*.json")).read_text())["state"]
    assert 0 < state["position"] < 120
    again = shell(*arguments("out"))
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""  # no progress bar where there is no terminal
    assert shell(*arguments("whole")).returncode == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["resumed"] == 1
    assert not (tmp_path / "out" / "unfinished").exists()
    same_files(tmp_path / "out", tmp_path / "whole")


def test_ctrl_c_after_fresh_warns(net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fastdissect, "dissect", interrupt)
    for flags, expected in (
        ([], "the same command goes"),
        (["--fresh"], "the same command without --fresh goes"),
    ):
        result = call("run", f"{net}:build", DATA, "-l", "1", "-o", tmp_path / "out", *flags)
        assert result.exit_code == 130
        assert expected in result.stderr


def test_label_names_are_harmless_in_a_terminal(net: str, tmp_path: Path) -> None:
    name = '\x1b]0;owned\x07[bold red]:smile: <img src=x onerror="alert(1)">\u202e'
    home = tmp_path / "set"
    (home / "images").mkdir(parents=True)
    (home / "masks" / "object").mkdir(parents=True)
    rng = np.random.default_rng(5)
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(home / "images" / f"{i}.png")
        Image.fromarray(np.ones((32, 32), np.uint8)).save(home / "masks" / "object" / f"{i}.png")
    with (home / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("number", "name", "category"), (1, name, "object")])
    out = tmp_path / "out"
    results = [
        call("data", "check", f"folder:{home}"),
        call("run", f"{net}:build", f"folder:{home}", "-l", "1", "-o", out, "--quantile", "0.1"),
        call("show", out),
    ]
    for result in results:
        assert result.exit_code == 0, result.output
        assert not set(result.output) & {"\x1b", "\x07", "\u202e"}
    for result in (results[0], results[2]):
        folded = "".join(part.strip() for line in result.output.splitlines() for part in line.split("│"))
        assert "[bold red]:smile:" in folded  # neither markup nor emoji codes are read
        assert "\\x1b]0;owned\\x07" in folded
