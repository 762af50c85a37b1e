"""Grids of cells that a network gives for one size of its input, and the one that a number of tokens fits.

Tokens alone do not say how they lie: 24 are 4 x 6 or 3 x 8. The network's convolutions do, and so do the sizes
that it hands to its own layers; a square root is never taken.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from fastdissect.models.outputs import TokenGrid
from fastdissect.models.special_tokens import SpecialTokens

__all__ = ["Fit", "Grids", "advice"]

Grid = tuple[int, int]
Fit = tuple[int, Grid]  # tokens before the grid, and the grid


class Grids:
    """{(height, width): where it was seen}, in the order of the forward pass.

    Args:
        module: the network, and image_size its input in pixels: for networks that cut patches without a
            convolution, but whose configuration names their size.
    """

    def __init__(self, module: nn.Module, image_size: Grid) -> None:
        self._seen: dict[Grid, str] = {}
        self._of_patches = _patch_grid(module, image_size)

    def add(self, grid: Grid, source: str) -> None:
        self._seen.setdefault(grid, source)

    @property
    def seen(self) -> dict[Grid, str]:
        if self._seen or self._of_patches is None:
            return self._seen
        return {self._of_patches: "the configuration's patch size"}

    def fits(self, count: int, special: SpecialTokens) -> dict[Fit, str]:
        """The grids that so many tokens fill, alone or with all special tokens: {(prefix, grid): source}."""
        found: dict[Fit, str] = {}
        extra = special.before + special.after
        for (height, width), source in self.seen.items():
            if height * width == count:
                found[0, (height, width)] = source
            elif extra and height * width + extra == count:
                found[special.before, (height, width)] = source
        return found

    def fits_prefix(self, count: int, prefix: int, after: int) -> dict[Fit, str]:
        """The grids that fill what a given prefix leaves."""
        return {
            (prefix, grid): source
            for grid, source in self.seen.items()
            if count - prefix - grid[0] * grid[1] in {0, after}
        }


def advice(count: int, grids: Iterable[Grid], layer_name: str) -> str:
    """Which overrides would fit a number of tokens: the three that leave the fewest tokens out."""
    near = sorted({(count - h * w, (h, w)) for h, w in grids if 0 <= count - h * w <= max(32, h * w // 4)})
    if not near:
        return f"where you know the grid of {layer_name!r}: TokenGrid(prefix, grid), --tokens prefix=N,grid=HEIGHTxWIDTH"
    given = [f"prefix={prefix},grid={h}x{w}" for prefix, (h, w) in near[:3]]
    return f"what would fit: --tokens {' or '.join(given)} (TokenGrid in Python)"


def _patch_grid(module: nn.Module, image_size: Grid) -> Grid | None:
    config = getattr(module, "config", None)
    patch = getattr(config, "patch_size", None)
    pair = tuple(patch) if isinstance(patch, list | tuple) else (patch, patch)
    if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair):
        return None
    height, width = image_size[0] // pair[0], image_size[1] // pair[1]
    return (height, width) if height and width else None


def matching(count: int, tokens: TokenGrid) -> Fit | None:
    """Prefix and grid that the user gave in full, where they fill so many tokens."""
    if tokens.grid is None:
        return None
    cells = tokens.grid[0] * tokens.grid[1]
    prefix = count - cells if tokens.prefix is None else tokens.prefix
    return (prefix, tokens.grid) if prefix >= 0 and prefix + cells == count else None
