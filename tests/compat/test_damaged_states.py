"""States that are not what they should be: each is an error that names file and field, or reads as what it says."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastdissect.compat import baukit
from fastdissect.compat.netdissect import runningstats
from fastdissect.errors import FastdissectError, OutputError

Make = Callable[..., Any]
DATA = torch.randn(200, 4, generator=torch.Generator().manual_seed(7))
COUNTS = (DATA.abs() * 5).long()


def sampled(state: Any = None) -> Any:
    return runningstats.RunningQuantile(r=16, memory=0, state=state)


def with_tail(state: Any = None) -> Any:
    return baukit.Quantile(r=16, memory=1000, state=state)


def top(state: Any = None) -> Any:
    return runningstats.RunningTopK(5, state=state)


# class -> what is added, and the read-outs
CASES: dict[Make, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    runningstats.RunningQuantile: ((DATA,), ("median", "minmax", "mean", "readout")),
    sampled: ((DATA,), ("median", "minmax", "mean", "readout")),
    with_tail: ((DATA,), ("median", "minmax", "mean", "readout")),
    top: ((DATA,), ("result",)),
    runningstats.RunningVariance: ((DATA,), ("mean", "variance")),
    runningstats.RunningBincount: ((COUNTS,), ("bincount",)),
    runningstats.RunningAllIntersectionAndUnion: ((DATA > 0, DATA[:, :2] > 0), ("iou",)),
    runningstats.RunningConditionalQuantile: ((3, DATA), ("sizes",)),
    runningstats.RunningConditionalVariance: ((3, DATA), ()),
    baukit.Mean: ((DATA,), ("mean",)),
    baukit.Covariance: ((DATA,), ("covariance", "mean")),
    baukit.IoU: ((DATA,), ("iou",)),
    baukit.CrossIoU: ((DATA, DATA[:, :2]), ("iou",)),
    baukit.History: ((DATA,), ("history",)),
}
EVERY = pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)


def filled(make: Make) -> Any:
    statistic = make()
    statistic.add(*CASES[make][0])
    return statistic


def nonsense(value: Any) -> Iterator[Any]:
    """Values of other types, shapes and ranges than the field's own."""
    yield from (None, -1, 0, 1 << 40, 2**63, 10**30, 1.5, float("nan"), "text", b"zz", [1, 2, 3], {"a": 1})
    yield from (np.zeros(0), np.zeros((2, 3, 4)), np.zeros((4, 4), complex), np.array(["a", "b"]))
    yield from (np.array([None, {}], object), np.array(None, object), np.array(5, "M8[s]"))
    array = np.asarray(value)
    if array.dtype.kind in "iuf" and array.ndim:
        yield from (array[:-1], array[:0], -np.abs(array) - 1, array.T, array.astype(np.longdouble))
        yield from (array.astype(bool), array.astype(array.dtype.newbyteorder(">")), array.astype(np.float16))
        yield np.full(array.shape, 2**64 - 1, np.uint64)
        if array.ndim == 2:
            yield from (array[:, :0], array[:, :-1])
        if array.dtype.kind == "f":
            yield from (np.full_like(array, np.nan), np.full_like(array, np.inf))


@EVERY
def test_no_field_makes_a_bare_error(make: Make) -> None:
    state = filled(make).state_dict()
    refused = []
    for field in state:
        for value in nonsense(state[field]):
            try:
                loaded = make(state={**state, field: value})
            except OutputError as error:
                refused.append(str(error))
                continue
            for name in CASES[make][1]:
                getattr(loaded, name)()
            loaded.state_dict()
    assert len(refused) > 20
    assert all("field '" in said and "expected" in said for said in refused)


def test_big_endian_arrays_are_what_they_say() -> None:
    for make in (top, baukit.Mean, runningstats.RunningQuantile):
        state = filled(make).state_dict()
        turned = {
            key: value.astype(value.dtype.newbyteorder(">")) if getattr(value, "ndim", 0) == 2 else value
            for key, value in state.items()
        }
        again = make(state=turned).state_dict()
        for key in ("top_data", "fastdissect_total", "extremes"):
            if key in state:
                assert np.array_equal(again[key], state[key])


@pytest.mark.parametrize(
    ("make", "field", "value", "said"),
    [
        (runningstats.RunningQuantile, "size", 199, "200"),
        (runningstats.RunningQuantile, "size", 1 << 40, "200"),
        (sampled, "size", 0, "stand for"),
        (sampled, "size", 1 << 40, "stand for"),
        (sampled, "fastdissect_rank_variance", float("nan"), "a number from 0"),
        (sampled, "fastdissect_rank_variance", -1.0, "a number from 0"),
        (with_tail, "fastdissect_top_values", np.full((20, 4), -9.0, np.float32), "greatest"),
        (with_tail, "fastdissect_top_values", np.full((20, 4), 9.0), "float32 as the extremes"),
        (top, "k", 1 << 40, "at most 25, the width of top_data"),
        (top, "next", 2, "5 to 25"),
        (top, "count", 3, "3 to 3"),
        (top, "largest", 7, "True or False"),
        (top, "top_index", np.full((4, 25), 2**64 - 1, np.uint64), "numbers up to"),
        (runningstats.RunningVariance, "fastdissect_cmom2", np.full(4, -1.0), "from 0"),
        (runningstats.RunningVariance, "fastdissect_total", np.zeros(3), r"shape \(4,\)"),
        (runningstats.RunningBincount, "bincount", np.array([3, -1]), "counts from 0"),
        (baukit.IoU, "count", 5, "none above"),
        (baukit.CrossIoU, "fastdissect_intersection", np.full((4, 2), 150), "none above"),
        (baukit.Mean, "data_shape", (2, 3), "4 features"),
        (runningstats.RunningConditionalVariance, "conditions", [], "1 conditions, each once"),
        (runningstats.RunningConditionalVariance, "conditions", [float("nan")], "numbers or strings"),
    ],
)
def test_contradictions_are_refused(make: Make, field: str, value: Any, said: str) -> None:
    state = {**filled(make).state_dict(), field: value}
    with pytest.raises(OutputError, match=rf"field '\w+': expected.*{said}"):
        make(state=state)


def test_an_empty_tail_is_none() -> None:
    state = {**filled(with_tail).state_dict(), "fastdissect_top_values": np.zeros((0, 4), np.float32)}
    assert with_tail(state=state).exact_from == 1.0
    with_tail(state=state).median()


def test_a_failed_load_changes_nothing() -> None:
    mean = filled(baukit.Mean)
    before = mean.mean()
    with pytest.raises(OutputError):
        mean.load_state_dict({**mean.state_dict(), "mean": np.ones(6), "fastdissect_total": np.ones(6)})
    assert torch.equal(mean.mean(), before)


@pytest.fixture
def members(tmp_path: Path) -> dict[str, bytes]:
    filled(baukit.Mean).save(tmp_path / "mean.npz")
    with zipfile.ZipFile(tmp_path / "mean.npz") as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write(path: Path, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path


@pytest.mark.parametrize("make", [runningstats.RunningConditionalQuantile, with_tail, baukit.Mean])
def test_every_truncation_names_the_file(make: Make, tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", **filled(make).state_dict())
    raw, path = (tmp_path / "whole.npz").read_bytes(), tmp_path / "cut.npz"
    for cut in range(0, len(raw), max(1, len(raw) // 150)):
        path.write_bytes(raw[:cut])
        with pytest.raises(OutputError, match=r"cut\.npz"):
            make(state=path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_changed_byte_never_changes_a_number(
    compression: int, members: dict[str, bytes], tmp_path: Path
) -> None:
    raw = write(tmp_path / "mean.npz", list(members.items()), compression).read_bytes()
    whole, path = baukit.Mean(state=tmp_path / "mean.npz").mean(), tmp_path / "changed.npz"
    random = np.random.default_rng(5)
    refused = []
    for at in random.integers(len(raw), size=400).tolist():
        changed = bytearray(raw)
        changed[at] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            assert torch.equal(baukit.Mean(state=path).mean(), whole)
        except FastdissectError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert all("changed.npz" in said for said in refused)


def test_members_of_one_name(members: dict[str, bytes], tmp_path: Path) -> None:
    other = io.BytesIO()
    np.save(other, np.int64(9))
    path = write(tmp_path / "two.npz", [*members.items(), ("count", other.getvalue())])
    with pytest.raises(
        OutputError, match=r"two\.npz, field 'count': expected one array of that name; got two"
    ):
        baukit.Mean(state=path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY\x01\x00\x10\x00{'descr':'<f4'  \n", b"\x80\x04K\x01."]
)
def test_members_that_are_no_arrays(content: bytes, members: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "odd.npz", [*members.items(), ("notes.txt", content)])
    with pytest.raises(OutputError, match=r"odd\.npz, field 'notes\.txt': expected a numpy array"):
        baukit.Mean(state=path)


def test_bytes_behind_an_array(members: dict[str, bytes], tmp_path: Path) -> None:
    state = filled(runningstats.RunningQuantile).state_dict()
    np.savez(tmp_path / "whole.npz", **state)
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        whole = [(info.filename, archive.read(info)) for info in archive.infolist()]
    longer = [(name, content + b"more" if name == "data.npy" else content) for name, content in whole]
    path = write(tmp_path / "longer.npz", longer)
    with pytest.raises(OutputError, match=r"longer\.npz, field 'data': .*bytes behind its end"):
        runningstats.RunningQuantile(state=path)


@pytest.mark.parametrize("flag", ["encrypted", "method"])
def test_archives_of_another_kind(flag: str, members: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "other.npz", list(members.items()))
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (found := raw.find(mark, start)) >= 0:
            raw[found + at + 2 * (flag == "method")] = 1 if flag == "encrypted" else 77
            start = found + 4
    path.write_bytes(raw)
    with pytest.raises(OutputError, match=r"other\.npz, field '\w+': expected a numpy array"):
        baukit.Mean(state=path)
