"""States: both peers' layouts, there and back; and files that are not what they should be."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quantile_cases import DTYPES, Array, feed, levels, quantiles, stream

from fastdissect.compat.baukit.quantile import Quantile
from fastdissect.compat.netdissect.quantile import RunningQuantile
from fastdissect.compat.running.state_files import MissingStateError, write_state
from fastdissect.errors import ActivationError, OutputError

LEVELS = torch.linspace(0, 1, 201)
BOTH = pytest.mark.parametrize("cls", [RunningQuantile, Quantile])


def saved(q: Any, path: Path) -> Path:
    """As the peers' scripts do."""
    np.savez(path, **q.state_dict())
    return path


def same(a: Any, b: Any) -> None:
    assert torch.equal(a.quantiles(LEVELS), b.quantiles(LEVELS))
    assert torch.equal(a.minmax(), b.minmax())
    assert torch.equal(a.mean(), b.mean())
    assert (a.count, a.batchcount, a.depth, a.dtype) == (b.count, b.batchcount, b.depth, b.dtype)
    assert (a.exact, a.exact_from, a.rank_error) == (b.exact, b.exact_from, b.rank_error)
    assert (a.resolution, a.buffersize) == (b.resolution, b.buffersize)


def peers_state(
    levels: list[Array], size: int, samplerate: float = 1.0, baukit: bool = False, **other: Any
) -> Any:
    """What a peer's state_dict gives: samples [n, units] by level."""
    data = np.empty(len(levels) + 1, object)
    data[:-1] = levels
    units = levels[0].shape[1]
    name = "baukit.runningstats.Quantile()" if baukit else "netdissect.runningstats.RunningQuantile()"
    state: dict[str, Any] = {
        "constructor": name,
        "resolution": 64,
        "depth": units,
        "buffersize": 8,
        "samplerate": samplerate,
        "sizes": [64] * len(levels),
        "extremes": np.float32([[np.inf, -np.inf]] * units),  # not looked at before a read-out
        "size": size,
        "batchcount": 3,
    }
    state |= {f"data.{i}": x for i, x in enumerate(levels)} if baukit else {"data": data}
    return state | other


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fits", [10**6, 900, 0])
def test_there_and_back(cls: Any, dtype: torch.dtype, fits: int, tmp_path: Path) -> None:
    x = stream(4000, 3, "ties", 1, dtype)
    memory = fits * 3 * x.element_size()
    q = feed(cls(r=64, memory=memory), x, 1000, 7)
    path = saved(q, tmp_path / "q.npz")
    other = Quantile if cls is RunningQuantile else RunningQuantile
    for loaded in (
        cls(state=str(path), memory=memory),
        cls(state=path, memory=memory),
        cls(state=q.state_dict(), memory=memory),
        other(state=path, memory=memory),  # each reads the other's layout
    ):
        same(q, loaded)
    with np.load(path, allow_pickle=False) as archive:
        same(q, cls(state=archive, memory=memory))
    again = cls(state=path, memory=memory)
    feed(again, x)
    assert again.count == 8000
    both = torch.cat([x, x])
    if fits == 10**6:
        assert torch.equal(again.quantiles(LEVELS), quantiles(both, LEVELS.numpy()))
    elif fits:
        top = LEVELS[again.exact_from <= LEVELS]
        assert len(top) > 5
        assert torch.equal(again.quantiles(top), quantiles(both, top.numpy()))


def test_exact_states_are_what_the_peers_read() -> None:
    x = stream(10000, 3)
    state = feed(RunningQuantile(), x).state_dict()
    assert state["constructor"] == "netdissect.runningstats.RunningQuantile()"
    assert [len(level) for level in state["data"][:-1]] == [10000]
    assert state["data"][-1] is None
    assert list(state["sizes"]) == [10000]  # room for all, and not less than the resolution
    assert list(feed(RunningQuantile(), x[:9]).state_dict()["sizes"]) == [6144]
    assert np.array_equal(np.sort(x.numpy(), axis=0), state["data"][0])
    assert np.array_equal(state["extremes"], np.stack([x.amin(0), x.amax(0)], axis=1))


@pytest.mark.parametrize("fits", [10**6, 900, 0])
def test_baukits_files_need_no_pickle(fits: int, tmp_path: Path) -> None:
    q = feed(Quantile(memory=fits * 12), stream(20000, 3))
    path = tmp_path / "new" / "q"
    q.save(path)
    with np.load(f"{path}.npz", allow_pickle=False) as archive:
        fields = {name: archive[name] for name in archive.files}
    assert fields["constructor"] == "baukit.runningstats.Quantile()"
    assert sum(len(fields[f"data.{i}"]) << i for i in range(len(fields["sizes"]))) == 20000
    loaded = Quantile(memory=fits * 12)
    loaded.load(f"{path}.npz")
    same(q, loaded)


@given(st.integers(0, 60000), st.integers(0, 3))
def test_a_peer_can_go_on_from_the_sizes(count: int, fits: int) -> None:
    """What a peer counts on: each level has room for half of the level below; the lowest takes what it holds."""
    q = feed(Quantile(r=50, memory=fits * 400), stream(count, 1))
    state = q.state_dict() if count else {"sizes": []}
    sizes = [int(size) for size in state["sizes"]]
    held = [len(state[f"data.{i}"]) for i in range(len(sizes))]
    assert all(size >= own for size, own in zip(sizes, held, strict=True))
    assert all(sizes[i] - held[i] >= -(-sizes[i - 1] // 2) for i in range(1, len(sizes)))
    assert all(state[f"data.{i}"].shape[1] == 1 for i in range(len(sizes)))


@pytest.mark.parametrize("baukit", [False, True])
@pytest.mark.parametrize("samplerate", [1.0, 0.25])
def test_a_peers_sampled_state(baukit: bool, samplerate: float, tmp_path: Path) -> None:
    """Weights double by level; the read-out is the peers' formula over weighted samples."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 2)).astype(np.float32) for n in (5, 0, 40)]
    size = int((5 + 160) / samplerate)
    np.savez(tmp_path / "p.npz", **peers_state(parts, size, samplerate, baukit))
    q = RunningQuantile(state=tmp_path / "p.npz")
    assert (q.exact, q.exact_from, q.count, q.batchcount, q.resolution) == (False, 1.0, size, 3, 64)
    assert q.rank_error > 0
    for unit in range(2):
        values = np.concatenate([part[:, unit] for part in parts])
        weights = np.repeat([1.0, 2.0, 4.0], [len(part) for part in parts])[np.argsort(values)]
        values = np.sort(values)
        middle = ((np.cumsum(weights) - weights / 2) / weights.sum()).astype(np.float32)
        own = np.concatenate([[0], middle, [1]])
        wanted = np.interp(LEVELS, own, np.concatenate([values[:1], values, values[-1:]])).astype(np.float32)
        assert np.array_equal(q.quantiles(LEVELS)[unit].numpy(), wanted)
        assert q.minmax()[unit].tolist() == [values[0], values[-1]]
        total = (
            np.repeat([1.0, 2.0, 4.0], [5, 0, 40]) @ np.concatenate([p[:, unit] for p in parts])
        ) / samplerate
        assert q.mean()[unit].item() == pytest.approx(total / size, rel=1e-5)
    feed(q, torch.zeros(5000, 2))
    assert q.count == size + 5000
    assert q.median().tolist() == [0.0, 0.0]
    again = RunningQuantile(state=saved(q, tmp_path / "again.npz"))
    assert torch.equal(again.quantiles(LEVELS), q.quantiles(LEVELS))


@pytest.mark.parametrize("baukit", [False, True])
def test_a_peers_exact_state(baukit: bool, tmp_path: Path) -> None:
    x = stream(60, 2)
    np.savez(tmp_path / "p.npz", **peers_state([x.numpy()], 60, baukit=baukit))
    q = Quantile(state=tmp_path / "p.npz")
    assert q.exact
    assert torch.equal(q.quantiles(LEVELS), quantiles(x, LEVELS.numpy()))
    assert torch.equal(q.normalize(x.t()), levels(x, x.t()))
    del (state := peers_state([x.numpy()], 60, baukit=baukit))["batchcount"]  # older peers had none
    del state["constructor"]
    assert Quantile(state=state).batchcount == 0


def test_a_state_larger_than_the_memory(tmp_path: Path) -> None:
    x = stream(5000, 2)
    path = saved(feed(RunningQuantile(), x), tmp_path / "q.npz")
    q = RunningQuantile(state=path, memory=1000 * 8)
    assert not q.exact
    assert q.count == 5000
    same(q, feed(RunningQuantile(memory=1000 * 8), x))
    with pytest.raises(ActivationError, match="at most total = 4999 samples; the state has 5000"):
        RunningQuantile(state=path, total=4999)


def without(field: str) -> Any:
    return lambda state: {name: value for name, value in state.items() if name != field}


def having(**fields: Any) -> Any:
    return lambda state: {**state, **fields}


ODD = np.float32([[1, 2], [3, np.nan]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("resolution"),
            r"field 'resolution': expected a whole number of 1 or more; there is no such field",
        ),
        (without("depth"), "field 'depth'"),
        (without("size"), "field 'size'"),
        (without("extremes"), "field 'extremes'"),
        (without("samplerate"), "field 'samplerate'"),
        (
            without("data"),
            r"field 'data\.0': expected samples \[n, units\] of a level; there is no such field",
        ),
        (lambda s: without("sizes")(without("data")(s)), "field 'sizes': expected the levels' capacities"),
        (having(resolution=2.5), "field 'resolution': expected a whole number of 1 or more; got 2.5"),
        (having(size=-1), "field 'size'.*got -1"),
        (having(size=np.arange(3)), "field 'size'"),
        (having(depth=3), r"field 'data': expected floats of shape \(n, 3\); got float32 of shape \(4, 2\)"),
        (having(extremes=np.zeros((3, 2), np.float32)), r"field 'extremes': expected shape \(2, 2\)"),
        (having(extremes=np.zeros((2, 2))), "field 'data': expected torch.float64 as the extremes"),
        (having(samplerate=0.3), "field 'samplerate': expected a power of 1/2; got 0.3"),
        (having(samplerate=2.0), "field 'samplerate'"),
        (having(data=[ODD, None]), "field 'data': expected numbers; got NaN"),
        (having(data=["text", None]), "field 'data'"),
        (
            having(constructor="netdissect.runningstats.RunningTopK()"),
            r"field 'constructor': .*Quantile.*RunningTopK",
        ),
    ],
)
def test_states_that_are_wrong(change: Any, message: str, tmp_path: Path) -> None:
    state = change(peers_state([stream(4, 2).numpy()], 4))
    with pytest.raises(OutputError, match=f"the given state, {message}"):
        RunningQuantile(state=state)
    path = tmp_path / "q.npz"
    if not isinstance(state.get("data"), list):
        np.savez(path, **state)
        with pytest.raises(OutputError, match=message) as caught:
            RunningQuantile(state=path)
        assert str(path) in str(caught.value)


def test_missing_and_truncated_files(tmp_path: Path) -> None:
    path = saved(feed(RunningQuantile(), stream(500, 2)), tmp_path / "q.npz")
    whole = path.read_bytes()
    with pytest.raises(MissingStateError, match=r"none\.npz: expected a saved state"):
        RunningQuantile(state=tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError):
        RunningQuantile(state=str(tmp_path / "none.npz"))
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(
            OutputError, match=r"q\.npz: expected a saved state \(\.npz\); the file is damaged"
        ):
            RunningQuantile(state=path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(OutputError, match=r"q\.npz"):
        RunningQuantile(state=path)
    with pytest.raises(OutputError, match=r"expected a path, an \.npz or a dictionary as state; got int"):
        RunningQuantile(state=3)  # type: ignore[arg-type]


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    np.savez(tmp_path / "small.npz", size=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "small.npz") as archive:
        member = archive.read("size.npy")
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as archive:
        archive.writestr(
            "size.npy", member.replace(b"(3,), ", b"(3" + b"0" * 3 + b",), ").replace(b"   \n", b"\n")
        )
    with pytest.raises(OutputError, match="field 'size': expected a numpy array; got a damaged one"):
        RunningQuantile(state=tmp_path / "large.npz")


def test_nothing_to_save() -> None:
    with pytest.raises(ActivationError, match="add\\(\\) a batch first"):
        RunningQuantile().state_dict()


def test_writing_is_beside_and_renamed(tmp_path: Path) -> None:
    write_state(tmp_path / "s", {"a": None, "b": 3, "c": {"d": None}})
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]
