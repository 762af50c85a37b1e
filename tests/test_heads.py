"""Heads: found by numbers, linear only where they are, and an error that helps where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from explanation_cases import CLASSES, UNITS, Block, ConvHead, Deep, Gap, Residual, Two, batch
from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.methods.heads import find_head, logits_of
from fastdissect.methods.tracing import trace
from fastdissect.models import TokenGrid


@pytest.mark.parametrize("pooling", ["mean", "sum"])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e-4])
def test_a_linear_head_is_the_networks_own(pooling: str, scale: float) -> None:
    net = Gap(pooling, scale=scale).eval()
    head = find_head(net, "features", batch())
    assert (head.kind, head.pooling, head.logits, head.classes, head.after) == (
        "linear",
        pooling,
        "fc",
        CLASSES,
        "",
    )
    assert head.weight is not None
    assert head.bias is not None
    assert head.weight.dtype == np.float64
    assert np.array_equal(head.weight, net.fc.weight.detach().numpy())
    assert np.array_equal(head.bias, net.fc.bias.detach().numpy())
    traced, logits = head.trace(net, batch())
    x = head.pool(traced.maps.numpy())
    assert np.allclose(x @ head.weight.T + head.bias, logits.numpy(), rtol=1e-5)
    assert "exactly" in head.sentence()


def test_a_layer_without_bias_has_a_bias_of_zeros() -> None:
    head = find_head(Gap(bias=False).eval(), "features", batch())
    assert head.bias is not None
    assert head.kind == "linear"
    assert not head.bias.any()


@pytest.mark.parametrize(
    ("after", "said"),
    [(nn.Softmax(1), "softmax"), (nn.LogSoftmax(1), "log_softmax"), (nn.Sigmoid(), "sigmoid")],
)
def test_a_final_softmax_is_taken_off_and_said(after: nn.Module, said: str) -> None:
    for net in (Gap(after=after).eval(), Deep(after).eval()):
        head = find_head(net, "features", batch())
        assert (head.logits, head.after) == ("fc", said)
        assert f"before the network's {said}" in head.sentence()
        _, logits = head.trace(net, batch())
        assert torch.allclose(after(logits), net(batch()))
    assert head.kind == "gradient"


def test_probabilities_without_a_linear_module_are_said() -> None:
    class Functional(Gap):
        def forward(self, images: Tensor) -> Tensor:
            x = self.features(images).mean((2, 3))
            return torch.softmax(nn.functional.linear(x, self.fc.weight), 1)

    head = find_head(Functional().eval(), "features", batch())
    assert (head.kind, head.logits, head.after) == ("gradient", None, "probabilities")
    assert "probabilities already" in head.sentence()


@pytest.mark.parametrize("flatten", [True, False])
def test_a_1x1_convolution_is_a_linear_head(flatten: bool) -> None:
    net = ConvHead(flatten).eval()
    head = find_head(net, "features", batch())
    assert (head.kind, head.logits, head.pooling) == ("linear", "head", "mean")
    assert head.weight is not None
    assert np.array_equal(head.weight, net.head.weight.detach().numpy()[:, :, 0, 0])


def test_a_pooled_layer_is_a_1x1_map() -> None:
    for layer in ("avgpool",):
        head = find_head(Residual().eval(), layer, batch())
        assert (head.kind, head.pooling) == ("linear", "mean")


def test_the_layer_before_an_in_place_operation_is_no_linear_read_out() -> None:
    net = Block().eval()
    before = net(batch())
    head = find_head(net, "body", batch())  # the ReLU behind it changes its output in place
    assert head.kind == "gradient"
    traced, logits = head.trace(net, batch(), gradients=True)
    assert traced.maps.min() < 0  # the map as the layer gave it
    assert torch.equal(logits.detach(), before)
    gradient = traced.gradient(logits[:, 2])
    slopes = net.fc.weight[2].detach()[None, :, None, None] / traced.maps[0, 0].numel()
    assert torch.allclose(gradient, torch.where(traced.maps.detach() > 0, slopes, 0.0))
    assert find_head(net, "relu", batch()).kind == "linear"


def test_the_gradient_is_that_of_the_pooled_linear_read_out() -> None:
    net = Gap().eval()
    head = find_head(net, "features", batch())
    traced, logits = head.trace(net, batch(), gradients=True)
    for number in range(CLASSES):
        found = traced.gradient(logits[:, number])
        cells = found[0, 0].numel()
        expected = net.fc.weight[number].detach()[None, :, None, None].expand_as(found) / cells
        assert torch.allclose(found, expected)


def test_nothing_of_the_network_is_changed() -> None:
    net = Gap().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    head = find_head(net, "features", batch())
    traced, logits = head.trace(net, batch(), gradients=True)
    traced.gradient(logits[:, 0])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def test_a_module_that_does_more_than_its_weights_say_is_not_linear() -> None:
    class Cosine(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(nn.functional.normalize(x))

    net = Gap().eval()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net.fc = Cosine(UNITS, CLASSES)
    assert find_head(net, "features", batch()).kind == "gradient"


def test_a_linear_head_of_one_image_only_is_not_enough() -> None:
    class Sometimes(Gap):
        def forward(self, images: Tensor) -> Tensor:
            x = self.features(images).mean((2, 3))
            x = torch.cat([x[:1], x[1:] * 1.001])
            return self.fc(x)

    assert find_head(Sometimes().eval(), "features", batch()).kind == "gradient"


def test_tokens_are_read_as_the_run_read_them() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(3)
                self.patch, self.mix, self.fc = nn.Conv2d(3, 6, 8, 8), nn.Linear(6, 6), nn.Linear(6, 4)

        def forward(self, images: Tensor) -> Tensor:
            x = self.patch(images).flatten(2).transpose(1, 2)
            x = self.mix(torch.cat([x.mean(1, keepdim=True), x], 1))
            return self.fc(x[:, 1:].mean(1))

    net = Tokens().eval()
    head = find_head(net, "mix", batch(), tokens=TokenGrid(1, (4, 4)))
    assert (head.kind, head.logits, head.pooling) == ("linear", "fc", "mean")
    traced, logits = head.trace(net, batch(), gradients=True)
    assert traced.maps.shape == (6, 6, 4, 4)
    e = (traced.gradient(logits[:, 1]) * traced.maps).sum((2, 3))
    assert torch.allclose(e.sum(1) + net.fc.bias[1], logits[:, 1], atol=1e-6)


@pytest.mark.parametrize("form", ["dict", "tuple"])
def test_several_outputs_ask_for_the_head_and_list_the_candidates(form: str) -> None:
    net = Two(form).eval()
    with pytest.raises(LayerError) as caught:
        find_head(net, "features", batch())
    for word in ("--head NAME", f"kind (float32 [6, {CLASSES}])", "place (float32 [6, 2])"):
        assert word in str(caught.value)
    head = find_head(net, "features", batch(), "kind")
    assert (head.kind, head.logits, head.classes) == ("linear", "kind", CLASSES)


def test_a_named_block_is_looked_into() -> None:
    net = Gap().eval()
    net.fc = nn.Sequential(nn.Dropout(0.5), net.fc).eval()  # type: ignore[assignment]
    head = find_head(net, "features", batch(), "fc")
    assert (head.kind, head.logits, head.pooling) == ("linear", "fc", "mean")
    assert find_head(net, "features", batch()).logits == "fc.1"


def test_a_network_in_16_bits_is_linear_too() -> None:
    for dtype in (torch.bfloat16, torch.float16):
        net = Gap().eval().to(dtype)
        head = find_head(net, "features", batch())
        assert head.kind == "linear"
        assert head.tolerance > 1e-5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("features", "expected one call after the layer; got none"),
        ("fcc", "nearest: fc"),
        ("features.0", "got none; name the module whose output are the logits with --head NAME (head=): fc"),
    ],
)
def test_a_wrong_head_is_refused(name: str, words: str) -> None:
    with pytest.raises(LayerError) as caught:
        find_head(Gap().eval(), "features", batch(), name)
    assert words in str(caught.value)


def test_a_head_whose_output_is_a_map_is_refused() -> None:
    with pytest.raises(LayerError, match=r"expected logits \[6, classes\]; got float32 \[6, 12, 16, 16\]"):
        find_head(Residual().eval(), "stem", batch(), "conv")


def test_a_network_that_gives_maps_has_no_head() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    with pytest.raises(LayerError, match=r"no nn\.Linear and no 1 x 1 convolution is called after the layer"):
        find_head(net, "0", batch())


def test_a_layer_that_is_called_twice_is_refused() -> None:
    class Twice(Gap):
        def forward(self, images: Tensor) -> Tensor:
            return self.fc((self.features(images) + self.features(-images)).mean((2, 3)))

    with pytest.raises(LayerError, match="expected one call a forward pass; got 2"):
        find_head(Twice().eval(), "features", batch())


def test_a_module_that_is_called_twice_is_no_head() -> None:
    class Tied(Gap):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(4)
                self.fc = self.same = nn.Linear(UNITS, UNITS)

        def forward(self, images: Tensor) -> Tensor:
            return self.same(torch.relu(self.fc(self.features(images).mean((2, 3)))))

    net = Tied().eval()
    head = find_head(net, "features", batch())
    assert (head.kind, head.logits) == ("gradient", None)
    _, logits = head.trace(net, batch())
    assert torch.equal(logits, net(batch()))
    with pytest.raises(LayerError, match="expected one call after the layer; got 2"):
        find_head(net, "features", batch(), head="fc")


def test_a_layer_that_works_in_place_keeps_its_gradient() -> None:
    class Ignores(Deep):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, images: Tensor) -> Tensor:
            x = self.features[0](images)
            self.relu(x)  # what it returns is not used
            return self.fc(torch.relu(self.hidden(x.mean((2, 3)))))

    traced, plain = (
        trace(net.eval(), layer, batch(), gradients=True)
        for net, layer in ((Ignores(), "relu"), (Deep(), "features"))
    )
    assert torch.equal(traced.output, plain.output)
    gradient = traced.gradient(traced.output[:, 1])
    assert gradient.any()
    assert torch.equal(gradient, plain.gradient(plain.output[:, 1]))


def test_a_network_without_gradients_says_so() -> None:
    class Cut(Deep):
        def forward(self, images: Tensor) -> Tensor:
            x = self.features(images).mean((2, 3))
            with torch.no_grad():
                return self.fc(torch.relu(self.hidden(x)))

    net = Cut().eval()
    head = find_head(net, "features", batch())
    traced, logits = head.trace(net, batch(), gradients=True)
    with pytest.raises(LayerError, match="switches gradients off"):
        traced.gradient(logits[:, 0])


@pytest.mark.parametrize(
    "output",
    [
        torch.zeros(2, 3),
        torch.zeros(2, 3, 1, 1),
        (torch.zeros(2, 3), None),
        [torch.zeros(2, 3), torch.zeros(2, 3, 4, 4)],
        SimpleNamespace(logits=torch.zeros(2, 3)),
    ],
)
def test_logits_in_what_a_network_returns(output: Any) -> None:
    assert logits_of(output).shape == (2, 3)


@pytest.mark.parametrize(
    "output",
    [
        torch.zeros(2, 3, 4, 4),
        torch.zeros(3),
        torch.zeros(2, 3, dtype=torch.int64),
        (torch.zeros(2, 3), torch.zeros(2, 5)),
        (),
        {"a": torch.zeros(2, 3)},
        None,
        "text",
    ],
)
def test_what_is_no_logits_is_refused(output: Any) -> None:
    with pytest.raises(LayerError, match=r"expected logits \[n, classes\]"):
        logits_of(output)


def test_outputs_of_a_layer_that_are_tuples_and_dictionaries_are_put_back() -> None:
    class Wrap(nn.Module):
        def __init__(self, inner: nn.Module, form: str) -> None:
            super().__init__()
            self.inner, self.form = inner, form

        def forward(self, images: Tensor) -> Any:
            found = self.inner(images)
            return {"out": found, "more": 1} if self.form == "dict" else (found, 1)

    class Net(nn.Module):
        def __init__(self, form: str) -> None:
            super().__init__()
            gap = Gap()
            self.layer, self.fc, self.form = Wrap(gap.features, form), gap.fc, form

        def forward(self, images: Tensor) -> Tensor:
            found = self.layer(images)
            return self.fc(found["out" if self.form == "dict" else 0].mean((2, 3)))

    for form in ("dict", "tuple"):
        net = Net(form).eval()
        traced = trace(net, "layer", batch(), gradients=True)
        assert torch.equal(traced.output.detach(), net(batch()))
        e = (traced.gradient(traced.output[:, 0]) * traced.maps).sum((2, 3)).sum(1)
        assert torch.allclose(e + net.fc.bias[0], traced.output[:, 0], atol=1e-5)


def test_what_a_network_remembers_from_a_run_does_not_hinder_gradients() -> None:
    """A table of positions that is made at the first call, in the run's inference mode, and kept."""

    class Remembers(nn.Module):
        order: torch.Tensor | None = None

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 3)
            self.table = nn.Parameter(torch.rand(4, generator=torch.Generator().manual_seed(0)))
            self.head = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.order is None:
                self.order = torch.tensor([2, 0, 3, 1])
            return self.head(self.layer(x).relu().mean((2, 3)) * self.table[self.order])

    net, images = Remembers().eval(), torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    fresh = find_head(net, "layer", images)
    traced, logits = fresh.trace(net, images, gradients=True)
    wanted = traced.gradient(logits[:, 0])
    net.order = None
    with torch.inference_mode():
        net(images)
    traced, logits = fresh.trace(net, images, gradients=True)
    assert torch.equal(traced.gradient(logits[:, 0]), wanted)
    assert wanted.abs().max() > 0
