"""Forward passes with hooks: what is handed on, in which order, and where the pass stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import Net
from torch import nn

from fastdissect.activations import LayerHooks, forward_device, input_dtype
from fastdissect.types import ActivationView


class Counting(nn.Module):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x + 1


def chain(length: int = 4) -> nn.Sequential:
    return nn.Sequential(*(Counting() for _ in range(length))).eval()


def collect(hooks: LayerHooks, images: torch.Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """{layer: a copy of what was handed on}, in the order of the calls."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    hooks.run(images, lambda name, view: found.__setitem__(name, np.array(view.data)))
    return found


def test_the_pass_stops_after_the_last_layer() -> None:
    net = chain()
    hooks = LayerHooks(net, ("2", "1"))
    images = torch.zeros(2, 3, 4, 4)
    assert list(collect(hooks, images)) == ["1", "2"]  # the first pass runs to the end
    assert [m.calls for m in net] == [1, 1, 1, 1]  # type: ignore[union-attr]
    found = collect(hooks, images)
    assert [m.calls for m in net] == [2, 2, 2, 1]  # type: ignore[union-attr]
    assert (found["1"] == 2).all()
    assert (found["2"] == 3).all()


def test_a_layer_and_what_holds_it() -> None:
    net = nn.Sequential(chain(2), Counting()).eval()
    hooks = LayerHooks(net, ("0", "0.1", "0.0"))
    for _ in range(2):
        assert list(collect(hooks, torch.zeros(1, 3, 2, 2))) == ["0.0", "0.1", "0"]
    assert net[1].calls == 1  # type: ignore[union-attr]


def test_what_is_handed_on_is_what_the_layer_gave() -> None:
    """A later operation in place does not reach back."""
    net = nn.Sequential(Counting(), nn.ReLU(inplace=True)).eval()
    images = torch.full((2, 3, 4, 4), -3.0)
    found = collect(LayerHooks(net, ("0", "1")), images)
    assert (found["0"] == -2).all()
    assert (found["1"] == 0).all()


def test_a_network_that_changes_its_input_in_place() -> None:
    net = nn.Sequential(nn.ReLU(inplace=True), Counting()).eval()
    found = LayerHooks(net, ("1",)).probe(torch.zeros(1, 3, 4, 4))
    assert found["1"].data.shape == (2, 3, 4, 4)


def test_nothing_is_copied_on_the_cpu() -> None:
    given: list[torch.Tensor] = []

    class Keep(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given.append(x * 2)
            return given[-1]

    def same(_name: str, view: ActivationView) -> None:
        assert view.data.__array_interface__["data"][0] == given[-1].data_ptr()

    for memory in (torch.contiguous_format, torch.channels_last):
        LayerHooks(nn.Sequential(Keep()), ("0",)).run(torch.ones(2, 3, 4, 5).to(memory_format=memory), same)
    assert len(given) == 2


def test_networks_of_other_dtypes_get_their_own_input() -> None:
    assert input_dtype(nn.ReLU()) is torch.float32
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        net = Net().eval().to(dtype)
        assert input_dtype(net) is dtype
        found = LayerHooks(net, ("first",)).probe(torch.zeros(1, 3, 16, 16))
        assert found["first"].kind == str(dtype).removeprefix("torch.")


def test_no_gradients_and_the_devices() -> None:
    seen = []
    net = Net().eval()
    handle = net.first.register_forward_hook(lambda m, a, output: seen.append(output.requires_grad))
    collect(LayerHooks(net, ("first",)), torch.zeros(2, 3, 16, 16))
    handle.remove()
    assert seen == [False]
    assert forward_device("cpu").type == "cpu"
    assert forward_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("wrap", ["compile", "parallel"])
def test_wrapped_networks(wrap: str) -> None:
    from fastdissect.models import load_model

    net = chain()
    wrapped = nn.DataParallel(net) if wrap == "parallel" else torch.compile(net, backend="eager")
    found = collect(LayerHooks(load_model(wrapped).module, ("1",)), torch.zeros(2, 3, 4, 4))
    assert (found["1"] == 2).all()
