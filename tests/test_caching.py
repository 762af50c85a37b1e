"""The plane cache: found again when the content is the same, thrown away when it is not, never trusted by name."""

from __future__ import annotations

import os
import pathlib
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dissect_cases import PLAIN
from kernel_cases import assert_same
from PIL import Image

from fastdissect import caching
from fastdissect.batches import DatasetBatches
from fastdissect.cache_entries import cache_limit, clear, list_entries, make_room
from fastdissect.caching import PlaneCache, cache_folder
from fastdissect.datasets import Broden, open_dataset, write_broden
from fastdissect.errors import SettingError
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


def test_planes_whose_pixels_were_damaged_are_packed_again(tmp_path: Path, broden: Path) -> None:
    """The file is as long as it was and no stamp says anything: one bit of a plane."""
    cache = PlaneCache(tmp_path / "cache", source_of(broden))
    fill(cache, tmp_path / "work")
    assert cache.find() is not None
    assert cache.entry is not None
    path = cache.entry / "words.u64"
    words = np.fromfile(path, np.uint64)
    path.unlink()
    words[len(words) // 2] ^= np.uint64(1)
    words.tofile(path)
    assert cache.find() is None
    assert not cache.entry.exists()


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
    monkeypatch.setenv("FASTDISSECT_CACHE", "~/kept")
    assert cache_folder() == Path.home() / "kept"
    monkeypatch.setenv("FASTDISSECT_CACHE", "")
    assert cache_folder().name == "fastdissect"
    monkeypatch.delenv("FASTDISSECT_CACHE")
    assert cache_folder().name == "fastdissect"


# how much is kept


def entry_of(tmp_path: Path, broden: Path, size: int, used: float) -> PlaneCache:
    """An entry that was used last so many seconds after the epoch."""
    cache = PlaneCache(tmp_path / "cache", source_of(broden, mask_size=(size, size)))
    fill(cache, tmp_path / f"work{size}")
    assert cache.entry is not None
    os.utime(cache.entry / "meta.json", (used, used))
    return cache


def test_entries_are_listed_with_what_they_are(tmp_path: Path, broden: Path) -> None:
    assert list_entries(tmp_path / "cache") == []
    old, new = entry_of(tmp_path, broden, 16, 1e9), entry_of(tmp_path, broden, 20, 1.1e9)
    found = list_entries(tmp_path / "cache")
    assert [entry.folder for entry in found] == [new.entry, old.entry]
    assert [entry.mask_size for entry in found] == [(20, 20), (16, 16)]
    assert {(entry.name, entry.images) for entry in found} == {(f"broden:{broden}", IMAGES)}
    assert found[0].used == 1.1e9
    assert found[0].bytes == sum(p.stat().st_size for p in new.entry.iterdir())  # type: ignore[union-attr]
    assert old.find() is not None
    assert [entry.folder for entry in list_entries(tmp_path / "cache")] == [old.entry, new.entry]


@pytest.mark.parametrize(
    "meta", [b"[" * 100_000, b'{"name": "a", "images": 1e999, "mask_size": [Infinity, 1]}', None]
)
def test_entries_that_cannot_be_read_are_listed_and_cleared(
    tmp_path: Path, broden: Path, meta: bytes | None
) -> None:
    cache = PlaneCache(tmp_path, source_of(broden))
    fill(cache, tmp_path / "work")
    assert cache.entry is not None
    (cache.entry / "meta.json").unlink()
    if meta is None:
        (cache.entry / "meta.json").mkdir()
        (cache.entry / "words.u64").unlink()
        (cache.entry / "words.u64").symlink_to("nowhere")
    else:
        (cache.entry / "meta.json").write_bytes(meta)
    assert [entry.name for entry in list_entries(tmp_path)] == [""]
    assert len(clear(tmp_path)) == 1
    assert not cache.entry.exists()


@pytest.mark.parametrize("meta", [None, b"{", b"[]", b'{"name": "x", "images": null, "mask_size": [1]}'])
def test_entries_of_an_older_version_still_work(tmp_path: Path, broden: Path, meta: bytes | None) -> None:
    cache = entry_of(tmp_path, broden, 16, 1e9)
    assert cache.entry is not None
    path = cache.entry / "meta.json"
    path.unlink() if meta is None else path.write_bytes(meta)
    (entry,) = list_entries(tmp_path / "cache")
    assert (entry.name, entry.images, entry.mask_size) == ("", None, None)
    assert cache.find() is not None
    (entry,) = list_entries(tmp_path / "cache")
    assert entry.images == (IMAGES if meta is None else None)


def test_room_is_made_of_what_was_used_longest_ago(
    tmp_path: Path, broden: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caches = [entry_of(tmp_path, broden, size, 1e9 + size) for size in (16, 18, 20)]
    sizes = [entry.bytes for entry in reversed(list_entries(tmp_path / "cache"))]
    assert make_room(tmp_path / "cache", sum(sizes)) == []
    with caplog.at_level("INFO", "fastdissect"):
        removed = make_room(tmp_path / "cache", sum(sizes) - 1)
    assert [entry.folder for entry in removed] == [caches[0].entry]
    assert "1 entries used longest ago were removed" in caplog.text
    # The one in use stays, however old it is and whatever it takes.
    removed = make_room(tmp_path / "cache", 0, keep=caches[1].entry)
    assert [entry.folder for entry in removed] == [caches[2].entry]
    assert caches[1].find() is not None
    assert make_room(tmp_path / "cache", 0, keep=caches[1].entry) == []
    assert sorted(p.name for p in (tmp_path / "cache" / "planes").iterdir()) == [caches[1].key]


def test_keeping_an_entry_makes_room(
    tmp_path: Path, broden: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = entry_of(tmp_path, broden, 16, 1e9)
    monkeypatch.setenv("FASTDISSECT_CACHE_LIMIT", "1")
    with caplog.at_level("INFO", "fastdissect"):
        second = entry_of(tmp_path, broden, 18, 2e9)
    assert [entry.folder for entry in list_entries(tmp_path / "cache")] == [second.entry]
    assert "FASTDISSECT_CACHE_LIMIT" in caplog.text
    assert first.find() is None
    monkeypatch.setenv("FASTDISSECT_CACHE_LIMIT", "none")
    entry_of(tmp_path, broden, 20, 3e9)
    assert len(list_entries(tmp_path / "cache")) == 2


def test_planes_in_use_survive_the_removal_of_their_entry(tmp_path: Path, broden: Path) -> None:
    cache = entry_of(tmp_path, broden, 16, 1e9)
    found = cache.find()
    assert found is not None
    before = np.array(found.block(0, IMAGES).words)
    assert len(make_room(tmp_path / "cache", 0)) == 1
    np.testing.assert_array_equal(found.block(0, IMAGES).words, before)
    assert cache.find() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 20 * 1000**3),
        ("none", None),
        ("0", 0),
        ("1500", 1500),
        ("2.5GB", 2_500_000_000),
        ("1 MiB", 1 << 20),
        ("3k", 3000),
    ],
)
def test_limits(monkeypatch: pytest.MonkeyPatch, text: str, expected: int | None) -> None:
    monkeypatch.setenv("FASTDISSECT_CACHE_LIMIT", text)
    assert cache_limit() == expected


@pytest.mark.parametrize("text", ["much", "-1", "GB", "1e9", "5 cows", "nan"])
def test_limits_that_are_none(
    tmp_path: Path, broden: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("FASTDISSECT_CACHE_LIMIT", text)
    with pytest.raises(SettingError, match="FASTDISSECT_CACHE_LIMIT is"):
        PlaneCache(tmp_path / "cache", source_of(broden))  # before a run begins
    PlaneCache(None, source_of(broden))


def test_what_a_killed_process_left_is_swept(tmp_path: Path, broden: Path) -> None:
    cache = entry_of(tmp_path, broden, 16, 1e9)
    planes = tmp_path / "cache" / "planes"
    for name, age in ((".new.1", 0), (".old.2", 4000)):
        (planes / name).mkdir()
        os.utime(planes / name, (time.time() - age,) * 2)
    assert [entry.folder for entry in clear(tmp_path / "cache")] == [cache.entry]
    assert [path.name for path in planes.iterdir()] == [".new.1"]
