"""What a pass will gather, before it begins: the network and the data set are opened, and the layers seen once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastdissect.activations import LayerHooks
from fastdissect.errors import DataError, SettingError
from fastdissect.forward_options import checked_forward
from fastdissect.methods.factorization.gathering_answers import WholePass
from fastdissect.methods.factorization.gathering_plan import Gathering, MatrixShape
from fastdissect.methods.factorization.gathering_pooling import pooled_shape, resolve_pools
from fastdissect.methods.factorization.gathering_source import open_image_source
from fastdissect.methods.factorization.perturbation import Perturbation, parse_perturbations
from fastdissect.models import Preprocessing, TokenGrid, load_model, resolve_layers
from fastdissect.settings import check_choices, checked_device, parse_size
from fastdissect.types import Concepts

__all__ = ["open_gathering"]

COLOURS = {3: ("red", "green", "blue"), 1: ("grey",)}


def open_gathering(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    pool: str | Mapping[str, str] = "mean",
    pixels: int | None = 32,
    rectify: bool = False,
    perturb: str | Perturbation | Sequence[str | Perturbation] = (),
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    size: int | str | tuple[int, int] | None = None,
    preprocessing: Preprocessing | None = None,
    images: int | None = None,
    concepts: Concepts | Sequence[str] | None = None,
    classes: Sequence[str | int] | Mapping[str, str | int] | None = None,
    masks: bool = True,
    layout: str = "auto",
    tokens: TokenGrid | None = None,
) -> Gathering:
    """Open network and data set, and see what the layers give; see `gather_matrices`."""
    numbers: dict[str, Any] = {"batch_size": (batch_size, 1), "images": (images, 1), "workers": (workers, 0)}
    check_choices("error", "auto", **numbers, pixels=(pixels, 1), seed=(seed, 0))
    if not isinstance(rectify, bool):
        raise SettingError(f"expected rectify to be True or False; got {rectify!r}")
    copies = parse_perturbations(perturb, seed)
    target = checked_device(device)
    loaded = load_model(model, preprocessing=preprocessing)
    names = resolve_layers(loaded.module, layers)
    pools = resolve_pools(pool, loaded.module, names)
    source = open_image_source(
        data,
        concepts,
        loaded.preprocessing,
        preprocessing,
        size=parse_size(size, "size"),
        batch_size=batch_size,
        workers=workers,
        images=images,
    )
    loaded.module.to(target)
    answers = classes is not None or source.has_classes
    hooks = (WholePass if answers else LayerHooks)(
        loaded.module, names, layout=layout, tokens=tokens, options=checked_forward(loaded.module, target)
    )
    example = source.batches.example().to(target)
    maps = {name: view.data.shape for name, view in hooks.probe(example).items()}
    shapes = [
        *_pixel_shapes(int(example.shape[1]), pixels),
        *(MatrixShape(name, "neurons", pooled_shape(maps[name], pools[name])) for name in names),
    ]
    for name in names:
        if sum(one.name == name for one in shapes) > 1:
            raise SettingError(
                f"layer {name!r} has the name of a pixel matrix; leave those out (pixels=None, --pixels none)"
            )
    return Gathering(
        loaded, source, hooks, target, pools, pixels, rectify, copies, classes, masks and source.masks, answers, tuple(shapes)
    )  # fmt: skip


def _pixel_shapes(channels: int, side: int | None) -> list[MatrixShape]:
    if side is None:
        return []
    if channels not in COLOURS:
        raise DataError(
            f"expected images of 1 or 3 channels, whose pixels are colours; got {channels}; leave the pixels out "
            "(pixels=None, --pixels none)"
        )
    return [MatrixShape(colour, "pixels", (1, side, side)) for colour in COLOURS[channels]]
