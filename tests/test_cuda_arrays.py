"""TopQuantile and count_intersections on arrays in a GPU's memory: the same bits as on the host."""

from __future__ import annotations

import gc
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host.facing import has_gpu, uploaded
from cuda_on_host.fixture import Cupy
from cuda_on_host.tensors import on_cuda
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import KINDS, LAYOUTS, assert_same, encode, values

import fastdissect as fd
from fastdissect import top_quantile
from fastdissect.device_arrays import where
from fastdissect.errors import ActivationError, BackendError, DeviceMemoryError
from fastdissect.kernels import available, selection
from fastdissect.packing import pack_channels
from fastdissect.top_values import TopValues
from fastdissect.types import LabelChannel


@pytest.fixture
def small_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_quantile, "SMALLEST", 1 << 9)
    monkeypatch.setattr(top_quantile, "PIECE", 1 << 11)


def of_kind(x: np.ndarray, kind: str) -> torch.Tensor:
    return torch.from_numpy(x).to(getattr(torch, kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flavour", ["relu", "ties", "zeros", "wide"])
def test_thresholds_are_the_hosts(cuda: Cupy, small_stores: None, kind: str, flavour: str) -> None:
    x = of_kind(np.clip(values(np.random.default_rng(5), (24, 7, 6, 5), flavour), -6e4, 6e4), kind)
    host, device = (fd.TopQuantile(7, 0.05, 24 * 30) for _ in range(2))
    for first in range(0, 24, 5):
        host.update(x[first : first + 5])
        device.update(on_cuda(x[first : first + 5]))
        assert device.count == host.count
    assert isinstance(device.thresholds(), np.ndarray)
    assert_same(device.thresholds(), host.thresholds())
    assert_same(device.bracket(), host.bracket())


@pytest.mark.parametrize("layout", ["NHWC", "NTC", "NCHW"])
def test_layouts(cuda: Cupy, layout: str) -> None:
    x = values(
        np.random.default_rng(2),
        {"NTC": (9, 20, 4), "NHWC": (9, 4, 5, 4), "NCHW": (9, 4, 5, 4)}[layout],
        "normal",
    )
    host, device = (fd.TopQuantile(4, 0.1, 180) for _ in range(2))
    host.update(x, layout=layout)
    device.update(on_cuda(torch.from_numpy(x)), layout=layout)
    assert_same(device.thresholds(), host.thresholds())


def test_fully_connected_layers(cuda: Cupy, small_stores: None) -> None:
    x = values(np.random.default_rng(3), (700, 9), "relu")
    host, device = (fd.TopQuantile(9, 0.01, 700) for _ in range(2))
    host.update(x)
    device.update(uploaded(x))
    assert_same(device.thresholds(), host.thresholds())


def test_too_little_memory_gives_the_hosts_bracket(cuda: Cupy, small_stores: None) -> None:
    x = values(np.random.default_rng(4), (40, 3, 6, 6), "normal")
    host, device = (fd.TopQuantile(3, 0.05, 40 * 36, memory=100) for _ in range(2))
    for first in range(0, 40, 8):
        host.update(x[first : first + 8])
        device.update(uploaded(x[first : first + 8]))
    assert not device.exact
    assert_same(device.bracket(), host.bracket())


def test_saved_loaded_merged_and_gone_on_with_on_either_side(
    cuda: Cupy, tmp_path: Path, small_stores: None
) -> None:
    x = values(np.random.default_rng(6), (30, 5, 4, 4), "normal")
    whole = fd.TopQuantile(5, 0.05, 480)
    whole.update(x)
    host, device = (fd.TopQuantile(5, 0.05, 480) for _ in range(2))
    host.update(x[:10])
    device.update(uploaded(x[10:20]))
    device.save(tmp_path / "q.npz")
    loaded = fd.TopQuantile.load(tmp_path / "q.npz")
    loaded.update(uploaded(x[20:]))
    assert_same(loaded.merge(host).thresholds(), whole.thresholds())
    host.merge(device)
    host.update(x[20:])
    assert_same(host.thresholds(), whole.thresholds())
    whole.save(tmp_path / "whole.npz")
    host.save(tmp_path / "host.npz")
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "host.npz").read_bytes()


def test_updates_from_two_devices_are_refused(cuda: Cupy) -> None:
    x = np.ones((2, 3, 4, 4), np.float32)
    q = fd.TopQuantile(3, 0.1, 1000)
    q.update(uploaded(x))
    with pytest.raises(ActivationError, match=r"on cuda:0 as in the first update; got cpu; .*merge\(\)"):
        q.update(x)
    q.update(uploaded(x))
    assert q.count == 64


def test_a_nan_leaves_the_state_as_it_was(cuda: Cupy) -> None:
    x = values(np.random.default_rng(7), (4, 3, 5, 5), "normal")
    q = fd.TopQuantile(3, 0.1, 1000)
    q.update(uploaded(x))
    before = q.thresholds()
    broken = x.copy()
    broken[2, 1, 3, 4] = np.nan
    with pytest.raises(ActivationError, match="NaN for unit 1 at image 2, cell 19"):
        q.update(uploaded(broken))
    assert q.count == 100
    assert_same(q.thresholds(), before)
    omitting = [fd.TopQuantile(3, 0.1, 1000, nan="omit") for _ in range(2)]
    omitting[0].update(broken)
    omitting[1].update(uploaded(broken))
    assert_same(omitting[1].thresholds(), omitting[0].thresholds())


@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(KINDS),
    layout=st.sampled_from(sorted(LAYOUTS)),
    upsample=st.sampled_from(["half-pixel", "half-pixel-zero", "pil"]),
)
def test_counts_are_the_hosts(seed: int, kind: Any, layout: str, upsample: str) -> None:
    from cuda_on_host.facing import as_cupy, can_run

    if not can_run():
        pytest.skip("no GPU and no g++")
    rng = np.random.default_rng(seed)
    n, k, h, w = (int(rng.integers(1, top)) for top in (5, 9, 8, 8))
    size = (int(rng.integers(1, 30)), int(rng.integers(1, 30)))
    x = of_kind(values(rng, (n, k, h, w), "normal"), kind)
    x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) if layout == "nhwc" else x
    labels = rng.integers(0, 5, (n, 2, *size))
    cut = rng.normal(size=k).astype(np.float32)
    expected = fd.count_intersections(x, cut, labels, size=size, upsample=upsample)
    with as_cupy():
        assert_same(fd.count_intersections(on_cuda(x), cut, labels, size=size, upsample=upsample), expected)


def test_a_host_backend_that_is_forced_refuses_device_arrays(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(n for n in available() if n != "cuda")
    monkeypatch.setenv("FASTDISSECT_BACKEND", name)
    with pytest.raises(BackendError, match=f"FASTDISSECT_BACKEND={name}"):
        fd.TopQuantile(3, 0.1, 100).update(uploaded(encode(np.ones((2, 3, 4, 4)), "float32")))


@pytest.mark.skipif(has_gpu(), reason="the stand-in's launches are watched")
def test_nothing_bulky_comes_back_while_values_are_gathered(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch, small_stores: None
) -> None:
    x = values(np.random.default_rng(8), (60, 16, 8, 8), "normal")
    got: list[int] = []
    get = cuda.ndarray.get

    def watched(self: Any, *a: Any, **k: Any) -> Any:
        got.append(self.nbytes)
        return get(self, *a, **k)

    monkeypatch.setattr(cuda.ndarray, "get", watched)
    q = fd.TopQuantile(16, 0.05, 60 * 64)
    for first in range(0, 60, 6):
        q.update(uploaded(x[first : first + 6]))
    assert max(got) <= 16 * 8 + 64  # tables of a few bytes a unit


@pytest.mark.parametrize("there", [None, 0, 1])
@pytest.mark.parametrize("here", [None, 0, 1])
def test_merged_states_stay_together_wherever_the_stream_goes_on(
    cuda: Cupy, small_stores: None, monkeypatch: pytest.MonkeyPatch, there: int | None, here: int | None
) -> None:
    if has_gpu() and 1 in (there, here) and cuda.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("one GPU alone")
    x = torch.from_numpy(values(np.random.default_rng(9), (30, 5, 4, 4), "normal"))
    whole, empty, other = (fd.TopQuantile(5, 0.05, 480) for _ in range(3))
    whole.update(x)
    other.update(x[:15] if there is None else on_cuda(x[:15], there))
    empty.merge(other)
    rise, together = TopValues.rise, []

    def watched(self: Any, smallest: float) -> None:
        together.append(len({where(own) for own in (*self._values, *self._starts)}) == 1)
        rise(self, smallest)

    monkeypatch.setattr(TopValues, "rise", watched)
    monkeypatch.setattr(top_quantile, "PIECE", 1 << 20)
    empty.update(x[15:] if here is None else on_cuda(x[15:], here))
    assert together == [True]
    assert_same(empty.thresholds(), whole.thresholds())


def test_labels_and_thresholds_may_lie_anywhere(cuda: Cupy) -> None:
    rng = np.random.default_rng(10)
    x, cut = rng.normal(size=(3, 4, 3, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    labels = rng.integers(0, 5, (3, 7, 8))
    expected = fd.count_intersections(x, cut, labels, size=(7, 8))
    for own in (labels, on_cuda(torch.from_numpy(labels)), cuda.asarray(labels)):
        for level in (
            cut,
            on_cuda(torch.from_numpy(cut)),
            cuda.asarray(cut),
            torch.nn.Parameter(torch.from_numpy(cut)),
        ):
            assert_same(fd.count_intersections(uploaded(x), level, own, size=(7, 8)), expected)
            assert_same(fd.count_intersections(x, level, own, size=(7, 8)), expected)


@pytest.mark.skipif(has_gpu(), reason="the stand-in's launches are watched")
def test_labels_are_packed_on_the_host_even_under_a_forced_gpu(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [LabelChannel(0, np.random.default_rng(0).integers(0, 3, (6, 7)))]
    expected = pack_channels(labels, np.arange(-1, 3, dtype=np.int32), (6, 7), once=True)
    monkeypatch.setenv("FASTDISSECT_BACKEND", "cuda")
    monkeypatch.setattr(selection, "kernels_problem", lambda: None)
    begun = len(cuda.launches)
    assert_same(pack_channels(labels, np.arange(-1, 3, dtype=np.int32), (6, 7), once=True), expected)
    assert len(cuda.launches) == begun  # worker processes pack, and CUDA does not survive a fork


def quantile_of(x: torch.Tensor, memory: int | None) -> Any:
    q = fd.TopQuantile(3, 0.1, 192, memory=memory)
    for first in range(0, 12, 4):
        q.update(on_cuda(x[first : first + 4]))
    return q.bracket()


def counts_of(x: torch.Tensor, labels: Any) -> Any:
    return fd.count_intersections(on_cuda(x), np.full(3, 0.5, np.float32), labels, size=(5, 6))


@pytest.mark.skipif(has_gpu(), reason="the stand-in's memory can be made to fail")
@pytest.mark.parametrize("what", ["quantile", "bracket", "counts"])
@pytest.mark.parametrize(("count", "step"), [(1, 5), (None, 9)])
def test_memory_that_fails_once_or_for_good(
    cuda: Cupy, small_stores: None, what: str, count: int | None, step: int
) -> None:
    rng = np.random.default_rng(11)
    x = torch.from_numpy(rng.normal(size=(12, 3, 4, 4)).astype(np.float32))
    labels = rng.integers(0, 3, (12, 5, 6))
    work: Callable[[], Any] = {
        "quantile": lambda: quantile_of(x, None),
        "bracket": lambda: quantile_of(x, 100),
        "counts": lambda: counts_of(x, labels),
    }[what]
    expected = work()
    for first in itertools.count(0, step):
        with cuda.failing(first, count) as failed:
            try:
                assert_same(work(), expected)
            except DeviceMemoryError as error:
                assert re.search(r"allocating \d+ bytes", str(error))  # noqa: PT017 - either is right
                assert what != "quantile" or count is None, "what is retained makes room for one that fails"
        gc.collect()
        if not failed:
            break
    assert first > step
