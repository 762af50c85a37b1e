"""Whatever moment a run is killed at, the same command ends with the same bits; other runs' folders are refused."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from dissect_cases import same_files
from killing import run_killed, server, small_run

import fastdissect as fd


@pytest.fixture(scope="module")
def context() -> Any:
    return server()


@pytest.fixture(scope="module")
def whole(context: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run without checkpoints."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run_killed(context, out, 0, checkpoint_seconds=1000)
    return out


def resumed(out: Path) -> int:
    return int(json.loads((out / "run.json").read_bytes())["resumed"])


@pytest.mark.slow
@pytest.mark.parametrize(("passes", "cached"), [(1, False), (2, True), (3, False)])
def test_killed_before_any_file_operation(
    context: Any, whole: Path, tmp_path: Path, passes: int, cached: bool
) -> None:
    options = {"passes": passes, "cache": str(tmp_path / "cache") if cached else None}
    total = run_killed(context, tmp_path / "counted", 0, **options)
    same_files(whole, tmp_path / "counted")
    step, gone_on = total // 15, 0
    for at in range(1 + passes, total + 1, step):
        out = tmp_path / "out"
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        assert run_killed(context, out, at, **options) == 0
        small_run(out, **options)
        same_files(whole, out)
        gone_on += resumed(out)
        shutil.rmtree(out)
    assert gone_on > 6  # the others died before their first checkpoint, or at the very end


@pytest.mark.slow
def test_killed_again_and_again_at_any_time(context: Any, whole: Path, tmp_path: Path) -> None:
    """SIGKILL from outside, three times in a row, at times drawn by a fixed seed."""
    draw = random.Random(0)
    for passes in (1, 2, 3):
        out = tmp_path / f"{passes}"
        for _ in range(3):
            process = context.Process(target=small_run, args=(str(out),), kwargs={"passes": passes})
            process.start()
            time.sleep(draw.uniform(0.1, 0.9))
            process.kill()
            process.join()
        small_run(out, passes=passes)
        same_files(whole, out)


def interrupt_in_batch(number: int, times: int = 1) -> Any:
    """A hook that presses Ctrl-C while batch `number` is in the network, between its two layers."""
    from fastdissect import running

    one_batch = running.Run._on_layer
    calls = 0

    def on_layer(self: Any, name: str, view: Any, batch: Any) -> None:
        nonlocal calls
        one_batch(self, name, view, batch)
        calls += 1
        if calls == 2 * number - 1:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    return on_layer


@pytest.mark.parametrize(("number", "passes"), [(1, 1), (3, 1), (5, 1), (1, 3), (5, 3), (7, 3), (12, 3)])
def test_ctrl_c_waits_for_the_batch_and_is_gone_on_from(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fastdissect.running.Run._on_layer", interrupt_in_batch(number))
        with pytest.raises(KeyboardInterrupt):
            small_run(tmp_path / "out", passes=passes, checkpoint_seconds=1000)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (tmp_path / "out" / "run.json").exists()
    small_run(tmp_path / "out", passes=passes)
    same_files(whole, tmp_path / "out")
    assert resumed(tmp_path / "out") == 1


def test_a_second_ctrl_c_interrupts_at_once(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a batch nothing is written: one layer has seen it, the other has not."""
    with monkeypatch.context() as patch:
        patch.setattr("fastdissect.running.Run._on_layer", interrupt_in_batch(4, times=2))
        with pytest.raises(KeyboardInterrupt):
            small_run(tmp_path / "out", checkpoint_seconds=1000)
    assert not (tmp_path / "out").exists()  # nothing to go on from was there yet
    with monkeypatch.context() as patch:
        patch.setattr("fastdissect.running.Run._on_layer", interrupt_in_batch(4, times=2))
        with pytest.raises(KeyboardInterrupt):
            small_run(tmp_path / "out")
    small_run(tmp_path / "out")
    same_files(whole, tmp_path / "out")
    assert resumed(tmp_path / "out") == 1


def test_an_error_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any) -> None:
        raise RuntimeError("broken")

    for name in ("running.Run._one_batch", "running.Run.conclude", "results.write_run"):
        with monkeypatch.context() as patch:
            patch.setattr(f"fastdissect.{name}", broken)
            with pytest.raises(RuntimeError, match="broken"):
                small_run(tmp_path / "a" / "out", checkpoint_seconds=1000)
        assert not (tmp_path / "a" / "out").exists()


def test_an_error_after_a_checkpoint_keeps_it(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def broken(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise RuntimeError("broken")
        return one_batch(self, *arguments)

    from fastdissect.running import Run

    one_batch = Run._one_batch
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_one_batch", broken)
        with pytest.raises(RuntimeError, match="broken"):
            small_run(tmp_path / "out")
    small_run(tmp_path / "out")
    same_files(whole, tmp_path / "out")
    assert resumed(tmp_path / "out") == 1


def test_two_processes_cannot_work_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Any
) -> None:
    from fastdissect.running import Run

    one_batch = Run._one_batch

    def meanwhile(self: Any, *arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Run, "_one_batch", one_batch)
            for fresh in (False, True):
                with pytest.raises(fd.FastdissectError, match="another process is at work in it"):
                    small_run(tmp_path / "out", fresh=fresh)
        return one_batch(self, *arguments)

    monkeypatch.setattr(Run, "_one_batch", meanwhile)
    small_run(tmp_path / "out", checkpoint_seconds=1000)
    assert (tmp_path / "out" / "run.json").exists()


def test_a_run_killed_after_its_last_file_is_finished_by_the_next(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "out")
    (tmp_path / "out" / "unfinished").mkdir()
    (tmp_path / "out" / "unfinished" / "digests.raw").write_bytes(b"rest")
    small_run(tmp_path / "out")
    same_files(whole, tmp_path / "out")
