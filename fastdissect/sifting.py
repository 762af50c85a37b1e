"""Sift: one read of each activation, keeping the cells that can still matter, then the exact threshold.

    add(batch)     cells within one step of a cell above the bound are kept; means and maxima are read off
    (now and then) the bound rises to the exact r-th largest value so far; what it leaves behind is forgotten
    finish()       the exact threshold, and exactly the cells within one step of a cell above it

The r-th largest value so far never exceeds the final threshold (r: the deepest rank that the read-out needs for
the whole set), so what is at or below it can be forgotten for ever (DESIGN section 2). The bound needs no
histogram beside the store: every prune selects it from what is retained, which costs less than a counter's
cache miss at every retained value (bench/README.md).

Of codes (kernels/views.py) no value is below 0, and so no threshold: 0 is a safe bound before anything was seen. What is
retained of them then grows with the codes from the first batch on, not with units x places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.cell_store import CellStore
from fastdissect.device_arrays import to_host
from fastdissect.errors import ActivationError, SettingError
from fastdissect.guessed_views import count_at_least
from fastdissect.guesses import Guess
from fastdissect.kernels import Fault, Sifted
from fastdissect.kernels.keys import ZERO, keys
from fastdissect.kernels.stores import begin_sift, cells_on_host, with_room
from fastdissect.kernels.views import CodesView, View, piece_of
from fastdissect.ranks import rank_bounds
from fastdissect.readout import thresholds_at, usable
from fastdissect.spilling import PART, empty_cells, join_on_disk, open_part, write_part
from fastdissect.top_values import FRESH, GROWTH
from fastdissect.types import Kind, Profile, SparseActivations, Upsampling

__all__ = ["LayerSifter", "Sieved", "fault_error"]

PIXEL_FRESH = 1.6  # in place of FRESH where the quantile is over upsampled maps, which are dearer to count
TIED = 0.9  # a prune that leaves this much met ties: only the exact rank lets them fall away
SMALLEST = 1 << 22  # bytes below which pruning is not worth a call


class Sieved(NamedTuple):
    """What `finish` gives: thresholds [units], values seen [units], canonical cells."""

    thresholds: NDArray[np.float32]
    seen: NDArray[np.int64]
    cells: SparseActivations


def fault_error(layer: str, fault: Fault, image: str) -> ActivationError:
    """The error for an unusable activation, naming layer, unit and image."""
    what = "NaN" if np.isnan(fault.value) else f"{fault.value:g} (usable: magnitude below 1.7e38)"
    return ActivationError(
        f"layer {layer!r}, unit {fault.unit}, image {image}: expected a finite activation; got {what} at cell "
        f'{fault.cell}; mend the model or the image, or pass nan="omit" to leave such cells out'
    )


class LayerSifter:
    """The sift of one layer over a whole data set.

    Args:
        shape: (units, height, width) of the layer's maps; every batch has it, and the kind (the caller checks).
        kind: dtype of the activations: "float32", "float16" or "bfloat16".
        images: number of images in the whole data set (in all shards); an upper bound will do.
        profile: gives quantile, read-out and population.
        upsampling: tables from map to mask.
        thresholds: float32 [units], to sift with known thresholds (later passes; thresholds from elsewhere).
        omit: unusable cells are left out instead of being an error.
        guess: this is one of several shards, and retains only what is above the guess; `part` then gives its cells.

    Raises:
        SettingError: `omit` where the quantile is over upsampled maps.
    """

    def __init__(
        self,
        layer: str,
        shape: tuple[int, int, int],
        kind: Kind,
        images: int,
        profile: Profile,
        upsampling: Upsampling,
        *,
        thresholds: NDArray[np.float32] | None = None,
        omit: bool = False,
        guess: Guess | None = None,
    ) -> None:
        if omit and profile.population == "upsampled":
            raise SettingError(
                'nan="omit" is not defined where the quantile is over upsampled maps; use population="raw"'
            )
        self.layer, self.shape, self.kind, self.omit = layer, shape, kind, omit
        self.profile, self.upsampling = profile, upsampling
        self.known = None if thresholds is None else np.array(thresholds, np.float32)
        self.guess = guess if self.known is None else None
        self.is_part = guess is not None
        bounds = np.zeros(shape[0], np.uint32) if self.known is None else keys(self.known)
        if self.guess is not None:
            bounds = self.guess.bounds.copy()
        self.at_least = np.zeros(shape[0], np.int64)  # values not below the guess, of tied units
        self.store = CellStore(kind, upsampling, profile.population == "upsampled", bounds)
        self.images = 0  # seen so far
        self.missing = np.zeros(shape[0], np.int64)
        self.spilled: list[SparseActivations] = []  # mapped from disk; the store holds the images after them
        self.deepest = rank_bounds(profile, max(1, images * self.values_per_image)).deepest
        self._pruned = 0  # bytes after the last prune
        self._raised = 0.0  # images when the bounds were last raised
        self._fresh = FRESH if profile.population == "raw" else PIXEL_FRESH

    @property
    def values_per_image(self) -> int:
        """Values of a unit in one image: cells of the map, or pixels of the mask."""
        size = self.upsampling.size if self.profile.population == "upsampled" else self.shape[1:]
        return size[0] * size[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the retained cells in memory, the host's or a GPU's."""
        return self.store.nbytes

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of the spilled cells."""
        return sum(part.nbytes for part in self.spilled)

    def add(self, view: View) -> Sifted:
        """Sift one batch, in image order. Returns it (means, maxima); a fault is reported, not raised."""
        return self.begin(view)()

    def begin(self, view: View) -> Callable[[], Sifted]:
        """Start to sift one batch; it counts once the result is called, which comes before the next `begin`.

        On a GPU nothing waits before that call, unless the batch is one of the first, which are sifted in pieces.
        """
        if isinstance(view, CodesView) and self.known is None:
            self.store.bounds = np.maximum(to_host(self.store.bounds), ZERO)
        pieces = self._pieces(len(view.data))
        if len(pieces) == 1:
            return self._begin(view)
        sifted = self._add_pieces(view, pieces)
        return lambda: sifted

    def _add_pieces(self, view: View, pieces: Sequence[tuple[int, int]]) -> Sifted:
        done = []
        for first, last in pieces:
            piece = self._begin(piece_of(view, first, last))()
            if piece.fault is not None:
                return piece._replace(fault=piece.fault._replace(image=first + piece.fault.image))
            done.append(piece)
        means, maxima = (np.concatenate([getattr(p, name) for p in done]) for name in ("means", "maxima"))
        missing: NDArray[np.int64] = np.sum([p.missing for p in done], axis=0, dtype=np.int64)
        return Sifted(done[-1].cells, means, maxima, missing, None)

    def _pieces(self, images: int) -> list[tuple[int, int]]:
        """Early on a batch is sifted in pieces: as many images as the first bound needs, then as many as were
        seen, so that the bound can rise between them. Without it all of a large first batch would be retained."""
        enough = -(-self.deepest // self.values_per_image)
        pieces, first = [], 0
        while first < images:
            seen = self.images + first
            step = images if self.known is not None else max(seen, enough)
            pieces.append((first, min(first + step, images)))
            first += step
        return pieces or [(0, 0)]

    def _begin(self, view: View) -> Callable[[], Sifted]:
        reach, ring, images = self.upsampling.reach, self.upsampling.ring, len(view.data)
        values = images * self.values_per_image
        counted = None
        if self.guess is not None:  # at once: a later layer may change the view in place
            pixels = self.upsampling if self.store.pixels else None
            counted = count_at_least(view, self.guess, values, pixels)
        sifting = with_room(self.store, lambda: begin_sift(view, self.store.bounds, reach, ring, self.omit))

        def settle() -> Sifted:
            sifted = with_room(self.store, sifting)
            if sifted.fault is None:
                self.images += images
                self.missing = self.missing + sifted.missing
                if counted is not None:
                    self.at_least = self.at_least + np.minimum(counted, values - sifted.missing)
                with_room(self.store, lambda: self.store.append(sifted.cells))
                if self.known is None:
                    self._rise()
            return sifted

        return settle

    def _rise(self) -> None:
        """Now and then: raise the bounds; forget what they leave behind once the store has grown by GROWTH."""
        before = self.nbytes
        full = before > max(SMALLEST, GROWTH * self._pruned)
        if (full or self.images >= self._fresh * self._raised) and self._shown():
            self._raised = self.images
            self.store.raise_bounds(self.deepest)
        if full:
            self._forget()
            if self._shown() and self.nbytes > TIED * before:
                self.prune()

    def _shown(self) -> bool:
        """True once every unit has shown r values."""
        return (
            self.images * self.values_per_image - int(self.missing.max(initial=0)) >= self.deepest
            and self.known is None
        )

    def prune(self) -> None:
        """Raise the bounds to the exact r-th largest values so far and forget what they leave behind."""
        if not self.store.parts:
            return
        if self._shown():
            self.store.raise_to(self.deepest)
        self._forget()

    def rise_to(self, bounds: NDArray[np.uint32]) -> None:
        """Raise the bounds to keys that no threshold is below, and forget what they leave behind."""
        own = to_host(self.store.bounds)
        if (bounds > own).any():
            self.store.bounds = np.maximum(own, bounds)
            if self.store.parts:
                self._forget()

    def _forget(self) -> None:
        self.store.forget()
        self._pruned = self.nbytes

    def spill(self, folder: Path) -> None:
        """Move the cells in memory to disk; with known thresholds, where they are final, or of a shard, whose cells are
        joined once more."""
        assert self.known is not None or self.is_part
        if self.store.parts:
            self.prune()
            self.store.leave_device()
            self.spilled.append(write_part(self.store.parts[0], folder / f"part-{len(self.spilled)}"))
            self.store.replace(None)

    def finish(self, folder: Path | None = None) -> Sieved:
        """The exact thresholds over what was seen, and the canonical cells (in files of `folder`, if given).

        Raises:
            ActivationError: a unit without a single usable value.
        """
        seen = usable(self.layer, self.images * self.values_per_image, self.missing)
        thresholds = self.known
        if thresholds is None:
            thresholds = thresholds_at(self.profile, seen, self.store.select)
        store, upsampling = self.store, self.upsampling
        store.bounds = keys(thresholds)
        if folder is None and not self.spilled:
            store.forget()
        else:
            store.leave_device()
            parts = [*self.spilled, *store.parts]
            store.parts = parts
            if folder is None:
                store.forget()
            else:
                store.replace(join_on_disk(parts, store.bounds, upsampling.reach, upsampling.ring, folder))
        self.spilled = []
        return Sieved(thresholds, seen, store.parts[0])

    def part(self, folder: Path) -> SparseActivations:
        """A shard's cells: all those within one step of a cell above the bounds (in files of `folder`, if some were
        spilled)."""
        self.prune()
        store, upsampling = self.store, self.upsampling
        if self.spilled:
            store.leave_device()
            parts = [*self.spilled, *store.parts]
            store.replace(join_on_disk(parts, store.bounds, upsampling.reach, upsampling.ring, folder))
            self.spilled = []
        elif not store.parts:
            store.replace(empty_cells((self.images, *self.shape), self.kind))
        return cells_on_host(store.parts[0])

    def state(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps, the cells pruned first; spilled parts are on disk already."""
        self.prune()
        arrays: dict[str, NDArray[Any]] = {
            "images": np.array(self.images),
            "missing": self.missing,
            "at_least": self.at_least,
            "bounds": to_host(self.store.bounds),
            "spilled": np.array([part.shape[0] for part in self.spilled], np.int64),
        }
        for part in self.store.parts:
            arrays["part_length"] = np.array(part.shape[0])
            arrays |= {f"part_{field}": to_host(getattr(part, field)) for field in PART}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]], folder: Path) -> None:
        """Go on from what `state` gave; `folder` holds the spilled parts."""
        self.images = int(arrays["images"])
        self.missing, self.store.bounds = arrays["missing"], arrays["bounds"]
        self.at_least = arrays.get("at_least", self.at_least)
        self.spilled = [
            open_part(folder / f"part-{i}", empty_cells((images, *self.shape), self.kind))
            for i, images in enumerate(arrays["spilled"].tolist())
        ]
        if "part_length" in arrays:
            shape = (int(arrays["part_length"]), *self.shape)
            self.store.replace(SparseActivations(shape, self.kind, *(arrays[f"part_{f}"] for f in PART)))
            self._pruned = self.nbytes
