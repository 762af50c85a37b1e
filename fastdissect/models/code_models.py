"""Models from a user's own code: "path/to/file.py:function" and "package.module:callable"."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from fastdissect.errors import ModelError, nearest
from fastdissect.models.preprocessing import Preprocessing

__all__ = ["call_seeded", "load_from_code"]


def load_from_code(spec: str, seed: int, *, own: bool = False) -> tuple[nn.Module, Preprocessing | None]:
    """Import, look the name up, call it without arguments, and check what came.

    The name may mean a function or class (called under `seed`, which fixes torch's CPU generator), or a
    module object as it is (`own`: a copy of it, whose weights can be changed). It gives an `nn.Module`, or a pair
    of that and a `Preprocessing`.

    Raises:
        ModelError: no such file, package or name, or something else came out.
    """
    source, _, name = spec.rpartition(":")
    if not source or not name:
        raise ModelError(f"{spec}: expected 'path/to/file.py:function' or 'package.module:callable'")
    with _importing(source) as module:
        try:
            found: Any = module
            for part in name.split("."):
                found = getattr(found, part)
        except AttributeError:
            public = [n for n in vars(module) if not n.startswith("_")]
            raise ModelError(f"{spec}: {source} has no {name!r}{nearest(name, public)}") from None
        if not isinstance(found, nn.Module):
            if not callable(found):
                raise ModelError(
                    f"{spec}: expected a function, class or nn.Module, got {type(found).__name__}"
                )
            found = call_seeded(found, seed, spec)
        elif own:
            found = copy.deepcopy(found)
    module_, preprocessing = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    if isinstance(module_, nn.Module) and isinstance(preprocessing, Preprocessing | None):
        return module_, preprocessing
    got = type(found).__name__
    raise ModelError(
        f"{spec}: expected an nn.Module, or (nn.Module, Preprocessing), to be returned, got {got}"
    )


def call_seeded(function: Any, seed: int, spec: str) -> Any:
    """Call with torch's CPU generator seeded, and put the generator back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            return function()
        except ModelError:
            raise
        except Exception as error:  # a stranger's code: it may raise anything
            raise ModelError(
                f"{spec}: expected a call without arguments to give a network, got {type(error).__name__}: {error}"
            ) from error


@contextmanager
def _importing(source: str) -> Iterator[ModuleType]:
    """Import a file or a module; files beside a file can be imported by it, also while it is called."""
    path = Path(source).expanduser()
    if path.suffix != ".py":
        yield _import(source, lambda: importlib.import_module(source))
        return
    if not path.is_file():
        raise ModelError(f"{source}: expected a Python file, there is none{_beside(path)}")
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield _import(source, lambda: _execute(path))
    finally:
        sys.path.remove(folder)


def _execute(path: Path) -> ModuleType:
    # Under a name of its own, so that "torch.py" shadows nothing; registered, because dataclasses look it up.
    name = f"fastdissect_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    previous = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if previous is None:
            del sys.modules[name]
        else:
            sys.modules[name] = previous
        raise
    return module


def _import(source: str, load: Any) -> ModuleType:
    try:
        return load()  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        what = (
            "is not installed" if error.name and source.split(".")[0] == error.name else "cannot be imported"
        )
        raise ModelError(f"{source} {what}: {error}; install what it needs, or give another model") from error
    except Exception as error:  # a stranger's code: it may raise anything
        kind = type(error).__name__
        raise ModelError(f"{source}: expected code that can be imported, got {kind}: {error}") from error


def _beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; {path.parent} is no folder"
    return nearest(path.name, (file.name for file in path.parent.glob("*.py")))
