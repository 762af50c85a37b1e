"""What a sweep runs: networks or checkpoints, each with a name of its own, its step and its accuracy."""

from __future__ import annotations

import copy
import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.errors import SettingError, nearest
from fastdissect.methods.sweeps.record import FILE

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Candidate", "candidates_of", "checkpoint_files"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*")  # a folder's name on every system
_TAKEN = (FILE,)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One network of a sweep, not yet loaded."""

    name: str  # of its folder
    model: Any  # an nn.Module or a model's name
    checkpoint: Path | None = None  # whose weights it gets: a named model by "?weights=", a module as a copy
    step: float | None = None
    accuracy: float | None = None

    @property
    def spec(self) -> Any:
        """The model, by the name that opens it again where it has one."""
        if self.checkpoint is None or not isinstance(self.model, str):
            return self.model
        return f"{self.model}?weights={self.checkpoint}"

    def load(self) -> str | nn.Module:
        """What `dissect` is to be given.

        Raises:
            ModelError: the checkpoint is not this network's.
        """
        if self.checkpoint is None or isinstance(self.model, str):
            return self.spec  # type: ignore[no-any-return]
        from fastdissect.models.checkpoints import load_checkpoint

        module = copy.deepcopy(self.model)
        load_checkpoint(module, self.checkpoint)
        return module  # type: ignore[no-any-return]


def candidates_of(
    models: Any,
    checkpoints: str | Path | Iterable[str | Path] | None = None,
    accuracy: Mapping[str, float] | None = None,
) -> tuple[Candidate, ...]:
    """Give every network a name: a mapping's keys, a checkpoint's file name, or the model's own name.

    Args:
        models: {name: model}, a sequence of models, or one; with `checkpoints` one.
        checkpoints: files or shell patterns, whose weights are loaded into the one model; without a pattern in their
            own order, else in that of the numbers in their names.
        accuracy: {name: 0 to 1}.

    Raises:
        SettingError: no models, names that cannot be folders or are not different, several models with checkpoints,
            no such files, an accuracy of another name or out of range.
    """
    found: list[Candidate]
    if checkpoints is not None:
        found = _of_checkpoints(_one(models), checkpoint_files(checkpoints))
    elif isinstance(models, Mapping):
        found = [Candidate(str(name), model) for name, model in models.items()]
    else:
        listed = [models] if _is_model(models) else list(models)
        found = [Candidate(_short_name(model), model) for model in listed]
    if not found:
        raise SettingError("expected at least one model to sweep over; got none")
    _check_names(found)
    return tuple(
        replace(c, accuracy=value) for c, value in zip(found, _accuracies(found, accuracy), strict=True)
    )


def checkpoint_files(checkpoints: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the files that are meant; a pattern's in the order of the numbers in their names.

    Raises:
        SettingError: a pattern fits no file.
    """
    files: list[Path] = []
    for pattern in [checkpoints] if isinstance(checkpoints, (str, Path)) else checkpoints:
        path = Path(os.path.expanduser(pattern))  # noqa: PTH111 (an unknown ~user stays as it is)
        there = os.path.exists(path)  # noqa: PTH110 (a name that is too long is no file)
        fitting = [file for file in ([path] if there else _fitting(str(path))) if file.is_file()]
        if not fitting:
            raise SettingError(f"checkpoints: expected files that fit {str(pattern)!r}; there are none")
        files += sorted(fitting, key=_natural)
    return list(dict.fromkeys(files))


def _fitting(pattern: str) -> list[Path]:
    return [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 (it may be absolute)


def _natural(path: Path) -> list[Any]:
    """Where a path stands when numbers in it count as numbers."""
    return [int(part) if n % 2 else part for n, part in enumerate(re.split(r"(\d+)", str(path)))]


def _of_checkpoints(model: Any, files: Sequence[Path]) -> list[Candidate]:
    if isinstance(model, str) and "?" in model:
        raise SettingError(
            f"expected a model without weights beside checkpoints; got {model!r}: leave the part from '?' on out"
        )
    return [Candidate(_safe(file.stem), model, file) for file in files]


def _one(models: Any) -> Any:
    if _is_model(models):
        return models
    listed = list(models.values()) if isinstance(models, Mapping) else list(models)
    if len(listed) != 1:
        raise SettingError(f"expected one model, which the checkpoints are loaded into; got {len(listed)}")
    return listed[0]


def _is_model(value: Any) -> bool:
    return isinstance(value, str) or hasattr(value, "state_dict")  # nn.Module, without importing torch


def _short_name(model: Any) -> str:
    """A folder's name for a model: "nets.py:wide" -> "nets-wide", "timm:resnet18?weights=a/b.pt" -> "timm-resnet18-b".

    >>> _short_name("path/nets.py:wide"), _short_name("torchvision:resnet18?weights=none")
    ('nets-wide', 'torchvision-resnet18-none')
    """
    if not isinstance(model, str):
        from fastdissect.models import unwrap

        return type(unwrap(model)).__name__ if _is_model(model) else type(model).__name__
    name, _, weights = model.partition("?weights=")
    source, colon, rest = name.rpartition(":")
    if source.endswith(".py"):
        source = Path(source).stem
    return _safe(
        "-".join(filter(None, (source if colon else "", rest, Path(weights).stem if weights else "")))
    )


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+=-]+", "-", text).strip("-.") or "model"


def _check_names(found: Sequence[Candidate]) -> None:
    seen: dict[str, Candidate] = {}
    for one in found:
        if not _NAME.fullmatch(one.name) or one.name.lower() in _TAKEN or one.name.endswith("."):
            raise SettingError(
                f"expected names that can be folders: letters, digits and . _ + = -, such as 'epoch-12'; got {one.name!r}"
            )
        other = seen.setdefault(one.name.lower(), one)  # some file systems do not tell A from a
        if other is not one:
            raise SettingError(
                f"expected a name of its own for each model; {_said(other)} and {_said(one)} are both {one.name!r}; "
                "name them ({name: model}; on the command line NAME=MODEL), or rename the files"
            )


def _said(one: Candidate) -> str:
    return repr(
        str(one.checkpoint or (one.model if isinstance(one.model, str) else type(one.model).__name__))
    )


def _accuracies(found: Sequence[Candidate], given: Mapping[str, float] | None) -> list[float | None]:
    if given is None:
        return [None] * len(found)
    names = [one.name for one in found]
    checked: dict[str, Any] = dict(given)
    for name, value in checked.items():
        if name not in names:
            raise SettingError(f"accuracy: no model is called {name!r}{nearest(str(name), names)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise SettingError(f"accuracy: expected 0 to 1 for {name!r}; got {value!r}")
    return [None if name not in given else float(given[name]) for name in names]
