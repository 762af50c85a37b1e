"""A planted network: unit c is active where concept c is, and nowhere else (METHODS 2.4, item 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from dissect_cases import PLAIN, Labelled
from numpy.typing import NDArray
from torch import nn

from fastdissect.types import Concepts

SIDE, IMAGES, COVERAGE = 40, 100, 0.0045  # 160,000 positions, of which each concept covers 720


class Planted(nn.Module):
    """Reads a picture whose red is the concept's number and whose green and blue are its amplitude."""

    preprocessing = PLAIN

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.read = _Read(units)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.read(images)
        return found


class _Read(nn.Module):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bytes_ = ((images * PLAIN.std[0] + PLAIN.mean[0]) * 255).round().long()
        amplitude = 0.3 + 0.7 * (256 * bytes_[:, 1] + bytes_[:, 2]).float() / 65535
        numbers = torch.arange(1, self.units + 1)[:, None, None]
        return (bytes_[:, :1] == numbers) * amplitude[:, None]


def plant(seed: int, concepts: int, categories: int = 4) -> Labelled:
    """Each concept at its own 0.45 % of all positions, with an amplitude U(0.3, 1) at each."""
    rng = np.random.default_rng(seed)
    positions = IMAGES * SIDE * SIDE
    own = int(COVERAGE * positions)
    pixels = np.zeros((positions, 3), np.uint8)
    at = rng.permutation(positions)[: concepts * own]
    pixels[at, 0] = np.repeat(np.arange(1, concepts + 1), own)
    pixels[at, 1:] = rng.integers(0, 256, (len(at), 2))
    images = pixels.reshape(IMAGES, SIDE, SIDE, 3)
    of: NDArray[Any] = np.arange(concepts) * categories // concepts
    vocabulary = Concepts(
        np.arange(1, concepts + 1),
        tuple(f"concept {c}" for c in range(concepts)),
        of.astype(np.int64),
        tuple(f"q{q}" for q in range(categories)),
    )
    category_of = np.append(-1, of)
    labels = []
    for image in images:
        number = image[..., 0].astype(np.uint16)
        labels.append(
            [(q, np.where(category_of[number] == q, number, 0).astype(np.uint16)) for q in range(categories)]
        )
    return Labelled(images, labels, vocabulary)
