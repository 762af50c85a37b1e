"""One run: the forward passes over the data set, with checkpoints, and the counts that follow."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from fastdissect.activations import LayerHooks
from fastdissect.batch_passes import BatchPasses
from fastdissect.batches import BatchSource
from fastdissect.concluding import conclude
from fastdissect.counting import concept_area
from fastdissect.guesses import Guess
from fastdissect.interruption import hold_interrupts
from fastdissect.models import LoadedModel
from fastdissect.placing import placed
from fastdissect.preparing import meet_layers
from fastdissect.progress import progress_bar
from fastdissect.results import LayerDissection
from fastdissect.resuming import Checkpoints
from fastdissect.run_checkpoints import go_on_from, open_records, write_checkpoint
from fastdissect.settings import RunSettings, peak_memory
from fastdissect.team_units import TeamUnits
from fastdissect.types import Concepts

__all__ = ["Run", "placed"]


class Run(BatchPasses):
    """The forward passes over a data set, and the counts that follow. To be closed.

    Args:
        checkpoints: of the folder in which everything unfinished lies; the newest one is gone on from.
        cache: folder of the plane cache; None: no cache.
        show: progress bars; None: on a terminal.
        images: the first image of a shard, and the one after its last; None: all.
        guesses: what the shard sifts from, {layer: guess}; None: no shard.
        after_batch: is called with the run after each batch of a shard; it may raise the layers' bounds.
        team: which units are this process's, of a tensor-parallel network.
        title: of the run among several, for the progress bars.
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
        title: str = "",
    ) -> None:
        self.settings, self.source, self.concepts = settings, source, concepts
        self.checkpoints, self.show, self.title = checkpoints, show, f"{title}: " if title else ""
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
        self.begun = {}
        self.forward_seconds = self.kernel_seconds = self.count_seconds = 0.0
        checkpoint = checkpoints.load()
        if checkpoint is None:
            checkpoints.clear()  # whatever a process that was killed before its first one left
        self.records = open_records(self, checkpoint, cache)
        if checkpoint is not None:
            try:
                go_on_from(self, checkpoint)
            except BaseException:
                self.close()
                raise
        self.joins, self.idle = self.position, 0

    def close(self) -> None:
        """Close all files, and let go of those that are mapped."""
        self.collectors, self.begun = {}, {}
        self.records.close()

    def collect(self, checkpoint_seconds: float | None) -> None:
        """Run the network over all batches, as often as the layers need it.

        Args:
            checkpoint_seconds: between checkpoints, and at least SPARING times what the last one took; 0: after every batch;
                None: write none, also not when interrupted.
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
        write_checkpoint(self)

    def conclude(self) -> dict[str, LayerDissection]:
        """Exact thresholds, counts and results of every layer."""
        return {layer.name: layer for layer in self.concluded()}

    def concluded(self) -> Iterator[LayerDissection]:
        """The same, a layer at a time."""
        assert self.records.store is not None
        begun = time.perf_counter()
        area = concept_area(self.records.store.planes, len(self.concepts))
        total = self.records.images * len(self.collectors)
        with progress_bar(f"{self.title}counting", total, show=self.show) as advance:
            for name, collector in self.collectors.items():
                yield conclude(
                    collector,
                    self.records,
                    self.concepts,
                    self.settings.profile,
                    area,
                    keep=name in self.settings.kept,
                    progress=advance,
                )
        self.count_seconds = time.perf_counter() - begun

    def content(self) -> str:
        """A digest of all images and their masks, as the first pass saw them; before they are concluded."""
        self.records.sync()
        with (self.records.folder / "digests.raw").open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()

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
