"""Small classifiers of the generated `shapes` pictures: the networks that the studies of docs/studies.md look at.

    examples/studies/networks.py:plain                        random weights
    examples/studies/networks.py:wide?weights=wide.safetensors

All end in the same way: `conv5` [N, units, 14, 14] after its ReLU, the mean over the places, one linear layer `head`.
The logit of a class is therefore exactly a weighted sum of the units' means, and an explanation leaves nothing out.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from fastdissect.datasets.shapes import Shapes
from fastdissect.models import Preprocessing

__all__ = ["VARIANTS", "ShapesClassifier", "batch_norm", "dropout", "narrow", "plain", "wide"]


def _stage(inputs: int, outputs: int, batch_norm: bool, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation if asked for, ReLU: what the stage's name gives is the map after the ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not batch_norm)
    # As large as it came: without normalisation, torch's own smaller weights let the signal fade.
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(outputs)] if batch_norm else []), nn.ReLU())


class ShapesClassifier(nn.Module):
    """Five convolutions, the mean over all places, a linear layer: images [N, 3, 112, 112] to logits [N, 16].

    Args:
        width: units of `conv5`.
        dropout: share of `conv5`'s units that are left out of each image while training.
        batch_norm: normalise after each convolution.
    """

    classes = Shapes.classes
    preprocessing = Preprocessing(
        mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), size=(112, 112), source="examples/studies"
    )

    def __init__(self, width: int = 64, dropout: float = 0.0, batch_norm: bool = False) -> None:
        super().__init__()
        self.conv1 = _stage(3, 24, batch_norm, kernel=5, stride=2)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = _stage(24, 32, batch_norm)
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = _stage(32, 64, batch_norm)
        self.conv4 = _stage(64, 64, batch_norm)
        self.conv5 = _stage(64, width, batch_norm)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Linear(width, len(self.classes))
        nn.init.normal_(self.head.weight, std=1 / math.sqrt(width))
        nn.init.zeros_(self.head.bias)

    def features(self, images: Tensor) -> Tensor:
        """What the head reads the means of: [N, width, 14, 14]."""
        x = self.pool2(self.conv2(self.pool1(self.conv1(images))))
        features: Tensor = self.dropout(self.conv5(self.conv4(self.conv3(x))))
        return features

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).mean((2, 3)))
        return logits


def plain() -> ShapesClassifier:
    return ShapesClassifier()


def narrow() -> ShapesClassifier:
    return ShapesClassifier(width=24)


def wide() -> ShapesClassifier:
    return ShapesClassifier(width=160)


def dropout() -> ShapesClassifier:
    return ShapesClassifier(dropout=0.3)


def batch_norm() -> ShapesClassifier:
    return ShapesClassifier(batch_norm=True)


VARIANTS = {
    "plain": plain,
    "narrow": narrow,
    "wide": wide,
    "dropout": dropout,
    "batch_norm": batch_norm,
}
