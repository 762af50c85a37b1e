"""Stand-ins for what old code imports and today's libraries no longer have; installed in the peer's process alone.

Written from what the old functions are documented to do. bench/peers/README.md lists each with its reason.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["imread", "imresize", "offer"]


def offer(name: str, members: Mapping[str, Any]) -> None:
    """Make `import name` give these members: added to the real module, or to an empty one where that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = importlib.import_module(name)
        except Exception:  # noqa: BLE001 - a library that is there but broken raises anything
            module = ModuleType(name)
            module.__path__ = []  # importable below it
            sys.modules[name] = module
            parent, _, child = name.rpartition(".")
            if parent:
                offer(parent, {child: module})
    for member, value in members.items():
        if member not in vars(module):
            setattr(module, member, value)


def imread(path: str) -> NDArray[np.int32]:
    """Pixels [height, width, 3] of an image file, wide enough that `green * 256` does not overflow."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(np.int32)


def imresize(
    map_: NDArray[Any], size: tuple[int, int], interp: str = "bilinear", mode: str | None = None
) -> Any:
    """What scipy.misc.imresize did to a float map under mode="F": PIL's bilinear resize, no scaling of values."""
    from PIL import Image

    if interp != "bilinear" or mode != "F":
        raise NotImplementedError(f"only bilinear under mode F is offered; got {interp}, {mode}")
    image = Image.fromarray(np.asarray(map_, np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def never(*_: Any, **__: Any) -> Any:
    """Stands for a function that is imported and not called by what is measured."""
    raise NotImplementedError("a stand-in that is only imported was called")
