from __future__ import annotations

import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.models import get_layer, receptive_field


def alexnet() -> nn.Sequential:
    """The original AlexNet's geometry (pooling without padding)."""
    return nn.Sequential(
        *(nn.Conv2d(3, 2, 11, 4), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(2, 2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()),
    )


def vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for index, convolutions in enumerate((2, 2, 3, 3, 3)):
        if index:
            layers.append(nn.MaxPool2d(2))
        for _ in range(convolutions):
            layers += [nn.Conv2d(inputs, 2, 3, padding=1), nn.ReLU()]
            inputs = 2
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("network", "side", "expected"),
    [(alexnet(), 227, (-64, 163, 16, 13)), (vgg16(), 224, (-90, 196, 16, 14))],
)
def test_published_examples(network: nn.Sequential, side: int, expected: tuple[int, ...]) -> None:
    """AlexNet conv5 and VGG16 conv5_3 as the original code composes them."""
    last = str(len(network) - 1)
    field = receptive_field(network, last, (side, side))
    assert tuple(axis[0] for axis in field) == tuple(axis[1] for axis in field) == expected


def true_extent(network: nn.Module, layer: str, size: tuple[int, int], cell: tuple[int, int]) -> list[int]:
    """First and last input row and column on which one cell depends: where its gradient is not zero."""
    kept: list[Tensor] = []
    handle = get_layer(network, layer).register_forward_hook(lambda _m, _i, output: kept.append(output))
    image = torch.zeros(1, 3, *size, dtype=torch.float64, requires_grad=True)
    network(image)
    handle.remove()
    gradient = torch.autograd.grad(kept[0][0, :, cell[0], cell[1]].sum(), image)[0].abs().sum((0, 1))
    rows, columns = gradient.sum(1).nonzero().flatten(), gradient.sum(0).nonzero().flatten()
    return [int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])]


def positive(network: nn.Module) -> nn.Module:
    """Weights above 0: no gradient cancels out."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_().add_(0.1)
    return network.double()


def check(network: nn.Module, layer: str, size: tuple[int, int]) -> None:
    field = receptive_field(network, layer, size)
    middle = (field.cells[0] // 2, field.cells[1] // 2)
    extent = true_extent(network, layer, size, middle)
    for axis in (0, 1):
        first = field.offset[axis] + middle[axis] * field.stride[axis]
        last = first + field.size[axis] - 1
        assert first >= 0, "the test's image is too small"
        assert last < size[axis], "the test's image is too small"
        assert extent[2 * axis : 2 * axis + 2] == [first, last]


class AveragePooledMax(nn.Module):
    """Max pooling's gradient shows one pixel only; an average over the same window shows all of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.args, self.kwargs = args, kwargs

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, *self.args, **self.kwargs)


@pytest.mark.parametrize("seed", range(12))
def test_random_stacks_against_gradients(seed: int) -> None:
    draw = random.Random(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for index in range(draw.randint(1, 5)):
        inputs = 3 if index == 0 else 2
        kernel = draw.randint(1, 4), draw.randint(1, 4)
        stride = draw.randint(1, 2), draw.randint(1, 2)
        kind = draw.choice(["conv", "conv", "same", "pool", "function", "pad"])
        if kind == "conv" or index == 0:
            pad = draw.randint(0, 3), draw.randint(0, 3)
            layers.append(nn.Conv2d(inputs, 2, kernel, stride, pad, dilation=draw.randint(1, 2)))
        elif kind == "same":
            odd = kernel[0] | 1, kernel[1] | 1  # torch warns about even ones
            layers.append(nn.Conv2d(inputs, 2, odd, padding="same", dilation=draw.randint(1, 2)))
        elif kind == "pool":
            layers.append(
                nn.AvgPool2d(kernel, stride, tuple(k // 2 for k in kernel), ceil_mode=draw.random() < 0.5)
            )
        elif kind == "function":
            layers.append(AveragePooledMax(kernel[0], stride=stride, ceil_mode=draw.random() < 0.5))
        else:
            layers.append(nn.ZeroPad2d((0, 1, 2, 3)))
        layers.append(nn.BatchNorm2d(2).eval())
    network = positive(nn.Sequential(*layers).eval())
    for layer in range(len(layers)):
        check(network, str(layer), (241, 230))
        view = network[: layer + 1](torch.zeros(1, 3, 241, 230, dtype=torch.float64))
        assert receptive_field(network, str(layer), (241, 230)).cells == tuple(view.shape[2:])


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 3, 2, 1)
        self.branch = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
        self.shortcut = nn.Conv2d(2, 2, 1)
        self.sum = nn.Identity()
        self.wide = nn.Conv2d(2, 2, 5, padding=2)
        self.cat = nn.Identity()
        self.head = nn.AdaptiveAvgPool2d(1)
        self.scale = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.sum(torch.relu(self.branch(x) + self.shortcut(x)))
        x = self.cat(torch.cat([x, self.wide(x)], dim=1))
        if x.sum() > 1e9:  # control flow that torch.fx cannot trace, behind all that can be asked
            return x
        return self.scale(x * self.head(x))


def test_branches_keep_the_widest_path_and_what_comes_later_does_not_matter() -> None:
    network = positive(Residual())
    for layer in ("stem", "branch", "shortcut", "sum", "wide", "cat"):
        check(network, layer, (40, 44))
    assert receptive_field(network, "shortcut", (40, 40)).size == (3, 3)
    assert receptive_field(network, "sum", (40, 40)) == receptive_field(network, "branch", (40, 40))


def test_the_layer_that_is_not_static_is_named() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(2), nn.ReLU())
    with pytest.raises(LayerError, match=r"layer '2'.*'1' \(AdaptiveAvgPool2d\).*half-pixel"):
        receptive_field(plain, "2", (16, 16))
    assert receptive_field(plain, "0", (16, 16)).cells == (14, 14)
    with pytest.raises(LayerError, match=r"torch.fx cannot trace"):
        receptive_field(Residual(), "scale", (16, 16))


class Wandering(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.conv = nn.Conv2d(3, 4, 3)
        self.inner = nn.Sequential(nn.Identity())
        self.end = nn.Identity()
        self.spare = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.what == "permute":
            x = x.permute(0, 1, 3, 2)
        elif self.what == "interpolate":
            x = F.interpolate(x, scale_factor=2)
        elif self.what == "cat":
            x = torch.cat([x, x], 2)
        elif self.what == "constant":
            x = self.conv.weight
        return self.end(self.inner(x))


@pytest.mark.parametrize(
    ("what", "layer", "message"),
    [
        ("permute", "end", "'permute'"),
        ("interpolate", "end", "'interpolate'"),
        ("cat", "inner", "another dimension"),
        ("constant", "end", "does not depend on the image"),
        ("nothing", "spare", "a forward pass without it"),
    ],
)
def test_operations_that_move_cells_are_errors(what: str, layer: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        receptive_field(Wandering(what), layer, (16, 16))


def test_an_input_too_small_for_the_layer() -> None:
    with pytest.raises(LayerError, match="at least one cell, got 2 x 9"):
        receptive_field(nn.Sequential(nn.Conv2d(3, 2, 3)), "0", (2, 9))
