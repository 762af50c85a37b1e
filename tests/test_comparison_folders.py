"""Run folders, one layer of them, and sweeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.comparison import FoundRun, find_runs


def sweep(folder: Path, *runs: dict[str, object]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({"runs": runs}))
    return folder


def entry(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "folder": f"runs/{name}", "step": None, "accuracy": None, "error": None} | more


def test_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert find_runs([tmp_path / "a", str(tmp_path / "missing")]) == (
        [FoundRun("a", tmp_path / "a"), FoundRun("missing", tmp_path / "missing")],
        [],
    )


def test_a_layer_behind_an_at_sign(tmp_path: Path) -> None:
    for name in ("a", "b@home", "c@d"):
        (tmp_path / name).mkdir()
    found, _ = find_runs(
        [f"{tmp_path}/a@conv5", f"{tmp_path}/a@conv5@pca", f"{tmp_path}/b@home", f"{tmp_path}/c@d@e"]
    )
    assert [(run.name, run.folder.name, run.layer) for run in found] == [
        ("a@conv5", "a", "conv5"),
        ("a@conv5@pca", "a", "conv5@pca"),
        ("b@home", "b@home", None),
        ("c@d@e", "c@d", "e"),
    ]
    missing, _ = find_runs([f"{tmp_path}/nothing@conv5"])
    assert missing[0].layer is None  # loading it says that there is no such folder


def test_a_sweep_is_its_runs_and_failed_ones_are_named(tmp_path: Path) -> None:
    folder = sweep(
        tmp_path / "s",
        entry("one", step=0, accuracy=0.5),
        entry("two", step=1e3),
        entry("bad", error="RuntimeError: no <weights>"),
    )
    found, failed = find_runs([folder])
    assert found == [
        FoundRun("one", folder / "runs/one", None, 0.0, 0.5),
        FoundRun("two", folder / "runs/two", None, 1000.0, None),
    ]
    assert failed == ["bad of the sweep failed: RuntimeError: no <weights>"]
    one_layer, _ = find_runs([f"{folder}@conv5"])
    assert [(run.name, run.layer) for run in one_layer] == [("one@conv5", "conv5"), ("two@conv5", "conv5")]


def test_a_sweep_without_a_success_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="at least one finished run; bad of the sweep failed: no"):
        find_runs([sweep(tmp_path / "s", entry("bad", error="no"))])
    with pytest.raises(SettingError, match=r"sweep.json lists no run yet"):
        find_runs([sweep(tmp_path / "begun")])
    with pytest.raises(SettingError, match="no folder was named"):
        find_runs([])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"runs": 3}',
        '{"runs": [3]}',
        '{"runs": [{"folder": "a"}]}',
        '{"runs": [{"name": "a"}]}',
        '{"runs": [{"name": "a", "folder": "a", "step": "1"}]}',
        '{"runs": [{"name": "a", "folder": "a", "accuracy": true}]}',
        "[" * 100_000,
    ],
)
def test_a_damaged_sweep_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(OutputError, match=r"sweep.json is truncated or damaged.*sweep again"):
        find_runs([tmp_path])
