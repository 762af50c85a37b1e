"""How data sets are merged: what counts as one label, what is left out, how labels are numbered."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastdissect.datasets.merging.folding import fold
from fastdissect.datasets.tables import read_table
from fastdissect.errors import DataError, SettingError

__all__ = ["BRODEN", "MergeOptions", "read_synonyms"]


@dataclass(frozen=True)
class MergeOptions:
    """The options of a merge; all off by default.

    Attributes:
        synonyms: {other name: name}: labels of the other name become labels of the name. The sets' own synonyms are
            used besides.
        categories: {category of a set: category of the merged set}, such as {"thing": "object"}.
        across_categories: labels of one name are one label whatever their categories are (as in Broden, where the
            door of a house and that of a car are one); else only within a category.
        broden_names: names of scenes end in "-s" and of colours in "-c", as in Broden; then the scene "street" and
            the object "street" stay two labels across categories.
        min_images: labels that fewer images hold are left out.
        min_coverage: labels that cover less, summed over images in areas of a whole image, are left out.
        by_frequency: labels are numbered by falling number of images, then coverage; else in the order of the sets.

    Raises:
        SettingError: a filter below 0, or not finite.
    """

    synonyms: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    across_categories: bool = False
    broden_names: bool = False
    min_images: int = 0
    min_coverage: float = 0.0
    by_frequency: bool = False

    def __post_init__(self) -> None:
        if self.min_images < 0 or not 0 <= self.min_coverage <= sys.float_info.max:
            raise SettingError(
                f"expected min_images >= 0 and a finite min_coverage >= 0, got {self.min_images} and {self.min_coverage}."
            )

    @property
    def counts(self) -> bool:
        """Whether labels must be counted before they are numbered: one read of all masks."""
        return bool(self.by_frequency or self.min_images or self.min_coverage)

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


BRODEN = MergeOptions(
    across_categories=True, broden_names=True, min_images=10, min_coverage=0.5, by_frequency=True
)
"""The recipe of Broden: Bau et al., "Network Dissection", CVPR 2017, as the released joinseg.py does it."""


def read_synonyms(path: str | Path) -> dict[str, str]:
    """Read a table name,synonym: {synonym: name}.

    Raises:
        DataError: no such table, an empty name, a synonym of two names, or of a name that is itself a synonym.

    Example:
        >>> read_synonyms("synonyms.csv")  # doctest: +SKIP
        {'tv': 'television', 'sofa': 'couch'}
    """
    table = read_table(Path(path).expanduser(), ["name", "synonym"])
    name_column, other_column = table.columns.index("name"), table.columns.index("synonym")
    found: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line, fields in table.rows():
        name, other = fields[name_column], fields[other_column]
        if not fold(name) or not fold(other) or fold(name) == fold(other):
            raise DataError(f"{table.place(line)}: expected two different names; got {name!r} and {other!r}.")
        if keys.setdefault(fold(other), fold(name)) != fold(name):
            raise DataError(
                f"{table.place(line)}: {other!r} is a synonym of another name already. Remove one."
            )
        found[other] = name
    for other, name in found.items():
        if fold(name) in keys:
            raise DataError(
                f"{table.name}: {name!r}, of which {other!r} is a synonym, is itself a synonym, of "
                f"{keys[fold(name)]!r}. Name that one in both lines."
            )
    return found
