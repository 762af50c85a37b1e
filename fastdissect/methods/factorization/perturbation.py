"""Perturbed copies of images: what the network makes of them beside the clean ones.

    noise=0.1        Gaussian noise of this standard deviation, the same for an image whatever its batch
    blur=2           Gaussian blur of this standard deviation in pixels
    brightness=0.2   added to every pixel; may be negative
    contrast=0.5     distance to the image's mean, times this
    occlusion=0.3    a grey square, of this share of the shorter side, at a random place
    fgsm=0.03        a step of this size up the gradient of the loss of the network's own top class

Pixels are in 0..1, and stay there. The gradient's sign: Goodfellow, Shlens and Szegedy 2015, "Explaining and Harnessing
Adversarial Examples", section 4; the paper on coupled factorisation mixes such copies among the clean images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fastdissect.errors import SettingError, nearest

__all__ = ["CLEAN", "Gradient", "Perturbation", "parse_perturbations", "perturbed"]

CLEAN = "clean"
Gradient = Callable[[Tensor], Tensor]

_STRENGTHS = {
    "noise": (0.1, 0.0, 10.0),
    "blur": (2.0, 0.0, 1000.0),
    "brightness": (0.2, -1.0, 1.0),
    "contrast": (0.5, 0.0, 100.0),
    "occlusion": (0.3, 0.0, 1.0),
    "fgsm": (8 / 255, 0.0, 1.0),
}  # name: (default, least, most)
_DRAWN = ("noise", "occlusion")  # by a seed


@dataclass(frozen=True)
class Perturbation:
    """What is done to an image.

    Attributes:
        kind: "noise", "blur", "brightness", "contrast", "occlusion" or "fgsm".
        strength: see this module's text.
        seed: of what is drawn.
    """

    kind: str
    strength: float
    seed: int = 0

    @property
    def name(self) -> str:
        """Kind and strength, as they are written: "noise=0.1"."""
        return f"{self.kind}={self.strength:.4g}"

    @property
    def drawn(self) -> bool:
        """Whether the seed matters."""
        return self.kind in _DRAWN


def parse_perturbations(
    given: str | Perturbation | Iterable[str | Perturbation], seed: int = 0
) -> tuple[Perturbation, ...]:
    """Return perturbations from "kind" or "kind=strength".

    Raises:
        SettingError: an unknown kind, a strength that is no number or out of its range, one that comes twice.

    >>> [p.name for p in parse_perturbations(["noise", "blur=1"])]
    ['noise=0.1', 'blur=1']
    """
    listed = [given] if isinstance(given, str | Perturbation) else list(given)
    found = tuple(one if isinstance(one, Perturbation) else _parsed(one, seed) for one in listed)
    for number, one in enumerate(found):
        if one.name in {other.name for other in found[:number]}:
            raise SettingError(f"perturbation {one.name} comes twice; give each once")
    return found


def _parsed(text: str, seed: int) -> Perturbation:
    kind, equals, value = str(text).strip().partition("=")
    if kind not in _STRENGTHS:
        raise SettingError(
            f"unknown perturbation {text!r}; expected one of {', '.join(_STRENGTHS)}, with =STRENGTH behind it or "
            f"alone{nearest(kind, _STRENGTHS)}"
        )
    usual, least, most = _STRENGTHS[kind]
    try:
        strength = float(value) if equals else usual
    except ValueError:
        strength = math.nan
    if not least <= strength <= most:
        raise SettingError(
            f"perturbation {kind}: expected a strength from {least:g} to {most:g}; got {value!r}"
        )
    return Perturbation(kind, strength, seed)


def perturbed(pixels: Tensor, how: Perturbation, first: int = 0, gradient: Gradient | None = None) -> Tensor:
    """Return perturbed copies.

    Args:
        pixels: float32 [n, channels, height, width], in 0..1.
        first: number of the first image in its data set: what is drawn depends on the image's number and the seed alone.
        gradient: of the loss by the pixels, for "fgsm": [n, channels, height, width] -> the same shape.

    Returns:
        float32, the same shape, in 0..1.

    >>> perturbed(torch.full((1, 3, 2, 2), 0.9), Perturbation("brightness", 0.2)).max().item()
    1.0
    """
    s = how.strength
    if how.kind == "noise":
        drawn = [
            _rng(how, first + i).standard_normal(tuple(p.shape), np.float32) for i, p in enumerate(pixels)
        ]
        out = pixels + s * torch.from_numpy(np.stack(drawn)).to(pixels.device)
    elif how.kind == "blur":
        out = _blurred(pixels, s)
    elif how.kind == "brightness":
        out = pixels + s
    elif how.kind == "contrast":
        mean = pixels.mean((1, 2, 3), keepdim=True)
        out = mean + s * (pixels - mean)
    elif how.kind == "occlusion":
        out = _occluded(pixels, how, first)
    else:
        assert gradient is not None, "fgsm needs the network"
        out = pixels + s * gradient(pixels).sign()
    return out.clamp(0, 1)


def _rng(how: Perturbation, image: int) -> np.random.Generator:
    return np.random.default_rng([how.seed, image, _DRAWN.index(how.kind)])


def _blurred(pixels: Tensor, sigma: float) -> Tensor:
    """Both axes one after the other; pixels outside are those of the edge."""
    reach = math.ceil(3 * sigma)
    if not reach:
        return pixels
    at = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(pixels)
    channels = pixels.shape[1]
    for axis in (0, 1):
        shape = (channels, 1, -1, 1) if axis == 0 else (channels, 1, 1, -1)
        pad = (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0)
        weight = kernel.view(1, 1, *shape[2:]).expand(channels, -1, -1, -1)
        pixels = functional.conv2d(functional.pad(pixels, pad, mode="replicate"), weight, groups=channels)
    return pixels


def _occluded(pixels: Tensor, how: Perturbation, first: int) -> Tensor:
    out = pixels.clone()
    height, width = (int(n) for n in pixels.shape[2:])
    side = round(how.strength * min(height, width))
    for number, image in enumerate(out):
        rng = _rng(how, first + number)
        row, column = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
        image[:, row : row + side, column : column + side] = 0.5
    return out
