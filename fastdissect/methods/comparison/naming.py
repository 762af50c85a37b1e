"""What the caller gave -> named runs, and a number for each run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from fastdissect.errors import SettingError, nearest
from fastdissect.results import Dissection

__all__ = ["named_runs", "numbers_of", "tell_apart"]


def named_runs(
    runs: Dissection | Sequence[Dissection] | Mapping[str, Dissection], names: Sequence[str] | None
) -> dict[str, Dissection]:
    """Return {name: run}; without names, a mapping's keys or the networks' names, numbered where they are equal.

    Raises:
        SettingError: no run, something that is none, or names that are not one for each run, each once.
    """
    if isinstance(runs, Dissection):  # itself a mapping, of layers
        runs = [runs]
    given: list[Any] = list(runs.values()) if isinstance(runs, Mapping) else list(runs)
    for run in given:
        if not isinstance(run, Dissection):
            raise SettingError(
                f"expected runs as fastdissect.load or dissect give them; got {type(run).__name__}"
            )
    if not given:
        raise SettingError("expected at least one run; got none")
    if names is None:
        keys = [str(key) for key in runs] if isinstance(runs, Mapping) else None
        names = keys or tell_apart(str(run.run.get("model") or "network") for run in given)
    if isinstance(names, str) or len(names) != len(given) or len(set(names)) != len(given) or "" in names:
        raise SettingError(
            f"expected {len(given)} names, one for each run, all different and none empty; got {names!r}"
        )
    return dict(zip(map(str, names), given, strict=True))


def tell_apart(names: Iterable[str]) -> list[str]:
    """Number names that are equal.

    >>> tell_apart(["a", "b", "a", "a (2)"])
    ['a', 'b', 'a (3)', 'a (2)']
    """
    given = list(names)
    taken, seen, found = set(given), Counter[str](), []
    for name in given:
        seen[name] += 1
        number, new = seen[name], name
        while number > 1 and new in taken:
            new = f"{name} ({number})"
            number += 1
        taken.add(new)
        found.append(new)
    return found


def numbers_of(
    what: str, given: Sequence[float | None] | Mapping[str, float | None] | None, names: Sequence[str]
) -> dict[str, float]:
    """Return {run: number} of those that were given; None stands for "not known".

    Raises:
        SettingError: not one for each run, an unknown run, or no finite number of at least 0.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise SettingError(
                    f"expected {what} of the runs {', '.join(names)}; got one of {name!r}{nearest(str(name), names)}"
                )
        pairs = dict(given)
    elif len(given) != len(names):
        raise SettingError(f"expected {what} for {len(names)} runs; got {len(given)}")
    else:
        pairs = dict(zip(names, given, strict=True))
    for name, value in pairs.items():
        if value is not None and not (
            isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < math.inf
        ):
            raise SettingError(
                f"expected {what} of {name!r} to be a finite number of at least 0; got {value!r}"
            )
    return {name: float(value) for name, value in pairs.items() if value is not None}
