"""Readings: a run's network, one of its layers, and the head that reads it, ready to run pictures through."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastdissect.batches import network_input
from fastdissect.datasets import Dataset
from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.errors import FastdissectError, LayerError
from fastdissect.layer import LayerDissection
from fastdissect.methods.classes import class_names, decision_classes
from fastdissect.methods.heads import Head, find_head
from fastdissect.models import LoadedModel, TokenGrid
from fastdissect.recorded import recorded_input, recorded_layout
from fastdissect.reopening import reopen_data, reopen_model
from fastdissect.results import Dissection
from fastdissect.settings import checked_device

__all__ = ["Network", "Reading", "open_network", "read_layer", "seen_images"]

log = logging.getLogger("fastdissect")


@dataclass(frozen=True, eq=False)
class Network:
    """A run's network on its device, with the run's preprocessing and input size."""

    loaded: LoadedModel
    device: torch.device
    size: tuple[int, int]
    layout: str
    tokens: TokenGrid | None
    makes_images: bool = False  # of samples: a generator

    def batch(self, pictures: Iterable[NDArray[np.uint8]]) -> Tensor:
        """uint8 [height, width, 3] each, any size -> float32 [n, 3, height, width], as the run prepared its images.

        Raises:
            LayerError: the network takes no images.
        """
        if self.makes_images:
            raise LayerError(
                "expected a network that takes images and tells classes; the run's makes images of samples, so that there is "
                "no decision to explain; use the run's report and tables"
            )
        arrays = [network_input(p, self.loaded.preprocessing, self.size) for p in pictures]
        return torch.from_numpy(np.stack(arrays)).to(self.device)


@dataclass(frozen=True, eq=False)
class Reading:
    """How the network's logits are read from a layer."""

    network: Network
    layer: LayerDissection
    head: Head
    names: tuple[str, ...]  # of the classes
    among: NDArray[np.int64]  # the classes of which a prediction is one
    chosen: str  # why this layer, for people; "" where it was asked for


def open_network(d: Dissection, model: Any = None, device: str = "auto") -> Network:
    """Open a run's network again.

    Raises:
        ModelError: it cannot be opened, or is another one than was dissected.
        SettingError: torch has no such device here.
    """
    target = checked_device(device)
    loaded = reopen_model(d, model)
    loaded.module.to(target)
    name = str(d.run.get("data", ""))
    if name.startswith("DataLoader of "):
        log.warning(
            "the run's images came from a DataLoader, which prepared them itself; pictures are prepared with mean %s and "
            "standard deviation %s: if the loader's are others, give the network its own (an attribute `preprocessing`)",
            loaded.preprocessing.mean,
            loaded.preprocessing.std,
        )
    made = name.startswith(("generator:", "generator?", "samples of "))
    return Network(loaded, target, recorded_input(d)[0], *recorded_layout(d), makes_images=made)


def seen_images(d: Dissection, data: Any = None) -> Callable[[], Dataset]:
    """A function that opens the run's images, numbered as in the run, when first called."""
    opened: list[Dataset] = []

    def dataset() -> Dataset:
        if not opened:
            whole = reopen_data(d, data)
            opened.append(without_unlabelled(whole) if d.profile.unlabelled == "removed" else whole)
        return opened[0]

    return dataset


def read_layer(
    d: Dissection,
    network: Network,
    images: Tensor,
    layer: str | None,
    head: str | None,
    names: Sequence[str] | None,
    among: Sequence[str | int] | None,
) -> Reading:
    """Find the head that reads a layer of the run; without a name, the layer that a linear head reads.

    Args:
        images: a few real ones, as the network gets them.
        names: of the classes; default: what the network states.
        among: the classes of which a prediction is one; default: see `decision_classes`.

    Raises:
        LayerError: the run has no such layer, there is no head, no layer that a linear head reads, or the logits do not
            depend on the layer's map.
    """
    module = network.loaded.module

    def head_of(name: str) -> Head:
        return find_head(module, name, images, head, layout=network.layout, tokens=network.tokens)

    virtual = d.run.get("directions") or {}
    if layer is not None:
        if d[layer].name in virtual:
            raise LayerError(
                f"layer {layer!r}: expected a layer of the network; got directions, which its head does not read; "
                f"explain by {virtual[layer].get('layer', 'their layer')!r}, if it was dissected"
            )
        found, chosen = head_of(layer), ""
    else:
        real = [name for name in d if name not in virtual]
        if len(real) == 1:
            found, chosen = head_of(real[0]), "the run's only layer"
        else:
            found, chosen = _read_linearly(real, head_of), "the run's layer that a linear head reads"
    if found.kind == "gradient":
        _check_depends(found, module, images)
    named = class_names(module, found.classes, names)
    return Reading(network, d[found.layer], found, named, decision_classes(module, named, among), chosen)


def _check_depends(head: Head, module: nn.Module, images: Tensor) -> None:
    """Refuse a layer that stands aside: every contribution would be 0."""
    traced, logits = head.trace(module, images, gradients=True)
    # Weights that differ: probabilities add up to 1, so that their plain sum depends on nothing.
    weights = torch.linspace(1, 2, logits.shape[1], dtype=torch.float64, device=logits.device)
    if not traced.gradient(logits.double() @ weights).any():
        raise LayerError(
            f"layer {head.layer!r}: expected a layer on whose map the logits depend; they depend on none of its positions "
            "(the head may read the class token alone); explain by an earlier layer"
        )


def _read_linearly(layers: Sequence[str], head_of: Callable[[str], Head]) -> Head:
    reasons = []
    for name in reversed(layers):
        try:
            found = head_of(name)
        except FastdissectError as error:
            reasons.append(str(error))
            continue
        if found.kind == "linear":
            return found
    if len(reasons) == len(layers) and layers:
        raise LayerError(reasons[0])
    raise LayerError(
        f"expected one layer to explain by; the run has {', '.join(layers) or 'none of the network'}, and none is read "
        "by a linear head; name one with --layer (layer=): its contributions will be through gradients"
    )
