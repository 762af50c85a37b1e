"""The gradient that "fgsm" follows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.perturbation import Gradient

__all__ = ["gradient_step"]


def gradient_step(logits: Callable[[Tensor], Tensor]) -> Gradient:
    """Return the gradient of the loss of the network's own top class by the pixels.

    The loss is how far the top logit lies above the others' log-sum-exp, negated: the cross-entropy is a rising function
    of it, so the signs are the same, and they do not vanish where the network is sure.

    Args:
        logits: pixels [n, channels, height, width] -> [n, classes], differentiable.

    Raises:
        SettingError: the logits do not depend on the pixels in a way that torch can differentiate.
    """

    def gradient(pixels: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            at = pixels.detach().clone().requires_grad_(True)
            found = logits(at).float()
            if not found.requires_grad:
                raise SettingError(
                    "perturbation fgsm: expected logits that torch can differentiate by the pixels; the network "
                    "switches gradients off; choose another perturbation"
                )
            top = found.argmax(1, keepdim=True)
            loss = -found.gather(1, top)[:, 0]
            if found.shape[1] > 1:
                loss = loss + found.scatter(1, top, -math.inf).logsumexp(1)
            return torch.autograd.grad(loss.sum(), at)[0]

    return gradient
