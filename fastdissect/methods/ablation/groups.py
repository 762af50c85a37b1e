"""Groups of units: by what they detect, as listed, and random ones of the same size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest
from fastdissect.layer import LayerDissection

__all__ = ["named_groups", "random_groups_of"]

Units = tuple[int, ...]
_SHOWN = 6  # units that a group's name lists; names that a message does


def named_groups(
    layer: LayerDissection,
    *,
    labels: Sequence[str] = (),
    categories: Sequence[str] = (),
    each_label: bool = False,
    units: Iterable[int] | None = None,
    groups: Mapping[str, Iterable[int]] | None = None,
    under_cut: bool = False,
) -> dict[str, Units]:
    """Return {name: units}, each sorted. Where nothing is asked for: detectors, the others, each category's detectors.

    Args:
        labels, categories: all detectors with this label, or whose label is of this category; one or several.
        each_label: a group for each label that a detector has.
        units: one group, as listed. groups: {name: units}.
        under_cut: labels and categories also of units that are no detectors.

    Raises:
        SettingError: an unknown label or category, one that no unit has, a group without units or with a unit that
            there is not, or twice, or two groups of one name.
    """
    labels, categories = ([given] if isinstance(given, str) else given for given in (labels, categories))
    table = layer.units()
    chosen = table if under_cut else table[table["detector"]]
    who = "unit" if under_cut else "detector"
    found: dict[str, Units] = {}

    def add(name: str, members: Units) -> None:
        if name in found:
            raise SettingError(f"expected groups of different names; got {name!r} twice")
        found[name] = members

    for column, wanted in (("label", labels), ("category", categories)):
        known = layer.concepts.names if column == "label" else layer.concepts.categories
        there = [name for name in dict.fromkeys(chosen[column]) if name]
        for name in wanted:
            if name not in known:
                some = f"; there are {', '.join(known[:_SHOWN])}{', ...' * (len(known) > _SHOWN)}"
                raise SettingError(f"unknown {column} {name!r}{nearest(name, known) or some}")
            members = _units(chosen, chosen[column] == name)
            if not members:
                more = "" if under_cut else "; under_cut (--under-cut) takes units below the cut too"
                raise SettingError(
                    f"expected a {column} that a {who} of layer {layer.name!r} has; none has {name!r}"
                    f"{nearest(name, there)}{more}"
                )
            add(f"{column} {name}", members)
    if each_label:
        for name in sorted({name for name in chosen["label"] if name} - set(labels)):
            add(f"label {name}", _units(chosen, chosen["label"] == name))
    if units is not None:
        listed = _listed(units, layer, "units")
        shown = ", ".join(map(str, listed[:_SHOWN]))
        add(f"unit{'s' * (len(listed) > 1)} {shown}{', ...' * (len(listed) > _SHOWN)}", listed)
    for name, given in (groups or {}).items():
        add(str(name), _listed(given, layer, f"group {name!r}"))
    return found or _usual(table, layer)


def _usual(table: Any, layer: LayerDissection) -> dict[str, Units]:
    """Detectors and the others, and each category's detectors; without groups of no unit or of all."""
    detects = table["detector"]
    found = {"detectors": _units(table, detects), "others": _units(table, ~detects)}
    for name in layer.concepts.categories:
        found[f"category {name}"] = _units(table, detects & (table["category"] == name))
    return {name: units for name, units in found.items() if 0 < len(units) < layer.units_count}


def _units(table: Any, rows: Any) -> Units:
    return tuple(int(unit) for unit in table["unit"][rows])


def _listed(given: Iterable[Any], layer: LayerDissection, what: str) -> Units:
    units = [given] if isinstance(given, (int, np.integer)) else list(given)
    for unit in units:
        if (
            isinstance(unit, bool)
            or not isinstance(unit, (int, np.integer))
            or not 0 <= unit < layer.units_count
        ):
            raise SettingError(
                f"{what}: expected units of layer {layer.name!r}, 0 to {layer.units_count - 1}; got {unit!r}"
            )
    found = tuple(sorted({int(unit) for unit in units}))
    if len(found) != len(units) or not found:
        raise SettingError(f"{what}: expected at least one unit, each once; got {units}")
    return found


def random_groups_of(units: Units, count: int, draws: int, pool: str, seed: int) -> list[Units]:
    """Draw groups of the same size, each uniform among all such.

    Args:
        count: units of the layer. pool: "all", or "others": units outside the group.
        seed: groups of one size get the same draws, where the pool is "all".

    Raises:
        SettingError: the group is the whole layer, or the others are fewer than it has.
    """
    if not draws:
        return []
    size = len(units)
    if size == count:
        raise SettingError(
            f"expected a group that leaves units to compare with; got all {count} of the layer; compare with nothing "
            "(random_groups=0, --random-groups 0), or leave the group out"
        )
    drawn_from: NDArray[np.int64] = np.arange(count)
    generator = np.random.default_rng([seed, size])
    if pool == "others":
        drawn_from = np.setdiff1d(drawn_from, units)
        generator = np.random.default_rng([seed, size, *units])
        if len(drawn_from) < size:
            raise SettingError(
                f"expected at least {size} other units to draw from; there are {len(drawn_from)}; draw from all "
                "(pool='all', --from all)"
            )
    return [tuple(sorted(generator.choice(drawn_from, size, replace=False).tolist())) for _ in range(draws)]
