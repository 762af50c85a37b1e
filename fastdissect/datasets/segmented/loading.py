"""Networks of transformers in eval mode, whole, and the device that they run on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from fastdissect.datasets.segmented.library import from_library, library
from fastdissect.errors import ModelError, SettingError

__all__ = ["load_network", "torch_device"]


def load_network(kind: str, name: str, download: bool) -> Any:
    """A model in eval mode as float32, on the CPU.

    Raises:
        ModelError: it cannot be loaded, or some of its weights are missing (the library would draw them at random).
    """
    with _without_bars(name):
        # mismatches are let pass here, because the library's own error does not name them
        network, info = from_library(
            kind, name, download, output_loading_info=True, ignore_mismatched_sizes=True
        )
    missing = sorted(info["missing_keys"]) + sorted(str(key[0]) for key in info["mismatched_keys"])
    if missing:
        raise ModelError(
            f"segmenter {name!r}: expected all weights of {kind}; {len(missing)} are missing or of another shape, such as "
            f"{missing[0]}; take a model that was trained for segmentation"
        )
    return network.float().eval()


@contextlib.contextmanager
def _without_bars(name: str) -> Iterator[None]:
    """The library draws a progress bar even for weights on disk."""
    log = library(name).utils.logging
    shown = log.is_progress_bar_enabled()
    log.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            log.enable_progress_bar()


def torch_device(name: str) -> torch.device:
    """ "auto": CUDA, else MPS, else the CPU."""
    if name == "auto":
        backends = (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
        name = next((kind for kind, there in backends if there), "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # the meta device has no values to give
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingError(
            f"device is {name!r}; expected one that torch has here, or auto: {str(error).splitlines()[0]}"
        ) from error
    return device
