"""A folder of another run is refused with what differs; a run goes on only with the same content."""

from __future__ import annotations

import csv
import errno
import io
import os
import pathlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import Net, same_files, same_results
from killing import IMAGES, SIZE, small_run
from PIL import Image

import fastdissect as fd
from fastdissect.datasets import open_dataset, write_broden
from fastdissect.errors import OutputError
from fastdissect.running import Run

RUN = {"checkpoint_seconds": 1000}


@pytest.fixture
def broden(tmp_path: Path) -> Path:
    """A folder in Broden's format, written from shapes."""
    write_broden(open_dataset(f"shapes:images={IMAGES},size={SIZE}"), tmp_path / "data")
    return tmp_path / "data"


def break_off(monkeypatch: pytest.MonkeyPatch, out: Path, batch: int = 4, **options: Any) -> None:
    """Run until an error in this batch; a checkpoint stands before it."""
    calls = 0
    one_batch = Run._one_batch

    def broken(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == batch:
            raise RuntimeError("broken off")
        return one_batch(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_one_batch", broken)
        with pytest.raises(RuntimeError, match="broken off"):
            small_run(out, **options)
    assert list((out / "unfinished").glob("checkpoint-*.json"))


def other_net(**_: Any) -> Any:
    return Net(seed=1).eval()


DIFFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "layers": ({"layers": ["first"]}, "layers: ['first', 'second'] then, ['first'] now"),
    "weights": ({"net": 1}, "weights: "),
    "quantile": ({"quantile": 0.1}, "'quantile': '1/20'"),
    "profile": ({"profile": "netdissect-lite"}, "profile: "),
    "batch size": ({"batch_size": 5}, "batch size: 4 then, 5 now"),
    "input size": ({"size": 64}, "input size: [32, 32] then, [64, 64] now"),
    "mask size": ({"mask_size": 20}, "mask size: [16, 16] then, [20, 20] now"),
    "images": ({"images": 10}, f"images: {IMAGES} then, 10 now"),
    "image list": ({"data": f"shapes:images={IMAGES},size={SIZE},seed=1"}, "data set: "),
    "nan": ({"nan": "omit"}, "nan: 'error' then, 'omit' now"),
    "activations": ({"activations": False}, "activations: True then, False now"),
    "thresholds": ({"thresholds": {"first": np.zeros(7)}}, "thresholds: None then"),
    "preprocessing": ({"preprocessing": None}, "preprocessing: "),
}


def dissect(out: Path, *, net: int = 0, layers: Any = ("first", "second"), **options: Any) -> Any:
    from dissect_cases import PLAIN

    defaults = {
        "quantile": 0.05,
        "preprocessing": PLAIN,
        "cache": None,
        "workers": 0,
        "batch_size": 4,
        "progress": False,
        "memory": 40 << 20,
    }
    data = options.pop("data", f"shapes:images={IMAGES},size={SIZE}")
    return fd.dissect(Net(seed=net).eval(), data, layers, out=out, **{**defaults, **options})


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("what", DIFFERENCES)
def test_another_run_is_refused_with_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, finished: bool
) -> None:
    out, (options, message) = tmp_path / "out", DIFFERENCES[what]
    if finished:
        small_run(out)
    else:
        break_off(monkeypatch, out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != "lock"}
    with pytest.raises(
        OutputError, match=r"belongs to another run; it differs in .*--fresh to move it aside"
    ) as info:
        dissect(out, **options)
    assert message in str(info.value)
    for other in {"batch size:", "layers:", "weights:"} - {message.partition(" ")[0], message[:11]}:
        if not message.startswith(other):
            assert other not in str(info.value)  # and nothing else differs
    after = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != "lock"}
    assert before == after
    assert not (out / "unfinished").exists() or not finished
    fresh = dissect(out, fresh=True, **options)
    assert fresh.run["resumed"] == 0
    assert (tmp_path / "out.1").is_dir()


def test_threads_and_versions_are_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_run(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 5)
        with pytest.raises(OutputError, match=r"threads: 1 then, 5 now"):
            small_run(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.0")
        with pytest.raises(OutputError, match=r"versions: .*'torch': '0\.0'"):
            small_run(tmp_path / "out")


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    """Change an image file's pixels."""
    with Image.open(path) as image:
        pixels = np.array(image)
    Image.fromarray(change(pixels)).save(path)


def image_and_mask(data: Path) -> tuple[str, str]:
    """The first image that has a part mask, and that mask; paths below images/."""
    with (data / "index.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["part"])
    return row["image"], row["part"].split(";")[0]


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("what", ["image", "mask"])
def test_changed_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broden: Path, what: str, passes: int, cached: bool
) -> None:
    options = {"data": f"broden:{broden}", "passes": passes, "cache": tmp_path / "cache" if cached else None}
    if cached:
        small_run(tmp_path / "warm", **options)
    out = tmp_path / "out"
    break_off(monkeypatch, out, batch=4 if passes == 1 else 8, **options)
    image, mask = image_and_mask(broden)
    name = image if what == "image" else mask
    path = broden / "images" / name
    old = path.stat()
    rewrite(path, lambda pixels: pixels[::-1])
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))  # the time is set back
    with pytest.raises(OutputError, match=f"these images or their masks have changed since: {image};"):
        small_run(out, **options)
    fresh = small_run(out, fresh=True, **options)
    assert fresh.run["resumed"] == 0


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("passes", [1, 2])
def test_touched_and_copied_files_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broden: Path, passes: int, cached: bool
) -> None:
    options = {"passes": passes, "cache": tmp_path / "cache" if cached else None}
    small_run(tmp_path / "whole", data=f"broden:{broden}", **options)
    break_off(monkeypatch, tmp_path / "out", batch=3 * passes, data=f"broden:{broden}", **options)
    broden.rename(tmp_path / "moved")
    for path in (tmp_path / "moved" / "images").rglob("*.*"):
        path.touch()
    found = small_run(tmp_path / "out", data=f"broden:{tmp_path / 'moved'}", **options)
    assert found.run["resumed"] == 1
    same_files(tmp_path / "whole", tmp_path / "out")


@pytest.mark.parametrize("passes", [1, 2])
def test_a_cache_that_is_gone_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broden: Path, passes: int
) -> None:
    options = {"data": f"broden:{broden}", "passes": passes}
    small_run(tmp_path / "whole", cache=tmp_path / "cache", **options)
    break_off(monkeypatch, tmp_path / "out", batch=3 * passes, cache=tmp_path / "cache", **options)
    shutil.rmtree(tmp_path / "cache")
    found = small_run(tmp_path / "out", cache=None, **options)
    assert found.run["resumed"] == 1
    same_files(tmp_path / "whole", tmp_path / "out")


def test_a_cache_that_is_gone_and_a_mask_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broden: Path
) -> None:
    options = {"data": f"broden:{broden}"}
    small_run(tmp_path / "whole", cache=tmp_path / "cache", **options)
    break_off(monkeypatch, tmp_path / "out", cache=tmp_path / "cache", **options)
    shutil.rmtree(tmp_path / "cache")
    rewrite(broden / "images" / image_and_mask(broden)[1], lambda pixels: pixels[::-1])
    with pytest.raises(OutputError, match="have changed since"):
        small_run(tmp_path / "out", cache=None, **options)


def test_an_image_that_can_no_longer_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broden: Path
) -> None:
    break_off(monkeypatch, tmp_path / "out", data=f"broden:{broden}")
    name = image_and_mask(broden)[0]
    (broden / "images" / name).unlink()
    with pytest.raises(OutputError, match=f"have changed since: {name}"):
        small_run(tmp_path / "out", data=f"broden:{broden}")


def test_fresh_moves_aside_and_counts_up(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(3):
        small_run(out, fresh=True, **RUN)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "out.1", "out.2"]
    same_files(out, tmp_path / "out.1")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="expected an empty folder or one of an unfinished run"):
        small_run(tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]
    small_run(tmp_path / "out", fresh=True)
    assert (tmp_path / "out.1" / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="there is a file of that name"):
        small_run(tmp_path / "out")
    with pytest.raises(OutputError, match="cannot be made: Not a directory"):
        small_run(tmp_path / "out" / "below")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *_arguments: Any, **_options: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(pathlib.Path, "mkdir", denied)
    with pytest.raises(OutputError, match="out cannot be made: Permission denied; choose another folder"):
        small_run(tmp_path / "out")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for damage in ("json", "npz", "newer", "stream"):
        out = tmp_path / damage
        break_off(monkeypatch, out)
        record = next((out / "unfinished").glob("checkpoint-*.json"))
        if damage == "json":
            record.write_bytes(record.read_bytes()[:-20])
        elif damage == "npz":
            arrays = record.with_suffix(".npz")
            arrays.write_bytes(arrays.read_bytes()[:-2000])
        elif damage == "newer":
            record.write_text(record.read_text().replace('"format": 1', '"format": 2'))
        else:
            means = out / "unfinished" / "layer-0" / "means.raw"
            means.write_bytes(means.read_bytes()[:-4])
        match = {"newer": "newer version of fastdissect; update", "stream": "the file was cut"}
        with pytest.raises(OutputError, match=match.get(damage, "damaged.*--fresh")):
            small_run(out)
        small_run(out, fresh=True)


class Full(io.FileIO):
    """A file on a disk with so many bytes left."""

    left = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size > Full.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        Full.left -= size
        return super().write(data)


def limited(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
    if mode == "wb":
        return io.BufferedWriter(Full(path, "w"))
    if mode == "r+b":
        return io.BufferedRandom(Full(path, "r+"))
    return open(path, mode, *arguments, **options)  # noqa: PTH123, the real one


@pytest.mark.parametrize("checkpoint_seconds", [0, 1000])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint_seconds: int) -> None:
    small_run(tmp_path / "whole")
    Full.left = 1 << 30
    options = {"checkpoint_seconds": checkpoint_seconds}
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "open", limited)
        small_run(tmp_path / "out", **options)
    needed = (1 << 30) - Full.left
    shutil.rmtree(tmp_path / "out")
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99):
        Full.left = int(needed * share)
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, "open", limited)
            with pytest.raises(OutputError, match=r"disk is full|No space left"):
                small_run(tmp_path / "out", **options)
        out = tmp_path / "out"
        if out.exists():  # a checkpoint to go on from
            assert list((out / "unfinished").glob("checkpoint-*.json"))
            assert not list(out.rglob("*.part"))
            assert not (out / "run.json").exists()
        small_run(out, **options)
        same_files(tmp_path / "whole", out)
        shutil.rmtree(out)


def test_results_of_an_equal_run_are_loaded(tmp_path: Path) -> None:
    one = small_run(tmp_path / "out")
    two = small_run(tmp_path / "out", passes=3, memory=1 << 30, workers=1)  # how, not what
    same_results(one, two)
