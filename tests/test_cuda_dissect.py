"""dissect() with the CUDA kernels equals dissect() with the host's, file by file.

Where there is no GPU the network runs on the CPU, its outputs are handed over as if they lay on one, and the kernels
run on the shim.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
from fastdissect.datasets import open_dataset
from fastdissect.errors import ActivationError, DeviceMemoryError
from fastdissect.types import ActivationView

SIZE, IMAGES = 32, 40
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


@pytest.mark.parametrize("share", [1, 3_000, 20_000])
@pytest.mark.parametrize("passes", [1, 2])
def test_cells_beyond_the_gpus_share_move_to_the_host(
    tmp_path: Path, on_gpu: Any, small_stores: None, monkeypatch: pytest.MonkeyPatch, share: int, passes: int
) -> None:
    run(tmp_path / "host", passes=passes)
    on_gpu()
    plain, left = collecting.LayerCollector.__init__, []
    monkeypatch.setattr(
        collecting.LayerCollector,
        "__init__",
        lambda self, *a, **k: plain(self, *a, **{**k, "device_memory": share}),
    )
    finish = collecting.LayerCollector.finish

    def watched(self: Any) -> Any:
        left.append(self.stage.store.left_device or passes == 2)
        return finish(self)

    monkeypatch.setattr(collecting.LayerCollector, "finish", watched)
    run(tmp_path / "device", passes=passes)
    assert any(left)
    same_files(tmp_path / "host", tmp_path / "device")


def test_known_thresholds_and_spilling_to_disk(on_gpu: Any, small_stores: None) -> None:
    expected = run()
    on_gpu()
    same_results(run(passes=2, memory=17_000), expected)
    thresholds = {name: layer.thresholds for name, layer in expected.items()}
    same_results(run(thresholds=thresholds, memory=17_000), expected)


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


@pytest.mark.parametrize("at", [9, 30, 39])  # in a batch that others follow, and in the last one
def test_a_nan_names_its_image_though_it_is_settled_a_batch_later(on_gpu: Any, at: int) -> None:
    on_gpu()
    names = open_dataset(f"shapes:images={IMAGES},size={SIZE}")
    with pytest.raises(
        ActivationError, match=rf"unit 1, image {names.image_name(at)}: .* got NaN at cell 19"
    ):
        run(net=Broken(at + 2), layers="layer")  # the probe's two images come first


@pytest.mark.skipif(has_gpu(), reason="the stand-in's memory can be made small")
def test_a_full_gpu_sends_the_cells_to_the_host(
    tmp_path: Path, on_gpu: Any, small_stores: None, cuda: Cupy
) -> None:
    run(tmp_path / "host")
    on_gpu()
    with cuda.at_most(450_000):
        run(tmp_path / "device")
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
