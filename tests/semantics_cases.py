"""Planted concepts: images whose regions are concepts, a network that turns them into known feature vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from dissect_cases import Labelled, vocabulary
from numpy.typing import NDArray
from torch import Tensor, nn

import fastdissect as fd
from fastdissect.models import Preprocessing
from fastdissect.results import Dissection

UNITS, SIDE, CELL = 16, 32, 4
NAMES = ("red", "green", "blue")


def orthonormal(count: int, units: int, seed: int = 0) -> NDArray[np.float64]:
    """float64 [count, units], orthonormal rows."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(units, units)))
    return q[:count]


def blocks(
    images: int = 60, seed: int = 1, noise: float = 12.0
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """uint8 [images, 32, 32, 3] and masks bool [images, 3, 32, 32]: each channel is lit in some 4 x 4 cells."""
    rng = np.random.default_rng(seed)
    cells = rng.random((images, 3, SIDE // CELL, SIDE // CELL)) < 0.3
    cells &= (rng.random((images, 3)) < 0.7)[:, :, None, None]  # some images lack a concept
    masks = cells.repeat(CELL, 2).repeat(CELL, 3)
    values = np.where(masks, 180.0, 40.0) + rng.normal(0, noise, masks.shape)
    return np.clip(values, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1), masks


def planted_data(
    images: int = 60, shuffled: bool = False, more: dict[str, Any] | None = None, **options: Any
) -> Labelled:
    """The blocks as a data set with the concepts red, green, blue; `shuffled`: with the masks of other images."""
    pixels, masks = blocks(images, **options)
    if shuffled:
        masks = masks[np.random.default_rng(7).permutation(images)]
    extra = list(more or {})
    labels = []
    for i in range(images):
        own: list[tuple[int, Any]] = [
            (0, np.where(mask, c + 1, 0).astype(np.uint8)) for c, mask in enumerate(masks[i])
        ]
        for place, name in enumerate(extra):
            found = (more or {})[name](i, masks[i])
            if found is not None:
                own.append((0, np.where(found, len(NAMES) + place + 1, 0).astype(np.uint8)))
        labels.append(own)
    return Labelled(pixels, labels, vocabulary((*NAMES, *extra)))


class Planted(nn.Module):
    """a(p) = sum_c v_c x_c(p), mean over a 4 x 4 cell; logits = W mean_p a(p) + b."""

    preprocessing = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (SIDE, SIDE))

    def __init__(
        self, rotation: NDArray[np.float64] | None = None, head: str = "linear", form: str = "map"
    ) -> None:
        super().__init__()
        turn = np.eye(UNITS) if rotation is None else rotation
        vectors = orthonormal(3, UNITS) @ turn.T
        self.features = nn.Conv2d(3, UNITS, CELL, CELL, bias=False)
        weight = np.repeat(np.repeat((vectors.T / CELL**2)[:, :, None, None], CELL, 2), CELL, 3)
        self.norm = nn.Identity()
        self.fc = nn.Linear(UNITS, 4)
        rows = np.stack(
            [2 * vectors[0] + vectors[2], 2 * vectors[1], vectors[2] - vectors[0], 0 * vectors[0]]
        )
        with torch.no_grad():
            self.features.weight.copy_(torch.from_numpy(weight))
            self.fc.weight.copy_(torch.from_numpy(rows))
            self.fc.bias.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
        self.other = nn.Linear(UNITS, 2)
        self.head, self.form = head, form

    def forward(self, images: Tensor) -> Any:
        maps = self.features(images)
        x = maps.mean((2, 3))
        if self.form == "tokens":
            x = self.norm(maps.flatten(2).transpose(1, 2)).mean(1)
        elif self.form == "sum":
            x = self.norm(maps).sum((2, 3))
        elif self.form == "pooled":
            x = self.norm(x)
        else:
            x = self.norm(maps).mean((2, 3))
        if self.head == "none":
            return {"kind": self.fc(x), "other": self.other(x)}
        return self.fc(x) if self.head == "linear" else self.fc(x).tanh() * 2


def dissected(net: nn.Module, data: Any, layer: str = "norm", **more: Any) -> Dissection:
    return fd.dissect(net, data, layer, cache=None, progress=False, workers=0, **more)
