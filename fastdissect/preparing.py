"""Preparing: meet the layers on an image of zeros, plan their passes, and set up a collector for each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastdissect.activations import LayerHooks
from fastdissect.batches import BatchSource
from fastdissect.collecting import LayerCollector
from fastdissect.device_arrays import is_on_device, where
from fastdissect.guesses import Guess, no_guess
from fastdissect.kernels.stores import free_memory
from fastdissect.kernels.views import CodesView
from fastdissect.models import receptive_field
from fastdissect.planning import LayerShape, Plan, device_shares, make_plan
from fastdissect.settings import RunSettings
from fastdissect.types import Upsampling
from fastdissect.upsampling import AxisField, make_upsampling

__all__ = ["meet_layers"]

log = logging.getLogger("fastdissect")


def meet_layers(
    settings: RunSettings,
    hooks: LayerHooks,
    source: BatchSource,
    device: torch.device,
    work: Path,
    images: int | None = None,
    guesses: Mapping[str, Guess] | None = None,
) -> tuple[Plan, dict[str, LayerCollector]]:
    """Plan and collectors {layer: collector}, in the order of settings.layers; `work` takes what is spilled.

    Args:
        images: of a shard, for its memory; the thresholds' ranks are the whole set's.
        guesses: what a shard sifts from, {layer: guess}; a layer without one begins with no bound. None: no shard.

    Raises:
        LayerError, ActivationError: a layer that is not called once, or whose output is no map.
        SettingError: the layers do not fit the memory, or given thresholds do not fit a layer.
    """
    shapes: dict[str, LayerShape] = {}
    places: dict[str, str] = {}
    budgets: dict[str, int] = {}  # of each GPU
    for name, view in hooks.probe(source.example().to(device)).items():
        places[name] = where(view.data)
        if is_on_device(view.data):
            budgets[places[name]] = settings.device_memory or free_memory(view.data) // 4
        _, units, height, width = view.data.shape
        upsampling = _upsampling(settings, hooks.module, settings.source(name), (height, width))
        found: Any = view  # an ActivationView, or another of kernels/views.py
        codes = found.indices.shape[2] if isinstance(found, CodesView) else None
        shapes[name] = LayerShape(units, height, width, view.kind, upsampling, codes)
    plan = make_plan(
        {name: shapes[name] for name in settings.layers},
        images or settings.images,
        settings.profile,
        memory=settings.memory,
        passes=settings.passes if guesses is None else 1,
        known=frozenset(settings.thresholds),
    )
    shares = device_shares(shapes, images or settings.images, settings.profile, places, budgets)
    collectors = {}
    for number, name in enumerate(settings.layers):
        shape, own = shapes[name], plan.layers[name]
        log.info("layer %s: %d pass(es), %s", name, own.passes, own.why)
        collectors[name] = LayerCollector(
            name,
            (shape.units, shape.height, shape.width),
            shape.kind,
            settings.images,
            settings.profile,
            shape.upsampling,
            passes=own.passes,
            memory=own.memory,
            device_memory=shares[name],
            spill=work / f"layer-{number}",
            omit=settings.nan == "omit",
            thresholds=_own_thresholds(settings, hooks, name),
            guess=None if guesses is None else guesses.get(name, no_guess(shape.units)),
        )
    return plan, collectors


def _own_thresholds(settings: RunSettings, hooks: LayerHooks, name: str) -> NDArray[np.float32] | None:
    """Given thresholds, those of the units that this process sifts."""
    given = settings.thresholds.get(name)
    if given is None or hooks.team is None:
        return given
    first, last, units = hooks.team.ranges[name]
    return given[first:last] if len(given) == units else given  # the collector refuses others


def _upsampling(settings: RunSettings, module: nn.Module, name: str, cells: tuple[int, int]) -> Upsampling:
    mode, fields = settings.profile.upsampling, None
    if mode == "receptive-field":
        field = receptive_field(module, name, settings.input_size)
        fields = (
            AxisField(field.offset[0], field.size[0], field.stride[0]),
            AxisField(field.offset[1], field.size[1], field.stride[1]),
        )
    return make_upsampling(
        mode, cells, settings.mask_size, fields=fields, input_size=settings.input_size, layer=name
    )
