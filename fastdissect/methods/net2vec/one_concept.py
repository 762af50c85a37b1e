"""One concept after the other, in plain torch: the released procedure, and the oracle of the fast one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.net2vec.problem import Problem
from fastdissect.methods.net2vec.settings import SegmentationSettings, first_weights
from fastdissect.types import Upsampling

if TYPE_CHECKING:
    import torch

__all__ = ["dense_features", "dense_masks", "mask_loss", "train_concept"]


def mask_loss(
    weights: torch.Tensor,
    bias: torch.Tensor | None,
    features: torch.Tensor,
    masks: torch.Tensor,
    inside: float,
    outside: float,
    upsampling: Upsampling,
    loss: str,
) -> torch.Tensor:
    """The loss of METHODS 3.2 over a batch.

    Args:
        weights: [units]. features: [images, units, h, w] of 0 and 1. masks: [images, H, W] of 0 and 1.
        inside, outside: alpha and 1 - alpha.

    Returns:
        A scalar: the sum over pixels, the mean over images.
    """
    import torch
    from torch.nn import functional

    z = torch.einsum("k,nkhw->nhw", weights, features)
    if bias is not None:
        z = z + bias
    modes = {"align-corners": True, "half-pixel": False}
    s = functional.interpolate(
        z[:, None], upsampling.size, mode="bilinear", align_corners=modes[upsampling.mode]
    )[:, 0]
    if loss == "linear":
        m = torch.sigmoid(s)
        terms = inside * masks * m + outside * (1 - masks) * (1 - m)
    else:
        terms = inside * masks * functional.logsigmoid(s) + outside * (1 - masks) * functional.logsigmoid(-s)
    return -terms.sum() / len(features)


def train_concept(
    problem: Problem, settings: SegmentationSettings, row: int, epochs: int | None = None
) -> tuple[NDArray[np.float32], float]:
    """Train one concept's vector by torch's own SGD; return its weights, float32 [units], and its bias (0: none).

    Raises:
        SettingError: as the settings do.
    """
    import torch

    units, shown = problem.layer.units_count, problem.targets.train
    rule = settings.rule(problem.targets.mask_pixels)
    start = first_weights(settings, problem.numbers[row : row + 1], units)[0]
    weights = torch.tensor(start, requires_grad=True)
    bias = torch.zeros((), requires_grad=True) if settings.bias else None
    inside, outside = (float(w[row]) for w in problem.targets.weights())
    learnt = [weights] if bias is None else [weights, bias]
    optimiser = torch.optim.SGD(learnt, rule.rate, settings.momentum)
    first, last = shown.concept_start[row], shown.concept_start[row + 1]
    for _ in range(settings.epochs if epochs is None else epochs):
        for begin in range(first, last, settings.batch):
            pairs = range(begin, min(begin + settings.batch, last))
            features = torch.from_numpy(dense_features(problem, [int(shown.image[p]) for p in pairs]))
            masks = torch.from_numpy(np.stack([dense_masks(problem, p) for p in pairs]))
            loss = mask_loss(
                weights, bias, features, masks, inside, outside, problem.upsampling, settings.loss
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            assert weights.grad is not None
            with torch.no_grad():
                weights.grad += settings.l1 * weights.sign() + settings.l2 * weights
            optimiser.step()
            if settings.positive:
                with torch.no_grad():
                    weights.clamp_(min=0)
    return weights.detach().numpy(), 0.0 if bias is None else float(bias.detach())


def dense_features(problem: Problem, images: list[int]) -> NDArray[np.float32]:
    """Z_k of some images, float32 [images, units, height, width]."""
    _, units, height, width = problem.cells.shape
    z = np.zeros((len(images), units, height * width), np.float32)
    for i, image in enumerate(images):
        own = slice(problem.cells.image_start[image], problem.cells.image_start[image + 1])
        z[i, problem.cells.unit[own], problem.cells.cell[own]] = 1
    return z.reshape(len(images), units, height, width)


def dense_masks(problem: Problem, pair: int) -> NDArray[np.float32]:
    """L_c of one pair of the training images, float32 [H, W]."""
    shown, (height, width) = problem.targets.train, problem.upsampling.size
    if shown.row[pair] < 0:
        return np.ones((height, width), np.float32)
    words = shown.words[shown.row[pair]].astype("<u8").view(np.uint8)
    return (
        np.unpackbits(words, count=height * width, bitorder="little")
        .reshape(height, width)
        .astype(np.float32)
    )
