"""Planning: how many passes each layer takes, so that what is retained fits the memory.

The figures a layer, beyond the network and one batch (q: top fraction; r = q n values a unit):

    one pass      retained cells: some 8 q of all cells (2 % on bump-like maps, 4 % measured on uncorrelated
                  ones) x (2 bytes number + the value + 12 bytes a record of some ten cells), times 2.6: a prune
                  holds the grown store and what stays of it; on a GPU, beside it, its share of the GPU's memory
    two passes    r values a unit, times 2.6; the cells of the last pass go to disk when they do not fit
    three passes  65,536 counters of 8 bytes a unit (twice where the read-out interpolates)

The estimate decides how to begin; the layers' shares never pass the budget, and a layer keeps to its share
whatever the data: a store that outgrows it goes on as two passes, with the same bits. Layers that do not fit
together are dealt into groups (grouping.py).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fastdissect.errors import SettingError
from fastdissect.ranks import rank_bounds
from fastdissect.top_values import GROWTH
from fastdissect.types import Kind, Profile, Upsampling

__all__ = [
    "LayerPlan",
    "LayerShape",
    "Plan",
    "TogetherError",
    "available_memory",
    "device_shares",
    "layer_needs",
    "least_needs",
    "make_plan",
    "pass_needs",
]

RETAINED = 8  # retained cells over the quantile
FLOOR = 8 << 20  # bytes that every layer may take


class LayerShape(NamedTuple):
    """Units, height and width of a layer's maps, their dtype, and the upsampling (for its mask's pixels)."""

    units: int
    height: int
    width: int
    kind: Kind
    upsampling: Upsampling
    codes: int | None = None  # values at a place, of all units together, where the layer gives codes


@dataclass(frozen=True)
class LayerPlan:
    passes: int
    memory: int  # bytes that the layer's retained cells may take
    why: str


@dataclass(frozen=True)
class Plan:
    layers: Mapping[str, LayerPlan]
    memory: int  # the budget, bytes
    shapes: Mapping[str, LayerShape]

    @property
    def passes(self) -> int:
        return max(layer.passes for layer in self.layers.values())


class TogetherError(SettingError):
    """Layers that fit the memory one by one, but not together.

    Attributes:
        figures: the message without what to do.
    """

    def __init__(self, figures: str, shapes: Mapping[str, LayerShape], memory: int) -> None:
        super().__init__(
            f"{figures}; give more with --memory, dissect fewer layers at a time, or in one process, which deals them "
            "into groups"
        )
        self.figures, self.shapes, self.memory = figures, shapes, memory


def available_memory() -> int:
    """Bytes that can be taken without swapping: half of what the system calls available."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 // 2
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    return 4 << 30


def make_plan(
    layers: Mapping[str, LayerShape],
    images: int,
    profile: Profile,
    *,
    memory: int | None,
    passes: int | None,
    known: frozenset[str] = frozenset(),
) -> Plan:
    """Choose the passes of each layer and its share of the memory.

    Args:
        memory: bytes for all layers together; None: half of what is available now.
        passes: 1, 2 or 3 for all layers; None: as many as each needs.
        known: layers whose thresholds are given: one pass.

    Raises:
        TogetherError: not even three passes of all layers fit, or the profile allows only one and it does not fit;
            each layer by itself would.
        SettingError: a layer by itself does not fit.
    """
    budget = available_memory() if memory is None else memory
    needs = pass_needs(layers, images, profile, passes, known)
    least = least_needs(layers, images, profile, needs, memory, passes)
    if sum(least.values()) > budget:
        name = max(least, key=lambda name: least[name])
        figures = (
            f"expected memory for the thresholds of {len(layers)} layer(s), some {_size(sum(least.values()))} "
            f"({_size(least[name])} for {name!r}); {_size(budget)} is what may be taken"
        )
        if least[name] > budget:
            out = ", or leave it out" if len(layers) > 1 else ""
            raise SettingError(f"{figures}; give more with --memory{out}")
        raise TogetherError(figures, layers, budget)
    least = _with_few_passes(needs, least, budget)
    left = budget - sum(least.values())
    chosen: dict[str, LayerPlan] = {}
    for name in sorted(layers, key=lambda name: needs[name].get(1, 0)):
        own = needs[name]
        fits = next((p for p in sorted(own) if own[p] - least[name] <= left), min(own))
        share = min(own[fits], least[name] + left)
        left -= share - least[name]
        chosen[name] = LayerPlan(fits, int(share), _why(name, fits, own, profile, passes, known))
    spare = int(left / max(1, len(layers)))
    return Plan({n: replace(chosen[n], memory=chosen[n].memory + spare) for n in layers}, budget, layers)


def _with_few_passes(
    needs: Mapping[str, Mapping[int, float]], least: dict[str, float], budget: int
) -> dict[str, float]:
    """Bytes that each layer begins with: enough for the fewest passes over the images in which all layers fit."""
    for most in sorted({count for own in needs.values() for count in own}):
        found = {
            name: min((need for count, need in own.items() if count <= most), default=math.inf)
            for name, own in needs.items()
        }
        if sum(found.values()) <= budget:
            return found
    return least  # where a layer may begin with less than it will need


def pass_needs(
    layers: Mapping[str, LayerShape],
    images: int,
    profile: Profile,
    passes: int | None,
    known: frozenset[str],
) -> dict[str, dict[int, float]]:
    """Bytes that each layer may need in each number of passes that it may take: {layer: {passes: bytes}}.

    Raises:
        SettingError: passes that the profile does not allow.
    """
    needs = {name: layer_needs(shape, images, profile) for name, shape in layers.items()}
    for name in layers:
        if profile.population == "upsampled" and passes not in (None, 1) and name not in known:
            raise SettingError(
                f"layer {name!r}: a quantile over upsampled maps takes one pass; got passes = {passes}"
            )
        if name in known or profile.population == "upsampled":
            needs[name] = {1: FLOOR if name in known else needs[name][1]}
        elif passes is not None:
            needs[name] = {passes: needs[name][passes]}
    return needs


def least_needs(
    layers: Mapping[str, LayerShape],
    images: int,
    profile: Profile,
    needs: Mapping[str, Mapping[int, float]],
    memory: int | None,
    passes: int | None,
) -> dict[str, float]:
    """Bytes without which each layer does not begin."""
    if profile.population == "upsampled" and memory is None:
        return dict.fromkeys(needs, FLOOR)  # an estimate, and no promise to keep: begin and see
    least = {name: min(own.values()) for name, own in needs.items()}
    if passes == 1 and profile.population == "raw":  # a layer that outgrows its share goes on as two passes
        return {
            name: min(need, layer_needs(layers[name], images, profile)[2]) for name, need in least.items()
        }
    return least


def device_shares(
    layers: Mapping[str, LayerShape],
    images: int,
    profile: Profile,
    places: Mapping[str, str],
    budgets: Mapping[str, int],
) -> dict[str, float]:
    """Bytes of a GPU's memory that each layer's retained cells may take while they lie there.

    A device's budget is dealt to the layers on it in proportion to what they need in one pass; what outgrows its
    share moves to the host's memory.

    Args:
        places: where each layer's output lies: "cpu", "cuda:0", ...
        budgets: bytes for the retained cells on each device.
    """
    needs = {name: layer_needs(shape, images, profile)[1] for name, shape in layers.items()}
    together = {place: sum(needs[name] for name in layers if places[name] == place) for place in budgets}
    return {
        name: budgets[place] * needs[name] / together[place] if place in budgets else math.inf
        for name, place in ((name, places[name]) for name in layers)
    }


def _why(
    name: str,
    fits: int,
    own: Mapping[int, float],
    profile: Profile,
    passes: int | None,
    known: frozenset[str],
) -> str:
    if name in known:
        return "its thresholds are given"
    if profile.population == "upsampled":
        return "a quantile over upsampled maps takes one pass"
    if passes is not None:
        return "as asked"
    return {
        1: "its cells fit",
        2: f"its cells may take {_size(own[1])}",
        3: f"its values take {_size(own[2])}",
    }[fits]


def layer_needs(shape: LayerShape, images: int, profile: Profile) -> dict[int, float]:
    """Bytes that a layer may need in one, two and three passes, by the figures above."""
    values = images * shape.height * shape.width
    width = 4 if shape.kind == "float32" else 2
    share = min(1.0, RETAINED * float(profile.quantile))
    grown = 1 + GROWTH
    if (
        shape.codes is not None
    ):  # every value but 0, and the cells around it; an isolated one has a record of its own
        near = min((2 * shape.upsampling.reach + 1) ** 2, shape.height * shape.width)
        entries = values * shape.codes
        one = entries * (near * (2 + width) + 12) * grown
        two = min(entries, rank_bounds(profile, max(1, values)).deepest * shape.units) * width * grown
        return {1: max(one, FLOOR), 2: max(two, FLOOR), 3: max(two, FLOOR)}
    if profile.population == "upsampled":
        share = min(1.0, 4 * share)
    one = values * shape.units * share * (2 + width + 1.2) * grown
    deepest = rank_bounds(profile, max(1, values)).deepest
    two = deepest * shape.units * width * grown
    three = shape.units * 65536 * 8 * (2 if profile.readout == "linear" else 1)
    return {1: max(one, FLOOR), 2: max(two, FLOOR), 3: max(three, FLOOR)}


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
