"""Ranks: two and three processes write the files of one; one is killed, or asked for something else."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from cli_cases import needs_signals

RUN = [
    "run",
    "builtin:shapes",
    "shapes:images=64",
    "--layers",
    "conv3,conv5",
    "--batch-size",
    "4",
    "--workers",
    "0",
]
RUN += ["--no-report", "--cache", "none", "--threads", "1", "--checkpoint-seconds", "0"]
IGNORED = ("run.json",)


def files_of(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name not in IGNORED}


def free_port() -> str:
    with contextlib.closing(socket.socket()) as own:
        own.bind(("127.0.0.1", 0))
        return str(own.getsockname()[1])


def start(count: int, out: Path, more: Sequence[Sequence[str]] | None = None) -> list[subprocess.Popen[str]]:
    port, ranks = free_port(), []
    for rank in range(count):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), "WORLD_SIZE": str(count)}
        environment |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [
            sys.executable,
            "-m",
            "fastdissect",
            *RUN,
            "--out",
            str(out),
            *(more[rank] if more else ()),
        ]
        ranks.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    return ranks


def end(ranks: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    ended = [(rank.communicate(timeout=240)[0], rank.returncode) for rank in ranks]
    return [(code, text) for text, code in ended]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("alone") / "out"
    command = [sys.executable, "-m", "fastdissect", *RUN, "--out", str(out)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True)
    return files_of(out)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_ranks_write_what_one_process_writes(count: int, alone: dict[str, bytes], tmp_path: Path) -> None:
    ended = end(start(count, tmp_path / "out"))
    assert [code for code, _ in ended] == [0] * count, ended
    assert "Dissected" in ended[0][1]
    assert all("Dissected" not in text for _, text in ended[1:])  # one speaks for all
    assert files_of(tmp_path / "out") == alone
    again = end(start(count, tmp_path / "out"))  # complete: all say so at once
    assert [code for code, _ in again] == [0] * count, again


@pytest.mark.slow
@needs_signals
def test_a_killed_rank_ends_the_others_and_runs_again(alone: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    ranks = start(3, out)
    try:
        until = time.monotonic() + 120
        while not list((out / "shards" / "2-of-3" / "unfinished").glob("checkpoint-*.json")):
            assert time.monotonic() < until, "no checkpoint was written"
            assert ranks[1].poll() is None, end(ranks)
            time.sleep(0.01)
        ranks[1].kill()
        ended = end(ranks)
    finally:
        for rank in ranks:
            rank.kill()
    assert not (out / "run.json").exists(), "it was over before it could be killed"
    for code, text in (ended[0], ended[2]):
        assert code == 1
        assert "expected all processes to go on together" in text
        assert "Traceback" not in text
    other = end(start(2, out))
    assert all(code == 1 and "holds shards of 3" in text for code, text in other), other
    ended = end(start(3, out))
    assert [code for code, _ in ended] == [0] * 3, ended
    assert files_of(out) == alone


@pytest.mark.slow
def test_ranks_that_do_different_things_are_refused(tmp_path: Path) -> None:
    ended = end(start(2, tmp_path / "out", [(), ("--quantile", "0.01")]))
    for code, text in ended:
        assert code != 0
        assert "rank 1 differs in profile" in text
        assert "Traceback" not in text
