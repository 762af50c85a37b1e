"""The pictures of the studies in memory, and how many of them a network tells."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from networks import ShapesClassifier
from torch import Tensor, nn

from fastdissect.datasets.shapes import Shapes

__all__ = ["Examples", "accuracy", "paint", "painted", "pixels"]


class Examples(NamedTuple):
    images: Tensor  # uint8 [N, 3, 112, 112]
    classes: Tensor  # int64 [N]
    shown: Tensor  # bool [N, concepts]


def paint(data: Shapes) -> Examples:
    """Paint a whole data set into memory (38 kB an image)."""
    images = np.empty((len(data), 3, data.size, data.size), dtype=np.uint8)
    shown = np.empty((len(data), len(data.concepts)), dtype=np.bool_)
    for index in range(len(data)):  # read_image and targets of one image share its painting
        images[index] = data.read_image(index)[0].transpose(2, 0, 1)
        shown[index] = data.targets(index)
    classes = [data.target(index) for index in range(len(data))]
    return Examples(torch.from_numpy(images), torch.tensor(classes), torch.from_numpy(shown))


@cache
def _painted(images: int, size: int, seed: int) -> Examples:
    return paint(Shapes(images, size, seed))


def painted(data: Shapes) -> Examples:
    """`paint`, once a process."""
    return _painted(data.images, data.size, data.seed)


def pixels(images: Tensor) -> Tensor:
    """uint8 to what the network wants, by its own preprocessing."""
    wanted = ShapesClassifier.preprocessing
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (wanted.mean, wanted.std))
    return ((images.float() / 255 - mean) / std).to(memory_format=torch.channels_last)


def accuracy(network: nn.Module, data: Examples) -> float:
    """The share of images whose class is told; the network is in eval mode meanwhile."""
    training = network.training
    network.eval()
    with torch.no_grad():
        said = torch.cat([network(pixels(images)).argmax(1) for images in data.images.split(64)])
    network.train(training)
    return float((said == data.classes).float().mean())
