"""Steps: how far in its training each checkpoint was, and who says so."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastdissect.errors import ModelError, SettingError
from fastdissect.methods.sweeps.models import Candidate

__all__ = ["last_number", "with_steps"]

_WORD = re.compile(r"[^0-9A-Za-z.]+")  # between words; a point is not, so that "acc0.93" is no step
_NUMBERED = re.compile(r"[A-Za-z]*(\d+)")


def with_steps(
    found: Sequence[Candidate], steps: Sequence[float] | None
) -> tuple[tuple[Candidate, ...], str]:
    """Give each candidate its step, all from one source, and say which.

    As given; else the last number in each checkpoint's file name, where all have one and no two the same; else an
    entry that all checkpoints hold ("step", "epoch", ...); else none. A checkpoint that cannot be read has no step.

    Raises:
        SettingError: another number of steps, or one that is no number.
    """
    if steps is not None:
        given: list[Any] = list(steps)
        if len(given) != len(found):
            raise SettingError(
                f"steps: expected one for each of the {len(found)} models, in the order "
                f"{', '.join(c.name for c in found[:6])}{', ...' * (len(found) > 6)}; got {len(given)}"
            )
        for step in given:
            if isinstance(step, bool) or not isinstance(step, (int, float)) or not math.isfinite(step):
                raise SettingError(f"steps: expected numbers; got {step!r}")
            if step < 0:
                raise SettingError(f"steps: expected numbers of 0 or more; got {step!r}")
        return _stepped(found, given), "steps as given"
    files = [one.checkpoint for one in found]
    if not all(files):
        return tuple(found), ""
    named = [last_number(file.stem) for file in files if file]
    if None not in named and len(set(named)) == len(named):
        return _stepped(found, named), "steps from the last number in each file's name"
    held = [_held(file) for file in files if file]
    for entry in dict.fromkeys(name for own in held if own for name in own):
        values = [None if own is None else own.get(entry, math.nan) for own in held]
        known = [value for value in values if value is not None]
        if len(set(known)) == len(known) and not any(math.isnan(value) for value in known):
            return _stepped(found, values), f"steps from each file's entry {entry!r}"
    return tuple(
        found
    ), "no steps: neither the files' names nor their entries number them; give them with steps"


def last_number(stem: str) -> float | None:
    """The last number in a file's name that stands by itself or behind a word.

    >>> last_number("epoch=3-step=1000"), last_number("model_12_acc0.93"), last_number("5c106cde")
    (1000.0, 12.0, None)
    """
    numbers = [match[1] for word in _WORD.split(stem) if (match := _NUMBERED.fullmatch(word))]
    return float(numbers[-1]) if numbers else None


def _held(file: Path) -> dict[str, float] | None:
    from fastdissect.models.checkpoints import read_checkpoint

    try:
        return {name: step for name, step in read_checkpoint(file).steps.items() if step >= 0}
    except ModelError:  # said when its turn comes
        return None


def _stepped(found: Sequence[Candidate], steps: Sequence[float | None]) -> tuple[Candidate, ...]:
    return tuple(
        replace(one, step=None if step is None else float(step))
        for one, step in zip(found, steps, strict=True)
    )
