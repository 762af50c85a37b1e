"""Copies of a batch: the clean images as they came, then each perturbation of them; and their pixels, small."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from fastdissect.methods.classes import class_names, decision_classes
from fastdissect.methods.factorization.gathering_plan import Gathering
from fastdissect.methods.factorization.perturbation import Gradient, perturbed
from fastdissect.methods.factorization.perturbation_gradient import gradient_step
from fastdissect.methods.logits import logits_of

__all__ = ["copies_of", "input_gradient", "small_pixels"]


def copies_of(opened: Gathering, images: Tensor, first: int) -> Iterator[tuple[Tensor, Callable[[], Tensor]]]:
    """(network input, how to get its pixels), the clean images first. Clean input is what came, untouched."""
    scale, name = opened.source.scale, opened.source.batches.name
    yield images, lambda: scale.pixels(images, name)
    if not opened.perturbations:
        return
    clean, gradient = scale.pixels(images, name), input_gradient(opened)
    for how in opened.perturbations:
        copy = perturbed(clean, how, first, gradient)
        yield scale.inputs(copy), lambda copy=copy: copy  # type: ignore[misc]


def input_gradient(opened: Gathering) -> Gradient:
    """The gradient that "fgsm" follows: of the loss of the class that the network decides for, by the pixels."""
    module = opened.loaded.module

    def logits(pixels: Tensor) -> Tensor:
        found = logits_of(module(opened.source.scale.inputs(pixels).to(opened.hooks.dtype)))
        among = decision_classes(module, class_names(module, int(found.shape[1])))
        return found[:, torch.from_numpy(among).to(found.device)]

    return gradient_step(logits)


def small_pixels(pixels: Tensor, side: int) -> Tensor:
    """Pixels [n, channels, side, side] in 0..1: resized as a whole, antialiased where they shrink.

    >>> small_pixels(torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]]), 1)
    tensor([[[[0.5000]]]])
    """
    if tuple(pixels.shape[2:]) == (side, side):
        return pixels
    resized = functional.interpolate(
        pixels, (side, side), mode="bilinear", antialias=True, align_corners=False
    )
    return resized.clamp(0, 1)
