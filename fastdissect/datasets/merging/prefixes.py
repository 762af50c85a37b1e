"""Which set an image of a merged set comes from, as the first part of its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from fastdissect.datasets.opening import dataset_forms, has_path
from fastdissect.datasets.protocol import Dataset

__all__ = ["is_spec", "set_prefixes"]

_FILES = (".json", ".jsonl", ".tar", ".csv", ".parquet")


def set_prefixes(sets: Sequence[Dataset]) -> tuple[str, ...]:
    """A short name of each set: that of its folder or file, else its kind; "-2" and so on where it comes again.

    >>> from fastdissect.datasets import Shapes
    >>> set_prefixes([Shapes(1), Shapes(2)])
    ('shapes', 'shapes-2')
    """
    found: list[str] = []
    for data in sets:
        scheme, _, rest = data.name.partition(":")
        short = scheme
        if has_path(data.name) and rest:
            path = PurePath(rest.partition("?")[0])
            short = path.stem if path.suffix.lower() in _FILES else path.name
        # No dots at the ends: neither a hidden folder nor "..".
        short = re.sub(r"[^\w.-]+", "_", short).strip("._-") or "set"
        number, name = 1, short
        while name in found:
            number += 1
            name = f"{short}-{number}"
        found.append(name)
    return tuple(found)


def is_spec(text: str) -> bool:
    """Whether a text begins as the name of a data set does.

    >>> is_spec("shapes:images=3"), is_spec("C:/data")
    (True, False)
    """
    schemes = {form.partition(":")[0].partition("[")[0] for form in dataset_forms()}
    return text.partition(":")[0].partition("?")[0] in schemes
