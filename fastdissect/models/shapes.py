"""The built-in network: small, trained on the `shapes` data set by `examples/train_shapes.py`."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fastdissect.errors import ModelError
from fastdissect.models.preprocessing import Preprocessing

__all__ = ["INPUT_SIZE", "WEIGHTS", "ShapesNet", "load_shapes", "shapes_metadata"]

WEIGHTS = Path(__file__).with_name("shapes.safetensors")
INPUT_SIZE = (112, 112)


def _stage(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation, ReLU: what the stage's name gives is the map after the ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class ShapesNet(nn.Module):
    """Five convolutions, then for each concept how much speaks for it at each place, then its soft maximum.

    Input [N, 3, 112, 112]; `conv5` gives [N, 96, 14, 14], after the ReLU; `evidence` [N, concepts, 14, 14];
    output logits [N, concepts]. A concept is in the image if it is somewhere in it, hence a maximum and no
    mean (Pinheiro and Collobert 2015, section 3.2): a mean would ask for large things, and miss eyes.
    """

    preprocessing = Preprocessing(
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        size=INPUT_SIZE,
        source="the built-in network's training",
    )
    sharpness = 4.0  # of the soft maximum: 0 would be the mean, infinity the maximum

    def __init__(self, concepts: int) -> None:
        super().__init__()
        self.conv1 = _stage(3, 24, kernel=5, stride=2)
        self.conv2 = _stage(24, 32)
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = _stage(32, 64)
        self.pool3 = nn.MaxPool2d(2)
        self.conv4 = _stage(64, 64)
        self.conv5 = _stage(64, 96)
        self.dropout = nn.Dropout2d(0.1)
        self.evidence = nn.Conv2d(96, concepts, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool2(self.conv2(self.conv1(images)))
        x = self.pool3(self.conv3(x))
        x = self.dropout(self.conv5(self.conv4(x)))
        places = self.evidence(x).flatten(2)
        maximum = torch.logsumexp(places * self.sharpness, dim=2) - math.log(places.shape[2])
        return maximum / self.sharpness


def load_shapes(*, random: bool = False, seed: int = 0) -> ShapesNet:
    """Build the network with its trained weights, or with the random ones that training starts from.

    Raises:
        ModelError: the weights file is missing or damaged.
    """
    try:
        with safe_open(WEIGHTS, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{WEIGHTS.name}: expected the built-in network's weights, got: {error}; reinstall"
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = ShapesNet(len(state["evidence.bias"]))
    if not random:  # stored as float16, run as float32
        network.load_state_dict(
            {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
        )
    return network.eval()


def shapes_metadata() -> dict[str, str]:
    """What the training wrote beside the weights: accuracy on held-out images, seed, data set, torch version."""
    with safe_open(WEIGHTS, framework="pt") as file:
        return dict(file.metadata() or {})
