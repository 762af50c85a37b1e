"""Collecting: one layer over all its passes, from activations to exact thresholds and canonical cells.

    one pass      sift with the rising bound
    two passes    retain values alone (no neighbours, no positions) -> exact thresholds; sift with them
    three passes  count the keys' top 16 bits; their low 16 bits inside the bin of T; sift with T

All three give the same bits. What changes is what must fit the memory: 2-4 % of the cells, r values a unit, or
65,536 counters a unit. Codes (kernels/views.py) take one or two.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.errors import ActivationError, SettingError
from fastdissect.first_passes import CountPass, ValuePass
from fastdissect.guesses import Guess
from fastdissect.kernels import Sifted
from fastdissect.kernels.keys import ZERO
from fastdissect.kernels.views import BlockedView, CodesView, View
from fastdissect.sifting import LayerSifter, Sieved
from fastdissect.top_values import GROWTH
from fastdissect.types import ActivationView, Kind, Profile, Upsampling

__all__ = ["LayerCollector"]

log = logging.getLogger("fastdissect")


class LayerCollector:
    """One layer through one, two or three passes.

    Args:
        shape: (units, height, width) of the layer's maps.
        images: number of images in the whole data set; an upper bound will do.
        passes: 1, 2 or 3; with known thresholds always one.
        memory: bytes that the retained cells may take. One pass that outgrows it goes on as two.
        device_memory: bytes of a GPU's memory that they may take while they lie there; beyond, they move to the
            host's.
        spill: folder for cells that do not fit the memory in the last pass.
        omit: unusable cells are left out instead of being an error.
        thresholds: float32 [units], from elsewhere.
        guess: this is one of several shards: one pass, and cells beyond the memory go to disk.

    Raises:
        SettingError: thresholds of another length than `units`.
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
        passes: int,
        memory: float,
        device_memory: float = math.inf,
        spill: Path,
        omit: bool = False,
        thresholds: NDArray[np.float32] | None = None,
        guess: Guess | None = None,
    ) -> None:
        if thresholds is not None and thresholds.shape != (shape[0],):
            raise SettingError(
                f"layer {layer!r}: expected {shape[0]} thresholds, one a unit; got shape {thresholds.shape}"
            )
        self.layer, self.shape, self.kind, self.images, self.profile = layer, shape, kind, images, profile
        self.upsampling, self.memory, self.spill, self.omit = upsampling, memory, spill, omit
        self.device_memory = device_memory
        self.guess = guess
        self.passes = 1 if thresholds is not None or guess is not None else passes
        self.pass_ = 0
        self.known = thresholds
        self.checksums: list[int] = []  # of the first pass, one a batch
        self._begin()

    def _begin(self) -> None:
        """Set up the pass at hand."""
        self.seen = 0  # images in this pass
        self.batch = 0  # batches in this pass
        self.stage: LayerSifter | ValuePass | CountPass
        if self.pass_ == self.passes - 1:
            self.stage = LayerSifter(
                self.layer,
                self.shape,
                self.kind,
                self.images,
                self.profile,
                self.upsampling,
                thresholds=self.known,
                omit=self.omit,
                guess=self.guess,
            )
        elif self.passes == 2:
            self.stage = self._value_pass()
        elif self.pass_ == 0:
            self.stage = CountPass(self.layer, self.shape[0], self.profile, self.omit)

    def _value_pass(self) -> ValuePass:
        units, height, width = self.shape
        total = self.images * height * width
        return ValuePass(self.layer, units, self.kind, total, self.profile, self.omit, self.memory)

    @property
    def nbytes(self) -> int:
        """Bytes retained in memory at the moment."""
        return self.stage.nbytes

    def add(self, view: View) -> Sifted:
        """Read one batch, in image order. A fault is reported, not raised, and leaves the state as it was.

        Raises:
            ActivationError: maps of another size or dtype than the first batch's, more images than announced,
                or activations that differ from the first pass's.
        """
        return self.begin(view)()

    def begin(self, view: View) -> Callable[[], Sifted]:
        """Start to read one batch; it counts once the result is called, which comes before the next `begin`.

        Raises as `add` does: for the batch's shape at once, for its content when the result is called.
        """
        self._check(view)
        readable = self._readable(view)
        sifting, images = self.stage.begin(readable), len(view.data)

        def settle() -> Sifted:
            sifted = sifting()
            if sifted.fault is None:
                self._count(sifted, images)
            return sifted

        return settle

    def _readable(self, view: View) -> ActivationView:
        """The view as the stage at hand reads it.

        Codes take two passes in place of three: their values are fewer than 65,536 counters a unit. Maps made block by
        block are made at once for the counters, which take more memory than they do.
        """
        if isinstance(view, CodesView) and isinstance(self.stage, CountPass):
            log.info("layer %s: two passes in place of three, as its codes are few", self.layer)
            self.passes, self.stage = 2, self._value_pass()
        if isinstance(view, CodesView) and isinstance(self.stage, ValuePass):
            own = to_host(self.stage.top.bounds)
            self.stage.top.bounds = np.maximum(own, ZERO)  # no threshold is below 0
        if isinstance(view, BlockedView) and isinstance(self.stage, CountPass):
            return view.whole()
        return cast(ActivationView, view)  # the others sift, and look at the shape

    def _count(self, sifted: Sifted, images: int) -> None:
        checksum = zlib.crc32(sifted.maxima.tobytes(), zlib.crc32(sifted.means.tobytes()))
        if self.pass_ == 0:
            self.checksums.append(checksum)
        elif self.batch >= len(self.checksums) or self.checksums[self.batch] != checksum:
            raise self._other(f"batch {self.batch} differs")
        self.seen += images
        self.batch += 1
        if isinstance(self.stage, LayerSifter):
            self._hold(self.stage)
        elif isinstance(self.stage, ValuePass) and self.stage.nbytes > self.device_memory / (1 + GROWTH):
            self.stage.top.leave_device()

    def _check(self, view: View) -> None:
        if view.data.shape[1:] != self.shape or view.kind != self.kind:
            raise ActivationError(
                f"layer {self.layer!r}: expected maps (units, height, width) = {self.shape} of {self.kind}, as in "
                f"the first batch; got {view.data.shape[1:]} of {view.kind}; every image must give maps of one size"
            )
        if self.seen + len(view.data) > self.images:
            raise ActivationError(
                f"layer {self.layer!r}: expected at most {self.images} images, as announced; got "
                f"{self.seen + len(view.data)}; announce the data set's true length"
            )

    def _other(self, what: str) -> ActivationError:
        return ActivationError(
            f"layer {self.layer!r}: expected the activations of the first pass again; {what}; is the model "
            "deterministic, the order of the images fixed (shuffle=False, no random transforms), and the number "
            "of threads the same? One pass (--passes 1, with --fresh) needs no second reading"
        )

    def _hold(self, sifter: LayerSifter) -> None:
        """Keep the sifter inside its memory: prune; spill to disk (known thresholds) or go on as two passes."""
        if sifter.store.on_device:
            room = self.device_memory / (1 + GROWTH)  # a prune holds the old cells and the new ones
            if sifter.nbytes > room:
                sifter.prune()
            if sifter.nbytes <= room:
                return
            sifter.store.leave_device()
        limit = self.memory / (1 + GROWTH)
        if sifter.nbytes <= limit:
            return
        if sifter.known is not None:
            sifter.spill(self.spill)
            return
        sifter.prune()
        if sifter.nbytes <= limit:
            return
        if sifter.is_part:
            sifter.spill(self.spill)
            return
        if self.profile.population == "upsampled":
            raise SettingError(
                f"layer {self.layer!r}: expected its cells to fit {self.memory:,.0f} bytes; they take "
                f"{sifter.nbytes:,} after {self.seen} of {self.images} images, and a quantile over upsampled maps "
                "takes one pass; give more with --memory, or use population='raw'"
            )
        self.passes, self.stage = 2, self._value_pass()
        self.stage.take_over(sifter.store.parts[0], sifter.store.bounds, sifter.missing)

    def end_pass(self) -> bool:
        """End a pass; True if another one follows.

        Raises:
            ActivationError: a unit without a usable value, or fewer batches than in the first pass.
        """
        if self.pass_ > 0 and self.batch != len(self.checksums):
            raise self._other(f"it had {len(self.checksums)} batches, this one {self.batch}")
        if self.pass_ == self.passes - 1:
            return False
        if isinstance(self.stage, CountPass) and self.pass_ == 0:
            self.stage.narrow()
        elif not isinstance(self.stage, LayerSifter):
            self.known = self.stage.thresholds()
        self.pass_ += 1
        self._begin()
        return True

    def finish(self) -> Sieved:
        """After the last pass: thresholds, values seen, canonical cells."""
        assert isinstance(self.stage, LayerSifter)
        on_host = 0 if self.stage.store.on_device else self.stage.nbytes
        held = on_host + self.stage.bytes_on_disk
        return self.stage.finish(self.spill if 2 * held > self.memory else None)

    def state(self) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
        """What a checkpoint keeps: a JSON record and arrays. Spilled parts are on disk already."""
        record = {"passes": self.passes, "pass": self.pass_, "seen": self.seen, "batch": self.batch}
        arrays = self.stage.state() | {"checksums": np.array(self.checksums, np.int64)}
        if self.known is not None:
            arrays["known"] = self.known
        return record, arrays

    def restore(self, record: Mapping[str, int], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave."""
        self.passes, self.pass_ = record["passes"], record["pass"]
        self.known = arrays.get("known")
        if self.passes == 3 and self.pass_ < 2:  # one stage for the first two passes
            self.stage = CountPass(self.layer, self.shape[0], self.profile, self.omit)
        self._begin()
        self.seen, self.batch = record["seen"], record["batch"]
        self.checksums = arrays["checksums"].tolist()
        if isinstance(self.stage, LayerSifter):
            self.stage.restore(arrays, self.spill)
        else:
            self.stage.restore(arrays)
