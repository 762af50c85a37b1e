"""Images at tile size, each decoded once, in bounded memory.

The order in which images will be wanted is known beforehand, so an image is dropped as soon as its last use
is over; when the memory is full all the same, the one that is wanted latest goes (Belady's rule: no other
choice decodes less).
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.datasets.protocol import Dataset

__all__ = ["TileImages", "tile_size"]


def tile_size(image: tuple[int, int], tile: int, scale: int = 2) -> tuple[int, int]:
    """Return height and width of a tile's pixels: the images' own aspect, the longer side `tile * scale`.

    >>> tile_size((224, 224), 112), tile_size((100, 200), 112)
    ((224, 224), (112, 224))
    """
    longest = max(image)
    height, width = (max(scale, round(side * tile / longest) * scale) for side in image)
    return height, width


class TileImages:
    """Images of a data set, resized without cropping, as the network saw them.

    Args:
        uses: image numbers in the order in which they will be asked for, repeated as often as they will.
        size: height and width.
        budget: bytes that may be held.
    """

    def __init__(
        self, dataset: Dataset, uses: Iterable[int], size: tuple[int, int], budget: int = 384 << 20
    ) -> None:
        self._dataset, self._size = dataset, size
        self._room = max(1, budget // (3 * size[0] * size[1]))
        self._next: dict[int, deque[int]] = {}
        for turn, image in enumerate(uses):
            self._next.setdefault(image, deque()).append(turn)
        self._held: dict[int, NDArray[np.uint8]] = {}
        # (-next use, image) of what is held, the latest first; entries of the past are passed over
        self._latest: list[tuple[int, int]] = []
        self._lock = (
            threading.Lock()
        )  # readers need not be safe to share, and no image is decoded twice at once

    def read(self, image: int) -> NDArray[np.uint8]:
        """Return uint8 [height, width, 3]; counts as one of the announced uses. Safe to call from threads."""
        with self._lock:
            pixels = self._held.get(image)
            if pixels is None:
                pixels = self._resized(image)
            turns = self._next[image]
            turns.popleft()
            if turns:
                self._held[image] = pixels
                heapq.heappush(self._latest, (-turns[0], image))
                if len(self._held) > self._room:
                    self._drop_one()
            else:
                self._held.pop(image, None)
            return pixels

    def _drop_one(self) -> None:
        """Let go of the held image that is wanted latest: no search, however many are held."""
        while True:
            turn, image = heapq.heappop(self._latest)
            if image in self._held and self._next[image][0] == -turn:
                del self._held[image]
                return

    def _resized(self, image: int) -> NDArray[np.uint8]:
        pixels = self._dataset.read_image(image)[0]
        height, width = self._size
        if pixels.shape[:2] == self._size:
            return pixels
        with Image.fromarray(pixels) as picture:
            return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0))
