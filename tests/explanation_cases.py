"""Small networks with heads of every kind, runs over them, and contributions computed the plain way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import fastdissect as fd
from fastdissect.batches import network_input
from fastdissect.models import Preprocessing
from fastdissect.results import Dissection

UNITS, CLASSES, DEAD = 12, 5, 3
SIZE = (32, 32)
DATA = "shapes:images=40,size=32"


class Gap(nn.Module):
    """Convolution, ReLU, pooling, a linear layer: unit 3 is dead."""

    preprocessing = Preprocessing((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), SIZE)

    def __init__(
        self, pooling: str = "mean", after: nn.Module | None = None, scale: float = 1.0, bias: bool = True
    ) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.features = nn.Sequential(nn.Conv2d(3, UNITS, 5, 4, 2), nn.ReLU())
            self.drop = nn.Dropout(0.5)
            self.fc = nn.Linear(UNITS, CLASSES, bias=bias)
        self.pooling, self.after = pooling, after or nn.Identity()
        with torch.no_grad():
            self.features[0].weight *= scale
            self.features[0].bias *= scale
            self.features[0].bias[DEAD] = -1e6 * scale
            self.fc.weight *= 3

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)
        x = maps.sum((2, 3)) if self.pooling == "sum" else maps.mean((2, 3))
        return self.after(self.fc(self.drop(x)))


class Residual(nn.Module):
    """What a torchvision ResNet is, in small: in-place ReLUs, batch normalisation, AdaptiveAvgPool2d, flatten."""

    preprocessing = Gap.preprocessing

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.stem = nn.Conv2d(3, UNITS, 3, 2, 1)
            self.norm = nn.BatchNorm2d(UNITS)
            self.conv = nn.Conv2d(UNITS, UNITS, 3, 1, 1)
            self.relu = nn.ReLU(inplace=True)
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(UNITS, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(images)))
        x = self.relu(self.conv(x) + x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Block(nn.Module):
    """A residual network whose last block is a module, so that its map has a name."""

    preprocessing = Gap.preprocessing

    def __init__(self) -> None:
        super().__init__()
        inner = Residual()
        self.body = nn.Sequential(inner.stem, inner.norm, nn.ReLU(), inner.conv)
        self.relu = inner.relu  # in place: it changes what `body` returned
        self.avgpool, self.fc = inner.avgpool, inner.fc

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.avgpool(self.relu(self.body(images))), 1))


class ConvHead(nn.Module):
    """A 1 x 1 convolution of the pooled map gives [n, classes, 1, 1]."""

    def __init__(self, flatten: bool = True) -> None:
        super().__init__()
        self.features = Gap().features
        with torch.random.fork_rng():
            torch.manual_seed(9)
            self.head = nn.Conv2d(UNITS, CLASSES, 1)
        self.flatten = flatten

    def forward(self, images: Tensor) -> Tensor:
        found = self.head(self.features(images).mean((2, 3), keepdim=True))
        return found.flatten(1) if self.flatten else found


class Deep(nn.Module):
    """Two linear layers with a ReLU between: no linear head."""

    preprocessing = Gap.preprocessing

    def __init__(self, after: nn.Module | None = None) -> None:
        super().__init__()
        gap = Gap()
        self.features = gap.features
        with torch.random.fork_rng():
            torch.manual_seed(11)
            self.hidden, self.fc = nn.Linear(UNITS, 8), nn.Linear(8, CLASSES)
        self.after = after or nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.fc(torch.relu(self.hidden(self.features(images).mean((2, 3))))))


class Two(nn.Module):
    """Two outputs, in a dictionary or a tuple."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.features = Gap().features
        with torch.random.fork_rng():
            torch.manual_seed(13)
            self.kind, self.place = nn.Linear(UNITS, CLASSES), nn.Linear(UNITS, 2)
        self.form = form

    def forward(self, images: Tensor) -> Any:
        x = self.features(images).mean((2, 3))
        kind, place = self.kind(x), self.place(x)
        return {"kind": kind, "place": place} if self.form == "dict" else (kind, place)


def pixels(count: int = 6, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Images of the built-in data set, uint8 [32, 32, 3]."""
    data = fd.datasets.open_dataset(f"shapes:images={count},size=32,seed={seed}")
    return [data.read_image(i)[0] for i in range(count)]


def batch(count: int = 6) -> Tensor:
    return torch.from_numpy(np.stack([network_input(p, Gap.preprocessing, SIZE) for p in pixels(count)]))


def dissected(net: nn.Module, layers: Any = "features", data: Any = DATA, **more: Any) -> Dissection:
    return fd.dissect(net, data, layers, cache=None, progress=False, workers=0, **more)


def plainly(net: Any, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x [units] and e [classes, units] of a Gap network, all in float64."""
    conv, fc = net.features[0].double(), net.fc.double()
    with torch.no_grad():
        given = torch.from_numpy(network_input(image, Gap.preprocessing, SIZE))[None].double()
        maps = torch.relu(conv(given))[0]
        x = maps.sum((1, 2)) if net.pooling == "sum" else maps.mean((1, 2))
        found = x.numpy(), (fc.weight * x).numpy()
    net.float()
    return found
