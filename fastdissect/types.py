"""What travels between the stages: small frozen dataclasses, their dtypes and the bit order, fixed here.

A packed plane is `uint64[words]`; bit `i` of word `w` is pixel `64 w + i` of the row-major flattened mask:

    pixel   0 1 2 3 4 5 6 7 ...            mask row 0: . # # . ...
    word 0  0 1 1 0 ...  (bit 0 first)  ->  0b...0110 = 6

Tail bits are zero. 112 x 112 is exactly 196 words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ActivationView",
    "AxisTable",
    "Concepts",
    "Counts",
    "LabelChannel",
    "Planes",
    "Profile",
    "SparseActivations",
    "Upsampling",
    "words_for",
]

Kind = Literal["float32", "float16", "bfloat16"]
Array = NDArray[Any]


def words_for(pixels: int) -> int:
    """Words of 64 bits that hold `pixels` bits.

    >>> words_for(0), words_for(64), words_for(65), words_for(112 * 112)
    (0, 1, 2, 196)
    """
    return (pixels + 63) // 64


class ActivationView(NamedTuple):
    """Activations in place, whatever their layout: a strided view [images, units, height, width].

    `data` is float32, float16, or uint16 that holds bfloat16's bits; `kind` says which.
    """

    data: Array
    kind: Kind


@dataclass(frozen=True, eq=False)
class SparseActivations:
    """The retained cells of one layer: canonical order unit, image, cell.

    A *record* is one map (one unit in one image) with at least one retained cell.

        unit k     owns records  unit_start[k] : unit_start[k + 1]
        record r   is of image   images[r], owns cells cell_start[r] : cell_start[r + 1]
        cell j     lies at       cells[j] = y * width + x of the map, with activation values[j]

    Memory: 2 bytes a cell (4 where a map has more than 65,536 cells) + 4 bytes a value (2 for 16-bit types)
    + 12 bytes a record.
    """

    shape: tuple[int, int, int, int]  # images, units, height, width of the dense layer
    kind: Kind
    unit_start: NDArray[np.int64]  # [units + 1]
    images: NDArray[np.uint32]  # [records]
    cell_start: NDArray[np.int64]  # [records + 1]
    cells: Array  # uint16 or uint32 [cells]
    values: Array  # float32, float16, or uint16 (bfloat16's bits) [cells]

    @property
    def nbytes(self) -> int:
        arrays = (self.unit_start, self.images, self.cell_start, self.cells, self.values)
        return sum(a.nbytes for a in arrays)


@dataclass(frozen=True, eq=False)
class AxisTable:
    """One axis of an upsampling: output pixel i is made of cells start[i] ... start[i] + taps - 1.

    `lerp`: taps is 2 and the pixel is `a + (b - a) * weights[i, 1]`, every operation rounded to float32.
    Otherwise the pixel is `((w0 a0 + w1 a1) + w2 a2) ...`, likewise rounded. Cell numbers past the last one
    are clipped to it (their weight is 0 in `lerp` tables).
    """

    start: NDArray[np.int32]  # [pixels]
    weights: NDArray[np.float32]  # [pixels, taps]
    lerp: bool

    @property
    def taps(self) -> int:
        return int(self.weights.shape[1])


@dataclass(frozen=True, eq=False)
class Upsampling:
    """How a map of `cells` (height, width) becomes a mask of `size` (height, width).

    `ring`: a virtual ring of zero cells lies around the map (dissect-2020); the tables then count cells of
    the (height + 2) x (width + 2) map.
    """

    mode: str
    cells: tuple[int, int]
    size: tuple[int, int]
    rows: AxisTable
    columns: AxisTable
    ring: bool = False

    @property
    def reach(self) -> int:
        """Cells by which retention dilates: a pixel's corner cells all lie within this many steps."""
        return max(self.rows.taps, self.columns.taps) - 1


@dataclass(frozen=True, eq=False)
class Concepts:
    """The label vocabulary of a data set, one column a concept."""

    numbers: NDArray[np.int64]  # [concepts], the data set's own label numbers, ascending, all > 0
    names: tuple[str, ...]  # [concepts]
    category: NDArray[np.int64]  # [concepts], index of the primary category in `categories` (METHODS 1.4)
    categories: tuple[str, ...]  # the data set's order (category.csv)

    def __len__(self) -> int:
        return len(self.names)


class LabelChannel(NamedTuple):
    """One channel of an image's labels: a map of label numbers, or one number for the whole image."""

    category: int  # index in Concepts.categories
    labels: Array | int  # unsigned integers [height, width], 0 = none; or one number > 0


@dataclass(frozen=True, eq=False)
class Planes:
    """Packed label planes of consecutive images.

    image n  owns planes  plane_start[n] : plane_start[n + 1], in rising order of concept
    plane p  is of column concept[p], covers pixels[p] pixels, and its words are words[word_row[p]];
             word_row[p] == -1: the plane covers the whole image and has no words
    """

    size: tuple[int, int]  # height, width of the masks
    plane_start: NDArray[np.int64]  # [images + 1]
    concept: NDArray[np.int32]  # [planes], column numbers
    pixels: NDArray[np.int64]  # [planes]
    word_row: NDArray[np.int64]  # [planes]
    words: NDArray[np.uint64]  # [rows, words_for(height * width)]

    @property
    def images(self) -> int:
        return len(self.plane_start) - 1


@dataclass(frozen=True, eq=False)
class Counts:
    """Integer counts: everything that scores are made of."""

    intersection: NDArray[np.int64]  # [units, concepts]      I_kc
    unit_area: NDArray[np.int64]  # [units, categories]       B_kq
    concept_area: NDArray[np.int64]  # [concepts]             G_c
    mask_area: NDArray[np.int64]  # [units], the unit's mask over all images, labelled or not


@dataclass(frozen=True)
class Profile:
    """A set of conventions (DESIGN section 3). Every item can also be set by itself; run.json records all."""

    name: str
    quantile: Fraction  # the top fraction, e.g. 1/200
    readout: Literal["inverted-cdf", "linear"]
    population: Literal["raw", "upsampled"]
    upsampling: Literal["half-pixel", "receptive-field", "half-pixel-zero", "pil"]
    presence: Literal["image", "under-mask", "all"]  # images that count in a unit's area
    repeats: Literal["once", "per-channel"]  # a label that several channels carry at a pixel
    cut: float  # a unit is a detector above this IoU
    cut_inclusive: bool  # True: >= cut, False: > cut
    epsilon: float  # added to the union
    category_ties: Literal["later", "first"]  # a unit whose best IoU is equal in two categories
    unlabelled: Literal["kept", "removed"]  # images without any label: run like all others, or left out
    notes: str = field(default="", compare=False)
