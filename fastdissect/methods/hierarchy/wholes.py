"""What a node is part of: along part-of and is-a, up from the node and from all that is below it."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.hierarchy.graph import Hierarchy

__all__ = ["most_specific_whole", "wholes_of"]


def wholes_of(hierarchy: Hierarchy, node: int) -> NDArray[np.int64]:
    """Return the nodes that a part may lie on, rising: wheel, part of a car, which is a vehicle -> car, vehicle.

    Parts of several kinds are one node above theirs ("wheel" of car wheels and bus wheels), so the ways begin at the
    node and at all that is below it; each has one part-of at least. A part of a part is one of the whole, and where a
    data set's part-of goes in a circle, that ends nothing. A union that holds a label of the part itself is no whole: a
    wall that is a built thing lies on built things whatever it belongs to.

    Returns:
        int64, nodes that unite at least one label.
    """
    inside = {node, *hierarchy.below[node].tolist()}
    seen = {(n, False) for n in inside}
    queue = deque(seen)
    while queue:
        at, parted = queue.popleft()
        steps = [(up, parted) for up in hierarchy.parents[at]] + [(up, True) for up in hierarchy.wholes[at]]
        for step in steps:
            if step not in seen:
                seen.add(step)
                queue.append(step)
    own = set(hierarchy.members[node])
    found = {
        n for n, parted in seen if parted and hierarchy.members[n] and own.isdisjoint(hierarchy.members[n])
    }
    return np.array(sorted(found), np.int64)


def most_specific_whole(
    hierarchy: Hierarchy, wholes: NDArray[np.int64], share: NDArray[np.float64], tolerance: float
) -> int:
    """Return the index of the whole that a part lies on: pupil lies on eye and face alike -> eye.

    Of the wholes whose share is at least (1 - tolerance) of the greatest, those stay under which no other of these
    lies (is a, or is part of); of these the one of greatest share, the first of equals. -1: nothing lies on any.
    """
    if not share.max(initial=0) > 0:
        return -1
    near = np.flatnonzero(share >= (1 - tolerance) * share.max())
    own = {int(wholes[i]) for i in near}
    covering = {n: _up(hierarchy, n) & own - {n} for n in own}
    under = set().union(*covering.values())
    lowest = [i for i in near if int(wholes[i]) not in under] or list(near)  # [] where they go in a circle
    return int(max(lowest, key=lambda i: share[i]))


def _up(hierarchy: Hierarchy, node: int) -> set[int]:
    seen, queue = {node}, [node]
    while queue:
        at = queue.pop()
        more = {*hierarchy.parents[at], *hierarchy.wholes[at]} - seen
        seen |= more
        queue += more
    return seen
