"""An export's folder is there whole or not at all, and never takes the place of something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_cases import Photos, make_concepts, make_dissection, plant

from fastdissect.errors import DataError, OutputError
from fastdissect.exporting import export
from fastdissect.results import Dissection


@pytest.fixture
def run() -> Dissection:
    return make_dissection([plant("l", 9, 30, make_concepts())], Photos(30))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_an_empty_folder_and_a_new_one_are_taken(run: Dissection, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "deep/er/new"):
        written = export(run, tmp_path / folder, "netdissect")
        assert all(path.is_file() for path in written)
    assert names(tmp_path) == ["deep", "empty"]
    assert names(tmp_path / "deep" / "er") == ["new"]


def test_an_earlier_export_is_kept_and_moved_aside_when_asked(run: Dissection, tmp_path: Path) -> None:
    export(run, tmp_path / "x", "netdissect")
    with pytest.raises(OutputError, match=r"x holds an earlier export; .*--fresh"):
        export(run, tmp_path / "x", "clip-dissect")
    for turn in (1, 2):
        export(run, tmp_path / "x", "clip-dissect", fresh=True)
        assert names(tmp_path) == ["x", *(f"x.{n}" for n in range(1, turn + 1))]
    assert (tmp_path / "x.1" / "l-result.csv").is_file()
    assert (tmp_path / "x" / "descriptions.csv").is_file()
    assert not (tmp_path / "x" / "l-result.csv").exists()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder", "run", "above the run"])
def test_something_else_is_left_alone(run: Dissection, tmp_path: Path, fresh: bool, kind: str) -> None:
    place = {"run": "runs/out", "above the run": "runs"}.get(kind, "x")
    run.save(tmp_path / "runs" / "out")
    if kind == "file":
        (tmp_path / "x").write_bytes(b"mine")
    elif kind == "folder":
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "thesis.tex").write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=r"choose another"):
        export(run, tmp_path / place, "netdissect", fresh=fresh)
    assert sorted(tmp_path.rglob("*")) == before


class Torn(Photos):
    """A data set whose images cannot be read any more after the first few."""

    def read_image(self, index: int):
        if len(self.reads) > 3:
            raise OSError(5, "Input/output error")
        return super().read_image(index)


@pytest.mark.parametrize("name", ["milan", "dissect"])
def test_an_error_on_the_way_leaves_nothing_new(run: Dissection, tmp_path: Path, name: str) -> None:
    export(run, tmp_path / "x", "netdissect")
    with pytest.raises(DataError, match=r"image \d+ cannot be read: Input/output error"):
        export(run, tmp_path / "x", name, dataset=Torn(30), top=2, size=(8, 8), fresh=True)
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x" / "l-result.csv").is_file()


def test_what_a_killed_process_left_is_cleared(run: Dissection, tmp_path: Path) -> None:
    (tmp_path / ".x.part").mkdir()
    (tmp_path / ".x.part" / "stale").write_bytes(b"")
    export(run, tmp_path / "x", "netdissect")
    assert names(tmp_path) == ["x"]
    assert names(tmp_path / "x") == [".fastdissect-export", "l-result.csv"]


def test_a_full_disk_is_noticed_beforehand(
    run: Dissection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 5_000}))
    with pytest.raises(
        OutputError, match=r"room for 9,216 bytes of pictures \(9 units, 4 images each\); 5,000"
    ):
        export(run, tmp_path / "x", "milan", dataset=Photos(30), top=4, size=(8, 8))
    assert names(tmp_path) == []


def test_a_folder_under_a_file_cannot_be_made(run: Dissection, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        export(run, tmp_path / "file" / "x", "netdissect")


def test_an_interrupt_clears_up(run: Dissection, tmp_path: Path) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(run, tmp_path / "x", "milan", dataset=Photos(30), top=2, size=(8, 8), progress=interrupt)
    assert names(tmp_path) == []
