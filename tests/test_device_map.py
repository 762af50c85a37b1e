"""Networks that lie on several devices, or whose weights accelerate keeps elsewhere: the bits of the plain network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

import fastdissect as fd
from fastdissect.errors import FastdissectError, ModelError
from fastdissect.models import weights_digest

LAYERS = ["first", "inner.0", "last"]


class Far(Tensor):
    """A tensor on a second device: it says so, and computes with nothing that lies elsewhere."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> Self:
        return Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), dtype=raw.dtype, device=torch.device("xla:0")
        )

    def __init__(self, raw: Tensor) -> None:
        self.raw = raw

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, named)) if isinstance(leaf, Tensor)]
        if any(not isinstance(tensor, Far) and tensor.ndim for tensor in tensors):
            raise RuntimeError("Expected all tensors to be on the same device, but found xla:0 and cpu!")
        home = named.pop("device", None) == torch.device("cpu")
        near: Callable[[Any], Any] = lambda leaf: leaf.raw if isinstance(leaf, Far) else leaf
        found = func(*tree_map(near, args), **tree_map(near, named))
        return (
            found if home else tree_map(lambda leaf: Far(leaf) if isinstance(leaf, Tensor) else leaf, found)
        )


class Net(nn.Module):
    """`hand_over` moves what goes from the first part to the others, which lie on the second device."""

    def __init__(self, hand_over: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 7, 7)
        self.inner = nn.Sequential(nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12))
        self.last = nn.Conv2d(12, 5, 1)
        self.hand_over = hand_over

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.inner(self.hand_over(self.first(x))).relu())  # type: ignore[no-any-return]


def move_away(net: Net) -> None:
    for module in [*net.inner.modules(), net.last]:
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(Far(parameter.data), requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, Far(buffer))


def files_of(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name != "run.json"}


def dissect(net: nn.Module, out: Path | None = None, **more: Any) -> Any:
    options: dict[str, Any] = {"batch_size": 8, "workers": 0, "cache": None, "device": "cpu"} | more
    return fd.dissect(net, "shapes:images=24", LAYERS, quantile=0.02, out=out, **options)


def test_parts_on_two_devices_are_sifted_where_they_lie(tmp_path: Path) -> None:
    dissect(Net(), tmp_path / "plain")
    net = Net(Far)
    move_away(net)
    assert {str(p.device) for p in net.parameters()} == {"cpu", "xla:0"}
    dissect(net, tmp_path / "apart")
    assert {str(p.device) for p in net.parameters()} == {"cpu", "xla:0"}  # nothing was moved
    assert files_of(tmp_path / "apart") == files_of(tmp_path / "plain")
    assert weights_digest(net) == weights_digest(Net())


@pytest.mark.parametrize("normalised", [False, True])  # such a network is watched beforehand
def test_layers_that_need_each_others_devices_are_refused(normalised: bool) -> None:
    net = Net()  # nothing is handed over
    if normalised:
        net.norm = nn.LayerNorm(5)
    move_away(net)
    with pytest.raises(
        ModelError, match=r"parameters lie on cpu, xla:0.*put the layers that need each other"
    ):
        dissect(net)


def offloaded(tmp_path: Path, where: str) -> Net:
    accelerate = pytest.importorskip("accelerate")
    net = Net().eval()
    net.requires_grad_(False)
    if where == "memory":  # of the whole network, without a map
        return accelerate.cpu_offload(net, execution_device="cpu", offload_buffers=True)  # type: ignore[no-any-return]
    places = {"first": "cpu", "inner": where, "last": "cpu"}
    return accelerate.dispatch_model(  # type: ignore[no-any-return]
        net,
        places,
        main_device="cpu",
        offload_dir=str(tmp_path / "weights"),
        offload_buffers=True,
        force_hooks=True,
    )


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_weights_that_accelerate_keeps_elsewhere(where: str, tmp_path: Path) -> None:
    net = offloaded(tmp_path, where)
    assert net.inner[0].weight.device.type == "meta"
    assert weights_digest(net) == weights_digest(Net())
    plain, found = dissect(Net(), tmp_path / "plain"), dissect(net, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "plain")
    assert found.run["key"]["weights"] == plain.run["key"]["weights"]
    assert net.inner[0].weight.device.type == "meta"  # and there they stay
    assert dissect(net, tmp_path / "out").run["key"] == found.run["key"]  # complete: it is not run again


def test_an_interrupted_run_goes_on_with_the_plain_network(tmp_path: Path) -> None:
    """A run does not depend on where the weights were."""
    dissect(Net(), tmp_path / "plain")

    class StoppedError(Exception):
        pass

    net, calls = offloaded(tmp_path, "disk"), []

    def stop(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 4:  # the probe, and two batches
            raise StoppedError

    handle = net.first.register_forward_hook(stop)
    with pytest.raises(StoppedError):
        dissect(net, tmp_path / "out", checkpoint_seconds=0)
    handle.remove()
    assert list((tmp_path / "out" / "unfinished").glob("checkpoint-*.json"))
    assert dissect(Net(), tmp_path / "out").run["resumed"] == 1
    assert files_of(tmp_path / "out") == files_of(tmp_path / "plain")


def test_meta_parameters_that_nothing_loads_are_refused() -> None:
    with pytest.raises(ModelError, match=r"first\.bias: expected weights, got a tensor on the device 'meta'"):
        dissect(Net().to("meta"))


def test_channels_last_of_weights_that_lie_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FastdissectError, match="expected channels_last=False with a network whose weights"):
        dissect(offloaded(tmp_path, "disk"), channels_last=True)
