"""A checkpoint's file -> a state dict, read without running anything that stands in it.

What training scripts write is understood: a state dict by itself, or one among other things under "state_dict",
"model_state_dict" or "model"; names with what DataParallel and `torch.compile` put in front.
"""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastdissect.errors import ModelError

__all__ = ["ENDINGS", "Checkpoint", "named", "read_checkpoint", "reason", "renamed", "without_wrappers"]

ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_NESTED = ("state_dict", "model_state_dict", "model")
_STEPS = ("step", "global_step", "iteration", "iter", "epoch")
_COMPILED = ("_orig_mod", "_checkpoint_wrapped_module")  # parts of a name that only wrappers use
_LISTED = 4  # names of each kind in a message


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A file of weights, as it was read."""

    path: Path
    state: Mapping[str, Any]  # names -> tensors on the CPU; wrappers' prefixes are taken off
    entry: str  # where the state dict was: "" (the file itself) or one of "state_dict", ...
    steps: Mapping[str, float]  # what the file says of its place in the training: {"epoch": 12.0}


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint: `.safetensors`, or what `torch.save` wrote, with `weights_only=True` and never otherwise.

    Raises:
        ModelError: no such file, another ending, a file that is damaged, that would run code when it is unpickled,
            or that holds no state dict, or several.

    Example:
        >>> read_checkpoint("ckpt/epoch_12.pt").steps                        # doctest: +SKIP
        {'epoch': 12.0}
    """
    path = Path(os.path.expanduser(path))  # noqa: PTH111 (an unknown ~user stays as it is)
    if not os.path.isfile(path):  # noqa: PTH113 (a name that is too long is no file)
        raise ModelError(f"expected a file of weights; there is none at {path}")
    if path.suffix.lower() not in ENDINGS:
        raise ModelError(
            f"{path}: expected a checkpoint that ends in {', '.join(ENDINGS)}; got {path.suffix or 'no ending'!r}"
        )
    content = _tensors(path) if path.suffix.lower() == ".safetensors" else _unpickled(path)
    entry, state = _state_of(content, path)
    steps: dict[str, float] = {}
    if entry:
        steps = {name: n for name in _STEPS if (n := _number(content.get(name))) is not None}
    return Checkpoint(path, _unwrapped(state, path), entry, steps)


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path}: expected a safetensors file; got: {reason(error)}") from error


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        said = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
        raise ModelError(
            f"{path}: expected tensors and plain values, the only ones that are read: other objects could run code; "
            f"got: {said[:200]}; save the weights again: torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # a damaged file raises anything: of zip, of pickle, of torch's own reader
        raise ModelError(f"{path}: expected what torch.save wrote; got: {reason(error)}") from error


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _state_of(content: Any, path: Path) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(content, Mapping):
        raise ModelError(f"{path}: expected a state dict; got {type(content).__name__}")
    nested = [name for name in _NESTED if _is_state(content.get(name))]
    if len(nested) > 1:
        raise ModelError(
            f"{path}: expected one state dict; it holds {' and '.join(map(repr, nested))}; save the one that is meant "
            "in a file of its own"
        )
    if nested:
        return nested[0], content[nested[0]]
    if _is_state(content) and all(
        isinstance(value, Tensor) or name.endswith("_extra_state") for name, value in content.items()
    ):
        return "", content
    raise ModelError(
        f"{path}: expected a state dict, by itself or under {', '.join(map(repr, _NESTED))}; got "
        f"{named('entries', content)}"
    )


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and all(isinstance(name, str) for name in value)
        and any(isinstance(entry, Tensor) for entry in value.values())
    )


def _unwrapped(state: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Take the wrappers' parts off all names, and off the modules' versions that torch keeps beside them."""
    names, depth = {name: without_wrappers(name) for name in state}, 0
    while all(name.startswith("module.") for name in names.values()):
        names = {name: short.removeprefix("module.") for name, short in names.items()}
        depth += 1
    found = renamed(state, names, path)
    versions = getattr(state, "_metadata", None)
    if versions is not None:
        short = {
            ".".join(without_wrappers(name).split(".")[depth:]): version for name, version in versions.items()
        }
        found._metadata = short  # type: ignore[attr-defined]  # where Module.load_state_dict looks for it
    return found


def without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _COMPILED)


def renamed(state: Mapping[str, Any], names: Mapping[str, str], path: Path) -> OrderedDict[str, Any]:
    found = OrderedDict((names[name], value) for name, value in state.items())
    if len(found) < len(state):
        twice = [short for short in found if list(names.values()).count(short) > 1]
        raise ModelError(f"{path}: expected every entry once; got, without wrappers, {named('twice', twice)}")
    versions = getattr(state, "_metadata", None)
    if versions is not None:
        found._metadata = versions  # type: ignore[attr-defined]
    return found


def named(what: str, names: Iterable[str]) -> str:
    names = [str(name) for name in names]
    more = ", ..." if len(names) > _LISTED else ""
    return f"{what} {len(names)}{': ' if names else ''}{', '.join(names[:_LISTED])}{more}"


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    return None
