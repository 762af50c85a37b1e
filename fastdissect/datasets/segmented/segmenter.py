"""What a segmenter is: images in, label maps out."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import Concepts, LabelChannel

__all__ = ["Segmenter", "Size"]

Size = tuple[int, int]  # height, width


class Segmenter(abc.ABC):
    """Labels images. Subclass it for a network of your own; `Segmented` and `Generated` take an instance.

    It travels to worker processes, where `prepare` alone is called: what is heavy is loaded by `segment`, and left out
    by `__getstate__`.

    Attributes:
        name: a path or name that opens it again. concepts: its vocabulary.
    """

    name: str
    concepts: Concepts

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What `segment` wants of an image, uint8 [height, width, 3]: resized, mostly. Called in worker processes."""
        return pixels

    @abc.abstractmethod
    def segment(
        self, images: Sequence[NDArray[np.uint8]], sizes: Sequence[Size]
    ) -> list[tuple[LabelChannel, ...]]:
        """Label a batch, always the same in the same batch.

        Args:
            images: as `prepare` gives them. sizes: (height, width) of each image's label maps.

        Returns:
            For each image at least one channel: uint16 of its size, numbers of `concepts`, 0 = no label.
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of all that its labels depend on: weights, configuration, options."""

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"model": self.name, "fingerprint": self.fingerprint()}
