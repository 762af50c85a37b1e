"""transformers, imported when a segmenter is asked for; what goes wrong with it becomes one sentence."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastdissect.errors import BackendError, FastdissectError, ModelError

__all__ = ["advising", "cached_json", "from_library", "library"]


@contextlib.contextmanager
def advising(name: str) -> Iterator[None]:
    """Turn what a missing or broken library raises into advice; name: of the segmenter that wants it."""
    try:
        yield
    except (ImportError, RuntimeError) as error:
        if _of_torchvision(error):
            raise BackendError(
                f"segmenter {name!r}: transformers is installed, but torchvision beside it is broken ({error}); install "
                "torch and torchvision from the same index, or uninstall torchvision"
            ) from error
        if not isinstance(error, ImportError):
            raise
        raise BackendError(
            f"segmenter {name!r}: expected the library transformers; got: {error}; install it with: "
            "pip install 'fastdissect[transformers]'"
        ) from error


def library(name: str) -> Any:
    """transformers.

    Raises:
        BackendError: it is not installed; the message has the command that installs it.
    """
    with advising(name):
        import transformers

        return transformers


def from_library(kind: str, name: str, download: bool, **options: Any) -> Any:
    """`transformers.KIND.from_pretrained(name)`, from a folder or the cache.

    Raises:
        BackendError: the library is missing or broken.
        ModelError: there is no such model, or not of this kind.
    """
    with advising(name):
        found = getattr(library(name), kind, None)
        if found is None:
            raise ModelError(
                f"segmenter {name!r}: its class is {kind}, which the installed transformers lacks; install a newer one"
            )
        try:
            return found.from_pretrained(name, local_files_only=not download, **options)
        except (ImportError, MemoryError, FastdissectError):
            raise
        except Exception as error:  # what a damaged file raises is of any kind, of several libraries
            if _of_torchvision(error):
                raise
            raise _not_found(name, kind, error, download) from error


def cached_json(file: str, name: str, download: bool) -> dict[str, Any] | None:
    """A JSON file of a model's folder; None where it has none.

    Raises:
        ModelError: it is no JSON object.
    """
    transformers = library(name)
    try:
        path = transformers.utils.cached_file(name, file, local_files_only=not download)
    except OSError:
        return None
    if path is None:
        return None
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"segmenter {name!r}: {file} is no JSON ({error}); restore the file") from error
    if not isinstance(found, dict):
        raise ModelError(f"segmenter {name!r}: expected {file} to hold a JSON object; restore the file")
    return found


def _of_torchvision(error: Exception) -> bool:
    """Whether torchvision is broken: built for another torch."""
    return "torchvision" in f"{error} {error.__cause__}"


def _not_found(name: str, kind: str, error: Exception, download: bool) -> ModelError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    advice = "" if download else "; only local files are used: give a folder, or the option download=yes"
    if Path(name).is_dir():
        advice = "; restore config.json and the weights in this folder, from one training"
    what = {"AutoConfig": "a model", "AutoTokenizer": "a tokenizer"}.get(kind, kind)
    return ModelError(
        f"segmenter {name!r}: expected {what} in a folder, or a cached one; got: {reason.rstrip('.')}{advice}"
    )
