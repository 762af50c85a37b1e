"""Settings of a run: checked once, recorded whole, compared on resume."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

import fastdissect
from fastdissect.activations import forward_device
from fastdissect.arrays import host_array
from fastdissect.conventions import profile_record
from fastdissect.directions import Mix
from fastdissect.errors import BackendError, SettingError, nearest
from fastdissect.forward_options import ForwardOptions
from fastdissect.kernels import available, backend
from fastdissect.models import LoadedModel, TokenGrid
from fastdissect.types import Profile

__all__ = [
    "RunSettings",
    "check_choices",
    "checked_device",
    "checked_kept",
    "checked_thresholds",
    "parse_size",
    "peak_memory",
    "rounded_down",
    "versions",
]


def parse_size(value: int | str | Sequence[int] | None, what: str) -> tuple[int, int] | None:
    """224, "224", "224x320" or (224, 320) -> (height, width); None stays None."""
    if value is None:
        return None
    parts: Sequence[Any] = (
        value.lower().split("x")
        if isinstance(value, str)
        else value
        if not isinstance(value, int)
        else [value]
    )
    try:
        numbers = [int(p) for p in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 1:
        numbers *= 2
    if len(numbers) != 2 or min(numbers) < 1:
        raise SettingError(
            f"expected {what} such as 224 or 224x320 (height x width) in pixels; got {value!r}"
        )
    return numbers[0], numbers[1]


def versions() -> dict[str, str]:
    """Versions of what results may depend on."""
    return {
        "fastdissect": fastdissect.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class RunSettings:
    """What `dissect` was asked to do, checked."""

    profile: Profile
    layers: tuple[str, ...]
    images: int
    input_size: tuple[int, int]
    mask_size: tuple[int, int]
    batch_size: int
    device: str
    nan: str
    layout: str
    tokens: TokenGrid | None
    memory: int | None
    passes: int | None
    kept: frozenset[str]  # layers that keep activations, means and maxima
    device_memory: int | None = None
    forward: ForwardOptions = field(default_factory=ForwardOptions)
    thresholds: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    directions: Mapping[str, Mix] = field(
        default_factory=dict
    )  # of the layers that are none of the network's own

    def source(self, layer: str) -> str:
        """The layer of the network that a layer's activations come from."""
        return self.directions[layer].layer if layer in self.directions else layer

    def key(self, model: LoadedModel, data: Mapping[str, Any]) -> dict[str, Any]:
        """What must be equal for a run to go on: content, not names."""
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self.thresholds):
            digest.update(name.encode() + self.thresholds[name].tobytes())
        return {
            "weights": model.weights_digest,
            **data,
            "layers": list(self.layers),
            "images": self.images,
            "profile": profile_record(self.profile),
            "input size": list(self.input_size),
            "mask size": list(self.mask_size),
            "preprocessing": [
                model.preprocessing.mean,
                model.preprocessing.std,
                model.preprocessing.interpolation,
            ],
            "batch size": self.batch_size,
            "device": self.device,
            "forward": self.forward.key(torch.device(self.device)),
            "threads": torch.get_num_threads(),
            "nan": self.nan,
            "layout": self.layout,
            "tokens": None if self.tokens is None else [self.tokens.prefix, self.tokens.grid],
            "activations": sorted(self.kept) if 0 < len(self.kept) < len(self.layers) else bool(self.kept),
            "thresholds": digest.hexdigest() if self.thresholds else None,
            "versions": {k: v for k, v in versions().items() if k in ("fastdissect", "torch")},
            **({"directions": self._directions()} if self.directions else {}),
        }

    def _directions(self) -> dict[str, Any]:
        return {name: mix.record() for name, mix in self.directions.items()}

    def record(self, model: LoadedModel, data: Mapping[str, Any]) -> dict[str, Any]:
        """What run.json says of the run."""
        return {
            "model": model.name,
            "preprocessing source": model.preprocessing.source,
            "key": self.key(model, data),
            "passes asked": self.passes or "auto",
            "backend": "cuda" if self.device.startswith("cuda") and not _host_forced() else backend().name,
            "forward": self.forward.record(torch.device(self.device)),
            "cuda kernels": _kernel_origin(torch.device(self.device)),
            "versions": versions(),
            "machine": {"platform": platform.platform(), "cores": os.cpu_count()},
            "folder": str(Path.cwd()),
            **({"directions": self._directions()} if self.directions else {}),
        }


def peak_memory() -> int | None:
    """Peak resident bytes of this process; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def check_choices(nan: str, passes: Any, **numbers: tuple[Any, int]) -> None:
    """Check what has few values; numbers: name = (value or None, the least that is allowed).

    Raises:
        SettingError: another value.
    """
    if nan not in ("error", "omit"):
        raise SettingError(f'expected nan to be "error" or "omit"; got {nan!r}')
    if isinstance(passes, bool) or passes not in ("auto", 1, 2, 3, "1", "2", "3"):
        raise SettingError(f'expected passes to be "auto", 1, 2 or 3; got {passes!r}')
    for name, (value, least) in numbers.items():
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and (not whole or value < least):
            raise SettingError(f"expected {name} to be a whole number of {least} or more; got {value!r}")


def checked_kept(activations: bool | Sequence[str], layers: tuple[str, ...]) -> frozenset[str]:
    """The layers that keep their activations: all, none, or those named.

    Raises:
        SettingError: a name that is not dissected.
    """
    if isinstance(activations, (bool, np.bool_)):
        return frozenset(layers if activations else ())
    names = [activations] if isinstance(activations, str) else list(activations)
    for name in names:
        if name not in layers:
            raise SettingError(
                f"expected activations to be True, False or names of dissected layers; got {name!r}"
                f"{nearest(str(name), layers)}"
            )
    return frozenset(names)


def checked_device(device: str) -> torch.device:
    """The device of the forward pass, if this machine has it and our kernels can follow the network there.

    Raises:
        SettingError: torch has no such device here.
        BackendError: a CUDA device on which our kernels cannot run, and no other backend is forced.
    """
    try:
        target = forward_device(device)
        torch.zeros(1, device=target)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if isinstance(error, BackendError):
            raise
        reason = str(error).partition("\n")[0]
        missing = _cuda_problem() if device.partition(":")[0] == "cuda" else None
        raise SettingError(
            f'expected a device that torch has here: "auto", "cpu", "cuda" or "mps"; got {device!r}: {reason}'
            f"{f'; {missing}' if missing else ''}"
        ) from error
    if target.type == "cuda" and device != "auto" and not _host_forced():
        problem = _cuda_problem()
        if problem is not None:
            raise BackendError(
                f"device {device!r}: the network could run there, our kernels cannot: {problem}; "
                f"FASTDISSECT_BACKEND={next(name for name in available() if name != 'cuda')} keeps the network on "
                "the GPU and brings activations to the CPU"
            )
    return target


def _cuda_problem() -> str | None:
    from fastdissect.kernels.cuda.problem import cuda_problem

    return cuda_problem()


def _kernel_origin(device: torch.device) -> str | None:
    """Which compiled form of the CUDA kernels runs: "fatbin" or "jit"; None where none does."""
    if device.type != "cuda" or _host_forced():
        return None
    from fastdissect.kernels.cuda.sources import origin_on

    return origin_on(device.index or 0)


def _host_forced() -> bool:
    """FASTDISSECT_BACKEND names a backend of the host: activations are brought there."""
    return os.environ.get("FASTDISSECT_BACKEND", "cuda") not in ("", "cuda")


def rounded_down(values: ArrayLike) -> NDArray[np.float32]:
    """Thresholds of any float type as the greatest float32 that is not above each.

    `a > T` is the same as `a > rounded_down(T)` for every a that is a float32 (or float16, bfloat16).

    >>> rounded_down([0.1]).item() < 0.1 < np.float32(0.1).item()
    True
    """
    wide = np.asarray(host_array(values), np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return np.where(narrow > wide, np.nextafter(narrow, np.float32(-np.inf)), narrow)


def checked_thresholds(
    thresholds: Mapping[str, ArrayLike] | None, layers: tuple[str, ...]
) -> dict[str, NDArray[np.float32]]:
    """{layer: [units]} as float32, rounded down; a layer that is not dissected, or NaN, is an error."""
    checked = {}
    for name, values in (thresholds or {}).items():
        try:
            array = rounded_down(values)
        except (TypeError, ValueError):
            array = np.empty((), np.float32)  # text, rows of different lengths
        if name not in layers or array.ndim != 1 or np.isnan(array).any():
            raise SettingError(
                f"expected thresholds {{layer: [units]}} without NaN for the layers {', '.join(layers)}; got "
                f"{name!r}: shape {array.shape}"
            )
        checked[name] = array
    return checked
