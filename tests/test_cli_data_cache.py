"""`data cache`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_cases import call, failure

from fastdissect.cache_entries import list_entries


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with three entries of 1,000 bytes and their notes; "b" is the oldest, and has no notes."""
    monkeypatch.setenv("FASTDISSECT_CACHE", str(tmp_path))
    monkeypatch.delenv("FASTDISSECT_CACHE_LIMIT", raising=False)
    for name, used in (("a", 2e9), ("b", 1e9), ("c", 1.5e9)):
        entry = tmp_path / "planes" / name
        entry.mkdir(parents=True)
        (entry / "words.u64").write_bytes(b"\0" * 1000)
        os.utime(entry / "words.u64", (used, used))
        if name != "b":
            meta = f'{{"name": "folder:/x/{name}", "images": 1234, "mask_size": [112, 96], "made": "?"}}'
            (entry / "meta.json").write_text(meta)
            os.utime(entry / "meta.json", (used, used))
    return tmp_path


def names(folder: Path) -> list[str]:
    return [entry.folder.name for entry in list_entries(folder)]


def test_entries_are_listed(folder: Path) -> None:
    result = call("data", "cache")
    assert result.exit_code == 0, result.output
    rows = [
        [part.strip() for part in line.split("│")][1:-1] for line in result.output.splitlines() if "│" in line
    ]
    assert [row[0] for row in rows] == ["folder:/x/a", "folder:/x/c", "not known (b)"]
    assert rows[0][1:3] == ["112 x 96", "1,234"]
    assert rows[0][4].startswith("2033-05-1")
    assert rows[2][1:4] == ["", "", "1.0 kB"]
    total = sum(entry.bytes for entry in list_entries(folder))
    assert f"3 entries, {total / 1000:.1f} kB (limit 20.0 GB) in {folder}" in result.output


def test_room_is_made(folder: Path) -> None:
    result = call("data", "cache", "--limit", "2.5kB")
    assert result.exit_code == 0, result.output
    assert "Removed 1 entries, 1.0 kB" in result.output
    assert names(folder) == ["a", "c"]
    assert call("data", "cache", "--clear").exit_code == 0
    assert names(folder) == []
    result = call("data", "cache")
    assert "0 entries, 0 B" in result.output


def test_a_cache_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDISSECT_CACHE", str(tmp_path / "nope"))
    monkeypatch.setenv("FASTDISSECT_CACHE_LIMIT", "none")
    for more in ([], ["--clear"], ["--limit", "1GB"]):
        result = call("data", "cache", *more)
        assert result.exit_code == 0, result.output
        assert f"0 entries, 0 B (no limit) in {tmp_path / 'nope'}" in result.output


def test_wrong_options(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (["--limit", "much"], ["--limit", "1GB", "--clear"], ["--limit", "0"]):
        assert call("data", "cache", *wrong).exit_code == 2
    monkeypatch.setenv("FASTDISSECT_CACHE_LIMIT", "much")
    assert "FASTDISSECT_CACHE_LIMIT is 'much'" in failure(call("data", "cache", "--clear"))
    assert len(names(folder)) == 3
