"""What reaches the network: NetDissect-Lite's own preprocessing, to the last bit.

Lite takes Caffe's mean off in BGR order, turns to RGB and divides all channels by 255 * 0.224. A threshold is a
value that occurs, and edge pixels of a mask repeat a cell's value, so an activation that differs in its last bit
can move whole corners in or out of a mask. A pixel has but 256 values: a table gives each the float that Lite
computes, whatever the device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastdissect.models import Preprocessing, unwrap

__all__ = ["LITE_MEAN", "PIXELS", "input_table", "lite_inputs"]

LITE_MEAN = (109.5388, 118.6897, 124.6901)  # blue, green, red
_SCALE = 255.0 * 0.224

PIXELS = Preprocessing(
    mean=(0.0, 0.0, 0.0),
    std=(1 / 255, 1 / 255, 1 / 255),
    source="NetDissect-Lite's: pixels minus (124.6901, 118.6897, 109.5388), over 57.12",
)
"""Pixels as they are, 0 to 255: the table does the rest."""


def input_table() -> Tensor:
    """float32 [3, 256]: what the network gets for a red, green or blue pixel of 0 to 255."""
    mean = np.array(LITE_MEAN[::-1])[:, None]
    centred = (np.arange(256, dtype=np.float32)[None] - mean).astype(np.float32)  # float64, rounded once
    return torch.from_numpy(centred).div_(_SCALE)


@contextlib.contextmanager
def lite_inputs(model: nn.Module) -> Iterator[None]:
    """While it lasts, the model gets pixels of 0 to 255 in Lite's preprocessing."""
    table = input_table()

    def hook(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        pixels = arguments[0]
        own = table.to(pixels.device)
        planes = [own[c][pixels[:, c].long()] for c in range(3)]
        return (torch.stack(planes, dim=1).to(pixels.dtype), *arguments[1:])

    handle = unwrap(model).register_forward_pre_hook(hook, prepend=True)  # others see what Lite would give
    try:
        yield
    finally:
        handle.remove()
