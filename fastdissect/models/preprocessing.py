"""What a model wants done to its pixels: mean, standard deviation, input size, interpolation, and who says so.

Geometry is the data set's, not the model's (DESIGN section 5): crops, flips and antialiasing tricks of a
model's own pipeline are left out on purpose, because masks would have to follow them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn

from fastdissect.errors import ModelError, SettingError

__all__ = ["IMAGENET", "Preprocessing", "find_preprocessing"]

Interpolation = Literal["bilinear", "bicubic", "nearest"]

# PIL's resampling numbers, as image processors write them into their JSON.
_PIL_NUMBERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preprocessing:
    """Pixels in 0..255 become `(pixel / 255 - mean) / std`, a value for red, green and blue each.

    Args:
        mean, std: three floats each, on the scale 0..1.
        size: height and width of the network's input in pixels; None: whatever the data set has.
        interpolation: how an image of another size is resized (never cropped).
        source: where these values came from, in words; a run records it.

    Raises:
        SettingError: a value outside what is allowed.

    >>> Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (112, 112)).interpolation
    'bilinear'
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int] | None = None
    interpolation: Interpolation = "bilinear"
    source: str = "given by the caller"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise SettingError(f"std: expected three numbers above 0, got {self.std}")
        if self.size is not None:
            size = tuple(int(n) for n in self.size)
            if len(size) != 2 or min(size) < 1:
                raise SettingError(f"size: expected (height, width) in pixels or None, got {self.size}")
            object.__setattr__(self, "size", size)
        if self.interpolation not in ("bilinear", "bicubic", "nearest"):
            raise SettingError(
                f"interpolation: expected 'bilinear', 'bicubic' or 'nearest', got {self.interpolation!r}"
            )


def find_preprocessing(module: nn.Module) -> Preprocessing:
    """Take the preprocessing that a module carries, or ImageNet's, and say which in `source`.

    Looked at, in this order: an attribute `preprocessing` of our own type; timm's `pretrained_cfg` or
    `default_cfg`; an `image_processor` (transformers); the `preprocessor_config.json` in the folder that a
    transformers `config` was loaded from; `config.image_size`.

    Raises:
        ModelError: the model's own statement is damaged.
    """
    own = getattr(module, "preprocessing", None)
    if isinstance(own, Preprocessing):
        return own
    for attribute in ("pretrained_cfg", "default_cfg"):
        cfg = getattr(module, attribute, None)
        if cfg:
            return _from_timm(cfg if isinstance(cfg, Mapping) else vars(cfg), attribute)
    processor = getattr(module, "image_processor", None)
    if processor is not None and hasattr(processor, "image_mean"):
        return _from_processor(vars(processor), "the model's image_processor")
    config = getattr(module, "config", None)
    folder = getattr(config, "_name_or_path", None)
    if folder and (Path(folder) / "preprocessor_config.json").is_file():
        return from_processor_file(Path(folder) / "preprocessor_config.json")
    size = getattr(config, "image_size", None)
    return (
        Preprocessing(IMAGENET.mean, IMAGENET.std, _pair(size), source=IMAGENET.source) if size else IMAGENET
    )


def from_processor_file(path: Path) -> Preprocessing:
    """Read a transformers `preprocessor_config.json`."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: expected a JSON file with image_mean and image_std, got: {error}"
        ) from error
    return _from_processor(fields, path.name)


def _from_timm(cfg: Mapping[str, Any], attribute: str) -> Preprocessing:
    size = cfg.get("input_size")
    return Preprocessing(
        mean=_three("mean", cfg.get("mean") or IMAGENET.mean),
        std=_three("std", cfg.get("std") or IMAGENET.std),
        size=_pair(size[-2:]) if size else None,
        interpolation=_interpolation(cfg.get("interpolation")),
        source=f"the model's {attribute}",
    )


def _from_processor(fields: Mapping[str, Any], where: str) -> Preprocessing:
    # A processor that crops states the network's input as crop_size, and `size` is only a step before it.
    size = fields.get("crop_size") if fields.get("do_center_crop") else None
    normalised = fields.get("do_normalize", True)
    return Preprocessing(
        mean=_three("mean", fields.get("image_mean") or IMAGENET.mean) if normalised else (0.0, 0.0, 0.0),
        std=_three("std", fields.get("image_std") or IMAGENET.std) if normalised else (1.0, 1.0, 1.0),
        size=_pair(size or fields.get("size")),
        interpolation=_interpolation(fields.get("resample")),
        source=where,
    )


def _three(name: str, values: Any) -> tuple[float, float, float]:
    if isinstance(values, int | float):
        values = (values,) * 3
    if not isinstance(values, Sequence) or len(values) != 3:
        raise SettingError(f"{name}: expected three numbers (red, green, blue), got {values!r}")
    return float(values[0]), float(values[1]), float(values[2])


def _pair(size: Any) -> tuple[int, int] | None:
    """224, (h, w), {"height": h, "width": w}, {"shortest_edge": n} or None, as the libraries write it."""
    if hasattr(size, "height") and not isinstance(size, Mapping):  # transformers 5: an object with fields
        size = vars(size)
    if isinstance(size, Mapping):
        square = size.get("shortest_edge")
        size = (size.get("height") or square, size.get("width") or square)
    if isinstance(size, int):
        return size, size
    if isinstance(size, Sequence) and len(size) == 2 and all(isinstance(n, int) for n in size):
        return int(size[0]), int(size[1])
    return None


def _interpolation(value: Any) -> Interpolation:
    """The library's word or PIL's number. Kernels that a run does not offer (Lanczos) become bicubic."""
    name = _PIL_NUMBERS.get(value, "bicubic") if isinstance(value, int) else str(value or "bilinear")
    name = name.lower().rsplit(".", 1)[-1]
    if name not in ("bilinear", "bicubic", "nearest"):
        name = "bicubic" if name in ("lanczos", "hamming", "box") else "bilinear"
    return cast(Interpolation, name)


IMAGENET = Preprocessing(
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    source="ImageNet's mean and standard deviation (the model states none; give preprocessing= if wrong)",
)
