"""Grouping: layers that do not fit the memory together are dealt into groups, which run one after the other.

Groups are of layers that follow each other, so that the forward passes of early ones stop early. There are up to three
ways to deal: into groups whose layers all take one pass, or at most two, or three. The one with the fewest passes over
the images altogether is taken; of equals, the one with fewer groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fastdissect.planning import LayerShape, Plan, TogetherError, least_needs, make_plan, pass_needs
from fastdissect.types import Profile

__all__ = ["deal"]


def deal(
    layers: Mapping[str, LayerShape],
    images: int,
    profile: Profile,
    *,
    memory: int | None,
    passes: int | None,
    known: frozenset[str] = frozenset(),
) -> tuple[Plan, ...]:
    """Plan all layers together where they fit, else in groups; a plan a group, in the layers' order.

    Args: as for `make_plan`.

    Raises:
        SettingError: a layer by itself does not fit.

    >>> from fastdissect.conventions import PROFILES
    >>> from fastdissect.upsampling import make_upsampling
    >>> shape = LayerShape(512, 7, 7, "float32", make_upsampling("half-pixel", (7, 7), (112, 112)))
    >>> layers = {name: shape for name in "abc"}
    >>> plans = deal(layers, 60_000, PROFILES["netdissect"], memory=200 << 20, passes=None)
    >>> [list(plan.layers) for plan in plans], [plan.passes for plan in plans]
    ([['a', 'b'], ['c']], [2, 2])
    """
    try:
        return (make_plan(layers, images, profile, memory=memory, passes=passes, known=known),)
    except TogetherError as error:
        budget = error.memory
    needs = pass_needs(layers, images, profile, passes, known)
    least = least_needs(layers, images, profile, needs, memory, passes)
    # over upsampled maps an estimate is no promise to keep, unless it was asked for
    given = memory if profile.population == "upsampled" else budget
    room = (
        budget if given is not None else budget // 2
    )  # each group takes what is free then, which may be less
    ways = []
    for most in sorted({count for own in needs.values() for count in own}):
        sizes = {
            name: math.ceil(
                min((n for p, n in own.items() if p <= most and n <= budget), default=least[name])
            )
            for name, own in needs.items()
        }
        ways.append(
            tuple(
                make_plan(
                    {name: layers[name] for name in group},
                    images,
                    profile,
                    memory=given,
                    passes=passes,
                    known=known,
                )
                for group in _consecutive(sizes, room)
            )
        )
    return min(ways, key=lambda plans: (sum(plan.passes for plan in plans), len(plans)))


def _consecutive(sizes: Mapping[str, int], budget: int) -> list[list[str]]:
    """Groups of layers that follow each other, each as full as the budget allows; one alone that is larger."""
    groups: list[list[str]] = []
    left = 0
    for name, size in sizes.items():
        if not groups or size > left:
            groups.append([])
            left = budget
        groups[-1].append(name)
        left -= size
    return groups
