"""`hook_feature`: what NetDissect-Lite's `loadmodel` registers on each layer."""

from __future__ import annotations

from typing import Any

__all__ = ["hook_feature"]


def hook_feature(module: Any, input: Any, output: Any) -> None:
    """Do nothing, so that a network loaded by Lite's `loadmodel` runs at its own speed.

    Lite's copies every output to the CPU, for a list that `feature_extraction` reads. Ours reads the outputs in
    place, by hooks of its own.

    Example:
        >>> model = loadmodel(hook_feature)  # doctest: +SKIP
    """
    del module, input, output
