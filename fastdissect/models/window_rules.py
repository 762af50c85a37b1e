"""Windows folded into the batch, [N * windows, T, K]: read where they are proven, refused elsewhere.

The proof: put back, what a block hands to its attention equals what the block had before, bit for bit. The pass is
on noise, so that no two cells are alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.models.readings import Reading
from fastdissect.models.shifted_windows import ShiftedWindows
from fastdissect.models.watching import IMAGES, Call, Watch

__all__ = ["in_one_window", "proven_windows", "read_windows"]


def in_one_window(watch: Watch, call: Call) -> bool:
    """Whether the image is a single window here, padded or shifted: its tokens are in no grid's order."""
    blocks = [block for block in reversed(watch.stack) if block.windows is not None]
    if not blocks or blocks[0].windows is None or blocks[0].windows.counts != (1, 1):
        return False
    return f"{call.name}.".startswith(f"{blocks[0].attention}.")


def read_windows(watch: Watch, call: Call, shape: tuple[int, ...]) -> Reading:
    """How an output lies whose first dimension is not the images'.

    Raises:
        LayerError: it lies in no proven windows; the message names the block to take instead.
    """
    blocks = [block for block in reversed(watch.stack) if block.cuts_windows]
    for block in blocks:
        windows = block.windows
        if windows is not None and windows.fit(shape, IMAGES):
            why = "proven on the attention's input"
            return Reading("windows", shape[1:], why, grid=windows.grid, windows=windows)
    instead = f"; dissect {blocks[-1].name!r} or a layer beside its attention" if blocks else ""
    raise LayerError(
        f"layer {call.name!r}: expected one entry an image ({IMAGES}) in the first dimension, got shape "
        f"{list(shape)}; layers that fold windows or heads into the batch, or put tokens first, cannot be read{instead}"
    )


def proven_windows(watch: Watch, block: Call, folded: Tensor) -> ShiftedWindows | None:
    """The windows of a block, if undoing them on its attention's input gives what the block had before."""
    window, shift = _pair(block.module, "window_size"), _pair(block.module, "shift_size")
    if window is None or shift is None or block.input is None:
        return None
    for had in (block.input, *block.held):
        if len(had) != IMAGES or had.shape[-1] != folded.shape[-1] or had.ndim not in (3, 4):
            continue
        flat = had.flatten(1, -2)
        grids = [(had.shape[1], had.shape[2])] if had.ndim == 4 else list(watch.grids.seen)
        for grid in grids:
            for padded_first in (True, False):
                windows = ShiftedWindows(grid, window, shift, padded_first)
                if windows.plain or grid[0] * grid[1] != flat.shape[1]:
                    continue
                if windows.fit(tuple(folded.shape), IMAGES):
                    cells = windows.cells_of(folded, IMAGES).flatten(2).transpose(1, 2)
                    if torch.equal(cells, flat):
                        return windows
    return None


def _pair(module: nn.Module, name: str) -> tuple[int, int] | None:
    value = getattr(module, name, None)
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    numbers = len(pair) == 2 and all(isinstance(n, int) and not isinstance(n, bool) for n in pair)
    return (int(pair[0]), int(pair[1])) if numbers else None
