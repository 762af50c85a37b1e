"""`rotate()`: dissect a layer in its own basis and in random ones, in one forward pass.

    f(x)           the layer itself: alpha = 0, nothing is multiplied
    Q^alpha f(x)   for each alpha and each seed of Q: virtual layers, sifted from the same activations

Each rotated unit has its own threshold, as a unit of the layer has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastdissect import conventions
from fastdissect.activations import LayerHooks
from fastdissect.datasets import open_dataset
from fastdissect.directions import Directions
from fastdissect.dissection import dissect
from fastdissect.errors import LayerError, SettingError
from fastdissect.methods.rotation.baselines import random_weights as random_weights_of
from fastdissect.methods.rotation.checks import checked_alphas, checked_seed, checked_seeds
from fastdissect.methods.rotation.matrices import RotationPath, random_rotation
from fastdissect.methods.rotation.results import RotationStudy
from fastdissect.models import LoadedModel, load_model, resolve_layer
from fastdissect.settings import checked_device, parse_size
from fastdissect.sources import open_source

__all__ = ["ALPHAS", "rotate"]

ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # the published grid
_OURS = ("layers", "directions", "thresholds")


def rotate(
    model: Any,
    data: Any,
    layer: str,
    *,
    alphas: Sequence[float] = ALPHAS,
    seeds: int | Sequence[int] = 3,
    cut: float | None = None,
    random_weights: bool = False,
    random_model: Any = None,
    random_seed: int = 0,
    permutations: int | None = None,
    out: str | Path | None = None,
    **options: Any,
) -> RotationStudy:
    """Dissect Q^alpha f(x) for a grid of alpha and several random rotations Q: are units special directions?

    One forward pass serves the layer and all its rotations; at alpha = 0 the result is the layer's own, bit for bit.
    A rotation costs K^2 multiplications a position and what sifting a layer costs; each seed's decomposition, once,
    grows with K^3.

    Args:
        model, data: as for `fastdissect.dissect`.
        layer: one layer of at least two units.
        alphas: 0: the layer's own basis, 1: Q's; each once.
        seeds: of Q: how many, from 0 on, or which ones.
        cut: IoU above which a unit is a detector; default: the profile's. Few concepts and many units, or a low
            cut, hide the fall: a rotated unit still overlaps with what its largest coefficient detects.
        random_weights: dissect the same network with its parameters drawn anew too (`random_seed`), as a baseline.
        random_model: the untrained network, a module or a name, where its modules cannot draw theirs.
        permutations: test the layer's units against so many permutations of the images (`methods.chance`).
        out: folder: the run goes to out/run, the baseline to out/random-weights; the same call again goes on where
            it stopped, on the same machine: Q^alpha is rounded as its LAPACK does, and a run belongs to its matrices.
        options: for `dissect`. By default only the layer itself keeps its activations.

    Returns:
        RotationStudy.

    Raises:
        SettingError: K = 1, no or repeated alphas or seeds, an option that rotations cannot have.
        LayerError: no such layer, or several. ModelError: parameters that cannot be drawn anew.

    Example:
        >>> study = rotate("builtin:shapes", "shapes:images=500", "conv5", cut=0.1)    # doctest: +SKIP
        >>> study.table().groupby("alpha")["unique_detectors"].mean()                  # doctest: +SKIP

    Source: Network Dissection (Bau, Zhou et al. 2017), section 3.2, with the corrections that `matrices` names.
    """
    grid, drawn = checked_alphas(alphas), checked_seeds(seeds)
    taken = [name for name in _OURS if name in options]
    if taken:
        raise SettingError(
            f"expected options of dissect() that hold for rotated units too; got {', '.join(taken)}"
        )
    if cut is not None:
        cut = conventions.profile(cut=cut).cut
    if isinstance(data, str):
        data = open_dataset(data)
    loaded = load_model(model, preprocessing=options.get("preprocessing"))
    if not isinstance(layer, str):
        raise LayerError(f"expected the name of one layer; got {layer!r}")
    name = resolve_layer(loaded.module, layer)
    units = _units(loaded, data, name, options)
    own = {"activations": [name], **options}
    if permutations is not None:
        from fastdissect.methods.rotation.permutation import check_permutations, permutation_baseline

        check_permutations(permutations, data, name, own["activations"])
    untrained = None
    if random_model is not None:
        other = load_model(random_model, preprocessing=loaded.preprocessing)
        if (found := _units(other, data, resolve_layer(other.module, name), options)) != units:
            raise SettingError(
                f"expected a random model with {units} units in layer {name!r}, as the network has; got {found}"
            )
        untrained = other.module
    elif random_weights:
        untrained = random_weights_of(loaded.module, checked_seed(random_seed))
    names = {(alpha, seed): _name(name, alpha, seed) for alpha in grid for seed in drawn}
    folder = None if out is None else Path(out)
    dissection = dissect(
        model,
        data,
        [name],
        directions=_directions(name, units, grid, drawn) or None,
        out=None if folder is None else folder / "run",
        **own,
    )
    baseline = None
    if untrained is not None:
        own |= {"preprocessing": loaded.preprocessing, "activations": False}
        place = None if folder is None else folder / "random-weights"
        baseline = dissect(untrained, data, [name], out=place, **own)[name]
    chance = None
    if permutations is not None:
        shown = {key: options[key] for key in ("cache", "progress") if key in options}
        chance = permutation_baseline(dissection, name, data, permutations, **shown)
    profile_cut = dissection.profile.cut
    return RotationStudy(
        dissection, name, grid, drawn, names, profile_cut if cut is None else cut, baseline, chance
    )


def _name(layer: str, alpha: float, seed: int) -> str:
    return layer if alpha == 0 else f"{layer}@rotation{seed}-alpha{alpha!r}"


def _directions(
    layer: str, units: int, alphas: Sequence[float], seeds: Sequence[int]
) -> dict[str, Directions]:
    found = {}
    for seed in seeds if any(alphas) else ():
        path = RotationPath(random_rotation(units, seed))
        for alpha in alphas:
            if alpha != 0:
                matrix = path.power(alpha).astype(np.float32)
                found[_name(layer, alpha, seed)] = Directions(layer, matrix)
    return found


def _units(loaded: LoadedModel, data: Any, layer: str, options: dict[str, Any]) -> int:
    """The layer's number of units, by a forward pass on zeros."""
    target = checked_device(options.get("device", "auto"))
    source, _ = open_source(
        data,
        options.get("concepts"),
        loaded.preprocessing,
        conventions.profile(),
        size=parse_size(options.get("size"), "size"),
        mask_size=None,
        batch_size=1,
        workers=0,
        images=options.get("images"),
    )
    places = {parameter.device for parameter in loaded.module.parameters()}
    if len(places) < 2:
        loaded.module.to(target)
    device = next(iter(places)) if len(places) > 1 else target
    hooks = LayerHooks(
        loaded.module, (layer,), layout=options.get("layout", "auto"), tokens=options.get("tokens")
    )
    units = int(hooks.probe(source.example().to(device))[layer].data.shape[1])
    if units < 2:
        raise SettingError(
            f"layer {layer!r}: expected at least 2 units; got 1: SO(1) holds the identity alone, there is nothing to "
            "rotate; choose a layer of more units"
        )
    return units
