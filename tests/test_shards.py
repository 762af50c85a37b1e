"""Shards: split, run alone, merged: the files of one process; and what is refused on the way."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_cases import needs_signals
from torch import nn

import fastdissect.pilot as pilots
from fastdissect import shard_running, sifting
from fastdissect.dissection import dissect
from fastdissect.errors import DataError, FastdissectError, OutputError, SettingError
from fastdissect.merging import merge
from fastdissect.resifting import read_rounds
from fastdissect.shard_files import read_shard, shard_folders
from fastdissect.sharding import dissect_shard, pilot
from fastdissect.shards import Shard, parse_shard

BATCH = 4
DATA = "shapes:images=40,size=32"
OPTIONS: dict[str, Any] = {
    "batch_size": BATCH,
    "workers": 0,
    "progress": False,
    "device": "cpu",
    "quantile": "0.05",
}
LAYERS = ["0", "1", "3"]


class Odd(nn.Module):
    """ReLU, after which one unit never fires, one is constant, and one fires seldom."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(x)
        y[:, 0] = 0
        y[:, 1] = 2.5
        y[:, 2] = torch.relu(x[:, 2] - x[:, 2].amax((1, 2), keepdim=True) + 0.01)
        return y


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), nn.ReLU(), Odd(), nn.Conv2d(6, 5, 3, 1, 1), Odd()).eval()


def files_of(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name != "run.json"}


def whole(folder: Path, layers: Any = LAYERS, **options: Any) -> dict[str, bytes]:
    dissect(net(), DATA, layers, out=folder, cache=None, **{**OPTIONS, **options})
    return files_of(folder)


def run_shards(
    out: Path, count: int, order: list[int] | None = None, layers: Any = LAYERS, **options: Any
) -> None:
    own = {"cache": None, **OPTIONS, **options}
    for number in order or range(1, count + 1):
        dissect_shard(net(), DATA, layers, f"{number}/{count}", out=out, **own)


def make_pilot(out: Path, sample: int = 12, layers: Any = LAYERS, **options: Any) -> None:
    pilot(net(), DATA, layers, out=out, sample=sample, **{**OPTIONS, **options})


def test_images_of_shards_cover_all_in_whole_batches() -> None:
    for total in (1, 7, 40, 41, 64):
        for batch in (1, 4, 5):
            batches = -(-total // batch)
            for count in range(1, batches + 1):
                ranges = [Shard(i, count).images(total, batch) for i in range(1, count + 1)]
                assert ranges[0][0] == 0
                assert ranges[-1][1] == total
                assert all(a[1] == b[0] and a[1] % batch == 0 for a, b in itertools.pairwise(ranges))
                assert all(first < last for first, last in ranges)
            with pytest.raises(SettingError, match="as many shards as batches"):
                Shard(1, batches + 1).images(total, batch)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/4", ""])
def test_no_shard(text: str) -> None:
    with pytest.raises(SettingError, match="such as 3/16"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("profile", "sample"),
    [
        ("netdissect", 12),
        ("netdissect", 0),
        ("netdissect-caffe", 40),
        ("netdissect-lite", 12),
        ("dissect-2020", 12),
        ("dissect-2020", 0),
    ],
)
def test_merged_shards_are_the_whole(profile: str, sample: int, tmp_path: Path) -> None:
    layers = ["0", "1"] if profile == "netdissect-caffe" else LAYERS  # it follows the path to the layer
    expected = whole(tmp_path / "whole", layers, profile=profile)
    out = tmp_path / "out"
    if sample:
        make_pilot(out, sample, layers, profile=profile)
    run_shards(out, 7, [4, 2, 7, 3, 1, 6, 5], layers, profile=profile)
    if sample == 12:  # few images: it may have guessed too high
        for _ in range(2):
            if merges(out):
                break
            run_shards(out, 7, layers=layers, profile=profile)
    merge(out, progress=False)
    assert files_of(out) == expected
    assert {p.name for p in out.iterdir()} == {"run.json", "images.csv", "layers"}


@pytest.mark.parametrize(("profile", "proved"), [("netdissect", [0, 1]), ("dissect-2020", [0])])
def test_units_that_are_dead_or_constant_are_proved_at_once(
    profile: str, proved: list[int], tmp_path: Path
) -> None:
    """But a constant one with a ring of zeros around it."""
    expected = whole(tmp_path / "whole", ["2"], profile=profile)
    make_pilot(tmp_path / "out", 40, ["2"], profile=profile)
    run_shards(tmp_path / "out", 10, layers=["2"], profile=profile)
    for shard in shard_folders(tmp_path / "out"):  # and of none of them anything is kept
        assert not np.diff(read_shard(shard).layers["2"].cells.unit_start)[proved].any()
    for _ in range(2):
        if merges(tmp_path / "out"):
            break
        (again,) = read_rounds(tmp_path / "out")
        assert (again.levels["2"][proved] < 0).all()
        run_shards(tmp_path / "out", 10, layers=["2"], profile=profile)
    merge(tmp_path / "out", progress=False)
    assert files_of(tmp_path / "out") == expected


def merges(out: Path) -> bool:
    try:
        merge(out, progress=False)
    except OutputError as error:
        if "too high" not in str(error):
            raise
        return False
    return True


@pytest.fixture
def wrong_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses far too high for some units, in both levels for one."""
    original = pilots._bounds

    def wrong(*arguments: Any) -> Any:
        bounds = original(*arguments)
        bounds[0, 3:] = bounds[:, 3:].max() + np.uint32(1 << 25)
        bounds[1, 3] = bounds[0, 3] - 1
        return bounds

    monkeypatch.setattr(pilots, "_bounds", wrong)


@pytest.mark.usefixtures("wrong_guesses")
def test_units_whose_guess_was_too_high_are_sifted_again(tmp_path: Path) -> None:
    expected = whole(tmp_path / "whole")
    out = tmp_path / "out"
    make_pilot(out)
    run_shards(out, 3)
    with pytest.raises(
        OutputError, match=r"too high for layer 0: units 3, 4.*layer 1: units 3.*Run every shard again"
    ):
        merge(out, progress=False)
    assert not (out / "unfinished").exists()
    run_shards(out, 3, [3, 1])
    with pytest.raises(OutputError, match=r"2-of-3.*not finished"):
        merge(out, progress=False)
    run_shards(out, 3)
    assert not merges(out)  # those that failed twice
    run_shards(out, 3, [1, 2])
    run_shards(out, 3, [3], fresh=True)  # all that it has found so far is run again
    merge(out, progress=False)
    assert files_of(out) == expected
    assert json.loads((out / "run.json").read_text())["rounds"] == 2


@pytest.mark.usefixtures("wrong_guesses")
def test_a_later_round_over_other_activations_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_pilot(out)
    run_shards(out, 2)
    assert not merges(out)
    run_shards(out, 2, [1])
    with pytest.MonkeyPatch.context() as patch:
        original = shard_running._parts

        def other(run: Any) -> Any:
            for collector in run.collectors.values():
                collector.checksums[-1] ^= 1
            return original(run)

        patch.setattr(shard_running, "_parts", other)
        run_shards(out, 2, [2])
    with pytest.raises(OutputError, match=r"2-of-2.*expected layer '0' to give what it gave before"):
        merge(out, progress=False)


def test_given_thresholds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    d = dissect(net(), DATA, LAYERS, cache=None, **OPTIONS)
    given = {name: d[name].thresholds * rng.uniform(0.5, 1, len(d[name].thresholds)) for name in LAYERS[:2]}
    expected = whole(tmp_path / "whole", thresholds=given)
    make_pilot(tmp_path / "out", 40, thresholds=given)
    run_shards(tmp_path / "out", 2, thresholds=given)
    merge(tmp_path / "out", progress=False)
    assert files_of(tmp_path / "out") == expected


def test_cached_planes_and_layers_that_keep_nothing(tmp_path: Path) -> None:
    expected = whole(tmp_path / "whole", activations=["1"])
    dissect(net(), DATA, LAYERS, cache=tmp_path / "cache", **OPTIONS)
    for cache in (None, tmp_path / "cache"):
        out = tmp_path / f"out-{cache is None}"
        run_shards(out, 3, activations=["1"], cache=cache)
        merge(out, progress=False)
        assert files_of(out) == expected


def test_little_memory_goes_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(tmp_path / "whole")
    spills, original = [], sifting.LayerSifter.spill
    monkeypatch.setattr(
        sifting.LayerSifter, "spill", lambda self, folder: (spills.append(1), original(self, folder))
    )
    monkeypatch.setattr("fastdissect.planning.FLOOR", 1000)
    monkeypatch.setattr("fastdissect.merged_shards.available_memory", lambda: 0)
    run_shards(tmp_path / "out", 2, memory=80_000)
    assert spills
    merge(tmp_path / "out", progress=False)
    assert files_of(tmp_path / "out") == expected


def test_a_missing_or_foreign_shard_is_named(tmp_path: Path) -> None:
    out, shards = tmp_path / "out", tmp_path / "out" / "shards"
    with pytest.raises(OutputError, match="there are none"):
        merge(out)
    assert not out.exists()
    run_shards(out, 3, order=[1, 3])
    with pytest.raises(OutputError, match=r"missing: 2/3"):
        merge(out)
    run_shards(out, 3, order=[2])
    other, kept = tmp_path / "other", tmp_path / "kept"
    run_shards(other, 3, order=[2], quantile="0.01")
    shutil.move(shards / "2-of-3", kept)
    shutil.copytree(other / "shards" / "2-of-3", shards / "2-of-3")
    with pytest.raises(OutputError, match="profile"):
        merge(out)
    shutil.rmtree(shards / "2-of-3")
    shutil.copytree(shards / "1-of-3", shards / "2-of-3")
    with pytest.raises(OutputError, match=r"expected shard 2/3; got 1/3 under its name"):
        merge(out)
    shutil.rmtree(shards / "2-of-3")
    shutil.move(kept, shards / "2-of-3")
    shutil.copytree(shards / "1-of-3", shards / "1-of-4")
    with pytest.raises(OutputError, match="of different runs"):
        merge(out)
    with pytest.raises(OutputError, match="holds shards of 4"):
        run_shards(out, 3, order=[1])
    shutil.rmtree(shards / "1-of-4")
    merge(out, progress=False, keep_shards=True)
    assert shards.is_dir()
    merge(out)  # once more: the shards go
    assert not shards.exists()
    assert len(merge(out).image_names) == 40


def test_versions_of_the_code_may_not_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_shards(tmp_path / "out", 2, order=[1])
    monkeypatch.setattr("fastdissect.__version__", "9.9")
    run_shards(tmp_path / "out", 2, order=[2])
    with pytest.raises(OutputError, match=r"differs in versions: .*9\.9"):
        merge(tmp_path / "out")


def test_a_finished_shard_answers_at_once_and_half_of_one_is_run_again(tmp_path: Path) -> None:
    expected = whole(tmp_path / "whole")
    out = tmp_path / "out"
    run_shards(out, 2)
    first, second = (out / "shards" / f"{i}-of-2" for i in (1, 2))
    index = (first / "shard.json").read_bytes()
    run_shards(out, 2, order=[1])
    assert (first / "shard.json").read_bytes() == index
    with pytest.raises(OutputError, match="profile"):
        run_shards(out, 2, order=[1], quantile="0.01")
    (second / "shard.json").unlink()
    with pytest.raises(OutputError, match="not finished"):
        merge(out)
    layer = second / "layer-0.safetensors"
    layer.write_bytes(layer.read_bytes()[:-100])
    run_shards(out, 2, order=[2])
    (first / "planes" / "words.u64").write_bytes(b"half")
    with pytest.raises(OutputError, match=r"1-of-2.planes: expected .* bytes of planes"):
        merge(out)
    run_shards(out, 2, order=[1], fresh=True)
    assert (out / "shards" / "1-of-2.1").is_dir()  # moved aside, and no shard any more
    layer.write_bytes(layer.read_bytes()[:-100])
    with pytest.raises(OutputError, match=r"layer-0.safetensors is truncated"):
        merge(out)
    assert not (out / "unfinished").exists()
    run_shards(out, 2, order=[2], fresh=True)
    merge(out, progress=False)
    assert files_of(out) == expected


def test_pilots_come_before_the_shards(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for sample in (0, -1, 1.5):
        with pytest.raises(SettingError, match="expected sample to be a whole number"):
            make_pilot(out, sample)  # type: ignore[arg-type]
    make_pilot(out, 3)
    make_pilot(out, 10)  # a better one
    with pytest.raises(OutputError, match=r"pilot.safetensors belongs to another run; it differs in profile"):
        run_shards(out, 2, order=[1], quantile="0.01")
    run_shards(out, 2, order=[1])
    with pytest.raises(OutputError, match="a pilot comes before them"):
        make_pilot(out)
    kept = (out / "shards" / "pilot.safetensors").read_bytes()
    (out / "shards" / "pilot.safetensors").unlink()
    with pytest.raises(OutputError, match="differs in pilot"):
        run_shards(out, 2, order=[1])
    run_shards(out, 2, order=[2])
    with pytest.raises(OutputError, match=r"2-of-2.*differs in pilot"):
        merge(out)
    (out / "shards" / "pilot.safetensors").write_bytes(kept[:40])
    with pytest.raises(OutputError, match=r"pilot.safetensors is truncated"):
        run_shards(out, 2, order=[2], fresh=True)
    make_pilot(out, fresh=True)
    assert [f.name for f in (out / "shards").iterdir()] == ["pilot.safetensors"]
    assert (tmp_path / "out.1").is_dir()


def test_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    for work in (lambda: run_shards(out, 2), lambda: make_pilot(out)):
        with pytest.raises(OutputError, match="expected an empty folder or one of shards"):
            work()
    (out / "thesis.tex").unlink()
    (out / "unfinished").mkdir()
    with pytest.raises(OutputError, match="unfinished run of one process"):
        run_shards(out, 2)
    (out / "unfinished").rmdir()
    run_shards(out, 2, order=[1])
    with pytest.raises(OutputError, match=r"holds shards.*fastdissect merge"):
        whole(out)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match="there is a file of that name"):
        run_shards(file, 2)
    with pytest.raises(SettingError, match="expected one pass in shards"):
        run_shards(tmp_path / "two", 2, passes=2)


@needs_signals
def test_one_process_at_a_time(tmp_path: Path) -> None:
    import fcntl

    out = tmp_path / "out"
    run_shards(out, 2, order=[1])
    for work, again in (
        (out / "shards" / "2-of-2" / "unfinished", lambda: run_shards(out, 2, order=[2])),
        (out / "unfinished", lambda: merge(out, progress=False)),
    ):
        work.mkdir(parents=True)
        with (work / "lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(OutputError, match="another process is at work"):
                again()
        again()
    assert (out / "run.json").exists()


@pytest.mark.parametrize("step", ["shard", "merge", "pilot"])
def test_a_full_disk_is_said_in_one_line_and_what_is_there_is_gone_on_from(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tmp_path / "whole")
    out, nth = tmp_path / "out", 0
    said: list[str] = []
    original = Path.open
    left = [10**9]

    def full(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if out in self.parents and mode != "r" and "rb" not in mode and self.name != "lock":
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return original(self, mode, *arguments, **options)

    steps = {"pilot": lambda: make_pilot(out, 40), "shard": lambda: run_shards(out, 1)}
    steps["merge"] = lambda: merge(out, progress=False)
    for name, work in steps.items():
        if name != step:
            work()
            continue
        done = False
        while not done:
            nth += 1
            left[0] = nth
            monkeypatch.setattr(Path, "open", full)
            try:
                work()
                done = left[0] > 0
            except FastdissectError as error:
                said.append(str(error))
            finally:
                monkeypatch.undo()
    assert len(said) >= {"pilot": 1, "shard": 10, "merge": 8}[step]
    assert all("No space left" in text or "disk is full" in text for text in said), said
    assert files_of(out) == expected


def test_a_loader_that_ends_early(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, 3, 16, 16, generator=generator)
    labels = torch.randint(0, 3, (30, 16, 16), generator=generator)

    class Loader:
        batch_size = 4

        def __iter__(self) -> Any:
            return iter([(images[i : i + 4], labels[i : i + 4]) for i in range(0, 30, 4)])

    options: dict[str, Any] = {"concepts": ["a", "b"], "quantile": "0.05", "progress": False, "device": "cpu"}
    dissect(net(), Loader(), ["1"], out=tmp_path / "whole", images=38, **options)
    for number in (1, 2):
        dissect_shard(net(), Loader(), ["1"], f"{number}/2", out=tmp_path / "out", images=38, **options)
    merge(tmp_path / "out", progress=False)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    with pytest.raises(DataError, match="got a DataLoader"):
        pilot(net(), Loader(), ["1"], out=tmp_path / "other", images=38, **options)
    with pytest.raises(
        DataError, match=r"from 40 on, where this shard begins; got none; give its true length"
    ):
        dissect_shard(net(), Loader(), ["1"], "3/3", out=tmp_path / "other", images=60, **options)


def test_shards_in_half_precision_and_of_directions(tmp_path: Path) -> None:
    from fastdissect.directions import Directions

    rng = np.random.default_rng(0)
    mixes = {"mix": Directions("0", rng.normal(size=(7, 6)).astype(np.float32))}
    for options in ({"dtype": "bfloat16"}, {"directions": mixes}):
        name = next(iter(options))
        expected = whole(tmp_path / f"whole-{name}", **options)
        out = tmp_path / name
        make_pilot(out, 40, **options)
        run_shards(out, 3, **options)
        merge(out, progress=False)
        assert files_of(out) == expected


def test_an_empty_folder_of_a_refused_shard_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "out" / "shards").mkdir(parents=True)
    options = {"device": "cpu", "cache": None, "progress": False}
    dissect("builtin:shapes", "shapes:images=4,size=32", "conv1", out=tmp_path / "out", **options)
    assert (tmp_path / "out" / "run.json").exists()
    assert not (tmp_path / "out" / "shards").exists()
