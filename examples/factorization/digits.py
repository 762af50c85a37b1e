"""scikit-learn's handwritten digits (Alpaydin and Kaynak 1998), real pictures of 8 x 8, and a small network that reads them.

Three parts: what the network learns from; what is factorised, which it has not seen; and what is projected afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fastdissect.methods.factorization.matrices import FeatureMatrix

__all__ = [
    "LAYERS",
    "NAMES",
    "SPARSE",
    "DigitReader",
    "Digits",
    "answers",
    "digits",
    "gradient",
    "matrices",
    "picture",
    "pooled",
    "train_reader",
]

NAMES = tuple("0123456789")
LAYERS = ("conv1", "conv2", "hidden")
LEARNED, FACTORISED = 797, 700  # of 1,797; 300 are left for the projection
BATCH, RATE = 32, 3e-3
SPARSE = 0.003  # loss of each unit of activation in `hidden`: the network that must answer with few units


class Digits(NamedTuple):
    images: Tensor  # float32 [N, 1, 8, 8], 0 to 1
    classes: NDArray[np.int64]  # [N]
    names: tuple[str, ...]


def digits() -> tuple[Digits, Digits, Digits]:
    """What is learned, what is factorised, what is projected; in the data set's order."""
    from sklearn.datasets import load_digits

    own = load_digits()
    images = torch.from_numpy(own.images[:, None].astype(np.float32) / 16)
    classes = own.target.astype(np.int64)
    parts = (slice(0, LEARNED), slice(LEARNED, LEARNED + FACTORISED), slice(LEARNED + FACTORISED, None))
    names = tuple(f"digit {number}" for number in range(len(classes)))
    learned, factorised, projected = (Digits(images[part], classes[part], names[part]) for part in parts)
    return learned, factorised, projected


class DigitReader(nn.Module):
    """Two convolutions and one hidden layer, each with its ReLU: nothing that is factorised is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU())
        self.conv2 = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.hidden = nn.Sequential(nn.Linear(32 * 4 * 4, 64), nn.ReLU())
        self.head = nn.Linear(64, len(NAMES))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(self.conv2(self.conv1(images)).flatten(1)))
        return logits


def train_reader(data: Digits, epochs: int, seed: int, sparse: float = 0.0) -> DigitReader:
    """Train a new network, in seconds; in eval mode. `sparse`: see SPARSE; 0: an ordinary network."""
    torch.manual_seed(seed)
    network = DigitReader()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    classes = torch.from_numpy(data.classes)
    for _ in range(epochs):
        for batch in torch.randperm(len(classes), generator=generator).split(BATCH):
            hidden = network.hidden(network.conv2(network.conv1(data.images[batch])).flatten(1))
            loss = F.cross_entropy(network.head(hidden), classes[batch]) + sparse * hidden.sum(1).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    return network.eval()


def answers(network: DigitReader, images: Tensor) -> NDArray[np.int64]:
    """The class that the network says, int64 [N]."""
    with torch.no_grad():
        said: NDArray[np.int64] = network(images).argmax(1).numpy()
    return said


def gradient(network: DigitReader, images: Tensor) -> Tensor:
    """Of the loss of what the network says, by the pixels: the way that leads away from its answer."""
    with torch.enable_grad():
        inputs = images.clone().requires_grad_(True)
        logits = network(inputs)
        (found,) = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1), reduction="sum"), inputs)
    return found


def picture(images: Tensor, index: int) -> NDArray[np.uint8]:
    """A digit, light on dark as the numbers are, uint8 [64, 64, 3]."""
    small = np.rint(255 * images[index, 0].numpy()).astype(np.uint8)
    return np.ascontiguousarray(
        np.broadcast_to(np.kron(small, np.ones((8, 8), np.uint8))[..., None], (64, 64, 3))
    )


def matrices(
    network: DigitReader, images: Tensor, layers: Sequence[str] = LAYERS, *, pixels: bool = True
) -> list[FeatureMatrix]:
    """The pixels as one grey matrix, and each layer's activations, every position of a map by itself."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        return network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output: found.__setitem__(name, output)
        )

    handles = [keep(name) for name in layers]
    with torch.no_grad():
        network(images)
    for handle in handles:
        handle.remove()
    own = [("grey", "pixels", images)] if pixels else []
    own += [(name, "neurons", found[name]) for name in layers]
    return [
        FeatureMatrix(name, kind, (*v.shape[1:], 1, 1)[:3], np.ascontiguousarray(v.flatten(1).numpy()))
        for name, kind, v in own
    ]


def pooled(matrix: FeatureMatrix) -> FeatureMatrix:
    """The mean of each unit's map instead of its every position."""
    units = matrix.shape[0]
    values = matrix.values.reshape(len(matrix.values), units, -1).mean(2)
    return FeatureMatrix(matrix.name, matrix.kind, (units, 1, 1), values)
