"""The rules by which an output is read.

[N, K]               a 1x1 map
[N, a, b, c]         `map_rules`
[N, T, K]            `token_rules`
[N * windows, T, K]  `window_rules`
"""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.models.map_rules import read_map
from fastdissect.models.outputs import as_map
from fastdissect.models.readings import Reading
from fastdissect.models.special_tokens import SpecialTokens
from fastdissect.models.token_rules import read_tokens
from fastdissect.models.watching import IMAGES, Call, Watch
from fastdissect.models.window_rules import in_one_window, proven_windows, read_windows

__all__ = ["enter", "read_output"]


def enter(watch: Watch, call: Call, arguments: tuple[Any, ...]) -> None:
    """Before a module is called: learn grids from what it is handed, and prove windows."""
    first = call.input
    if first is None:
        return
    _sizes_handed_on(watch, call, first, arguments)
    if "PatchMerging" in type(call.module).__name__:
        alone = watch.grids.fits(first.shape[1], SpecialTokens()) if first.ndim == 3 else {}
        grids = [(first.shape[1], first.shape[2])] if first.ndim == 4 else [grid for _, grid in alone]
        for grid in grids:
            watch.grids.add((-(-grid[0] // 2), -(-grid[1] // 2)), f"{call.name}, which halves a grid")
    block = watch.stack[-1] if watch.stack else None
    if block is not None and block.cuts_windows and block.windows is None and first.ndim == 3:
        block.windows, block.attention = proven_windows(watch, block, first), call.name


def read_output(watch: Watch, call: Call, tensor: Tensor) -> Reading:
    """How one output lies.

    Raises:
        LayerError: nothing decides.
    """
    shape, name = tuple(tensor.shape), call.name
    if isinstance(call.module, nn.Embedding):
        raise LayerError(
            f"layer {name!r}: expected an output of the image, got a table's rows; dissect another"
        )
    if not watch.may_mix:
        return _by_shape(watch, call, tensor)
    if not shape or shape[0] != IMAGES or in_one_window(watch, call):
        return read_windows(watch, call, shape)
    if len(shape) == 2:
        return Reading("NK", shape[1:])
    if len(shape) == 3 and watch.layout in ("auto", "NTC"):
        reading = read_tokens(watch, call, tensor)
        watch.counts.add(shape[1])
    elif len(shape) == 4 and watch.layout != "NTC":
        reading = read_map(watch, call, tensor)
        if reading.cells != (1, 1):
            watch.grids.add(reading.cells, name)
    else:
        as_map(tensor, name, watch.layout)
        raise AssertionError  # as_map has refused it
    watch.mixed |= reading.axes in ("NTC", "NHWC")
    return reading


def _by_shape(watch: Watch, call: Call, tensor: Tensor) -> Reading:
    """A network without tokens and channels last, as it is dissected: by the number of dimensions alone."""
    found = as_map(tensor, call.name, watch.layout, watch.tokens, watch.size, IMAGES).map
    shape = tuple(tensor.shape[1:])
    if len(shape) == 1:
        return Reading("NK", shape)
    if len(shape) == 3:
        return Reading("NHWC" if watch.layout == "NHWC" else "NCHW", shape)
    grid = (int(found.shape[2]), int(found.shape[3]))
    return Reading("NTC", shape, "", shape[0] - grid[0] * grid[1], grid)


def _sizes_handed_on(watch: Watch, call: Call, first: Tensor, arguments: tuple[Any, ...]) -> None:
    """A module that is told the height and width of its tokens: (tokens, (h, w)) or (tokens, h, w)."""
    if first.ndim != 3 or len(first) != IMAGES:
        return
    pairs = [value for value in arguments if isinstance(value, list | tuple) and len(value) == 2]
    pairs += list(itertools.pairwise(arguments))
    for pair in pairs:
        if all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in pair):
            height, width = pair
            if height * width == first.shape[1]:
                watch.grids.add((height, width), f"{call.name} is told so")
