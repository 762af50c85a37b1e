"""Codes: sparse units on a layer's features, such as a top-k sparse autoencoder's, dissected without becoming dense.

layer     f(x)   [n, channels, h, w]
encoder   float32 [places, channels]  ->  indices, values [places, k]
units     maps that are 0 but where a place's codes name the unit
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from fastdissect.errors import ActivationError, LayerError, SettingError

__all__ = ["CodeMix", "Codes", "Encoder", "checked_codes"]

Encoder: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Codes:
    """Sparse codes of a layer's features at every place, as units (our formulation).

    What is kept is what a layer of the dense codes would give, bit for bit; memory and time grow with the codes, not
    with units x places. `fastdissect.top_k_codes` makes the usual encoder.

    Args:
        layer: name of a layer of the network.
        encoder: called under `torch.inference_mode()` with float32 [places, channels] on the layer's device, all places
            of a batch (image, row, column); returns indices int64 (or int32) and values float32 (or narrower), both
            [places, k], on any device. Values are finite and 0 or more. An entry of 0 says nothing, whichever unit it
            names: it fills places that have fewer codes. A unit named twice in a place is an error: add them first.
        units: how many there are; None: the encoder's own `units`.

    Example:
        >>> Codes("conv5", lambda x: (torch.zeros(len(x), 1, dtype=torch.int64), x[:, :1].relu()), units=1).units
        1
    """

    layer: str
    encoder: Encoder
    units: int | None = None


class CodeMix:
    """Checked codes, ready to run."""

    def __init__(self, name: str, layer: str, encoder: Encoder, units: int) -> None:
        self.name, self.layer, self.encoder, self.units = name, layer, encoder, units
        self._record = {"layer": layer, "units": units, **_encoder_record(encoder)}

    def codes(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """[n, channels, h, w] of any float type -> indices int64 and values float32, [n, h * w, k], on the CPU.

        Raises:
            ActivationError: what the encoder gives is no code; says what it should be.
        """
        images, channels, height, width = maps.shape
        features = maps.float().permute(0, 2, 3, 1).reshape(-1, channels)
        with torch.autocast(maps.device.type, enabled=False):
            try:
                given = self.encoder(features)
            except LayerError as error:
                raise LayerError(f"codes {self.name!r}: {error}") from error
        indices, values = self._checked(given, len(features))
        shape = (images, height * width, indices.shape[1])
        return indices.view(shape), values.view(shape)

    def __call__(self, maps: Tensor) -> Tensor:
        """The dense maps, float32 [n, units, h, w]: for what reads whole maps."""
        images, _, height, width = maps.shape
        indices, values = self.codes(maps)
        named = values != 0
        image, place, _ = named.nonzero(as_tuple=True)
        dense = torch.zeros(images, self.units, height * width)
        dense[image, indices[named], place] = values[named]
        return dense.view(images, self.units, height, width)

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        return dict(self._record)

    def _checked(self, given: Any, places: int) -> tuple[Tensor, Tensor]:
        what = f"codes {self.name!r}: expected the encoder to return indices and values [{places}, k]"
        pair = isinstance(given, tuple | list) and len(given) == 2
        if not pair or not all(isinstance(own, Tensor) for own in given):
            raise ActivationError(f"{what}, two tensors; got {type(given).__name__}")
        indices, values = given
        if indices.shape != values.shape or indices.ndim != 2 or len(indices) != places:
            raise ActivationError(
                f"{what}, a row a place; got {list(indices.shape)} and {list(values.shape)}"
            )
        if indices.dtype not in (torch.int64, torch.int32) or values.dtype not in (
            torch.float32,
            torch.float16,
            torch.bfloat16,
        ):
            raise ActivationError(
                f"{what}, int64 and float32; got {_word(indices)} and {_word(values)}; torch.topk gives values first"
            )
        indices = indices.detach().to("cpu", torch.int64).contiguous()
        values = values.detach().to("cpu", torch.float32).contiguous()
        self._check_entries(indices, values)
        return indices, values

    def _check_entries(self, indices: Tensor, values: Tensor) -> None:
        if not indices.numel():
            return
        low, high = (int(n) for n in indices.aminmax())
        if low < 0 or high >= self.units:
            raise ActivationError(
                f"codes {self.name!r}: expected unit numbers 0 to {self.units - 1}; got {low if low < 0 else high}; give the "
                "true number of units"
            )
        negative = (values < 0).nonzero()
        if len(negative):
            place, j = negative[0].tolist()
            raise ActivationError(
                f"codes {self.name!r}: expected values of 0 or more; got {values[place, j]:g} for unit "
                f"{int(indices[place, j])} at place {place} of the batch; units that can be negative are Directions"
            )
        nothing = -1 - torch.arange(indices.shape[1])
        named = torch.where(values != 0, indices, nothing).sort(dim=1).values
        twice = (named[:, 1:] == named[:, :-1]).nonzero()
        if len(twice):
            place, j = twice[0].tolist()
            raise ActivationError(
                f"codes {self.name!r}: expected each unit at most once in a place; got unit {int(named[place, j])} twice at "
                f"place {place} of the batch; add its values in the encoder"
            )


def checked_codes(name: str, given: Codes, layer: str) -> CodeMix:
    """Check what `dissect` was given; `layer`: the layer's name in the network.

    Raises:
        SettingError: no callable, or no number of units.
    """
    own = getattr(given.encoder, "units", None)
    if not callable(given.encoder):
        raise SettingError(
            f"codes {name!r}: expected an encoder that can be called, such as top_k_codes(matrix); got "
            f"{type(given.encoder).__name__}"
        )
    units = own if given.units is None else given.units
    if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
        raise SettingError(
            f"codes {name!r}: expected the number of units, 1 or more (Codes(layer, encoder, units)); got {units!r}"
        )
    return CodeMix(name, layer, given.encoder, int(units))


def _word(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _encoder_record(encoder: Any) -> dict[str, Any]:
    """Its own record; a module's name and a digest of its state; else its name, and that no more is known."""
    if callable(getattr(encoder, "record", None)):
        return dict(encoder.record())
    module = encoder if isinstance(encoder, nn.Module) else getattr(encoder, "__self__", None)
    called = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    name = f"{called.__module__}.{called.__qualname__}"
    if not isinstance(module, nn.Module):
        return {"encoder": name, "digest": "unknown"}
    digest = hashlib.blake2b(digest_size=16)
    for key, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            own = value.detach().cpu().contiguous()
            digest.update(f"{key} {own.dtype} {list(own.shape)} ".encode())
            digest.update(own.flatten().view(torch.uint8).numpy().tobytes())
    return {"encoder": name, "digest": digest.hexdigest()}
