"""Object arrays of foreign files are read without letting them run code; nulls keep their meaning."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastdissect.compat.running.numpy_pickle import RefusedPickleError, read_pickled_array
from fastdissect.compat.running.state_files import State, box_nulls, read_state, unbox_nulls, write_state
from fastdissect.errors import OutputError

ran: list[str] = []


def run(text: str) -> str:
    ran.append(text)
    return text


class Payload:
    """What an attacker writes: unpickling it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def boxed(*items: Any) -> Any:
    array = np.empty(len(items), object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def read(found: Any, protocol: int = 4) -> Any:
    return read_pickled_array(io.BytesIO(pickle.dumps(found, protocol=protocol)))


def assert_equal(a: Any, b: Any) -> None:
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.hasobject:
            for x, y in zip(a.ravel(), b.ravel(), strict=True):
                assert_equal(x, y)
        else:
            assert a.tobytes() == b.tobytes()
            assert b.flags.writeable
    else:
        assert type(a) is type(b)
        assert a == b


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(
    "found",
    [
        boxed(np.arange(6.0).reshape(2, 3), np.float32([[1, 2]]).T, None),
        boxed(np.arange(24, dtype=np.int16).reshape(2, 3, 4)[:, ::2].T, np.zeros((0, 3)), None),
        np.asfortranarray(boxed(1, "two", b"three", 4.0, None, True).reshape(2, 3)),
        np.array({"r": 3072, "buffersize": None, "seed": (1, [2.5], ("a",))}, object),
        boxed(np.array(["a", "bc"]), np.array([b"x"]), np.array([True]), np.datetime64(0, "s") is None),
        boxed(np.float32(2.5), np.int64(7), np.bool_(True), np.arange(3, dtype=">i4")),
        boxed(boxed(1, None), []),
    ],
)
def test_what_numpy_writes_is_read(found: Any, protocol: int) -> None:
    assert_equal(found, read(found, protocol))


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (Payload(run, "ran"), "run"),
        (Payload(eval, "ran.append('ran')"), "builtins.eval"),
        (Payload(pickle.loads, b"N."), "_pickle.loads"),
        (Payload(np.load, "x.npy"), "numpy.load"),
        (Payload(np.ndarray, (10**12,)), "damaged"),
        (Payload(np.frombuffer, b"abc"), "numpy.frombuffer"),
        (torch.zeros(2), "torch._utils._rebuild_tensor_v2"),
        (np.zeros(2, [("a", "f4")]), "numpy.dtype"),
        (np.datetime64("2020-01-01"), "numpy.dtype"),
        (np.ma.zeros(3), "numpy.ma"),
        (Path, "pathlib"),
    ],
)
def test_everything_else_is_refused(payload: Any, named: str, tmp_path: Path) -> None:
    ran.clear()
    for found in (boxed(payload, None), boxed({"deep": [payload]}, None)):
        with pytest.raises(RefusedPickleError, match=named):
            read(found)
        np.savez(tmp_path / "evil.npz", data=found)
        with pytest.raises(
            OutputError, match=r"evil\.npz, field 'data': expected numpy arrays and plain cont"
        ):
            read_state(tmp_path / "evil.npz", cls_name=None)
        with (
            np.load(tmp_path / "evil.npz", allow_pickle=True) as archive,
            pytest.raises(OutputError, match=r"evil\.npz, field 'data'"),
        ):
            read_state(archive, cls_name=None)
    assert not ran


@pytest.mark.parametrize("bad", [b"", b"garbage", pickle.dumps([1, 2]), pickle.dumps(boxed(1, 2, 3))[:-4]])
def test_damaged_pickles(bad: bytes) -> None:
    with pytest.raises(RefusedPickleError):
        read_pickled_array(io.BytesIO(bad))


@pytest.mark.parametrize(
    "state",
    [
        (1, (4,), "f8", False, b"\0" * 8),
        (1, (-1,), "f8", False, b"\0" * 8),
        (1, (2,), "O8", False, b"\0" * 16),
        (2, (1,), "f8", False, b"\0" * 8),
    ],
)
def test_arrays_that_lie_about_themselves(state: Any) -> None:
    class Lying:
        def __reduce__(self) -> Any:
            return (
                np.zeros(0).__reduce__()[0],
                (np.ndarray, (0,), b"b"),
                (*state[:2], np.dtype(state[2]), *state[3:]),
            )

    with pytest.raises(RefusedPickleError):
        read(boxed(Lying(), None))


def test_nulls() -> None:
    state = {"a": None, "b": {"c": None, "d": 3}, "e": np.array(np.nan), "f": np.zeros(0)}
    box = box_nulls(state)
    assert struct.pack(">d", box["a"]) == bytes.fromhex("fff8000000000002")
    assert box["a"].dtype == np.float64
    assert box["a"].shape == ()
    back = unbox_nulls(box)
    assert back["a"] is None
    assert back["b"] == {"c": None, "d": 3}
    assert np.isnan(back["e"])


@pytest.mark.parametrize("boxed", [True, False])
def test_nulls_in_files(boxed: bool, tmp_path: Path) -> None:
    write_state(tmp_path / "s.npz", {"a": None, "b": np.arange(3), "c": {"d": None}}, boxed=boxed)
    state = read_state(tmp_path / "s.npz", cls_name=None)
    assert state["a"] is None
    assert state["b"].tolist() == [0, 1, 2]
    if not boxed:
        assert state["c"] == {"d": None}
    with np.load(tmp_path / "s.npz", allow_pickle=False) as archive:
        assert archive["b"].tolist() == [0, 1, 2]


def test_parts_and_fields() -> None:
    state = read_state({"m.count": 3, "m.mean": 1.0, "q.count": 4}, cls_name=None)
    assert isinstance(state, State)
    assert state.part("m") == {"count": 3, "mean": 1.0}
    with pytest.raises(
        OutputError, match="the given state, part 'q', field 'mean': expected the mean; there is no"
    ):
        state.part("q").need("mean", "the mean")


@pytest.mark.parametrize(
    "name", ["netdissect.runningstats.Mean()", "baukit.runningstats.Mean()", "my.copy.Mean()"]
)
def test_constructors(name: str) -> None:
    assert read_state({"constructor": name}, cls_name="Mean")
    assert read_state({"constructor": np.array(name)}, cls_name=("Sum", "Mean"))
    with pytest.raises(
        OutputError, match=r"field 'constructor': expected Variance\(\), of .*; got '.*Mean\(\)'"
    ):
        read_state({"constructor": name}, cls_name="Variance")
