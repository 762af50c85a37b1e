"""Opening: what a run was asked to do, checked, and the network and data set that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike

from fastdissect.batches import BatchSource
from fastdissect.codes import Codes
from fastdissect.conventions import profile as profile_of
from fastdissect.datasets.segmented.generated import with_network
from fastdissect.directions import Directions, checked_directions, mixed_layers
from fastdissect.forward_options import checked_forward
from fastdissect.models import (
    LoadedModel,
    Preprocessing,
    TokenGrid,
    layer_names,
    load_model,
    resolve_layer,
    resolve_layers,
)
from fastdissect.models.channel_parts import channel_parts
from fastdissect.settings import (
    RunSettings,
    check_choices,
    checked_device,
    checked_kept,
    checked_thresholds,
    parse_size,
)
from fastdissect.sources import data_key, open_source
from fastdissect.types import Concepts, Profile

__all__ = ["OpenedRun", "open_run"]


class OpenedRun(NamedTuple):
    """A run that can begin.

    Attributes:
        content: what tells its data set from another. key: what must be equal for a run to go on.
    """

    settings: RunSettings
    loaded: LoadedModel
    source: BatchSource
    concepts: Concepts
    device: torch.device
    content: dict[str, Any]
    key: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {
            **self.settings.record(self.loaded, self.content),
            "data": self.source.name,
            "concepts": len(self.concepts),
            **self.source.record(),
        }


def open_run(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    quantile: float | str | Fraction | None = None,
    profile: str | Profile = "netdissect",
    device: str = "auto",
    dtype: str | None = None,
    compile: bool = False,
    channels_last: bool = False,
    thresholds: Mapping[str, ArrayLike] | None = None,
    directions: Mapping[str, Directions | Codes] | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    size: int | str | tuple[int, int] | None = None,
    mask_size: int | str | tuple[int, int] | None = None,
    preprocessing: Preprocessing | None = None,
    images: int | None = None,
    concepts: Concepts | Sequence[str] | None = None,
    nan: str = "error",
    layout: str = "auto",
    tokens: TokenGrid | None = None,
    memory: int | None = None,
    device_memory: int | None = None,
    passes: int | str = "auto",
    activations: bool | Sequence[str] = True,
    **conventions: Any,
) -> OpenedRun:
    """Check the arguments of `dissect`, and open the network and the data set.

    Raises:
        FastdissectError: any of its kinds; the message says what was expected, what came, and what to do.
    """
    convention = profile_of(profile, **conventions, **({} if quantile is None else {"quantile": quantile}))
    check_choices(
        nan,
        passes,
        batch_size=(batch_size, 1),
        memory=(memory, 1),
        device_memory=(device_memory, 1),
        images=(images, 1),
        workers=(workers, 0),
    )
    target = checked_device(device)
    loaded = load_model(model, preprocessing=preprocessing)
    plain, parts = channel_parts(loaded.module, [layers] if isinstance(layers, str) else layers)
    names = resolve_layers(loaded.module, plain) if plain or not (directions or parts) else ()
    asked = {own: resolve_layer(loaded.module, own) for own in mixed_layers(directions)}
    mixes: dict[str, Any] = dict(parts)
    mixes |= checked_directions(directions, asked, (*layer_names(loaded.module), *names, *parts))
    names = (*names, *mixes)
    source, vocabulary = open_source(
        with_network(data, loaded.module),
        concepts,
        loaded.preprocessing,
        convention,
        size=parse_size(size, "size"),
        mask_size=parse_size(mask_size, "mask_size"),
        batch_size=batch_size,
        workers=workers,
        images=images,
    )
    settings = RunSettings(
        profile=convention,
        layers=names,
        images=source.images,
        input_size=source.input_size,
        mask_size=source.mask_size,
        batch_size=batch_size,
        device=str(target),
        nan=nan,
        layout=layout,
        tokens=tokens,
        memory=memory,
        device_memory=device_memory,
        passes=None if passes == "auto" else int(passes),
        kept=checked_kept(activations, names),
        forward=checked_forward(
            loaded.module, target, dtype=dtype, compile=compile, channels_last=channels_last
        ),
        thresholds=checked_thresholds(thresholds, names),
        directions=mixes,
    )
    content = data_key(source, vocabulary)
    return OpenedRun(settings, loaded, source, vocabulary, target, content, settings.key(loaded, content))
