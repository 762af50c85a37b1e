"""Features at chosen positions: one more forward pass over the images that hold one, each position stored once."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastdissect.activations import LayerHooks
from fastdissect.batches import Batch, BatchSource, DatasetBatches
from fastdissect.device_arrays import to_host
from fastdissect.directions import Mix
from fastdissect.errors import ActivationError
from fastdissect.forward_options import ForwardOptions
from fastdissect.kernels.keys import widen
from fastdissect.progress import progress_bar
from fastdissect.recorded import recorded_layout
from fastdissect.results import Dissection
from fastdissect.types import ActivationView

__all__ = ["Features", "gather_features", "layer_hooks"]

IN_MEMORY = 2 << 30  # bytes; more than that lies in a file


class Features(NamedTuple):
    """A layer's features at some positions."""

    positions: NDArray[np.int64]  # [positions], ascending: image * cells + cell
    values: NDArray[np.float32]  # [positions, units]; a memory map beyond 2 GiB

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where positions, all of them gathered, are."""
        return np.searchsorted(self.positions, positions)

    def means(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64 [units]: the mean over some rows, block by block."""
        total = np.zeros(self.values.shape[1])
        for start in range(0, len(rows), 4096):
            total += self.values[rows[start : start + 4096]].sum(0, dtype=np.float64)
        return total / max(len(rows), 1)


def layer_hooks(d: Dissection, layer: str, module: nn.Module, mixes: Mapping[str, Mix]) -> LayerHooks:
    """Hooks for one layer of a run, read as the run read it.

    Args:
        mixes: of directions; {} for a layer of the network.
    """
    layout, tokens = recorded_layout(d)
    options = ForwardOptions((d.run.get("forward") or {}).get("dtype"))
    return LayerHooks(module, (layer,), layout=layout, tokens=tokens, mixes=dict(mixes), options=options)


def gather_features(
    hooks: LayerHooks,
    source: BatchSource,
    layer: str,
    shape: tuple[int, int, int, int],
    positions: NDArray[np.int64],
    device: torch.device,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> Features:
    """Run the network over the images of some positions and keep the layer's features there, in float32.

    Args:
        hooks: on the network, for this layer alone.
        shape: of the layer: images, units, height, width.
        positions: int64, ascending, each once.
        folder: where a file is made if the features need more than 2 GiB.

    Raises:
        ActivationError: a feature that is NaN or infinite; names the image.
    """
    _, units, height, width = shape
    cells = height * width
    images = np.unique(positions // cells)
    batches, number = _only(source, images)
    values = _empty((len(positions), units), folder)
    with progress_bar("features", len(number), show=progress) as advance:
        for batch in batches:
            seen = number[batch.first : batch.first + len(batch.images)]
            lo, hi = np.searchsorted(positions, [seen[0] * cells, (seen[-1] + 1) * cells])
            if lo < hi:
                own = positions[lo:hi]
                place = np.searchsorted(seen, own // cells)
                values[lo:hi] = found = _read(hooks, batch, device, place, own % cells)
                if not np.isfinite(found).all():
                    bad = int(own[np.flatnonzero(~np.isfinite(found).all(1))[0]] // cells)
                    raise ActivationError(
                        f"layer {layer!r}, image {source.image_name(bad)!r}: expected finite features; got NaN or "
                        "infinity; look at the network's weights and precision"
                    )
            advance(len(batch.images))
    return Features(positions, values)


def _read(
    hooks: LayerHooks,
    batch: Batch,
    device: torch.device,
    place: NDArray[np.int64],
    cell: NDArray[np.int64],
) -> NDArray[np.float32]:
    """float32 [positions, units] of one batch."""
    found: list[NDArray[np.float32]] = []

    def keep(_name: str, view: ActivationView) -> None:
        data = to_host(view.data)
        found.append(widen(data[place, :, cell // data.shape[3], cell % data.shape[3]], view.kind))

    hooks.run(batch.images.to(device), keep)
    return found[0]


def _only(source: BatchSource, images: NDArray[np.int64]) -> tuple[Iterator[Batch], NDArray[np.int64]]:
    """Batches of these images where the source can pick them, else of all; and the images' numbers in that order."""
    if not isinstance(source, DatasetBatches):
        return source.batches(0, False), np.arange(source.images)
    return source.only(images).batches(0, False), images


def _empty(shape: tuple[int, int], folder: str | Path | None) -> NDArray[np.float32]:
    if 4 * math.prod(shape) <= IN_MEMORY:
        return np.empty(shape, np.float32)
    # The map keeps the file, which has no name: its space is free again when the process ends, however it ends.
    with tempfile.TemporaryFile(dir=folder, prefix="fastdissect-") as file:
        return np.memmap(file, np.float32, mode="w+", shape=shape)
