"""The plane cache: found again when the content is the same, thrown away when it is not, never trusted by name."""

from __future__ import annotations

import os
import pathlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dissect_cases import PLAIN
from kernel_cases import assert_same
from PIL import Image

from fastdissect import caching
from fastdissect.batches import DatasetBatches
from fastdissect.caching import PlaneCache, cache_folder
from fastdissect.datasets import Broden, open_dataset, write_broden
from fastdissect.packing import columns_of, join_planes
from fastdissect.plane_files import PlaneStore, PlaneWriter
from fastdissect.stamps import stamp_of

IMAGES = 8


@pytest.fixture
def broden(tmp_path: Path) -> Path:
    write_broden(open_dataset(f"shapes:images={IMAGES},size=32"), tmp_path / "data")
    return tmp_path / "data"


def source_of(data: Path, **options: Any) -> DatasetBatches:
    dataset = Broden(data)
    defaults: dict[str, Any] = {"once": True, "batch_size": 4, "workers": 0, "images": IMAGES}
    size = options.pop("mask_size", (16, 16))
    columns = columns_of(dataset.concepts)
    return DatasetBatches(dataset, PLAIN, (32, 32), size, columns, **{**defaults, **options})


def fill(cache: PlaneCache, work: Path) -> PlaneStore:
    """Pack all masks, and keep them."""
    source, stamps = cache.source, []
    writer = PlaneWriter(work, source.mask_size)
    for batch in source.batches(0, planes=True):
        assert batch.planes is not None
        writer.add(join_planes(batch.planes, source.mask_size))
        stamps += batch.stamps
    store = writer.finish()
    cache.keep(store, np.array(stamps, np.uint64))
    return store


def masks_of(data: Path) -> list[Path]:
    return sorted(path for path in (data / "images").rglob("*_part*.png"))


def test_planes_are_found_again(tmp_path: Path, broden: Path) -> None:
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    assert cache.find() is None
    store = fill(cache, tmp_path / "work")
    shutil.rmtree(tmp_path / "work")
    found = PlaneCache(tmp_path / "cache", source_of(broden)).find()
    assert found is not None
    assert_same(found.block(0, IMAGES), store.block(0, IMAGES))


def test_nothing_is_kept_without_a_folder(tmp_path: Path, broden: Path) -> None:
    cache = PlaneCache(None, source_of(broden))
    fill(cache, tmp_path / "work")
    assert cache.find() is None


def test_the_key_is_what_defines_the_planes(tmp_path: Path, broden: Path) -> None:
    shutil.copytree(broden, tmp_path / "copy")
    keys = {
        PlaneCache(tmp_path, source).key
        for source in (
            source_of(broden),
            source_of(broden, mask_size=(16, 17)),
            source_of(broden, once=False),
            source_of(broden, images=IMAGES - 1),
        )
    }
    assert len(keys) == 4
    same = [source_of(tmp_path / "copy"), source_of(broden, batch_size=3, workers=2)]
    assert {PlaneCache(tmp_path, source).key for source in same} < keys
    index = tmp_path / "copy" / "index.csv"
    lines = index.read_text().splitlines()
    index.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    assert PlaneCache(tmp_path, source_of(tmp_path / "copy")).key not in keys


def test_touched_files_pass_and_get_their_new_stamp(
    tmp_path: Path, broden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    fill(cache, tmp_path / "work")
    for path in masks_of(broden):
        path.touch()
    packed: list[int] = []
    again = caching.pack_image
    monkeypatch.setattr(
        caching, "pack_image", lambda source, index: packed.append(index) or again(source, index)
    )
    assert cache.find() is not None
    assert packed
    packed.clear()
    assert cache.find() is not None
    assert not packed


@pytest.mark.parametrize("restore", ["nothing", "time", "size and time"])
def test_changed_masks_are_packed_again(tmp_path: Path, broden: Path, restore: str) -> None:
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    fill(cache, tmp_path / "work")
    path = masks_of(broden)[0]
    old = path.stat()
    with Image.open(path) as image:
        pixels = np.array(image)
    Image.fromarray(pixels[::-1]).save(path)
    if restore != "nothing":
        if restore == "size and time":
            path.write_bytes(path.read_bytes() + b"\0" * max(0, old.st_size - path.stat().st_size))
        os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert cache.find() is None
    assert cache.entry is not None
    assert not cache.entry.exists()
    fresh = fill(cache, tmp_path / "work2")
    found = cache.find()
    assert found is not None
    assert_same(found.block(0, IMAGES), fresh.block(0, IMAGES))


def test_a_mask_that_is_gone_is_not_found_in_the_cache(tmp_path: Path, broden: Path) -> None:
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    fill(cache, tmp_path / "work")
    masks_of(broden)[0].unlink()
    assert cache.find() is None


@pytest.mark.parametrize("name", ["planes.npz", "words.u64", "stamps.u64"])
@pytest.mark.parametrize("how", ["cut", "empty", "gone"])
def test_a_damaged_entry_is_thrown_away(tmp_path: Path, broden: Path, name: str, how: str) -> None:
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    fill(cache, tmp_path / "work")
    assert cache.entry is not None
    path = cache.entry / name
    whole = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(b"" if how == "empty" else whole[:-8])
    assert cache.find() is None
    assert not cache.entry.exists()
    fill(cache, tmp_path / "work2")
    assert cache.find() is not None


def test_what_a_run_does_to_its_own_planes_leaves_the_cache_alone(tmp_path: Path, broden: Path) -> None:
    """The cache may hold hard links to a run's files, which a run that begins again writes anew."""
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    store = fill(cache, tmp_path / "work")
    whole = store.block(0, IMAGES)
    kept = np.array(whole.words)
    writer = PlaneWriter(tmp_path / "work", (16, 16))
    writer.add(cache.find().block(0, 2))  # type: ignore[union-attr]
    writer.close()
    found = cache.find()
    assert found is not None
    np.testing.assert_array_equal(found.planes.words, kept)


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, broden: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    with caplog.at_level("INFO", "fastdissect"):
        fill(cache, tmp_path / "work")
    assert "packed masks are not cached in" in caplog.text
    assert cache.find() is None

    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    cache = PlaneCache(tmp_path / "other", source_of(broden))
    fill(cache, tmp_path / "work2")
    assert not list((tmp_path / "other" / "planes").iterdir())


def test_without_hard_links_files_are_copied(
    tmp_path: Path, broden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_arguments: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", denied)
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    fill(cache, tmp_path / "work")
    assert cache.find() is not None


def test_two_runs_may_fill_it_at_once(tmp_path: Path, broden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    rename = pathlib.Path.rename

    def meanwhile(self: Path, target: Path) -> Path:
        monkeypatch.undo()
        fill(cache, tmp_path / "faster")
        return rename(self, target)

    monkeypatch.setattr(pathlib.Path, "rename", meanwhile)
    fill(cache, tmp_path / "work")
    assert cache.find() is not None
    assert len(list((tmp_path / "cache" / "planes").iterdir())) == 1


def test_stamps_see_size_time_and_absence(broden: Path) -> None:
    source = source_of(broden)
    path = source.dataset.files(0)[0]
    stamps = [stamp_of(source.dataset, 0)]
    path.touch()
    stamps.append(stamp_of(source.dataset, 0))
    path.write_bytes(path.read_bytes() + b"\0")
    stamps.append(stamp_of(source.dataset, 0))
    path.unlink()
    stamps.append(stamp_of(source.dataset, 0))
    assert len(set(stamps)) == 4
    assert stamp_of(open_dataset("shapes:images=3"), 0) == 0


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTDISSECT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FASTDISSECT_CACHE")
    assert cache_folder().name == "fastdissect"
