"""What the kernels of Net2Vec take: active cells image by image, the images of each concept, and what is learnt.

    z(x)   = bias + sum of w_k over the units k that are active in cell x        [height, width]
    s      = z upsampled to the masks' size
    mask   = s > 0, which is sigmoid(s) > 0.5

Source: Net2Vec (Fong & Vedaldi 2018), section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import AxisTable, Upsampling

__all__ = ["ActiveCells", "ConceptImages", "Descent", "Rule", "map_tables"]


@dataclass(frozen=True, eq=False)
class ActiveCells:
    """Cells with a_k > T_k; image n owns entries image_start[n] : image_start[n + 1], in order of unit, then cell."""

    shape: tuple[int, int, int, int]  # images, units, height, width
    image_start: NDArray[np.int64]  # [images + 1]
    unit: NDArray[np.int32]  # [entries]
    cell: NDArray[np.int32]  # [entries], y * width + x


@dataclass(frozen=True, eq=False)
class ConceptImages:
    """Concept c is shown by image[concept_start[c] : concept_start[c + 1]], in file order.

    Its pixels there are words[row] (fastdissect.types says how bits lie); row -1: all of them.
    """

    concept_start: NDArray[np.int64]  # [concepts + 1]
    image: NDArray[np.int64]  # [pairs]
    row: NDArray[np.int64]  # [pairs]
    words: NDArray[np.uint64]  # [rows, words]


@dataclass(frozen=True, eq=False)
class Descent:
    """Weights under way; a task is a concept and the units that it may use. All but the first two change in place."""

    concept: NDArray[np.int64]  # [tasks], of ConceptImages
    kept: NDArray[np.bool_]  # [tasks, units]; the weights of others are 0 and stay so
    inside: NDArray[np.float32]  # [tasks], weight of a pixel of the concept in the loss
    outside: NDArray[np.float32]  # [tasks], and of any other
    weights: NDArray[np.float32]  # [tasks, units]
    velocity: NDArray[np.float32]  # [tasks, units]
    bias: NDArray[np.float32]  # [tasks]
    bias_velocity: NDArray[np.float32]  # [tasks]


class Rule(NamedTuple):
    """How weights are learnt: v = momentum v + g + l1 sign(w) + l2 w; w = w - rate v."""

    rate: float
    momentum: float = 0.9
    batch: int = 16
    l1: float = 0.0
    l2: float = 0.0
    bias: bool = False  # learn one too
    positive: bool = False  # weights below 0 become 0 after each step
    cross_entropy: bool = False  # else the linear loss


class MapTables(NamedTuple):
    """An upsampling by two taps, for maps padded with zeros to at least 2 x 2: no tap lies outside."""

    cells: tuple[int, int]  # height, width of the padded map
    row_start: NDArray[np.int32]  # [mask height], at most cells[0] - 2, rising
    row_fraction: NDArray[np.float32]
    column_start: NDArray[np.int32]  # [mask width]
    column_fraction: NDArray[np.float32]


def map_tables(upsampling: Upsampling) -> MapTables:
    """The tables as the kernels read them; only tables of two taps without a ring have them."""
    height, width = (max(2, n) for n in upsampling.cells)
    return MapTables((height, width), *_axis(upsampling.rows, height), *_axis(upsampling.columns, width))


def _axis(table: AxisTable, cells: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    start = np.minimum(table.start, cells - 2).astype(np.int32)
    return start, (table.weights[:, 1] + (table.start - start).astype(np.float32)).astype(np.float32)
