"""One method per kernel: what every backend must offer, with inputs already checked.

`bounds` are uint32 keys (see keys.py), one a unit; 0 means "no bound yet: everything is above". A cell is
*above* when it is usable and key(cell) > bound. A cell is unusable when it is NaN or, in `sift`,
infinite, 2**127 or beyond (interpolating it could overflow).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastdissect.kernels.concept_masks import ActiveCells, ConceptImages, Descent, Rule
from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.kernels.views import CodesView
from fastdissect.types import ActivationView, Kind, Planes, SparseActivations, Upsampling

__all__ = ["Backend", "DeviceBackend", "Fault", "HostBackend", "PackedLabels", "Sifted", "Sifting", "Values"]


class Fault(NamedTuple):
    """The first unusable cell, in order image, unit, cell."""

    image: int  # within the batch
    unit: int
    cell: int
    value: float


class Sifted(NamedTuple):
    cells: SparseActivations  # images are numbered within the batch
    means: NDArray[np.float32]  # [images, units]
    maxima: NDArray[np.float32]  # [images, units]
    missing: NDArray[np.int64]  # [units], unusable cells
    fault: Fault | None


class Values(NamedTuple):
    """Values above the bounds, grouped by unit: unit k owns values[start[k] : start[k + 1]]."""

    start: NDArray[np.int64]  # [units + 1]
    values: NDArray[Any]  # float32, float16 or uint16 (bfloat16's bits)
    missing: NDArray[np.int64]  # [units], NaNs
    fault: Fault | None


class PackedLabels(NamedTuple):
    """The label planes of one label map; concepts in rising order."""

    concept: NDArray[np.int32]  # [planes], column numbers
    pixels: NDArray[np.int64]  # [planes]
    words: NDArray[np.uint64]  # [planes, words]
    unknown: int  # the lowest label number that has no column, 0 if all have


class Backend(Protocol):
    """Inputs are already checked; outputs are new arrays."""

    name: str

    def sift(
        self,
        view: ActivationView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifted:
        """One read of each activation: usable test, mean, maximum, cells within `reach` of one above.

        The mean adds position p of the row-major map to lane p mod 16 in rising p, starting from +0; lanes
        are added as i + (i + 8), i + (i + 4), i + (i + 2), i + (i + 1); the sum is divided by the number of
        usable cells; float32 throughout. The maximum has +0 added (no -0). Without `omit` a fault is
        reported and the outputs are void; with it unusable cells count in `missing`, mean and maximum are
        taken over the others (NaN if there are none), and an unusable cell that is retained reads as NaN.
        `ring`: a ring of zeros lies around the map, above where the bound is below key(0).
        """
        ...

    def filter(self, view: ActivationView, bounds: NDArray[np.uint32], omit: bool, threads: int) -> Values:
        """Values above the bounds, by unit, in order image, cell. Infinities are ordinary."""
        ...

    def prune(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        threads: int,
    ) -> SparseActivations:
        """Join parts (of consecutive images) and keep the cells within `reach` of one above."""
        ...

    def join(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Join parts of values, by unit and in the parts' order, keeping those above the (risen) bounds."""
        ...

    def select(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        threads: int,
    ) -> NDArray[np.uint32]:
        """Key of the ranks[k, j]-th largest value of unit k (1 = largest) among those above bounds[k].

        Part i holds values[i][starts[i][k] : starts[i][k + 1]] of unit k. Where fewer values than the rank
        are above the bound, the answer is the bound. NaNs are passed over.
        """
        ...

    def raise_bounds(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        rank: int,
        threads: int,
    ) -> NDArray[np.uint32]:
        """A bound of each unit that has risen towards the rank-th largest value, never above it; in one cheap read.

        Of a unit's n values (the parts side by side) s = 128 (32 if n < 4096) are sorted, largest first: those at
        i * n // s. The first of the samples s rank // n + s // 20 and + s // 7 that is above the bound and has
        `rank` values above it is the new bound; where one does not exist or is not above the bound, the bound
        stays; where neither has enough above it (ties), it is the rank-th largest value itself, as in `select`.
        """
        ...

    def select_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        """As `select`, over the pixels of the upsampled maps. Absent cells read as the bound's value."""
        ...

    def raise_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        rank: int,
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        """As `raise_bounds`, over the pixels of the upsampled maps: by the cell that should be worth a little more.

        The new bound is the cell numbered 13 rank cells // (10 pixels) among a unit's cells above the bound, largest
        first (cells and pixels: of one map), where it exists and `rank` pixels are above it; else the bound stays.
        """
        ...

    def histogram(
        self,
        view: ActivationView,
        shift: int,
        prefix: NDArray[np.uint32] | None,
        bins: NDArray[np.int64],
        omit: bool,
        threads: int,
    ) -> tuple[NDArray[np.int64], Fault | None]:
        """Add to bins[k] the counts of key >> shift; with `prefix`, of the keys' low 16 bits where
        key >> 16 == prefix[k] (`shift` is then 0). Returns the NaNs a unit, and the first one."""
        ...

    def pack(self, labels: NDArray[Any], columns: NDArray[np.int32], once: bool) -> PackedLabels:
        """Planes of one image's label maps [channels, height, width] (uint16 or int32, 0 = none).

        columns[label] is the label's column, -1 if it has none. `once`: channels that carry the same label
        share one plane; otherwise each channel has its own.
        """
        ...

    def count(
        self,
        cells: SparseActivations,
        cursor: NDArray[np.int64],
        first_image: int,
        thresholds: NDArray[np.float32],
        upsampling: Upsampling,
        planes: Planes,
        category: NDArray[np.int64],
        present: NDArray[np.bool_] | None,
        intersection: NDArray[np.int64],
        unit_area: NDArray[np.int64],
        mask_area: NDArray[np.int64],
        threads: int,
    ) -> None:
        """Add one block of images: planes of images first_image ... to the counts, in place.

        cursor[k] is unit k's first record not yet counted; it moves past the block. A unit's mask is
        `upsample(a_k) > T_k`, absent cells read as T_k. Its area counts for category q in images where
        present[image, q] (None: where a label of q lies under the mask).
        """
        ...


class HostBackend(Backend, Protocol):
    """A backend of the host: cells that lie on a GPU are brought to the host for what only these offer."""

    def sift_codes(
        self,
        view: CodesView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifted:
        """What `sift` gives of the dense float32 maps of these codes, bit for bit: zeros that are near are kept too.

        Absent cells change no sum: a lane begins at +0 and is never -0, so lane + 0 is the lane. Where a bound is at or
        above key(0), what is looked at and allocated grows with the entries; below it all cells are above, and kept.
        """
        ...

    def count_permuted(
        self,
        masks: MaskRanges,
        planes: Planes,
        permutations: NDArray[np.int64],
        category: NDArray[np.int64],
        present: NDArray[np.bool_] | None,
        intersection: NDArray[np.int64],
        unit_area: NDArray[np.int64],
        threads: int,
    ) -> None:
        """Count as `count` does, under permutations of the images: add to the sums, in place.

        In permutation i the planes of image permutations[i, n] lie under the masks of image n, and present[that
        image] says which categories count (None: where a label lies under the mask); intersection[i] and
        unit_area[i] are its sums. permutations: int64 [count, images], numbers of the planes' images, of which one
        may come more than once. Sums are exact below 2**63: pixels of a mask times images.
        """
        ...

    def descend_masks(
        self,
        cells: ActiveCells,
        shown: ConceptImages,
        upsampling: Upsampling,
        state: Descent,
        rule: Rule,
        order: NDArray[np.int64],
        threads: int,
    ) -> None:
        """One epoch of every task, in place: each takes its concept's images in their order, `rule.batch` at a time.

        A batch of b images moves weights (and bias) by `rule` along the gradient of the loss, the sum over images and
        mask pixels p of, with M = sigmoid(s) (concept_masks.py), L the concept's pixels, i and o the task's `inside`
        and `outside`,

            linear          -(i L M + o (1 - L) (1 - M)) / b
            cross entropy   -(i L log M + o (1 - L) log(1 - M)) / b

        order: the tasks, in the order in which threads take them; it changes no result. The upsampling has two taps
        an axis and no ring. All of it is float32, rounded at every operation (reference_masks.py).
        """
        ...

    def predict_masks(
        self,
        cells: ActiveCells,
        shown: ConceptImages,
        upsampling: Upsampling,
        concept: NDArray[np.int64],
        start: NDArray[np.int64],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        area: NDArray[np.int64],
        shared: NDArray[np.int64],
        threads: int,
    ) -> None:
        """The masks s > 0 of every task in its concept's images: their pixels, and those that are the concept's.

        Task t writes area[start[t] : start[t + 1]] and shared likewise, an image of its concept each, in their order.
        """
        ...


class Sifting(Protocol):
    """A sift under way on a device: the view has been read in the stream's order, whatever happens to it later."""

    def settle(self) -> Sifted:
        """What `sift` gives; waits for the device. After a DeviceMemoryError it may be called again."""
        ...


class DeviceBackend(Backend, Protocol):
    """A backend whose bulk arrays lie in a device's memory.

    There are activations, retained cells and values, and bounds; means, maxima, missing values and faults come as
    NumPy arrays, and small tables are taken from either side.
    """

    def begin_sift(
        self,
        view: ActivationView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifting:
        """Start a `sift` without waiting for the device."""
        ...

    def starts(self, cells: SparseActivations) -> NDArray[np.int64]:
        """Where each unit's cells begin, [units + 1]: cell_start[unit_start]."""
        ...

    def upload(self, array: NDArray[Any], beside: Any) -> Any:
        """A host array's copy on the device of another array."""
        ...

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike, beside: Any) -> Any:
        """Zeros on the device of another array."""
        ...
