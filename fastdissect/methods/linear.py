"""`directions()`: any linear map of a finished run's layer, dissected as units over the run's own network and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastdissect.batches import DatasetBatches
from fastdissect.directions import Directions
from fastdissect.dissection import dissect
from fastdissect.errors import LayerError, SettingError, nearest
from fastdissect.recorded import recorded_input, recorded_layout
from fastdissect.reopening import reopen
from fastdissect.results import Dissection

__all__ = ["directions"]

# What decides the result comes from the run; these decide how it is computed.
_OPTIONS = (
    "activations",
    "cache",
    "checkpoint_seconds",
    "device_memory",
    "fresh",
    "memory",
    "passes",
    "progress",
    "workers",
)


def directions(
    d: Dissection,
    matrix: ArrayLike,
    *,
    layer: str | None = None,
    name: str | None = None,
    bias: ArrayLike | None = None,
    rectify: bool = False,
    model: Any = None,
    data: Any = None,
    device: str = "auto",
    out: str | Path | None = None,
    **options: Any,
) -> Dissection:
    """Dissect the rows of a matrix as units: `W f(x) + b` at every position of a layer's output f(x).

    Principal or independent components, probe weights, concept vectors, the encoder of a sparse autoencoder
    (`rectify=True`): whatever is linear in a layer's channels gets thresholds, labels and IoU as units do. The
    network runs once more, over the run's images in the run's batches, at its sizes and under its profile; thresholds
    are always the directions' own, also where the run was given the units'.

    Args:
        d: a finished run.
        matrix: W, float [directions, channels], finite, with a column for each unit of the layer.
        layer: a layer of the run; may be left out where the run has only one.
        name: of the new layer; default: "<layer>@directions".
        bias: b, float [directions]. It moves a direction's threshold with its values, and changes no mask but
            together with `rectify`.
        rectify: negative values become 0.
        model, data: instead of those that run.json names: the same weights, the same images (checked).
        device: of the forward pass. out: folder for the results.
        options: for `fastdissect.dissect`: activations, cache, checkpoint_seconds, device_memory, fresh, memory,
            passes, progress, workers.

    Returns:
        Dissection: of one layer, under the new name.

    Raises:
        LayerError: no such layer in the run, or none given where it has several.
        SettingError: a matrix or bias of another shape or not finite; an option that the run decides.
        ModelError, DataError: the run's network or data set cannot be opened, or another was given.

    Example:
        >>> d = fd.dissect("builtin:shapes", "shapes:images=500", "conv5")           # doctest: +SKIP
        >>> centred = d["conv5"].means - d["conv5"].means.mean(axis=0)               # doctest: +SKIP
        >>> axes = np.linalg.svd(centred, full_matrices=False)[2]                    # doctest: +SKIP
        >>> directions(d, axes[:10], name="conv5@pca")["conv5@pca"].units()          # doctest: +SKIP

    Source: dissecting another basis than the layer's own is from Network Dissection (Bau, Zhou et al. 2017), section
    3.2; any linear map is our formulation.
    """
    layer = _layer_of(d, layer)
    weights = _checked(matrix, d[layer].units_count, layer)
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise SettingError(
            f"expected options of {', '.join(_OPTIONS)}; got {', '.join(unknown)}: the run decides everything else; "
            "dissect(directions=...) takes any option"
        )
    name = f"{layer}@directions" if name is None else name
    opened = reopen(d, model=model, data=data, device=device)
    found = {name: Directions(layer, weights, bias, rectify)}
    return dissect(
        opened.loaded.module,
        opened.source.dataset if isinstance(opened.source, DatasetBatches) else data,
        [],
        directions=found,
        device=str(opened.device),
        out=out,
        preprocessing=opened.loaded.preprocessing,
        **_as_recorded(d, isinstance(opened.source, DatasetBatches)),
        **options,
    )


def _as_recorded(d: Dissection, of_dataset: bool) -> dict[str, Any]:
    """The run's options that decide results."""
    key = d.run["key"]
    size, mask_size, batch_size = recorded_input(d)
    layout, tokens = recorded_layout(d)
    forward = key.get("forward") or {}
    return {
        "profile": d.profile,
        "size": size if of_dataset else None,
        "mask_size": mask_size,
        "batch_size": batch_size,
        "images": len(d.image_names),
        "concepts": None if of_dataset else d.concepts,
        "nan": key.get("nan", "error"),
        "layout": layout,
        "tokens": tokens,
        "dtype": forward.get("dtype"),
        "compile": bool(forward.get("compile", False)),
        "channels_last": bool(forward.get("channels last", False)),
    }


def _layer_of(d: Dissection, layer: str | None) -> str:
    own = [name for name in d if name not in d.run.get("directions", {})]
    if layer is None and len(own) == 1:
        return own[0]
    if layer is None or layer not in own:
        what = "none" if layer is None else repr(layer)
        why = "give layer=" if layer is None else "directions start from a layer of the network"
        raise LayerError(
            f"expected one of the run's layers, {', '.join(own) or 'of which it has none'}; got {what}: {why}"
            f"{'' if layer is None else nearest(str(layer), own)}"
        )
    return layer


def _checked(matrix: ArrayLike, channels: int, layer: str) -> ArrayLike:
    """Refuse another shape before the network is opened; `dissect` checks the numbers."""
    try:
        shape = np.shape(matrix)
    except ValueError:  # rows of different lengths
        shape = ()
    if len(shape) != 2 or shape[1] != channels or not shape[0]:
        raise SettingError(
            f"expected a matrix [directions, {channels}], a column for each unit of layer {layer!r}; got shape {shape}"
        )
    return matrix
