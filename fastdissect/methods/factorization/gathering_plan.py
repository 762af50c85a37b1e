"""A pass that can begin: network, images, what will be gathered, its bytes, and the key that tells it from others."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fastdissect.activations import LayerHooks
from fastdissect.methods.factorization.gathering_source import ImageSource
from fastdissect.methods.factorization.perturbation import Perturbation
from fastdissect.models import LoadedModel, TokenGrid
from fastdissect.settings import versions
from fastdissect.sources import data_key
from fastdissect.stamps import stamp_of

__all__ = ["Gathering", "MatrixShape"]


class MatrixShape(NamedTuple):
    """A matrix to come: see `FeatureMatrix`."""

    name: str
    kind: str
    shape: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Gathering:
    """A pass that can begin.

    Attributes:
        loaded: the network, on `device`. source: the images. hooks: on the layers.
        pools: {layer: "mean", "max" or "full"}.
        pixels: side of the pixel matrices, or None. rectify: max(x, 0) of the layers.
        perturbations: each image's copies beside the clean one.
        given: classes from the caller. masks: whether masks are read. answers: whether the pass goes on to
            the network's output, to know where it is right.
        shapes: the matrices, in their order.
    """

    loaded: LoadedModel
    source: ImageSource
    hooks: LayerHooks
    device: torch.device
    pools: Mapping[str, str]
    pixels: int | None
    rectify: bool
    perturbations: tuple[Perturbation, ...]
    given: Any
    masks: bool
    answers: bool
    shapes: tuple[MatrixShape, ...]
    began: float = field(default_factory=time.time)

    @property
    def images(self) -> int:
        """Of the data set; an upper bound for a loader without a length."""
        return self.source.batches.images

    @property
    def examples(self) -> int:
        """Rows: images, and their perturbed copies."""
        return self.images * (1 + len(self.perturbations))

    @property
    def bytes(self) -> int:
        """What the matrices' files need."""
        return 4 * self.examples * sum(math.prod(one.shape) for one in self.shapes)

    @property
    def key(self) -> dict[str, Any]:
        """What decides the matrices' values: the key of kept ones."""
        preprocessing, batches = self.loaded.preprocessing, self.source.batches
        return {
            "weights": self.loaded.weights_digest,
            "preprocessing": [list(preprocessing.mean), list(preprocessing.std), preprocessing.interpolation],
            "input size": list(batches.input_size),
            "layers": dict(self.pools),
            "reading": [self.hooks.layout, _token_text(self.hooks.tokens)],
            "pixels": self.pixels,
            "rectify": self.rectify,
            "perturbations": [[p.kind, p.strength, p.seed if p.drawn else 0] for p in self.perturbations],
            "images": batches.images,
            "masks": self.masks,
            "classes": _digest_of(self.given),
            **data_key(batches, self.source.vocabulary),
            "files": self._stamps(),
        }

    def record(self) -> dict[str, Any]:
        """How the matrices came about."""
        return {
            **self.key,
            "model": self.loaded.name,
            "data": self.source.batches.name,
            "folder": str(Path.cwd()),
            "scale": self._scale(),
            "matrices": {one.name: list(one.shape) for one in self.shapes},
            "device": str(self.device),
            "maps": dict(self.hooks.explanations),
            "versions": versions(),
            "seconds": round(time.time() - self.began, 3),
        }

    def _scale(self) -> list[list[float]] | None:
        """Mean and standard deviation that the input has to pixels in 0..1; None: a loader's, that nobody said or saw."""
        scale, known = self.source.scale, self.source.dataset is not None
        if scale.mean is not None and scale.std is not None:
            return [list(scale.mean), list(scale.std)]
        channels = self.source.batches.example().shape[1]
        seen = self.pixels is not None or self.perturbations  # the pass has checked that it is 0..1
        return [[0.0] * channels, [1.0] * channels] if known or seen else None

    def _stamps(self) -> str:
        """A sign that files changed: their sizes and times."""
        digest = hashlib.blake2b(digest_size=8)
        for index in range(self.images if self.source.dataset is not None else 0):
            digest.update(stamp_of(self.source.dataset, index).to_bytes(8, "little"))  # type: ignore[arg-type]
        return digest.hexdigest()


def _token_text(tokens: TokenGrid | None) -> list[Any] | None:
    return None if tokens is None else [tokens.prefix, None if tokens.grid is None else list(tokens.grid)]


def _digest_of(given: Any) -> str | None:
    if given is None:
        return None
    listed = sorted(given.items()) if isinstance(given, Mapping) else list(given)
    return hashlib.blake2b(json.dumps(listed, default=str).encode(), digest_size=8).hexdigest()
