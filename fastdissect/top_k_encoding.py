"""Top-k codes: the usual encoder of a sparse autoencoder, without its dense pre-activations of a whole batch."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastdissect.errors import LayerError, SettingError
from fastdissect.float_arguments import finite_floats

__all__ = ["PLACES", "TopKCodes", "top_k_codes"]

PLACES = (
    256  # taken together: 65,536 units take 64 MiB. Fixed: a product's bits may depend on its number of rows
)


class TopKCodes:
    """What `top_k_codes` gives: an encoder for `Codes`.

    Attributes:
        matrix: float32 [units, channels]. bias: float32 [units]. center: float32 [channels]; both or either None.
    """

    def __init__(
        self,
        matrix: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        k: int,
        center: NDArray[np.float32] | None,
    ) -> None:
        self.matrix, self.bias, self.k, self.center = matrix, bias, k, center
        self._placed: dict[torch.device, tuple[Tensor, Tensor | None, Tensor | None]] = {}

    @property
    def units(self) -> int:
        return len(self.matrix)

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [places, channels] -> indices int64 and values float32, both [places, k]; some values may be 0.

        Raises:
            LayerError: another number of channels.
        """
        channels = self.matrix.shape[1]
        if features.shape[1] != channels:
            raise LayerError(
                f"expected a matrix with a column for each of the layer's {features.shape[1]} channels; got {channels} "
                "columns; give the encoder of this layer"
            )
        matrix, bias, center = self._on(features.device)
        indices = torch.empty(len(features), self.k, dtype=torch.int64, device=features.device)
        values = torch.empty(len(features), self.k, device=features.device)
        for first in range(0, len(features), PLACES):
            block = features[first : first + PLACES]
            dense = torch.nn.functional.linear(block if center is None else block - center, matrix, bias)
            top = dense.relu_().topk(self.k)
            values[first : first + PLACES], indices[first : first + PLACES] = top.values, top.indices
        return indices, values

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if device not in self._placed:
            bias, center = (
                None if own is None else torch.from_numpy(own).to(device) for own in (self.bias, self.center)
            )
            self._placed[device] = torch.from_numpy(self.matrix).to(device), bias, center
        return self._placed[device]

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        digest = hashlib.blake2b(digest_size=16)
        for own in (self.matrix, self.bias, self.center):
            digest.update(b"-" if own is None else own.tobytes())
        return {
            "encoder": "top-k",
            "digest": digest.hexdigest(),
            "channels": self.matrix.shape[1],
            "bias": self.bias is not None,
            "center": self.center is not None,
            "k": self.k,
        }


def top_k_codes(
    matrix: ArrayLike, bias: ArrayLike | None = None, k: int = 32, *, center: ArrayLike | None = None
) -> TopKCodes:
    """The k largest of `relu(matrix (x - center) + bias)` at each place, and which units they are.

    The encoder of top-k sparse autoencoders (Gao et al. 2024, section 2.3; the ReLU as in their code). The dense
    pre-activations are computed for 256 places at a time. Which of several equal values is taken is torch.topk's choice.

    Args:
        matrix: [units, channels], the encoder's; PyTorch's `Linear.weight` has this shape.
        bias: [units], added; None: none.
        k: values a place, 1 to units.
        center: [channels], taken from the features first (the decoder's bias, in many autoencoders); None: none.

    Raises:
        SettingError: shapes that do not fit each other, numbers that are not finite, or such a k.

    Example:
        >>> encode = top_k_codes([[1, 0], [0, 1], [1, 1]], k=1)
        >>> encode(torch.tensor([[0.5, 3.0]]))
        (tensor([[2]]), tensor([[3.5000]]))
    """
    own = finite_floats("top_k_codes", "matrix", matrix)
    if own.ndim != 2 or not own.size:
        raise SettingError(f"top_k_codes: expected a matrix [units, channels]; got shape {own.shape}")
    added = None if bias is None else finite_floats("top_k_codes", "bias", bias)
    if added is not None and added.shape != own.shape[:1]:
        raise SettingError(f"top_k_codes: expected a bias of shape ({len(own)},); got {added.shape}")
    taken = None if center is None else finite_floats("top_k_codes", "center", center)
    if taken is not None and taken.shape != own.shape[1:]:
        raise SettingError(
            f"top_k_codes: expected a center of shape ({own.shape[1]},), one number a channel; got {taken.shape}"
        )
    if type(k) is not int or not 1 <= k <= len(own):
        raise SettingError(f"top_k_codes: expected k from 1 to {len(own)}, the number of units; got {k!r}")
    return TopKCodes(own, added, k, taken)
