"""Ranks: several processes write the files of one; one is killed anywhere, or asked for something else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from cli_cases import needs_signals, write_net
from rank_cases import Fault, command, end, of_a_script, slow_command, start

import fastdissect as fd
from fastdissect.cli import main

pytestmark = pytest.mark.slow
IMAGES = 40


def files_of(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name != "run.json"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command: two layers, ten batches of a data set in Broden's format, a checkpoint after each."""
    folder = tmp_path_factory.mktemp("ranks")
    assert main(["data", "write", f"shapes:images={IMAGES},size=32", str(folder / "broden")]) == 0
    arguments = ["run", f"{write_net(folder)}:build", f"broden:{folder / 'broden'}", "--layers", "1,4"]
    arguments += ["--quantile", "0.05", "--batch-size", "4", "--workers", "0", "--threads", "1"]
    return [*arguments, "--no-report", "--cache", "none", "--checkpoint-seconds", "0"]


@pytest.fixture(scope="module")
def alone(run: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("alone") / "out"
    [(code, text)] = end(start(out.parent, 1, command, *run, "--out", str(out)))
    assert code == 0, text
    return files_of(out)


@pytest.mark.parametrize("count", [2, 3])
def test_ranks_write_what_one_process_writes(
    count: int, run: list[str], alone: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = end(start(tmp_path, count, command, *run, "--out", str(out)))
    assert [code for code, _ in ended] == [0] * count, ended
    assert "Dissected" in ended[0][1]
    assert all("Dissected" not in text for _, text in ended[1:])  # one speaks for all
    assert files_of(out) == alone
    assert fd.load(out).run["shards"] == count
    again = end(start(tmp_path, count, command, *run, "--out", str(out)))  # complete: all say so at once
    assert [code for code, _ in again] == [0] * count, again
    assert "It was complete already" in again[0][1]


@needs_signals
@pytest.mark.parametrize(
    ("rank", "fault"),
    [
        (1, ("open", 1)),
        (1, ("batch", 3)),
        (0, ("exchange", 2)),
        (2, ("exchange", 3)),
        (2, ("end", 1)),
        (0, ("merge", 2)),
    ],
)
def test_a_rank_killed_anywhere_ends_the_others_and_is_run_again(
    rank: int, fault: Fault, run: list[str], alone: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = end(start(tmp_path, 3, command, *run, "--out", str(out), faults={rank: fault}))
    assert ended[rank][0] == -signal.SIGKILL
    for code, text in ended[:rank] + ended[rank + 1 :]:
        assert code == 1
        assert "expected all processes to go on together" in text
        assert "Traceback" not in text
    assert not (out / "run.json").exists()
    kept = {p: p.stat().st_mtime_ns for p in out.glob("shards/*/shard.json")}
    ended = end(start(tmp_path, 3, command, *run, "--out", str(out), "--verbose"))
    assert [code for code, _ in ended] == [0] * 3, ended
    assert len(kept) == {"end": 2, "merge": 3}.get(fault[0], 0)
    if fault[0] in ("batch", "exchange"):
        assert any("going on after" in text for _, text in ended), ended
    assert files_of(out) == alone


def test_another_number_of_ranks_is_refused(run: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    end(start(tmp_path, 3, command, *run, "--out", out, faults={1: ("batch", 3)}))
    for count, words in ((2, "holds shards of 3"), (1, "torchrun with as many processes")):
        for code, text in end(start(tmp_path, count, command, *run, "--out", out)):
            assert code == 1
            assert words in text
            assert "Traceback" not in text


def test_ranks_that_do_different_things_are_refused(run: list[str], tmp_path: Path) -> None:
    each = [(), ("--quantile", "0.01")]
    for code, text in end(start(tmp_path, 2, command, *run, "--out", str(tmp_path / "out"), each=each)):
        assert code == 1
        assert "rank 1 differs in profile" in text
        assert "Traceback" not in text
    assert not (tmp_path / "out").exists()


def test_a_nan_in_one_ranks_images(run: list[str], tmp_path: Path) -> None:
    faults = {1: ("nan", 2)}
    first, second = end(start(tmp_path, 2, command, *run, "--out", str(tmp_path / "out"), faults=faults))
    assert (first[0], second[0]) == (1, 1)
    assert "expected a finite activation" in second[1]
    assert "expected all processes to go on together" in first[1]
    assert "Traceback" not in first[1] + second[1]


def test_folders_that_are_not_shared(run: list[str], tmp_path: Path) -> None:
    each = [("--out", str(tmp_path / name)) for name in ("one", "other")]
    faults = dict.fromkeys(range(2), ("impatient", 1))
    for code, text in end(start(tmp_path, 2, command, *run, each=each, faults=faults)):
        assert code == 1
        assert "rank 1 of 2 does not see what rank 0 writes" in text


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_ranks_go_on(
    number: int, run: list[str], alone: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    ranks = start(tmp_path, 2, slow_command, *run, "--out", str(out))
    until = time.monotonic() + 60
    while len(list(out.glob("shards/*/unfinished/checkpoint-*.json"))) < 2:
        assert time.monotonic() < until, end(ranks)
        time.sleep(0.01)
    for rank in ranks:
        assert rank.process.pid is not None
        os.kill(rank.process.pid, number)
    ended = end(ranks)
    assert 130 in [code for code, _ in ended]  # the other may have waited for it
    assert all(code in (1, 130) and "Traceback" not in text for code, text in ended), ended
    assert not (out / "run.json").exists()
    ended = end(start(tmp_path, 2, command, *run, "--out", str(out), "--verbose"))
    assert [code for code, _ in ended] == [0] * 2, ended
    assert all("going on after" in text for _, text in ended)
    assert files_of(out) == alone


def test_a_process_group_of_ones_own_and_a_loader_that_ends_early(tmp_path: Path) -> None:
    own, expected = str(tmp_path / "own"), tmp_path / "expected"
    ended = end(start(tmp_path, 2, of_a_script, own, True))
    assert [code for code, _ in ended] == [0] * 2, ended
    [(code, text)] = end(start(tmp_path, 1, of_a_script, str(expected), False))
    assert code == 0, text
    assert files_of(Path(own)) == files_of(expected)
