"""Directions: any linear map of a layer's channels, dissected as if its outputs were units.

    layer      f(x)   [n, channels, h, w]
    directions W f(x) + b   [n, units, h, w]      a mix of the channels at every position, then sifted like any layer

A unit is the special case of a row of the identity. Rotations, principal components, probe weights and the encoders of
sparse autoencoders are others. Many units are mixed a block at a time, so that their maps never lie in memory together.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastdissect.codes import CodeMix, Codes, checked_codes
from fastdissect.errors import LayerError, SettingError
from fastdissect.float_arguments import finite_floats

__all__ = ["UNITS", "Directions", "LinearMix", "Mix", "checked_directions", "mixed_layers"]

UNITS = 4096  # mixed together. Fixed, memory or not: a product's bits may depend on its number of rows


@dataclass(frozen=True, eq=False)
class Directions:
    """A linear map of a layer's channels (Zhou, Bau et al. 2017 dissect rotations; any matrix is our formulation).

    Args:
        layer: name of a layer of the network.
        matrix: float [units, channels], finite, rounded to float32; row k is direction k.
        bias: float [units], added to every position; it changes no mask unless `rectify`.
        rectify: negative values become 0 afterwards, as in a sparse autoencoder's encoder.

    A channel that is NaN or infinite makes all directions so at that position, also those with a weight of 0 for it.
    Torch multiplies in float32 (in TF32 on a GPU, if the program allowed that), the rows 0-4095, 4096-8191, ... of the
    matrix apart from each other: a batch needs memory for 4,096 units' maps, however many there are.

    Example:
        >>> Directions("conv5", np.eye(4)).matrix.shape
        (4, 4)
    """

    layer: str
    matrix: ArrayLike
    bias: ArrayLike | None = None
    rectify: bool = False


class LinearMix:
    """A checked map, ready to run on the layer's own device.

    Args:
        layer: the layer's name.
        matrix: float32 [units, channels]. bias: float32 [units] or None.
    """

    def __init__(
        self,
        name: str,
        layer: str,
        matrix: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        rectify: bool,
    ) -> None:
        self.name, self.layer, self.matrix, self.bias, self.rectify = name, layer, matrix, bias, rectify
        self._placed: dict[torch.device, tuple[Tensor, Tensor | None]] = {}

    @property
    def units(self) -> int:
        return len(self.matrix)

    @property
    def edges(self) -> list[int]:
        """Where the blocks of units begin and end."""
        return [*range(0, self.units, UNITS), self.units]

    def __call__(self, maps: Tensor) -> Tensor:
        """[n, channels, h, w] of any float type -> float32 [n, units, h, w]; never in half precision.

        Raises:
            LayerError: the layer has another number of channels.
        """
        edges, own = self.edges, self.flat(maps)
        mixed = [self.block(own, first, last) for first, last in itertools.pairwise(edges)]
        whole = mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=1)
        return whole.view(len(maps), self.units, *maps.shape[2:])

    def flat(self, maps: Tensor) -> Tensor:
        """[n, channels, h, w] -> float32 [n, channels, h * w], which `block` takes.

        Raises:
            LayerError: the layer has another number of channels.
        """
        channels = self.matrix.shape[1]
        if maps.shape[1] != channels:
            raise LayerError(
                f"directions {self.name!r}: expected a matrix with a column for each of the {maps.shape[1]} channels "
                f"of layer {self.layer!r}; got {channels} columns"
            )
        return maps.float().flatten(2)

    def block(self, flat: Tensor, first: int, last: int) -> Tensor:
        """Units first ... last - 1, [n, last - first, h * w]."""
        matrix, bias = self._on(flat.device)
        with torch.autocast(flat.device.type, enabled=False):
            mixed = torch.matmul(matrix[first:last], flat)
            if bias is not None:
                mixed += bias[first:last, None]
            if self.rectify:
                mixed.relu_()
        return mixed

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        if device not in self._placed:
            bias = None if self.bias is None else torch.from_numpy(self.bias).to(device)
            self._placed[device] = torch.from_numpy(self.matrix).to(device), bias
        return self._placed[device]

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        digest = hashlib.blake2b(self.matrix.tobytes(), digest_size=16)
        digest.update(b"" if self.bias is None else self.bias.tobytes())
        units, channels = self.matrix.shape
        return {
            "layer": self.layer,
            "digest": digest.hexdigest(),
            "units": units,
            "channels": channels,
            "bias": self.bias is not None,
            "rectify": self.rectify,
        }


Mix: TypeAlias = LinearMix | CodeMix


def mixed_layers(given: Any) -> tuple[str, ...]:
    """The layers that directions start from, as the caller wrote them; given: {name: Directions or Codes} or None.

    Raises:
        SettingError: something else.
    """
    if not isinstance(given, Mapping):
        if given is None:
            return ()
        raise SettingError(f"directions: expected {{name: Directions or Codes}}; got {type(given).__name__}")
    for name, directions in given.items():
        if not isinstance(directions, Directions | Codes):
            raise SettingError(
                f"directions {name!r}: expected Directions(layer, matrix) or Codes(layer, encoder, units); got "
                f"{type(directions).__name__}"
            )
        if not all(isinstance(text, str) for text in (name, directions.layer)):
            raise SettingError(
                f"directions {name!r}: expected a name, and a layer's name, in text; got layer {directions.layer!r}"
            )
    return tuple(own.layer for own in given.values())


def checked_directions(
    given: Mapping[str, Directions | Codes] | None, layers: Mapping[str, str], taken: Iterable[str]
) -> dict[str, Mix]:
    """Check what `dissect` was given.

    Args:
        layers: {the layer as the caller wrote it: its name in the network}.
        taken: names that the network's own layers have.

    Raises:
        SettingError: no usable matrix, bias or encoder, or a name that a layer has.
    """
    mixes: dict[str, Mix] = {}
    others = set(taken)
    for name, directions in (given or {}).items():
        if not name or name in others:
            raise SettingError(
                f"expected directions under a name that no layer of the network has; got {name!r}; "
                f"one such name is {directions.layer + '@directions'!r}"
            )
        if isinstance(directions, Codes):
            mixes[name] = checked_codes(name, directions, layers[directions.layer])
            continue
        own = f"directions {name!r}"
        matrix = finite_floats(own, "matrix", directions.matrix)
        if matrix.ndim != 2 or not matrix.size:
            raise SettingError(
                f"directions {name!r}: expected a matrix [units, channels]; got shape {matrix.shape}"
            )
        bias = None if directions.bias is None else finite_floats(own, "bias", directions.bias)
        if bias is not None and bias.shape != (len(matrix),):
            raise SettingError(
                f"directions {name!r}: expected a bias of shape ({len(matrix)},), one a row of the matrix; "
                f"got {bias.shape}"
            )
        mixes[name] = LinearMix(name, layers[directions.layer], matrix, bias, bool(directions.rectify))
    return mixes
