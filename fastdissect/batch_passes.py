"""One pass over a data set: batches through the network, and what each layer gives into its collector."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from fastdissect.activations import LayerHooks
from fastdissect.batches import Batch, BatchSource
from fastdissect.collecting import LayerCollector
from fastdissect.device_arrays import is_on_device
from fastdissect.errors import DataError, DeviceMemoryError, OutputError
from fastdissect.image_records import ImageRecords
from fastdissect.interruption import hold_interrupts
from fastdissect.kernels import Sifted
from fastdissect.kernels.views import View
from fastdissect.placing import sent
from fastdissect.progress import progress_bar
from fastdissect.resuming import Checkpoints
from fastdissect.settings import RunSettings
from fastdissect.sifting import fault_error

__all__ = ["BatchPasses"]

SPARING = 30  # a checkpoint of a large run takes seconds: the next one comes when it cost 3 % of the time between them


class BatchPasses:
    """The batches of a run (`Run`, which sets all of these up).

    Attributes:
        first, last: the first image of a shard, and the one after its last.
        pass_: the pass at hand, from 0. position: images up to here have been read in it.
        settled: False within a batch: some layers have seen it, others have not.
        begun: {layer: (first image, how its sift ends)}.
        joins, idle: where other processes need this one's forward passes: the first image that they run again, and how
            many batches they have after its last.
        title: what stands before a progress bar's words.
    """

    settings: RunSettings
    source: BatchSource
    device: torch.device
    hooks: LayerHooks
    collectors: dict[str, LayerCollector]
    records: ImageRecords
    checkpoints: Checkpoints
    show: bool | None
    title: str
    first: int
    last: int
    pass_: int
    position: int
    settled: bool
    begun: dict[str, tuple[int, Callable[[], Sifted]]]
    joins: int
    idle: int
    resumed: int
    forward_seconds: float
    kernel_seconds: float
    after_batch: Callable[[Any], None] | None

    def checkpoint(self) -> None:
        """Write down all that is needed to go on from here."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        self.settled = False
        yield
        self.settled = True

    def _one_pass(self, checkpoint_seconds: float | None) -> None:
        saved, pause = time.monotonic(), checkpoint_seconds or 0.0
        what = self.title + ("dissecting" if self.pass_ == 0 else f"pass {self.pass_ + 1}")
        needed = tuple(name for name, collector in self.collectors.items() if collector.pass_ == self.pass_)
        hooks = self.hooks.only(needed)
        again = self.source.replays and self.position > self.first
        planes = (self.pass_ == 0 and self.records.wants_planes) or again
        begin, joins = self.position, min(self.position, self.joins)
        count = self.last - self.first
        with progress_bar(what, count, begin - self.first, show=self.show) as advance:
            for batch in self.source.batches(joins, planes):
                if not self._is_own(batch):
                    if batch.first >= self.last:
                        break
                    continue
                if batch.first < begin:
                    if again:
                        self._check_again(batch, begin)
                    if batch.first >= joins:
                        self._run_along(batch.images, hooks)
                    continue
                with hold_interrupts(), self._step():
                    self._one_batch(batch, hooks)
                    if checkpoint_seconds is not None and time.monotonic() - saved > pause:
                        begun = time.monotonic()
                        self.checkpoint()
                        saved = time.monotonic()
                        pause = (
                            max(checkpoint_seconds, SPARING * (saved - begun)) if checkpoint_seconds else 0.0
                        )
                advance(len(batch.images))
                if self.after_batch is not None:
                    self.after_batch(self)
            for _ in range(self.idle):
                self._run_along(self.source.example(), hooks)
        if self.position == self.first:
            shard = f" from {self.first} on, where this shard begins" if self.first else ""
            hint = "; give its true length (images=), or take fewer shards" if self.first else ""
            raise DataError(f"{self.source.name}: expected at least one image{shard}; got none{hint}")

    def _run_along(self, images: torch.Tensor, hooks: LayerHooks) -> None:
        """A forward pass that only other processes need."""
        hooks.run(sent(images, self.device), lambda _name, _view: None)
        if self.after_batch is not None:
            self.after_batch(self)

    def _is_own(self, batch: Batch) -> bool:
        """False: a batch of another shard.

        Raises:
            DataError: it belongs to two.
        """
        end = batch.first + len(batch.images)
        if batch.first < self.first < end or batch.first < self.last < end:
            raise DataError(
                f"{self.source.name}: expected whole batches in each shard; one has images {batch.first} to {end - 1}, and "
                f"the shard those from {self.first} to {self.last - 1}; give the loader one batch size, and --batch-size "
                "the same"
            )
        return self.first <= batch.first < self.last

    def _check_again(self, batch: Batch, begin: int) -> None:
        """A batch that was run before the interruption: it must be the same."""
        if batch.first + len(batch.images) > begin:
            raise OutputError(
                f"{self.checkpoints.folder.parent} belongs to another run: batches ended at image {begin} then, at "
                f"{batch.first + len(batch.images)} now; use the same batch size, or --fresh to begin again"
            )
        self.records.check_batch(batch)

    def _one_batch(self, batch: Batch, hooks: LayerHooks) -> None:
        begun, inside = time.perf_counter(), self.kernel_seconds

        def on_layer(name: str, view: View) -> None:
            start = time.perf_counter()
            self._on_layer(name, view, batch)
            self.kernel_seconds += time.perf_counter() - start

        try:
            hooks.run(sent(batch.images, self.device), on_layer)
        except torch.cuda.OutOfMemoryError as error:
            raise DeviceMemoryError(
                f"expected memory on {self.device} for the network and {len(batch.images)} images; "
                f"{str(error).partition(chr(10))[0]}; use a smaller batch (--batch-size), mixed precision (--dtype), or "
                "less for retained cells (--gpu-memory)"
            ) from error
        self.forward_seconds += time.perf_counter() - begun - (self.kernel_seconds - inside)
        self.position = batch.first + len(batch.images)
        if self.pass_ == 0:
            self.records.add(batch)

    def _on_layer(self, name: str, view: View, batch: Batch) -> None:
        """Sift a layer's batch. On a GPU it is settled when the next one comes, so that the host never waits."""
        self._settle(name)
        self.begun[name] = batch.first, self.collectors[name].begin(view)
        if not is_on_device(view.data):
            self._settle(name)

    def settle(self) -> None:
        """End all sifting that is under way; what is interrupted in it cannot be gone on from."""
        with hold_interrupts(), self._step():
            self._settle(*self.collectors)

    def _settle(self, *layers: str) -> None:
        for name in layers:
            if name in self.begun:
                first, sifting = self.begun.pop(name)
                self._take(name, first, sifting())

    def _take(self, name: str, first: int, sifted: Sifted) -> None:
        if sifted.fault is not None:
            fault, image = sifted.fault, self.source.image_name(first + sifted.fault.image)
            before = 0 if self.hooks.team is None else self.hooks.team.ranges[name][0]
            raise fault_error(name, fault._replace(unit=before + fault.unit), image)
        if self.pass_ == 0 and name in self.settings.kept:
            self.records.means[name].append(sifted.means)
            self.records.maxima[name].append(sifted.maxima)
