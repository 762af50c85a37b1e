"""One run: the forward passes over the data set, with checkpoints, and the counts that follow."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from fastdissect.activations import LayerHooks
from fastdissect.batches import Batch, BatchSource, DatasetBatches
from fastdissect.caching import PlaneCache
from fastdissect.concluding import conclude
from fastdissect.counting import concept_area
from fastdissect.errors import DataError, OutputError
from fastdissect.image_records import ImageRecords
from fastdissect.interruption import hold_interrupts
from fastdissect.models import LoadedModel
from fastdissect.plane_files import INDEX, index_from
from fastdissect.preparing import meet_layers
from fastdissect.progress import progress_bar
from fastdissect.results import LayerDissection
from fastdissect.resuming import Checkpoint, Checkpoints
from fastdissect.settings import RunSettings, peak_memory
from fastdissect.sifting import fault_error
from fastdissect.types import ActivationView, Concepts

__all__ = ["Run"]

log = logging.getLogger("fastdissect")


class Run:
    """The forward passes over a data set, and the counts that follow. To be closed.

    Args:
        checkpoints: of the folder in which everything unfinished lies; the newest one is gone on from.
        cache: folder of the plane cache; None: no cache.
        show: progress bars; None: on a terminal.
    """

    def __init__(
        self,
        settings: RunSettings,
        loaded: LoadedModel,
        source: BatchSource,
        concepts: Concepts,
        device: torch.device,
        checkpoints: Checkpoints,
        cache: Path | None,
        show: bool | None,
    ) -> None:
        self.settings, self.source, self.concepts = settings, source, concepts
        self.device, self.checkpoints, self.show = device, checkpoints, show
        self.module = loaded.module.to(device)
        hooks = self._hooks(settings.layers)
        self.plan, self.collectors = meet_layers(settings, hooks, source, device, checkpoints.folder)
        self.maps = hooks.explanations
        self.pass_ = self.position = self.resumed = 0
        self.settled = True  # False within a batch: some layers have seen it, others have not
        self.forward_seconds = self.kernel_seconds = self.count_seconds = 0.0
        checkpoint = checkpoints.load()
        if checkpoint is None:
            checkpoints.clear()  # whatever a process that was killed before its first one left
        self.records = self._open_records(checkpoint, cache)
        if checkpoint is not None:
            try:
                self._go_on_from(checkpoint)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close all files, and let go of those that are mapped."""
        self.collectors = {}
        self.records.close()

    def _hooks(self, layers: tuple[str, ...]) -> LayerHooks:
        return LayerHooks(self.module, layers, layout=self.settings.layout, tokens=self.settings.tokens)

    def _open_records(self, checkpoint: Checkpoint | None, cache: Path | None) -> ImageRecords:
        settings, folder = self.settings, self.checkpoints.folder
        own = PlaneCache(cache, self.source) if isinstance(self.source, DatasetBatches) else None
        units = {name: c.shape[0] for name, c in self.collectors.items()} if settings.activations else {}
        if checkpoint is None:
            return ImageRecords(folder, settings.mask_size, own, units)
        arrays = {name: checkpoint.arrays.get(f"planes/{name}") for name in INDEX}
        index = {name: array for name, array in arrays.items() if array is not None}
        return ImageRecords(
            folder,
            settings.mask_size,
            own,
            units,
            rows=checkpoint.state["seen"],
            index=index_from(index, settings.mask_size) if index else None,
            whole=checkpoint.state["whole"],
        )

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        state, arrays = checkpoint
        self.pass_, self.position, self.resumed = state["pass"], state["position"], state["resumed"] + 1
        for number, (name, collector) in enumerate(self.collectors.items()):
            own = {key.partition("/")[2]: a for key, a in arrays.items() if key.startswith(f"{number}/")}
            collector.restore(state["layers"][name], own)
        if isinstance(self.source, DatasetBatches):
            self.records.check_files(self.source)
        log.info("going on after %d images of pass %d", self.position, self.pass_ + 1)

    def collect(self, checkpoint_seconds: float | None) -> None:
        """Run the network over all batches, as often as the layers need it.

        Args:
            checkpoint_seconds: between checkpoints; None: write none, also not when interrupted.
        """
        try:
            more = True
            while more:
                self._one_pass(checkpoint_seconds)
                with hold_interrupts(), self._step():
                    more = self._end_pass()
                    if more and checkpoint_seconds is not None:
                        self._checkpoint()
        except KeyboardInterrupt:
            if checkpoint_seconds is not None and self.settled:
                with hold_interrupts():
                    self._checkpoint()
            raise

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        self.settled = False
        yield
        self.settled = True

    def _one_pass(self, checkpoint_seconds: float | None) -> None:
        saved = time.monotonic()
        what = "dissecting" if self.pass_ == 0 else f"pass {self.pass_ + 1}"
        needed = tuple(name for name, collector in self.collectors.items() if collector.pass_ == self.pass_)
        hooks = self._hooks(needed)
        again = self.source.replays and self.position > 0
        planes = (self.pass_ == 0 and self.records.wants_planes) or again
        begin = self.position
        with progress_bar(what, self.source.images, begin, show=self.show) as advance:
            for batch in self.source.batches(begin, planes):
                if again and batch.first < begin:
                    self._check_again(batch, begin)
                    continue
                with hold_interrupts(), self._step():
                    self._one_batch(batch, hooks)
                    if checkpoint_seconds is not None and time.monotonic() - saved > checkpoint_seconds:
                        self._checkpoint()
                        saved = time.monotonic()
                advance(len(batch.images))
        if not self.position:
            raise DataError(f"{self.source.name}: expected at least one image; got none")

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

        def on_layer(name: str, view: ActivationView) -> None:
            start = time.perf_counter()
            self._on_layer(name, view, batch)
            self.kernel_seconds += time.perf_counter() - start

        hooks.run(batch.images.to(self.device), on_layer)
        self.forward_seconds += time.perf_counter() - begun - (self.kernel_seconds - inside)
        self.position = batch.first + len(batch.images)
        if self.pass_ == 0:
            self.records.add(batch)

    def _on_layer(self, name: str, view: ActivationView, batch: Batch) -> None:
        sifted = self.collectors[name].add(view)
        if sifted.fault is not None:
            image = self.source.image_name(batch.first + sifted.fault.image)
            raise fault_error(name, sifted.fault, image)
        if self.pass_ == 0 and self.settings.activations:
            self.records.means[name].append(sifted.means)
            self.records.maxima[name].append(sifted.maxima)

    def _end_pass(self) -> bool:
        """True if a layer needs another pass."""
        if self.pass_ == 0:
            self.records.finish()
        more = [collector.end_pass() for collector in self.collectors.values()]  # all of them end it
        if any(more):
            self.pass_, self.position = self.pass_ + 1, 0
        return any(more)

    def _checkpoint(self) -> None:
        arrays: dict[str, NDArray[Any]] = {}
        layers = {}
        for number, (name, collector) in enumerate(self.collectors.items()):
            layers[name], own = collector.state()
            arrays |= {f"{number}/{key}": array for key, array in own.items()}
        index = self.records.sync()
        if index is not None:
            arrays |= {f"planes/{name}": getattr(index, name) for name in INDEX}
        state = {
            "pass": self.pass_,
            "position": self.position,
            "seen": self.records.images,
            "whole": self.records.whole,
            "resumed": self.resumed,
            "layers": layers,
        }
        self.checkpoints.save(state, arrays)

    def conclude(self) -> dict[str, LayerDissection]:
        """Exact thresholds, counts and results of every layer."""
        assert self.records.store is not None
        begun = time.perf_counter()
        area = concept_area(self.records.store.planes, len(self.concepts))
        settings, results = self.settings, {}
        total = self.records.images * len(self.collectors)
        with progress_bar("counting", total, show=self.show) as advance:
            for name, collector in self.collectors.items():
                results[name] = conclude(
                    collector,
                    self.records,
                    self.concepts,
                    settings.profile,
                    area,
                    keep=settings.activations,
                    progress=advance,
                )
        self.count_seconds = time.perf_counter() - begun
        return results

    def record(self) -> dict[str, Any]:
        """What run.json says of how it went."""
        return {
            "passes": {name: collector.passes for name, collector in self.collectors.items()},
            "plan": {name: f"{p.passes} pass(es): {p.why}" for name, p in self.plan.layers.items()},
            "planner memory": sum(p.memory for p in self.plan.layers.values()),
            "maps": {name: self.maps[name] for name in self.collectors},
            "resumed": self.resumed,
            "forward seconds": round(self.forward_seconds, 3),
            "sift seconds": round(self.kernel_seconds, 3),
            "count seconds": round(self.count_seconds, 3),
            "peak memory": peak_memory(),
        }
