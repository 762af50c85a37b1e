"""Ablation and explanation on real transformers: the maps are those that the run saw, and nothing else is changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from token_cases import TRANSFORMERS, built, built_timm
from torch import Tensor, nn

import fastdissect as fd
from fastdissect.errors import LayerError
from fastdissect.methods.ablation.ablating import ablate
from fastdissect.methods.ablation.edit import LayerReading
from fastdissect.methods.ablation.passes import EditedPasses
from fastdissect.methods.explanation import explain
from fastdissect.methods.heads import find_head
from fastdissect.methods.layer_outputs import LayerOutputs
from fastdissect.methods.tracing import trace
from fastdissect.models import Preprocessing, TokenGrid, get_layer, output_tensor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
CPU, CLASSES, IMAGES = torch.device("cpu"), 5, 12


class Classified(nn.Module):
    """A network of transformers with a linear head on the mean of what it gives at each place."""

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.body, self.prefix = built(name), TRANSFORMERS[name][2]
        self.preprocessing = Preprocessing((0.5,) * 3, (0.25,) * 3, size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            self.fc = nn.Linear(self.width(size), CLASSES)

    def width(self, size: tuple[int, int]) -> int:
        with torch.no_grad():
            return self.pooled(torch.zeros(1, 3, *size)).shape[1]

    def pooled(self, images: Tensor) -> Tensor:
        found: Tensor = self.body(images).last_hidden_state
        return found.mean((2, 3)) if found.ndim == 4 else found[:, self.prefix :].mean(1)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.fc(self.pooled(images))
        return out


class Case(NamedTuple):
    network: str
    size: tuple[int, int]
    layer: str  # how the layer's name ends
    at: Callable[[int], Any]  # where a unit's cells lie in the layer's output
    grid: tuple[int, int]


def after(prefix: int) -> Callable[[int], Any]:
    return lambda unit: (slice(None), slice(prefix, None), unit)


def last(unit: int) -> Any:
    return (..., unit)


def first(unit: int) -> Any:
    return (slice(None), unit)


CASES = {
    "MLP of a ViT": Case("vit", (32, 32), "1.mlp.activation_fn", after(1), (4, 4)),
    "block of a ViT": Case("vit", (32, 32), "layers.0", after(1), (4, 4)),
    "registers": Case("dinov2 with registers", (32, 48), "layer.0", after(4), (4, 6)),
    "distilled": Case("deit", (32, 32), "layers.1.mlp.fc1", after(2), (4, 4)),
    "stage of a Swin": Case("swin", (32, 32), "encoder.layers.1", after(0), (8, 8)),
    "block of a Swin": Case("swin", (26, 36), "layers.0.blocks.1", after(0), (13, 18)),
    "shifted windows": Case("swin", (32, 32), "layers.0.blocks.1.attention", last, (16, 16)),
    "NHWC of a ConvNeXt": Case("convnext", (32, 32), "stages.0.layers.0.pwconv1", last, (8, 8)),
    "stage of a ConvNeXt": Case("convnext", (32, 32), "stages.1", first, (4, 4)),
}
cases = pytest.mark.parametrize("name", CASES)


@functools.cache
def network(name: str) -> tuple[Classified, str]:
    case = CASES[name]
    net = Classified(case.network, case.size).eval()
    return net, next(n for n, _ in net.named_modules() if n.endswith(case.layer))


def noise(size: tuple[int, int], count: int = 3) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1


def changed_by_hand(net: nn.Module, layer: str, images: Tensor, change: Callable[[Tensor], Any]) -> Tensor:
    """The logits after a change to a layer's output, in place."""

    def hook(_module: nn.Module, _arguments: Any, output: Any) -> None:
        change(output_tensor(output, layer))

    handle = get_layer(net, layer).register_forward_hook(hook)
    try:
        with torch.inference_mode():
            found: Tensor = net(images).double()
    finally:
        handle.remove()
    return found


def given(net: nn.Module, layer: str, images: Tensor) -> Tensor:
    kept: list[Tensor] = []
    changed_by_hand(net, layer, images, lambda output: kept.append(output.clone()))
    return kept[0]


@cases
def test_a_unit_is_taken_out_at_all_its_places_and_nothing_else(name: str) -> None:
    case, (net, layer) = CASES[name], network(name)
    images = noise(case.size)
    output = given(net, layer, images)
    reading = LayerReading(layer, output.shape[1 if case.at is first else -1])
    reading.watch(net, images)
    for unit in (0, reading.units - 1):
        expected = output.clone()
        expected[case.at(unit)] = 0
        assert (expected != output).any()
        found = reading.changed(net, output, images, lambda maps, k=unit: maps[:, k].zero_())  # type: ignore[misc]
        assert torch.equal(found, expected)
    groups = [[0], [2, 5], []]
    for replay in (False, True):
        passes = EditedPasses(net, reading, "zero", CPU, replay=replay)
        intact, *logits = passes.logits(images, groups)
        assert torch.equal(intact, changed_by_hand(net, layer, images, lambda _: None))
        for units, own in zip(groups, logits, strict=True):

            def zero(output: Tensor, units: list[int] = units) -> None:
                for unit in units:
                    output[case.at(unit)] = 0

            assert torch.equal(own, changed_by_hand(net, layer, images, zero))
        assert not torch.equal(logits[0], intact)


def test_what_pads_windows_keeps_its_values() -> None:
    """A grid of 13 x 18 is padded to 16 x 20, in 20 windows of 4 x 4."""
    net, size = Classified("swin", (26, 36)).eval(), (26, 36)
    layer = next(n for n, _ in net.named_modules() if n.endswith("layers.0.blocks.1.attention"))
    images, reading = noise(size), LayerReading(layer, 8)
    output = given(net, layer, images)
    reading.watch(net, images)
    found = reading.changed(net, output, images, lambda maps: maps.fill_(7))
    assert output.shape == (3 * 20, 16, 8)
    assert int((found == 7).all(2).sum()) == 3 * 13 * 18
    assert int((found == output).all(2).sum()) == 3 * (16 * 20 - 13 * 18)
    whole, changed = EditedPasses(net, reading, "zero", CPU).logits(images, [[3]])
    assert torch.equal(changed, changed_by_hand(net, layer, images, lambda out: out[..., 3].zero_()))
    assert not torch.equal(changed, whole)


@pytest.mark.parametrize(
    "layer", ["layers.0.blocks.1", "layers.0.blocks.1.attn", "layers.0.blocks.1.mlp.act"]
)
def test_timms_swin_has_channels_last_and_windows(layer: str) -> None:
    net, images = built_timm("swin", (32, 32)), noise((32, 32))
    output = given(net, layer, images)
    reading = LayerReading(layer, output.shape[-1])
    for replay in (False, True):
        whole, changed = EditedPasses(net, reading, "zero", CPU, replay=replay).logits(images, [[3]])
        assert torch.equal(changed, changed_by_hand(net, layer, images, lambda out: out[..., 3].zero_()))
        assert not torch.equal(changed, whole)


def dissected(name: str) -> tuple[Classified, str, Any]:
    net, layer = network(name)
    data = f"shapes:images={IMAGES},size=32"
    d = fd.dissect(net, data, layer, batch_size=IMAGES, cache=None, progress=False, workers=0, quantile=0.1)
    return net, layer, d


def run_images(net: Classified) -> Tensor:
    from fastdissect.batches import network_input

    data = fd.datasets.open_dataset(f"shapes:images={IMAGES},size=32")
    size = net.preprocessing.size
    pixels = [network_input(data.read_image(i)[0], net.preprocessing, size) for i in range(IMAGES)]
    return torch.from_numpy(np.stack(pixels))


@cases
def test_the_traced_map_is_the_one_that_the_run_saw(name: str) -> None:
    net, layer, d = dissected(name)
    for gradients in (False, True):
        maps = trace(net, layer, run_images(net), gradients=gradients).maps.detach().numpy()
        assert maps.shape == d[layer].shape == (IMAGES, maps.shape[1], *CASES[name].grid)
        kept = d[layer].activations
        records = np.diff(kept.unit_start)
        units = np.repeat(np.repeat(np.arange(len(records)), records), np.diff(kept.cell_start))
        images = np.repeat(kept.images, np.diff(kept.cell_start))
        assert np.array_equal(maps.reshape(*maps.shape[:2], -1)[images, units, kept.cells], kept.values)
        assert len(kept.cells) > maps.size // 20


@cases
def test_contributions_add_up_and_are_gradient_times_activation(name: str) -> None:
    net, layer, d = dissected(name)
    images, every = run_images(net)[:4], list(range(CLASSES))
    found = list(explain(d, range(4), model=net, classes=every))
    parts: list[Tensor] = []
    handle = get_layer(net, layer).register_forward_hook(
        lambda _m, _a, output: parts.append(output_tensor(output, layer))
    )
    logits = net(images)
    handle.remove()
    for image, one in enumerate(found):
        for view in one.views:
            assert view.units["contribution"].sum() + view.rest == pytest.approx(view.logit, rel=1e-6)
            assert view.logit == pytest.approx(float(logits[image, view.number].detach()), rel=1e-4, abs=1e-5)
    for number in every:
        slopes = torch.autograd.grad(logits[:, number].sum(), parts[0], retain_graph=True)[0]
        terms = (slopes * parts[0]).detach()
        for unit in (0, 3):
            seen = [_contribution(one, number, unit) for one in found]
            own = terms[CASES[name].at(unit)].reshape(4, -1).sum(1)
            assert seen == pytest.approx(own.tolist(), rel=1e-3, abs=1e-5)


def _contribution(explained: Any, number: int, unit: int) -> float:
    table = next(view for view in explained.views if view.number == number).units
    return float(table.loc[table["unit"] == unit, "contribution"].iloc[0])


@pytest.mark.parametrize(("name", "network_layer"), [("swin", "layernorm"), ("convnext", "stages.1")])
def test_a_pooled_layer_has_a_linear_head(name: str, network_layer: str) -> None:
    net = Classified(name, (32, 32)).eval()
    layer = next(n for n, _ in net.named_modules() if n.endswith(network_layer))
    head = find_head(net, layer, noise((32, 32)))
    assert (head.kind, head.pooling, head.logits) == ("linear", "mean", "fc")


def test_the_override_of_a_run_holds_for_studies_too() -> None:
    """Tokens 3 to 16 of 17 as a grid of 2 x 7: wrong, but what was asked for, everywhere."""
    net, layer = network("MLP of a ViT")
    tokens = TokenGrid(3, (2, 7))
    d = fd.dissect(
        net, "shapes:images=8,size=32", layer, tokens=tokens, cache=None, progress=False, workers=0
    )
    images = run_images(net)[:8]
    output = given(net, layer, images)
    maps = trace(net, layer, images, outputs=LayerOutputs(layer, tokens=tokens)).maps
    assert d[layer].shape == tuple(maps.shape) == (8, output.shape[2], 2, 7)
    assert torch.equal(maps.flatten(2).transpose(1, 2), output[:, 3:17])
    found = ablate(d, model=net, groups={"one": [2]}, random_groups=0, class_asked=0)
    assert len(found.table) == 1


def test_one_look_at_the_network_serves_every_batch_of_a_size() -> None:
    net, layer = network("MLP of a ViT")
    calls: list[int] = []
    handle = net.register_forward_pre_hook(lambda _m, given: calls.append(len(given[0])))
    reading = LayerReading(layer, 24)
    for count in (3, 2):
        list(EditedPasses(net, reading, "zero", CPU, replay=False).logits(noise((32, 32), count), [[0]]))
    handle.remove()
    assert calls == [2, 3, 3, 2, 2]


def test_a_layer_that_is_no_map_is_refused() -> None:
    net = Classified("swin", (32, 32)).eval()
    layer = next(n for n, _ in net.named_modules() if n.endswith("layers.0.blocks.0.attention"))
    with pytest.raises(LayerError, match="expected 9 units, as the run has them; got 8"):
        list(EditedPasses(net, LayerReading(layer, 9), "zero", CPU).logits(noise((32, 32)), [[0]]))
    softmax = next(n for n, _ in net.named_modules() if "position_bias" in n or n.endswith("softmax"))
    with pytest.raises(LayerError, match="expected"):
        trace(net, softmax, noise((32, 32)))
