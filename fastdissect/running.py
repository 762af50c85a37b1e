"""One run: the forward passes over the data set, with checkpoints, and the counts that follow."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from fastdissect.activations import LayerHooks
from fastdissect.batches import Batch, BatchSource, DatasetBatches
from fastdissect.caching import PlaneCache
from fastdissect.concluding import conclude
from fastdissect.counting import concept_area
from fastdissect.device_arrays import is_on_device
from fastdissect.errors import DataError, DeviceMemoryError, OutputError, SettingError
from fastdissect.guesses import Guess
from fastdissect.image_records import ImageRecords
from fastdissect.interruption import hold_interrupts
from fastdissect.kernels import Sifted
from fastdissect.kernels.views import View
from fastdissect.models import LoadedModel
from fastdissect.models.parallelism import is_sharded
from fastdissect.plane_files import INDEX, index_from
from fastdissect.preparing import meet_layers
from fastdissect.progress import progress_bar
from fastdissect.results import LayerDissection
from fastdissect.resuming import Checkpoint, Checkpoints
from fastdissect.settings import RunSettings, peak_memory
from fastdissect.sifting import fault_error
from fastdissect.team_units import TeamUnits
from fastdissect.types import Concepts

__all__ = ["Run", "placed"]

log = logging.getLogger("fastdissect")


class Run:
    """The forward passes over a data set, and the counts that follow. To be closed.

    Args:
        checkpoints: of the folder in which everything unfinished lies; the newest one is gone on from.
        cache: folder of the plane cache; None: no cache.
        show: progress bars; None: on a terminal.
        images: the first image of a shard, and the one after its last; None: all.
        guesses: what the shard sifts from, {layer: guess}; None: no shard.
        after_batch: is called with the run after each batch of a shard; it may raise the layers' bounds.
        team: which units are this process's, of a tensor-parallel network.

    Attributes:
        joins, idle: where other processes need this one's forward passes: the first image that they run again, and how
            many batches they have after its last.
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
        *,
        images: tuple[int, int] | None = None,
        guesses: Mapping[str, Guess] | None = None,
        after_batch: Callable[[Run], None] | None = None,
        team: TeamUnits | None = None,
    ) -> None:
        self.settings, self.source, self.concepts = settings, source, concepts
        self.checkpoints, self.show = checkpoints, show
        self.module, self.device = placed(loaded.module, device)
        self.hooks = LayerHooks(
            self.module,
            settings.layers,
            layout=settings.layout,
            tokens=settings.tokens,
            options=settings.forward,
            mixes=settings.directions,
            sparse=True,
            team=team,
        )
        self.first, self.last = images or (0, source.images)
        self.after_batch = after_batch
        self.plan, self.collectors = meet_layers(
            settings,
            self.hooks,
            source,
            self.device,
            checkpoints.folder,
            images=self.last - self.first,
            guesses=guesses,
        )
        self.maps = self.hooks.explanations
        self.pass_ = self.resumed = 0
        self.position = self.first
        self.settled = True  # False within a batch: some layers have seen it, others have not
        self.begun: dict[
            str, tuple[int, Callable[[], Sifted]]
        ] = {}  # {layer: (first image, how its sift ends)}
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
        self.joins, self.idle = self.position, 0

    def close(self) -> None:
        """Close all files, and let go of those that are mapped."""
        self.collectors, self.begun = {}, {}
        self.records.close()

    def _open_records(self, checkpoint: Checkpoint | None, cache: Path | None) -> ImageRecords:
        settings, folder = self.settings, self.checkpoints.folder
        own = PlaneCache(cache, self.source) if isinstance(self.source, DatasetBatches) else None
        units = {name: c.shape[0] for name, c in self.collectors.items() if name in settings.kept}
        if checkpoint is None:
            return ImageRecords(folder, settings.mask_size, own, units, first=self.first)
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
            first=self.first,
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
                        self.checkpoint()
        except KeyboardInterrupt:
            if checkpoint_seconds is not None and self.settled:
                with hold_interrupts():
                    self.checkpoint()
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
                    if checkpoint_seconds is not None and time.monotonic() - saved > checkpoint_seconds:
                        self.checkpoint()
                        saved = time.monotonic()
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
        hooks.run(_sent(images, self.device), lambda _name, _view: None)
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
            hooks.run(_sent(batch.images, self.device), on_layer)
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

    def _end_pass(self) -> bool:
        """True if a layer needs another pass."""
        self._settle(*self.collectors)
        if self.pass_ == 0:
            self.records.finish()
        more = [collector.end_pass() for collector in self.collectors.values()]  # all of them end it
        if any(more):
            self.pass_, self.position = self.pass_ + 1, self.first
        return any(more)

    def checkpoint(self) -> None:
        """Write down all that is needed to go on from here."""
        self._settle(*self.collectors)
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
                    keep=name in settings.kept,
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
            "gpu memory": {
                name: int(collector.device_memory)
                for name, collector in self.collectors.items()
                if collector.device_memory != math.inf
            },
            "maps": {name: self.maps[name] for name in self.collectors},
            "resumed": self.resumed,
            "forward seconds": round(self.forward_seconds, 3),
            "sift seconds": round(self.kernel_seconds, 3),
            "count seconds": round(self.count_seconds, 3),
            "peak memory": peak_memory(),
        }


def _sent(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A batch on the network's device. To a GPU by way of pinned memory: from any other the host would wait until all
    that is queued there was done."""
    if device.type == "cuda" and images.device.type == "cpu":
        return images.pin_memory().to(device, non_blocking=True)
    return images.to(device)


def placed(module: nn.Module, device: torch.device) -> tuple[nn.Module, torch.device]:
    """The module on the device, and where its input goes. A module that is spread over several devices stays so:
    each layer is sifted where its output lies. So does one that is spread over processes.

    Raises:
        SettingError: it is spread over devices of another type.
    """
    if is_sharded(module):
        return module, next((p.device for p in module.parameters() if p.device.type == device.type), device)
    places = list(dict.fromkeys(p.device for p in module.parameters() if p.device.type != "meta"))
    if any(hasattr(part, "_hf_hook") for part in module.modules()):  # accelerate sends its input on
        return module, next((p for p in places if p.type == device.type), device)
    if len(places) < 2:
        return module.to(device), device
    if device.type not in {place.type for place in places}:
        raise SettingError(
            f"expected a network on {device.type!r}, or all on one device; it is spread over "
            f"{', '.join(map(str, places))}; give the type of these, or move it there with .to({str(device)!r})"
        )
    return module, places[0]
