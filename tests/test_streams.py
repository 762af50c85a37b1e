"""Streams: rows that grow on disk, and go on after so many of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fastdissect.errors import OutputError
from fastdissect.streams import Stream


def rows(first: int, last: int) -> np.ndarray:
    return np.arange(first * 3, last * 3, dtype=np.float32).reshape(-1, 3)


def test_rows_come_back_mapped(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "a" / "x.raw", np.float32, (3,))
    stream.append(rows(0, 2))
    np.testing.assert_array_equal(stream.read(), rows(0, 2))
    stream.append(rows(2, 2))
    stream.append(np.asfortranarray(rows(2, 5)))
    assert stream.rows == 5
    found = stream.close()
    np.testing.assert_array_equal(found, rows(0, 5))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(stream.close(), rows(0, 5))  # again
    stream.sync()


def test_no_rows(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "x.raw", np.float32, (3,))
    assert stream.read().shape == stream.close().shape == (0, 3)


def test_going_on_cuts_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "x.raw", np.float32, (3,))
    stream.append(rows(0, 4))
    stream.close()
    stream = Stream(tmp_path / "x.raw", np.float32, (3,), rows=2)
    np.testing.assert_array_equal(stream.read(), rows(0, 2))
    stream.append(rows(2, 3))
    np.testing.assert_array_equal(stream.close(), rows(0, 3))


def test_a_new_stream_forgets_the_old_file(tmp_path: Path) -> None:
    for _ in range(2):
        stream = Stream(tmp_path / "x.raw", np.float32, (3,))
        stream.append(rows(0, 1))
        assert stream.close().shape == (1, 3)


@pytest.mark.parametrize("kept", [0, 1])
def test_another_name_of_the_file_keeps_its_content(tmp_path: Path, kept: int) -> None:
    """The plane cache holds hard links: neither a new stream nor one that goes on may write through them."""
    stream = Stream(tmp_path / "x.raw", np.float32, (3,))
    stream.append(rows(0, 4))
    stream.close()
    os.link(tmp_path / "x.raw", tmp_path / "cache.raw")
    stream = Stream(tmp_path / "x.raw", np.float32, (3,), rows=kept)
    stream.append(rows(7, 9))
    stream.close()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "cache.raw", np.float32), rows(0, 4).ravel())
    np.testing.assert_array_equal(
        np.fromfile(tmp_path / "x.raw", np.float32), np.concatenate([rows(0, kept), rows(7, 9)]).ravel()
    )


def test_a_file_that_was_cut(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"12345678901")
    with pytest.raises(
        OutputError, match=r"expected 12 bytes of an unfinished run; got 11; the file was cut: .*--fresh"
    ):
        Stream(tmp_path / "x.raw", np.float32, (3,), rows=1)


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "x.raw").mkdir()
    with pytest.raises(OutputError, match=r"x\.raw cannot be written"):
        Stream(tmp_path / "x.raw", np.float32)
    with pytest.raises(OutputError, match=r"missing\.raw cannot be written: No such file"):
        Stream(tmp_path / "missing.raw", np.float32, rows=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Stream(tmp_path / "file" / "x.raw", np.float32)
