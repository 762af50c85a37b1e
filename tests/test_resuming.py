"""Checkpoints: the newest whole one counts, whatever a killed process left beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastdissect as fd
from fastdissect import batch_passes
from fastdissect.errors import OutputError
from fastdissect.resuming import Checkpoints, differing, refuse_other
from fastdissect.running import Run

KEY = {"weights": "ab", "layers": ["x"], "sizes": (1, 2)}


def arrays(value: int) -> dict[str, np.ndarray]:
    return {"a": np.full(5, value), "empty": np.zeros((0, 3), np.float32)}


def test_the_newest_is_loaded_and_the_older_ones_go(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", KEY).load() is None
    checkpoints = Checkpoints(tmp_path, KEY)
    for number in range(3):
        checkpoints.save({"position": number}, arrays(number))
        found = Checkpoints(tmp_path, KEY).load()
        assert found is not None
        assert found.state == {"position": number}
        assert found.arrays["a"].tolist() == [number] * 5
        assert found.arrays["empty"].shape == (0, 3)
        assert len(list(tmp_path.iterdir())) == 2


def test_leftovers_of_a_killed_process(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEY)
    checkpoints.save({"position": 1}, arrays(1))
    for name, content in (
        (".checkpoint-2.npz.part", b"half"),  # killed while the arrays were written
        ("checkpoint-2.npz", b"whole, but without a record"),  # killed between arrays and record
        (".checkpoint-2.json.part", b"{"),
        ("checkpoint-0.npz", b"old"),  # killed while the older ones were removed
        ("checkpoint-x.json", b"of somebody else"),
    ):
        (tmp_path / name).write_bytes(content)
    again = Checkpoints(tmp_path, KEY)
    found = again.load()
    assert found is not None
    assert found.state == {"position": 1}
    again.save({"position": 2}, arrays(2))
    found = Checkpoints(tmp_path, KEY).load()
    assert found is not None
    assert found.arrays["a"].tolist() == [2] * 5
    assert not (tmp_path / "checkpoint-0.npz").exists()


def test_numbers_of_two_digits_follow(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEY)
    for number in range(12):
        checkpoints.save({"position": number}, arrays(number))
    found = Checkpoints(tmp_path, KEY).load()
    assert found is not None
    assert found.state == {"position": 11}


def test_clear_removes_everything_but_the_lock(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEY)
    checkpoints.save({}, arrays(0))
    (tmp_path / "layer-0").mkdir()
    (tmp_path / "layer-0" / "means.raw").write_bytes(b"x")
    (tmp_path / "lock").write_bytes(b"")
    checkpoints.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    Checkpoints(tmp_path / "none", KEY).clear()


def test_another_key_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "out" / "unfinished", KEY).save({}, arrays(0))
    other = {**KEY, "weights": "cd", "new": None}
    with pytest.raises(
        OutputError, match=r"out belongs to another run; it differs in weights: 'ab' then, 'cd' now\. "
    ):
        Checkpoints(tmp_path / "out" / "unfinished", other).load()


def test_keys_are_compared_as_json_holds_them() -> None:
    refuse_other(Path("out"), {"a": [1, 2], "b": {"c": [0.5]}}, {"a": (1, 2), "b": {"c": (0.5,)}})
    assert differing({"a": 1, "b": 2}, {"b": 2, "c": 3}) == ["a: 1 then, None now", "c: None then, 3 now"]


@pytest.mark.parametrize(
    ("seconds", "sparing", "expected"), [(0.0, 1e9, 6), (1e-9, 1e9, 1), (1e-9, 0.0, 6), (1e9, 0.0, 0)]
)
def test_a_checkpoint_waits_by_what_the_last_one_took(
    seconds: float, sparing: float, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of six batches at most; once where the next would be due in years."""
    written: list[int] = []
    monkeypatch.setattr(batch_passes, "SPARING", sparing)
    monkeypatch.setattr(Run, "checkpoint", lambda run: written.append(run.position))
    fd.dissect(
        "builtin:shapes",
        "shapes:images=12,size=32",
        "conv1",
        out=tmp_path / "out",
        batch_size=2,
        checkpoint_seconds=seconds,
        device="cpu",
        cache=None,
        progress=False,
    )
    assert len(written) == expected
