"""Counterfactuals: the network runs again with a concept's part taken out of the features.

    a(p) - (u.a(p)) u      without the concept
    a(p) - (u.a(p)) v      as much taken out along a random direction v instead: equal energy at every position

v has the covariance of the features. The same batch holds the image as it is, without the concept, and all controls.
Our formulation.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.methods.ablation.edit import LayerReading
from fastdissect.methods.ablation.replay import Recording
from fastdissect.methods.explanation.reading import Reading
from fastdissect.methods.tracing import handed_on
from fastdissect.models import get_layer, output_tensor

__all__ = ["ChangedFeatures", "Removal"]

Floats = NDArray[np.float64]


class Removal(NamedTuple):
    change: float  # of the score, without the concept
    chance: Floats  # [directions], of the score, along random directions
    p: float  # how often chance changes it at least as much


class ChangedFeatures:
    """One image, its features changed in as many ways as asked.

    Args:
        image: float32 [1, channels, height, width]. directions: float64 [count, units], random, of length 1.
    """

    def __init__(self, reading: Reading, image: Tensor, directions: Floats) -> None:
        self.reading, self.directions = reading, directions
        self.module = reading.network.loaded.module
        self.images = image.expand(len(directions) + 2, *image.shape[1:]).contiguous()
        self.layer = LayerReading(
            reading.layer.name, reading.layer.units_count, reading.network.layout, reading.network.tokens
        )
        self.layer.watch(self.module, self.images)
        self._recording: Recording | None = Recording(self.module, reading.layer.name)
        whole = self._logits(None, self._recording.taken())
        if not self._replays(whole):
            self._recording = None

    def without(self, vector: Floats, maps: Floats, number: int, against: int | None) -> Removal:
        """What becomes of a score.

        Args:
            vector: float64 [units], u. maps: float64 [units, h, w], a.
            number, against: the score is one logit less the other, or less the mean of the decision's classes.
        """
        taken = np.tensordot(vector, maps, 1)  # u.a, [h, w]
        along = np.concatenate([np.zeros((1, len(vector))), vector[None], self.directions])
        delta = torch.from_numpy(-along[:, :, None, None] * taken).float()
        way = contextlib.nullcontext() if self._recording is None else self._recording.replayed()
        logits = self._logits(delta, way)
        base = logits[:, self.reading.among].mean(1) if against is None else logits[:, against]
        scores = logits[:, number] - base
        change, chance = float(scores[1] - scores[0]), scores[2:] - scores[0]
        p = float((1 + (np.abs(chance) >= abs(change)).sum()) / (1 + len(chance)))
        return Removal(change, chance, p)

    def _replays(self, whole: Floats) -> bool:
        """Whether the part behind the layer gives the same logits by itself; else whole passes are run."""
        recording = self._recording
        if recording is None or not recording.usable:
            return False
        try:
            again = self._logits(None, recording.replayed())
        except Exception:  # noqa: BLE001 - a stranger's forward, which may need what was left out
            return False
        return np.array_equal(again, whole)

    def _logits(self, delta: Tensor | None, way: contextlib.AbstractContextManager[None]) -> Floats:
        """float64 [copies, classes]."""

        def hook(_module: Any, arguments: Any, output: Any) -> Any:
            if delta is None:
                return None

            def take(maps: Tensor) -> None:
                maps += delta.to(maps.device).to(maps.dtype)

            tensor = output_tensor(output, self.layer.layer)
            changed = self.layer.changed(self.module, tensor, self.images, take)
            return handed_on(output, tensor, changed, arguments)

        # before the hooks of `trace`, so that these see the change
        handle = get_layer(self.module, self.layer.layer).register_forward_hook(hook)
        try:
            with torch.no_grad(), way:
                _, logits = self.reading.head.trace(self.module, self.images)
        finally:
            handle.remove()
        found: Floats = logits.detach().double().cpu().numpy()
        return found
