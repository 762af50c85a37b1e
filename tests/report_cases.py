"""Planted results for the report's tests: known labels, known scores, small pictures that count how often they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.conventions import profile
from fastdissect.datasets.protocol import Dataset
from fastdissect.layer import LayerDissection
from fastdissect.results import Dissection
from fastdissect.types import Concepts, Counts, LabelChannel, SparseActivations
from fastdissect.upsampling import make_upsampling

CATEGORIES = ("color", "object", "part", "material", "scene", "texture", "mood")  # not the display order
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    '<img src=x onerror="window.hacked = 1">',
    "a\"b'c`d",
    "line\u2028break\u2029and\nnew line",
    "{{ 7 * 7 }} {% raw %}",
    "&amp; &lt; \\u003c \\",
    "100% + plus & equals=1#hash",
    "ünïcödé 空 🙂",
    'javascript:alert("1")',
    "x" * 200,
)
PIXELS = 1_000_000  # G of every concept and B of every unit


class Photos(Dataset):
    """Images that differ; their names hold quotes and angle brackets."""

    def __init__(
        self, count: int, size: tuple[int, int] = (32, 32), concepts: Concepts | None = None
    ) -> None:
        self.name = "photos:<b>'\"</b>"
        self.concepts = concepts or make_concepts()
        self._count, self._size = count, size
        self.reads: list[int] = []

    def __len__(self) -> int:
        return self._count

    def image_name(self, index: int) -> str:
        return f"images/{index:04d} \"'<i>&.jpg"

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        self.reads.append(index)
        height, width = self._size
        image = np.full((height, width, 3), (40 + index * 7 % 200, 200 - index % 90, 90), np.uint8)
        image[(np.arange(height) + index) % 16 < 8] = 240
        return image, ""

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return ()

    def files(self, index: int) -> tuple[Path, ...]:
        return ()

    def fingerprint(self) -> str:
        return "0" * 32


def make_concepts(count: int = 20, names: tuple[str, ...] = ()) -> Concepts:
    """`count` concepts, over the categories in turn; `names` replace the first ones'."""
    plain = tuple(f"concept {i}" for i in range(count))
    return Concepts(
        np.arange(count, dtype=np.int64) * 3 + 2,
        (*names, *plain[len(names) :]),
        np.arange(count, dtype=np.int64) % len(CATEGORIES),
        CATEGORIES,
    )


def plant(
    name: str,
    units: int,
    images: int,
    concepts: Concepts,
    *,
    keep: bool = True,
    seen: int = 10_000,
    mode: str = "half-pixel",
) -> LayerDissection:
    """A layer whose unit k best matches concept k mod concepts; IoU falls with k, the last tenth misses the cut.

    Unit k's second concept is the next one, at half the intersection. Unit k fires in the upper left quarter of
    image (k + 3 j) mod images for j = 0, 1, 2, ..., with maxima that fall with j.
    """
    height = width = 4
    total = len(concepts)
    rows = np.arange(units)
    shared = (PIXELS * (0.9 - 0.8 * rows / max(units, 1))).astype(np.int64)
    shared[rows >= units - units // 10] = PIXELS // 100
    intersection = np.zeros((units, total), np.int64)
    intersection[rows, (rows + 1) % total] = shared // 2
    intersection[rows, rows % total] = shared
    if seen < 200:  # the quantile's 200th: no threshold, no mask
        intersection[:] = 0
    counts = Counts(
        intersection,
        np.full((units, len(concepts.categories)), PIXELS if seen >= 200 else 0, np.int64),
        np.full(total, PIXELS, np.int64),
        PIXELS + 7 * rows[::-1].astype(np.int64),
    )
    fires = min(6, images)
    maxima = np.zeros((images, units), np.float32)
    order = (rows[None] + 3 * np.arange(fires)[:, None]) % images  # [j, unit]
    maxima[order, rows[None]] = np.maximum(
        maxima[order, rows[None]], 9.0 - np.arange(fires, dtype=np.float32)[:, None]
    )
    found = [np.unique(order[:, k]) for k in rows]
    records = sum(len(f) for f in found)
    activations = SparseActivations(
        (images, units, height, width),
        "float32",
        np.concatenate([[0], np.cumsum([len(f) for f in found])]).astype(np.int64),
        np.concatenate([*found, []]).astype(np.uint32),
        np.arange(records + 1, dtype=np.int64) * 4,
        np.tile(np.array([0, 1, 4, 5], np.uint16), records),
        np.full(records * 4, 3.0, np.float32),
    )
    return LayerDissection(
        name=name,
        profile=profile(),
        concepts=concepts,
        shape=(images, units, height, width),
        thresholds=np.full(units, 1.5, np.float32),
        seen=np.full(units, seen, np.int64),
        counts=counts,
        upsampling=make_upsampling(mode, (height, width), (16, 16)),
        activations=activations if keep else None,
        means=maxima / 2 if keep else None,
        maxima=maxima if keep else None,
    )


def make_dissection(layers: list[LayerDissection], data: Dataset) -> Dissection:
    """The results of a run over `data`."""
    names = tuple(data.image_name(i) for i in range(len(data)))
    run = {"model": "net <b>\"'", "data": data.name, "seconds": 72.0}
    return Dissection(
        {layer.name: layer for layer in layers}, layers[0].profile, layers[0].concepts, names, run
    )
