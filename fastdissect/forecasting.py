"""Forecast: what a run will need, from a sample of its images that goes through the whole chain.

    disk      canonical cells, means and maxima, counts; the cells of the sample, times images / sample
    memory    a layer that takes one pass: the store at its most, GROWTH times the cells that a run ends with; never more than
              the layer's share of the budget. One layer at a time is pruned: what stays of it is held beside the grown stores
    time      network, decoding and sifting per image from the sample's later batches; counting from its records; the network
              once a pass of each group of layers (a group whose layers come early stops early: then it takes less)

A unit's retained cells grow with the images, since each image brings its share of cells above the threshold: the sample's
threshold is another one than the whole set's, its tail is the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from fastdissect.grouping import deal
from fastdissect.layer import LayerDissection
from fastdissect.opening import OpenedRun
from fastdissect.planning import LayerPlan, TogetherError, layer_needs
from fastdissect.running import Run
from fastdissect.samples import running_sample, spread_images
from fastdissect.settings import peak_memory
from fastdissect.storage.layer_files import write_layer
from fastdissect.top_values import GROWTH

__all__ = ["Forecast", "LayerForecast", "forecast"]

BATCHES = 8  # of the sample, at least: in the first few, torch and the allocator still grow


@dataclass(frozen=True)
class LayerForecast:
    """One layer: its maps, how it will be read, bytes in memory and on disk, seconds to sift and count.

    Attributes:
        pruning: bytes beside `memory` while it is pruned.
    """

    units: int
    cells: tuple[int, int]
    plan: LayerPlan
    memory: int
    pruning: int
    disk: int
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """What a run will need.

    Attributes:
        images: of the run. sample: of the forecast.
        layers: {name: forecast}.
        network: seconds for reading images and the forward passes of one pass over the data.
        passes: over the data, of all groups together.
        groups: the layers' names in groups that run one after the other; one group where all fit the memory together.
        planes: bytes on disk of packed masks, while it runs (and in the cache).
        base: bytes of memory that the process holds beside retained cells: the network, a batch, the libraries.
    """

    images: int
    sample: int
    layers: dict[str, LayerForecast]
    network: float
    passes: int
    planes: int
    base: int
    groups: tuple[tuple[str, ...], ...]

    @property
    def memory(self) -> int:
        """Bytes of the retained cells of all layers; of the largest group's, where there are several."""
        return max(_together([self.layers[name] for name in group]) for group in self.groups)

    @property
    def disk(self) -> int:
        """Bytes of the results."""
        return sum(layer.disk for layer in self.layers.values())

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.network * self.passes + sum(layer.seconds for layer in self.layers.values())


def forecast(opened: OpenedRun, sample: int | None = None) -> Forecast:
    """Run a sample of the images, and predict the whole.

    Args:
        sample: images, and at least three batches, so that the first, which is slow, can be left out; None: 64, or eight
            batches.

    Raises:
        DataError: images cannot be picked: a DataLoader.
        SettingError: a layer by itself does not fit the memory.
    """
    settings = opened.settings
    batch = opened.source.batch_size
    wanted = max(64, BATCHES * batch) if sample is None else max(sample, 3 * batch)
    fewer = spread_images(opened.source, wanted, "a forecast")
    everything = frozenset(settings.layers)  # cells that the run will not keep are held while it lasts
    own = dataclasses.replace(settings, images=fewer.images, passes=1, memory=None, kept=everything)
    ends: list[tuple[float, float, int]] = []  # (clock, seconds in sifting, images) after each batch

    def note(run: Run) -> None:
        ends.append((time.perf_counter(), run.kernel_seconds, run.position))

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fastdissect-"))
        try:
            run = stack.enter_context(running_sample(opened, own, fewer, progress=False, after_batch=note))
        except (
            TogetherError
        ):  # the run takes groups; the cells of a sample are few, whatever a plan sets aside for them
            own = dataclasses.replace(own, memory=sys.maxsize)
            run = stack.enter_context(running_sample(opened, own, fewer, progress=False, after_batch=note))
        begun = time.perf_counter()
        run.collect(None)
        collected = time.perf_counter()
        held = sum(c.nbytes for c in run.collectors.values())
        results = run.conclude()
        counting = time.perf_counter() - collected
        whole, more = settings.images, settings.images / fewer.images
        plans = deal(
            run.plan.shapes,
            whole,
            settings.profile,
            memory=settings.memory,
            passes=settings.passes,
            known=frozenset(settings.thresholds),
        )
        planned = {name: own for plan in plans for name, own in plan.layers.items()}
        outside, sifting = _rates(begun, ends)
        assert run.records.store is not None
        planes = int(run.records.store.planes.words.nbytes * more)
        units = sum(shape.units for shape in run.plan.shapes.values())
        layers = {}
        for name, result in results.items():
            assert result.activations is not None
            shape, cells = run.plan.shapes[name], result.activations.nbytes
            needs = layer_needs(shape, whole, settings.profile)
            layers[name] = LayerForecast(
                units=shape.units,
                cells=(shape.height, shape.width),
                plan=planned[name],
                memory=_memory(planned[name], int(cells * more), needs),
                pruning=int(cells * more) if planned[name].passes == 1 else 0,
                disk=_disk(result if name in settings.kept else _without_cells(result), Path(folder), more),
                seconds=shape.units / units * (sifting * whole + counting * more),
            )
    base = (peak_memory() or 0) - held  # now that what concludes and writes is loaded too
    return Forecast(
        images=whole,
        sample=fewer.images,
        layers=layers,
        network=outside * whole,
        passes=sum(plan.passes for plan in plans),
        planes=planes,
        base=base,
        groups=tuple(tuple(plan.layers) for plan in plans),
    )


def _rates(begun: float, ends: list[tuple[float, float, int]]) -> tuple[float, float]:
    """Seconds an image outside of sifting, and in it: medians over the later batches, two in three."""
    outside, inside, last = [], [], (begun, 0.0, 0)
    for clock, sifting, position in ends:
        images = position - last[2]
        outside.append((clock - last[0] - (sifting - last[1])) / images)
        inside.append((sifting - last[1]) / images)
        last = (clock, sifting, position)
    warm = len(ends) // 3
    return median(outside[warm:]), median(inside[warm:])


def _memory(plan: LayerPlan, cells: int, needs: Mapping[int, float]) -> int:
    """Bytes that a layer will hold at most, given those of the cells that it ends with."""
    return int(min(cells * GROWTH if plan.passes == 1 else needs[plan.passes], plan.memory))


def _together(layers: Sequence[LayerForecast]) -> int:
    return sum(layer.memory for layer in layers) + max(layer.pruning for layer in layers)


def _disk(result: LayerDissection, folder: Path, more: float) -> int:
    """Bytes of a layer's files over so many times as many images."""
    write_layer(result, folder)
    grows = 0 if result.activations is None else result.activations.nbytes
    grows += sum(array.nbytes for array in (result.means, result.maxima) if array is not None)
    return int(sum(file.stat().st_size for file in folder.iterdir()) + grows * (more - 1))


def _without_cells(result: LayerDissection) -> LayerDissection:
    return dataclasses.replace(result, activations=None, means=None, maxima=None)
