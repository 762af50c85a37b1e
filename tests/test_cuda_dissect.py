"""dissect() with the CUDA kernels equals dissect() with the host's, file by file.

Where there is no GPU the network runs on the CPU, its outputs are handed over as if they lay on one, and the kernels
run on the shim.
"""

from __future__ import annotations

import gc
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host.facing import has_gpu
from cuda_on_host.fixture import Cupy
from cuda_on_host.tensors import on_cuda
from dissect_cases import PLAIN, Net, same_files, same_results

import fastdissect as fd
from fastdissect import activations, collecting, first_passes, planning, sifting
from fastdissect.arrays import activation_view
from fastdissect.cell_store import CellStore
from fastdissect.datasets import open_dataset
from fastdissect.errors import ActivationError, DeviceMemoryError, SettingError
from fastdissect.kernels import selection
from fastdissect.kernels.cuda import problem
from fastdissect.running import placed as placed_network
from fastdissect.settings import checked_device
from fastdissect.top_values import TopValues
from fastdissect.types import ActivationView

SIZE, IMAGES = 32, 24
LAYERS = ("first", "second", "third")

Device = Callable[[torch.Tensor], int]


def run(out: Path | None = None, layers: Any = LAYERS, **options: Any) -> Any:
    defaults = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 8, "progress": False}
    data = options.pop("data", None) or open_dataset(f"shapes:images={IMAGES},size={SIZE}")
    net = options.pop("net", None) or Net().eval()
    return fd.dissect(net, data, layers, out=out, device="cpu", **{"quantile": 0.02, **defaults, **options})


@pytest.fixture
def on_gpu(cuda: Cupy, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """on_gpu(): from now on layers' outputs reach the kernels on a GPU."""

    def switch(device: Device = lambda _tensor: 0) -> None:
        def view(tensor: torch.Tensor) -> ActivationView:
            return activation_view(on_cuda(tensor, device(tensor)))

        monkeypatch.setattr(activations, "kernel_view", view)

    return switch


@pytest.fixture
def small_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prune and switch at sizes that a test reaches."""
    for module in (sifting, first_passes):
        monkeypatch.setattr(module, "SMALLEST", 1 << 10)
    monkeypatch.setattr(planning, "FLOOR", 1 << 10)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_passes_give_the_same_files(
    tmp_path: Path, on_gpu: Any, small_stores: None, passes: int, cuda: Cupy
) -> None:
    run(tmp_path / "host", passes=passes)
    on_gpu()
    begun = len(cuda.launches) if not has_gpu() else 0
    run(tmp_path / "device", passes=passes)
    if not has_gpu():
        used = {name.rpartition("_")[0] for name, _ in cuda.launches[begun:]}
        assert any(name.startswith("fd_sift") for name in used), used
        assert any(name.startswith("fd_count") for name in used), used
    same_files(tmp_path / "host", tmp_path / "device")


@pytest.mark.parametrize("profile", ["netdissect-caffe", "netdissect-lite", "dissect-2020"])
def test_profiles_give_the_same_files(tmp_path: Path, on_gpu: Any, small_stores: None, profile: str) -> None:
    layers = LAYERS if profile != "netdissect-caffe" else ("second",)
    run(tmp_path / "host", layers, profile=profile)
    on_gpu()
    run(tmp_path / "device", layers, profile=profile)
    same_files(tmp_path / "host", tmp_path / "device")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_networks(on_gpu: Any, dtype: torch.dtype) -> None:
    expected = run(net=Net().eval().to(dtype), layers="second")
    on_gpu()
    same_results(run(net=Net().eval().to(dtype), layers="second"), expected)


def test_layers_on_several_gpus(tmp_path: Path, on_gpu: Any, small_stores: None) -> None:
    run(tmp_path / "host")
    on_gpu(lambda tensor: int(tensor.shape[1] % 2))
    run(tmp_path / "device")
    same_files(tmp_path / "host", tmp_path / "device")


class InPlace(torch.nn.Module):
    """What follows the layer writes over its output."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 6, 5, stride=4, bias=False)
        torch.nn.init.normal_(self.layer.weight, generator=torch.Generator().manual_seed(1))
        self.last = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        y.mul_(0).add_(7)
        return self.last(y)


def test_an_output_that_is_overwritten_later_was_read_before(on_gpu: Any, small_stores: None) -> None:
    expected = run(net=InPlace(), layers=("layer", "last"))
    on_gpu()
    same_results(run(net=InPlace(), layers=("layer", "last")), expected)
    assert (expected["last"].thresholds == 7).all()


def watched(monkeypatch: pytest.MonkeyPatch) -> set[type]:
    """Which kinds of stores have left a GPU with something in it."""
    left: set[type] = set()

    def watch(kind: Any, holds: Callable[[Any], bool]) -> None:
        leave = kind.leave_device

        def leaving(self: Any) -> None:
            if holds(self):
                left.add(kind)
            leave(self)

        monkeypatch.setattr(kind, "leave_device", leaving)

    watch(CellStore, lambda store: store.on_device)
    watch(TopValues, lambda top: top.where != "cpu")
    return left


@pytest.mark.parametrize(("share", "passes"), [(1, 1), (3_000, 1), (6_000, 1), (1, 2), (2_000, 2)])
def test_cells_beyond_the_gpus_share_move_to_the_host(
    tmp_path: Path, on_gpu: Any, small_stores: None, monkeypatch: pytest.MonkeyPatch, share: int, passes: int
) -> None:
    run(tmp_path / "host", passes=passes)
    on_gpu()
    left = watched(monkeypatch)
    plain = collecting.LayerCollector.__init__
    monkeypatch.setattr(
        collecting.LayerCollector,
        "__init__",
        lambda self, *a, **k: plain(self, *a, **{**k, "device_memory": share}),
    )
    run(tmp_path / "device", passes=passes)
    assert {CellStore, TopValues} & left == ({CellStore} if passes == 1 else {CellStore, TopValues})
    same_files(tmp_path / "host", tmp_path / "device")


def test_known_thresholds_and_spilling_to_disk(
    on_gpu: Any, cuda: Cupy, small_stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run()
    on_gpu()
    write, written = sifting.write_part, []
    monkeypatch.setattr(sifting, "write_part", lambda part, to: written.append(to) or write(part, to))
    same_results(run(passes=2, memory=8_000, device_memory=1), expected)
    assert written
    written.clear()
    thresholds = {
        name: on_cuda(torch.from_numpy(layer.thresholds))
        if name == "first"
        else cuda.asarray(layer.thresholds)
        for name, layer in expected.items()
    }
    same_results(run(thresholds=thresholds, memory=8_000, device_memory=1), expected)
    assert written


def test_unusable_cells_can_be_omitted(on_gpu: Any) -> None:
    class Holes(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Net()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.inner.first(x)
            return torch.where(y > y.mean() + 2 * y.std(), torch.full_like(y, torch.nan), y)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.holes = Holes()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.holes(x)

    expected = {
        passes: run(net=Model().eval(), layers="holes", nan="omit", passes=passes) for passes in (1, 3)
    }
    on_gpu()
    for passes, own in expected.items():
        same_results(run(net=Model().eval(), layers="holes", nan="omit", passes=passes), own)


class Broken(torch.nn.Module):
    """Gives a NaN in one image."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.layer, self.at, self.seen = torch.nn.Identity(), at, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.avg_pool2d(x, 4)
        first, self.seen = self.seen, self.seen + len(x)
        if first <= self.at < self.seen:
            y[self.at - first, 1, 2, 3] = torch.nan
        return self.layer(y)


@pytest.mark.parametrize("at", [9, 15, 23])  # in a batch that others follow, and in the last one
def test_a_nan_names_its_image_though_it_is_settled_a_batch_later(on_gpu: Any, at: int) -> None:
    on_gpu()
    names = open_dataset(f"shapes:images={IMAGES},size={SIZE}")
    with pytest.raises(
        ActivationError, match=rf"unit 1, image {names.image_name(at)}: .* got NaN at cell 19"
    ):
        run(net=Broken(at + 2), layers="layer")  # the probe's two images come first


@pytest.mark.skipif(has_gpu(), reason="the stand-in's memory can be made small")
def test_a_full_gpu_sends_the_cells_to_the_host(
    tmp_path: Path, on_gpu: Any, small_stores: None, cuda: Cupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "host")
    on_gpu()
    left = watched(monkeypatch)
    with cuda.at_most(120_000):
        run(tmp_path / "device")
    assert CellStore in left
    same_files(tmp_path / "host", tmp_path / "device")
    with (
        cuda.at_most(1_000),
        pytest.raises(
            DeviceMemoryError, match=r"cuda:0: .* out of memory allocating \d+ bytes; .* smaller batch"
        ),
    ):
        run()


def test_an_interrupted_run_goes_on_either_side(
    tmp_path: Path, on_gpu: Any, small_stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "host")
    plain, calls = collecting.LayerCollector.begin, []

    def interrupted(self: Any, view: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:  # a layer in the middle of the third batch
            raise KeyboardInterrupt
        return plain(self, view)

    def part(out: Path) -> None:
        calls.clear()
        monkeypatch.setattr(collecting.LayerCollector, "begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(out, checkpoint_seconds=0)
        monkeypatch.setattr(collecting.LayerCollector, "begin", plain)

    part(tmp_path / "from host")
    on_gpu()
    run(tmp_path / "from host")
    part(tmp_path / "from device")
    monkeypatch.setattr(activations, "kernel_view", lambda tensor: activation_view(tensor.cpu()))
    run(tmp_path / "from device")
    for name in ("from host", "from device"):
        same_files(tmp_path / "host", tmp_path / name)


def test_results_are_on_the_host(on_gpu: Any) -> None:
    on_gpu()
    layer = run()["second"]
    cells = layer.activations
    arrays = (layer.thresholds, layer.means, layer.maxima, layer.intersection, cells.values, cells.unit_start)
    assert all(isinstance(a, np.ndarray) for a in arrays)


def test_numpy_arrays_are_uploaded_where_cuda_is_forced(
    cuda: Cupy, small_stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run()
    monkeypatch.setenv("FASTDISSECT_BACKEND", "cuda")
    monkeypatch.setattr(selection, "kernels_problem", lambda: None)
    same_results(run(), expected)


SMALL = {"net": torch.nn.Conv2d(3, 2, 3, stride=4), "batch_size": 2, "quantile": 0.1}


def small(**options: Any) -> Any:
    """A run of few allocations; the network is its one layer."""
    net = torch.nn.Sequential(SMALL["net"]).eval()
    data = open_dataset("shapes:images=6,size=16")
    return run(None, "0", **{**SMALL, "net": net, "data": data, **options})


OPTIONS = {
    "one pass": {},
    "two passes": {"passes": 2},
    "three passes": {"passes": 3},
    "upsampled": {"population": "upsampled"},
    "known": {"thresholds": {"0": [0.1, -0.2]}},
}


@pytest.mark.skipif(has_gpu(), reason="the stand-in's memory can be made to fail")
@pytest.mark.parametrize(
    ("name", "count", "step"), [*((name, 1, 19) for name in OPTIONS), ("one pass", None, 41)]
)
def test_memory_that_fails_once_or_for_good(
    on_gpu: Any,
    cuda: Cupy,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    count: int | None,
    step: int,
) -> None:
    for module in (sifting, first_passes):
        monkeypatch.setattr(module, "SMALLEST", 1 << 6)
    monkeypatch.setattr(planning, "FLOOR", 1 << 8)
    options: dict[str, Any] = OPTIONS[name]
    expected = small(**options)
    on_gpu()
    for first in itertools.count(0, step):
        with cuda.failing(first, count) as failed:
            try:
                same_results(small(**options), expected)
            except DeviceMemoryError as error:
                assert re.search(r"allocating \d+ bytes", str(error))  # noqa: PT017 - either is right
                assert count is None, "what is retained makes room for one that fails"
        gc.collect()
        if not failed:
            break
    assert first > step


def test_a_network_that_fills_the_gpu_is_told_what_helps() -> None:
    class Full(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = torch.nn.Identity(), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls > 2:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB.\nMore")
            return self.layer(x)

    with pytest.raises(
        DeviceMemoryError, match=r"8 images; CUDA out of memory. Tried to allocate 2 MiB.; .*--batch-size"
    ):
        run(net=Full(), layers="layer")


def test_a_run_that_failed_leaves_the_network_as_it_was(on_gpu: Any, small_stores: None) -> None:
    net = Net().eval()
    expected = run(net=net)
    on_gpu()
    second, calls = net.second.forward, []

    def failing(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:  # what the first layer gave is not settled yet
            raise ValueError("the network's own")
        return second(x)

    net.second.forward = failing  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="own"):
        run(net=net)
    del net.second.forward
    assert not any(module._forward_hooks for module in net.modules())
    same_results(run(net=net), expected)


def placed(*devices: str, wanted: str, mapped: bool = False) -> tuple[bool, str]:
    """(whether the network was moved, where its input goes)"""
    parameters = [SimpleNamespace(device=torch.device(device)) for device in devices]
    net: Any = SimpleNamespace(
        parameters=lambda: parameters,
        to=lambda _device: "moved",
        modules=lambda: [SimpleNamespace(_hf_hook=None)] if mapped else [],  # accelerate's
    )
    module, place = placed_network(net, torch.device(wanted))
    return module == "moved", str(place)


def test_a_network_on_several_devices_stays_there() -> None:
    assert placed("cuda:1", wanted="cuda") == (True, "cuda")
    assert placed("cuda:1", "cuda:0", wanted="cuda") == (False, "cuda:1")
    assert placed("cpu", "cuda:0", wanted="cuda") == (False, "cpu")  # where its first layer is
    assert placed("meta", "cuda:1", wanted="cuda", mapped=True) == (False, "cuda:1")
    with pytest.raises(SettingError, match=r"spread over cuda:0, cuda:1; .*\.to\('cpu'\)"):
        placed("cuda:0", "cuda:1", wanted="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch has CUDA")
def test_a_device_that_torch_lacks_names_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "cuda_problem", lambda: "no driver: install it")
    with pytest.raises(SettingError, match=r"got 'cuda:0': .*; no driver: install it$"):
        checked_device("cuda:0")
    with pytest.raises(SettingError) as said:
        checked_device("quantum")
    assert "driver" not in str(said.value)
