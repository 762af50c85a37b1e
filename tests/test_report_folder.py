"""The report's folder takes its place whole, and never that of something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastdissect.errors import OutputError
from fastdissect.reports.folder import atomic_folder


def _write(path: Path, text: str) -> None:
    with atomic_folder(path) as folder:
        (folder / "page").write_text(text)
        assert not (path / "page").exists() or (path / "page").read_text() != text


def test_a_new_folder_replaces_an_older_report(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report"
    _write(path, "one")
    _write(path, "two")
    assert (path / "page").read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["report"]


def test_an_error_leaves_the_older_report(tmp_path: Path) -> None:
    path = tmp_path / "report"
    _write(path, "one")
    with pytest.raises(ZeroDivisionError), atomic_folder(path) as folder:
        (folder / "page").write_text(f"two {1 // 0}")
    assert (path / "page").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".report.part").mkdir()
    (tmp_path / ".report.part" / "stale").write_text("x")
    _write(tmp_path / "report", "one")
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == [".fastdissect-report", "page"]


def test_a_killed_rename_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "report"
    _write(path, "one")
    path.rename(tmp_path / ".report.old")  # killed between the two renames
    with pytest.raises(RuntimeError), atomic_folder(path):
        raise RuntimeError
    assert (path / "page").read_text() == "one"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    _write(tmp_path / "report", "one")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_else_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "report"
    mine = path / "thesis.tex" if kind == "folder" else path
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("precious")
    with pytest.raises(OutputError, match="older report"), atomic_folder(path):
        pytest.fail("must not get here")
    assert mine.read_text() == "precious"


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"No space.*nothing was changed"),
        atomic_folder(tmp_path / "report"),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
