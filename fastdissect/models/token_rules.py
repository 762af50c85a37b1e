"""Three dimensions: tokens, and the grid that they fill.

The user's TokenGrid decides; else a grid that the network showed and that the tokens fill, alone or with the
special tokens that the network names.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastdissect.errors import LayerError
from fastdissect.models.grids import Fit, advice, matching
from fastdissect.models.layouts import is_sequence
from fastdissect.models.outputs import as_map
from fastdissect.models.readings import Reading
from fastdissect.models.special_tokens import SpecialTokens
from fastdissect.models.watching import Call, Watch

__all__ = ["read_tokens"]

_TOKEN_MIXERS = frozenset({"mlp_tokens", "linear_tokens", "token_mixing"})  # work on [N, K, tokens]


def read_tokens(watch: Watch, call: Call, tensor: Tensor) -> Reading:
    """How an output [N, T, K] lies.

    Raises:
        LayerError: nothing decides; the message says what was seen, and which override would fit.
    """
    shape, name = tuple(tensor.shape), call.name
    count = shape[1]
    special = _special(watch, name)
    if is_sequence(call.module) or _TOKEN_MIXERS & set(name.split(".")):
        raise LayerError(
            f"layer {name!r}: expected tokens [N, T, K], got {list(shape)}, whose places come last (units first); "
            "dissect a layer around it"
        )
    if watch.tokens is not None:
        return _as_given(watch, shape, name, special)
    known = watch.reading_of(tensor)
    if known is not None and known.axes == "NTC" and known.shape == shape[1:]:
        return known  # what a module inside gave
    fits = watch.grids.fits(count, special)
    handed = watch.reading_of(call.input)
    if len(fits) > 1 and handed is not None:
        fits = {fit: source for fit, source in fits.items() if fit == (handed.prefix, handed.grid)} or fits
    if len(fits) == 1:
        (((prefix, grid), source),) = fits.items()
        if special.shuffled and prefix:
            raise LayerError(
                f"layer {name!r}: expected tokens in the order of their places, got a network that masks some of them at "
                "random and shuffles the rest; load its encoder without masking"
            )
        why = f"{special.words}; " if prefix else ""
        return Reading("NTC", shape[1:], f"{why}the grid of {source}", prefix, grid)
    if count == 1:
        return Reading("NTC", shape[1:], "one token", 0, (1, 1))
    if not watch.grids.seen:
        return _from_aspect(watch, tensor, name)
    if not special.before + special.after:
        alone = watch.grids.fits(count, SpecialTokens(1))
        if len(alone) == 1:
            (((prefix, grid), source),) = alone.items()
            why = "guessed to be a class token: the network names none"
            return Reading("NTC", shape[1:], f"{why}; the grid of {source}", prefix, grid)
    seen = ", ".join(f"{h} x {w} = {h * w}" for h, w in watch.grids.seen)
    added = f" with {special.words} tokens" if special.words else ""
    raise LayerError(
        f"layer {name!r}: expected tokens that fill one of the network's grids ({seen}){added}, got {count} tokens"
        f"{' that fit several' if fits else ''}; {advice(count, watch.grids.seen, name)}"
    )


def _as_given(watch: Watch, shape: tuple[int, ...], name: str, special: SpecialTokens) -> Reading:
    tokens, count = watch.tokens, shape[1]
    assert tokens is not None
    fit: Fit | None = matching(count, tokens)
    if fit is None and tokens.grid is None and tokens.prefix is not None:
        fits = list(watch.grids.fits_prefix(count, tokens.prefix, special.after))
        fit = fits[0] if len(fits) == 1 else None
    if fit is not None:
        return Reading("NTC", shape[1:], "as given", *fit)
    found = as_map(torch.zeros(1, *shape[1:]), name, "NTC", tokens, watch.size)  # or says what would fit
    grid = (int(found.map.shape[2]), int(found.map.shape[3]))
    return Reading("NTC", shape[1:], "as given", count - grid[0] * grid[1], grid)


def _from_aspect(watch: Watch, tensor: Tensor, name: str) -> Reading:
    """No convolution, no patch size: the grid that has the image's aspect, as `as_map` guesses it."""
    found = as_map(tensor, name, "NTC", None, watch.size)
    grid = (int(found.map.shape[2]), int(found.map.shape[3]))
    why = "guessed from the image's aspect: the network names no patches"
    return Reading("NTC", tuple(tensor.shape[1:]), why, tensor.shape[1] - grid[0] * grid[1], grid)


def _special(watch: Watch, name: str) -> SpecialTokens:
    """The special tokens of the nearest module around a layer that names some."""
    around = [name.rsplit(".", n)[0] for n in range(name.count(".") + 1)] + [""]
    near = next((watch.special[at] for at in around if at in watch.special), None)
    if near is not None:
        return near
    return next(iter(watch.special.values())) if len(watch.special) == 1 else SpecialTokens()
