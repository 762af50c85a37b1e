"""NetDissect-Lite's `settings` module: every name that we read, checked once."""

from __future__ import annotations

import importlib
import math
import numbers
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastdissect.errors import SettingError, nearest

__all__ = ["LiteSettings", "read_settings"]

_POINTS = 1000  # entries of the table of quantiles that Lite reads a threshold from


@dataclass(frozen=True)
class LiteSettings:
    """What the settings say, in our terms."""

    source: str  # the module's file, for messages
    output: Path
    data: Path
    index_file: str
    categories: tuple[str, ...]
    layers: tuple[str, ...]
    top: Fraction  # the fraction of activations above a threshold, as Lite reads it
    batch_size: int
    image_size: int
    gpu: bool
    top_images: int
    score_threshold: float

    @property
    def run(self) -> Path:
        """The folder of the run: fastdissect's own files, all layers together."""
        return self.output / "fastdissect"


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, Path)) and bool(str(value)) and "\0" not in str(value)


def _is_names(value: Any) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return False
    return all(isinstance(v, str) and v for v in value) and len(set(value)) == len(value)


def _is_count(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Integral) and 0 < int(value) < 1 << 31


def _is_within(low: float, high: float) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return not isinstance(value, bool) and isinstance(value, numbers.Real) and low <= float(value) <= high

    return check


# name -> what makes sense, in words and as a test, and an example
_READ: dict[str, tuple[str, Callable[[Any], bool], str]] = {
    "OUTPUT_FOLDER": ("a folder for the results", _is_text, "'result/pytorch_resnet18_places365'"),
    "DATA_DIRECTORY": ("the folder of Broden", _is_text, "'dataset/broden1_224'"),
    "INDEX_FILE": ("the name of its index", _is_text, "'index.csv'"),
    "CATAGORIES": (
        "a list of Broden's categories, each once",
        _is_names,
        "['object', 'part', 'scene', 'texture', 'color']",
    ),
    "FEATURE_NAMES": ("a list of layer names, each once", _is_names, "['layer4']"),
    "QUANTILE": ("the top fraction, from 0.001 to 0.49", _is_within(0.001, 0.49), "0.005"),
    "BATCH_SIZE": ("a whole number of 1 or more", _is_count, "128"),
    "IMG_SIZE": ("the images' side in pixels, a whole number", _is_count, "224"),
    "GPU": ("True or False", lambda value: isinstance(value, int) and value in (0, 1), "False"),
    "TOPN": ("a whole number of 1 or more", _is_count, "10"),
    "SCORE_THRESHOLD": ("an IoU from 0 to 1", _is_within(0, 1), "0.04"),
}


def read_settings(given: Any = None) -> LiteSettings:
    """Read NetDissect-Lite's settings.

    Args:
        given: a module, or any object with these attributes; None: the module `settings`, imported as Lite does.

    Raises:
        SettingError: there is none, or names are missing or make no sense; the message names the file and, for
            each name, what was expected, what came, and an example.

    The top fraction is the one that Lite ends up with: it reads entry `int(1000 (1 - QUANTILE) - 1)` of a table
    of 1,000 evenly spaced quantiles, so QUANTILE = 0.005 means 5/999.
    """
    module = _imported() if given is None else given
    source = str(getattr(module, "__file__", None) or f"the settings given ({type(module).__name__})")
    faults = []
    for name, (expected, makes_sense, example) in _READ.items():
        if not hasattr(module, name):
            near = nearest(name, [n for n in dir(module) if n.isupper() and n not in _READ])
            faults.append(f"{name} is missing; expected {expected}, for example {name} = {example}{near}")
        elif not makes_sense(getattr(module, name)):
            got = getattr(module, name)
            faults.append(f"{name} is {got!r}; expected {expected}, for example {name} = {example}")
    if faults:
        raise SettingError(f"{source}: " + "\n  ".join(faults))
    return LiteSettings(
        source=source,
        output=Path(module.OUTPUT_FOLDER).expanduser(),
        data=Path(module.DATA_DIRECTORY).expanduser(),
        index_file=str(module.INDEX_FILE),
        categories=tuple(module.CATAGORIES),
        layers=tuple(module.FEATURE_NAMES),
        top=_top_fraction(float(module.QUANTILE)),
        batch_size=int(module.BATCH_SIZE),
        image_size=int(module.IMG_SIZE),
        gpu=bool(module.GPU),
        top_images=int(module.TOPN),
        score_threshold=float(module.SCORE_THRESHOLD),
    )


def _imported() -> Any:
    try:
        return sys.modules.get("settings") or importlib.import_module("settings")
    except ImportError as error:
        raise SettingError(
            f"expected NetDissect-Lite's settings.py to be importable as `settings` ({error}); run from its folder, "
            "or pass FeatureOperator(settings=...), a module or any object with its names"
        ) from error


def _top_fraction(quantile: float) -> Fraction:
    """
    >>> _top_fraction(0.005), _top_fraction(0.01)
    (Fraction(5, 999), Fraction(10, 999))
    """
    entry = math.floor(_POINTS * (1 - quantile) - 1)
    return Fraction(_POINTS - 1 - entry, _POINTS - 1)
