"""What models from libraries have in common: imports that advise, weights from a file or a cache."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import nn

from fastdissect.errors import ModelError
from fastdissect.models.checkpoints import ENDINGS, load_checkpoint

__all__ = ["advising", "import_library", "is_weights_file", "library_problem", "not_cached", "with_weights"]

_EXTRAS = {"torchvision": "vision", "timm": "vision", "transformers": "transformers"}


def import_library(library: str, spec: str) -> ModuleType:
    with advising(library, spec):
        return importlib.import_module(library)


def library_problem(library: str) -> str | None:
    """Import a library; return None where that works, else one sentence of advice.

    >>> library_problem("torch") is None
    True
    """
    try:
        import_library(library, library)
    except ModelError as error:
        return str(error).removeprefix(f"{library}: ")
    return None


@contextmanager
def advising(library: str, spec: str) -> Iterator[None]:
    """Turn an import that fails, now or when a lazy library wants its parts, into one sentence of advice."""
    try:
        yield
    except ModelError:
        raise
    except ModuleNotFoundError as error:
        if error.name != library:
            raise ModelError(
                f"{spec}: {library} cannot be imported: {error}; install what it needs"
            ) from error
        extra = _EXTRAS.get(library, "vision")
        raise ModelError(
            f"{spec}: {library} is not installed; pip install 'fastdissect[{extra}]', or give the network as "
            "'path/to/file.py:function'"
        ) from error
    except Exception as error:  # a broken installation raises anything, also RuntimeError and OSError
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{spec}: {library} is installed but fails ({reason}); {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    if "torchvision::" in str(error) or "torchvision" in str(getattr(error, "name", "")):
        return (
            f"torchvision was built for another torch than {torch.__version__}: install both from the same "
            "index, in the same CPU or CUDA build"
        )
    return "install it again, in a version made for the torch that is installed"


def not_cached(spec: str, what: str) -> ModelError:
    return ModelError(
        f"{spec}: the pretrained weights are not on this machine (expected {what}); download them once with "
        f"fastdissect.models.load_model({spec!r}, download=True), give a file with '{spec}?weights=FILE', or "
        f"append '?weights=none' for random ones"
    )


def is_weights_file(value: str) -> bool:
    return value.lower().endswith(ENDINGS)


def with_weights(module: nn.Module, wanted: str, spec: str) -> nn.Module:
    """Load a checkpoint's weights ("none": leave the module as it is)."""
    if wanted.lower() == "none":
        return module
    try:
        load_checkpoint(module, wanted)
    except ModelError as error:
        raise ModelError(f"{spec}: {error}") from error
    return module
