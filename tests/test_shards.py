"""Shards: split, run alone or together, merged: the files of one process."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastdissect.datasets.shapes import Shapes
from fastdissect.dissection import dissect
from fastdissect.errors import OutputError, SettingError
from fastdissect.merging import merge
from fastdissect.sharding import dissect_shard, pilot
from fastdissect.shards import Shard, parse_shard

IMAGES, BATCH = 60, 4
OPTIONS: dict[str, Any] = {
    "batch_size": BATCH,
    "workers": 0,
    "cache": None,
    "progress": False,
    "device": "cpu",
}
LAYERS = ["conv3", "conv5"]


def files_of(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name != "run.json"}


def whole(folder: Path, **options: Any) -> dict[str, bytes]:
    dissect("builtin:shapes", Shapes(IMAGES), LAYERS, out=folder, **{**OPTIONS, **options})
    return files_of(folder)


def run_shards(out: Path, count: int, order: list[int] | None = None, **options: Any) -> None:
    for number in order or range(1, count + 1):
        dissect_shard(
            "builtin:shapes", Shapes(IMAGES), LAYERS, f"{number}/{count}", out=out, **{**OPTIONS, **options}
        )


def make_pilot(out: Path, sample: int = 12, **options: Any) -> None:
    given = {name: value for name, value in {**OPTIONS, **options}.items() if name != "cache"}
    pilot("builtin:shapes", Shapes(IMAGES), LAYERS, out=out, sample=sample, **given)


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
    ("profile", "with_pilot"),
    [
        ("netdissect", True),
        ("netdissect", False),
        ("netdissect-caffe", True),
        ("netdissect-lite", True),
        ("dissect-2020", True),
    ],
)
def test_merged_shards_are_the_whole(profile: str, with_pilot: bool, tmp_path: Path) -> None:
    expected = whole(tmp_path / "whole", profile=profile)
    out = tmp_path / "out"
    if with_pilot:
        make_pilot(out, sample=IMAGES, profile=profile)
    run_shards(out, 3, order=[2, 3, 1], profile=profile)
    merge(out, progress=False)
    assert files_of(out) == expected
    assert not (out / "shards").exists()


def merges(out: Path) -> bool:
    try:
        merge(out, progress=False)
    except OutputError as error:
        if "too high" not in str(error):
            raise
        return False
    return True


def test_units_whose_guess_was_too_high_are_sifted_again(tmp_path: Path) -> None:
    expected = whole(tmp_path / "whole")
    out = tmp_path / "out"
    make_pilot(out, sample=3)  # three images say little: some guesses are too high
    run_shards(out, 4)
    with pytest.raises(OutputError, match=r"too high for layer conv[35]: unit"):
        merge(out, progress=False)
    for _ in range(6):  # tails, and at last no guess at all
        run_shards(out, 4)
        if merges(out):
            break
    assert files_of(out) == expected


def test_given_thresholds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    d = dissect("builtin:shapes", Shapes(IMAGES), LAYERS, **OPTIONS)
    given = {name: d[name].thresholds * rng.uniform(0.5, 1, len(d[name].thresholds)) for name in LAYERS}
    expected = whole(tmp_path / "whole", thresholds=given)
    run_shards(tmp_path / "out", 2, thresholds=given)
    merge(tmp_path / "out", progress=False)
    assert files_of(tmp_path / "out") == expected


def test_little_memory_goes_to_disk(tmp_path: Path) -> None:
    expected = whole(tmp_path / "whole")
    make_pilot(tmp_path / "out", sample=IMAGES)
    from fastdissect import sifting

    spills = []
    original = sifting.LayerSifter.spill
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sifting.LayerSifter, "spill", lambda self, folder: (spills.append(1), original(self, folder))
        )
        patch.setattr("fastdissect.planning.FLOOR", 1000)
        run_shards(tmp_path / "out", 2, memory=400_000)
    assert spills
    merge(tmp_path / "out", progress=False)
    assert files_of(tmp_path / "out") == expected


def test_a_missing_or_foreign_shard_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="there are none"):
        merge(out)
    run_shards(out, 3, order=[1, 3])
    with pytest.raises(OutputError, match=r"missing: 2/3"):
        merge(out)
    run_shards(out, 3, order=[2])
    other = tmp_path / "other"
    run_shards(other, 3, order=[2], quantile="0.01")
    kept = tmp_path / "kept"
    shutil.move(out / "shards" / "2-of-3", kept)
    shutil.copytree(other / "shards" / "2-of-3", out / "shards" / "2-of-3")
    with pytest.raises(OutputError, match="profile"):
        merge(out)
    shutil.rmtree(out / "shards" / "2-of-3")
    shutil.copytree(out / "shards" / "1-of-3", out / "shards" / "2-of-3")
    with pytest.raises(OutputError, match="images from 20 on"):
        merge(out)
    shutil.rmtree(out / "shards" / "2-of-3")
    shutil.move(kept, out / "shards" / "2-of-3")
    shutil.copytree(out / "shards" / "1-of-3", out / "shards" / "1-of-4")
    with pytest.raises(OutputError, match="of different runs"):
        merge(out)
    with pytest.raises(OutputError, match="holds shards of 4"):
        run_shards(out, 3, order=[1])
    shutil.rmtree(out / "shards" / "1-of-4")
    merge(out, progress=False)
    again = merge(out)
    assert len(again.image_names) == IMAGES


def test_a_finished_shard_answers_at_once_and_an_unfinished_one_is_no_shard(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_shards(out, 2)
    index = (out / "shards" / "1-of-2" / "shard.json").read_bytes()
    run_shards(out, 2, order=[1])
    assert (out / "shards" / "1-of-2" / "shard.json").read_bytes() == index
    with pytest.raises(OutputError, match="profile"):
        run_shards(out, 2, order=[1], quantile="0.01")
    (out / "shards" / "2-of-2" / "shard.json").unlink()
    with pytest.raises(OutputError, match="not finished"):
        merge(out)
