"""What a segmenter's processor settings ask for: size, scale, mean and standard deviation.

Read from preprocessor_config.json by our own few lines: the library's processors differ in their arithmetic between
versions, and need torchvision. Whole images are resized; a crop is left out, because labels must cover the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.resize import resize_image
from fastdissect.datasets.segmented.library import cached_json
from fastdissect.datasets.segmented.segmenter import Size
from fastdissect.errors import DataError, ModelError

__all__ = ["Processor", "read_processor"]

# PIL's resampling numbers, as processors write them
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


@dataclass(frozen=True)
class Processor:
    """uint8 images -> a segmenter's input: resized, then (pixel * scale - mean) / std.

    Attributes:
        size: {"height", "width"}, {"shortest_edge"[, "longest_edge"]} or {"longest_edge"}; {}: images stay as they are.
        divisor: both sides are rounded up to a multiple of it.
    """

    size: Mapping[str, int]
    resampling: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    divisor: int

    def input_size(self, image: Size) -> Size:
        """Height and width of the segmenter's input.

        >>> coco = Processor({"shortest_edge": 800, "longest_edge": 1333}, "bilinear", 1 / 255, (0,) * 3, (1,) * 3, 32)
        >>> coco.input_size((480, 640)), coco.input_size((200, 600))
        ((800, 1088), (448, 1344))
        """
        height, width = image
        if "height" in self.size:
            height, width = self.size["height"], self.size["width"]
        elif self.size:
            longest, shortest = max(image), min(image)
            most = self.size.get("longest_edge", 1 << 31) / longest
            factor = (
                min(self.size["shortest_edge"] / shortest, most) if "shortest_edge" in self.size else most
            )
            height, width = (max(1, round(side * factor)) for side in image)
        step = self.divisor
        return math.ceil(height / step) * step, math.ceil(width / step) * step

    def resize(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Raises DataError where so long and narrow an image would become too large."""
        size = self.input_size((pixels.shape[0], pixels.shape[1]))
        if size[0] * size[1] > MAX_PIXELS:
            raise DataError(
                f"an image of {pixels.shape[0]} x {pixels.shape[1]} pixels becomes {size[0]} x {size[1]} for the segmenter, "
                f"whose processor wants {dict(self.size)}; expected at most {MAX_PIXELS:,} pixels; leave the image out, or add "
                "a longest_edge in preprocessor_config.json"
            )
        return resize_image(pixels, size, self.resampling)

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [n, height, width, 3] -> float32 [n, 3, height, width]."""
        mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return (images.permute(0, 3, 1, 2).float() * self.scale - mean) / std

    def record(self) -> dict[str, Any]:
        return {
            "size": dict(self.size),
            "resampling": self.resampling,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
            "divisor": self.divisor,
        }


def read_processor(name: str, download: bool) -> Processor:
    """The processor settings of a model's folder: preprocessor_config.json, or the part of processor_config.json.

    Raises:
        ModelError: there are none, or they make no sense.
    """
    found = cached_json("preprocessor_config.json", name, download)
    if found is None:
        found = (cached_json("processor_config.json", name, download) or {}).get("image_processor")
    if not isinstance(found, dict):
        raise ModelError(
            f"segmenter {name!r}: expected preprocessor_config.json beside the weights (size, image_mean, image_std); got "
            "none; copy it from where the model came from"
        )
    try:
        return _processor(found)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"segmenter {name!r}: its processor settings cannot be read ({error!r}); expected size, image_mean and "
            "image_std as the library writes them; restore preprocessor_config.json"
        ) from error


def _processor(found: dict[str, Any]) -> Processor:
    size: Any = {}
    if found.get("do_resize", True):
        size = found["crop_size" if found.get("do_center_crop") else "size"]
    if isinstance(size, int):  # as older versions wrote them
        longest = found.get("max_size")
        square = {"height": size, "width": size}
        size = square if longest is None else {"shortest_edge": size, "longest_edge": longest}
    size = {str(key): int(value) for key, value in dict(size).items() if value is not None}
    if size and not ({"height", "width"} <= set(size) or {"shortest_edge", "longest_edge"} & set(size)):
        raise ValueError(f"size {size}")
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if found.get("do_normalize", True):
        mean, std = (tuple(float(v) for v in found[key]) for key in ("image_mean", "image_std"))
    scale = float(found.get("rescale_factor") or 1 / 255) if found.get("do_rescale", True) else 1.0
    positive = all(math.isfinite(v) and v > 0 for v in (*std, scale, *size.values()))
    small = all(v * v <= MAX_PIXELS for v in size.values())
    if len(mean) != 3 or len(std) != 3 or not positive or not small:
        raise ValueError(f"size {size}, mean {mean}, std {std}, scale {scale}")
    divisor = int(found.get("size_divisor") or found.get("ensure_multiple_of") or 1)
    return Processor(size, _RESAMPLING[int(found.get("resample", 2))], scale, mean, std, max(1, divisor))
