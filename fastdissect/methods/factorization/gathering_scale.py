"""Pixels in 0..1, and what the network gets of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastdissect.errors import DataError

__all__ = ["PixelScale"]

_SLACK = 1e-3  # pixels may leave 0..1 by so much, as rounding of a normalisation does


@dataclass(frozen=True)
class PixelScale:
    """How the network's input stands to pixels in 0..1: input = (pixel - mean) / std, a value for each channel.

    Attributes:
        mean, std: None: the input is pixels already.
        eight_bit: the pixels were 8-bit numbers, and are exactly these again.
    """

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    eight_bit: bool

    def pixels(self, images: Tensor, name: str) -> Tensor:
        """Return float32 [n, channels, height, width] in 0..1.

        Raises:
            DataError: the input is none of this scale.
        """
        images = images.float()
        if self.mean is not None:
            mean, std = self._of(images)
            images = images * std + mean
        low, high = float(images.min()), float(images.max())
        if not (low >= -_SLACK and high <= 1 + _SLACK):
            raise DataError(
                f"{name}: expected images in 0..1{'' if self.mean is None else ' once mean and standard deviation are undone'}, "
                f"whose pixels can be factorised and perturbed; got {low:.4g} to {high:.4g}; say what the loader subtracts and "
                "divides by (preprocessing=Preprocessing(mean, std)), or leave pixels and perturbations out (pixels=None)"
            )
        images = images.clamp(0, 1)
        return (images * 255).round() / 255 if self.eight_bit else images

    def inputs(self, pixels: Tensor) -> Tensor:
        """The network's input of pixels in 0..1."""
        if self.mean is None:
            return pixels
        mean, std = self._of(pixels)
        return (pixels - mean) / std

    def _of(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (
            torch.tensor(self.mean, device=images.device),
            torch.tensor(self.std, device=images.device),
        )
        if images.shape[1] != len(mean):
            raise DataError(
                f"expected {len(mean)} channels, as preprocessing has; got {images.shape[1]}; give pixels=None"
            )
        return mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)
