"""What the parts that units detect belong to: P(on the whole | part under the unit's mask), by pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.layer import LayerDissection
from fastdissect.methods.hierarchy.graph import Hierarchy
from fastdissect.methods.hierarchy.shared_counts import count_shared
from fastdissect.methods.hierarchy.wholes import most_specific_whole, wholes_of
from fastdissect.types import Planes

__all__ = ["Parts", "find_wholes"]


@dataclass(frozen=True, eq=False)
class Parts:
    """The units that detect a part, with every whole that it may lie on: a row each, units rising, wholes rising."""

    unit: NDArray[np.int64]  # [rows]
    part: NDArray[np.int64]  # [rows], node: the unit's adequate one
    whole: NDArray[np.int64]  # [rows], node
    under: NDArray[np.int64]  # [rows], pixels of the part under the unit's mask
    on_whole: NDArray[np.int64]  # [rows], those of them that lie on the whole
    pixels: NDArray[np.int64]  # [rows], pixels of the part in all images
    pixels_on_whole: NDArray[np.int64]  # [rows], those of them that lie on the whole
    chosen: NDArray[np.int64]  # [units], row of the most specific whole; -1: no part, or mostly on none

    @property
    def share(self) -> NDArray[np.float64]:
        """float64 [rows]: of the part's pixels under the mask, the share on the whole."""
        return _share(self.on_whole, self.under)

    @property
    def base(self) -> NDArray[np.float64]:
        """float64 [rows]: the same of all the part's pixels; what a unit would have that does not look at wholes."""
        return _share(self.pixels_on_whole, self.pixels)


def find_wholes(
    layer: LayerDissection,
    planes: Planes,
    hierarchy: Hierarchy,
    node: NDArray[np.int64],
    tolerance: float,
    least_share: float,
    progress: Callable[[int], None] | None = None,
) -> Parts:
    """Lay every unit's mask of its part over the masks of the wholes.

    Args:
        node: int64 [units], the adequate nodes.
        least_share: of the part's pixels under the mask, on the whole that is chosen.
    """
    wholes = {n: own for n in np.unique(node[node >= 0]).tolist() if len(own := wholes_of(hierarchy, n))}
    nodes = sorted({*wholes, *(int(w) for own in wholes.values() for w in own)})
    number = {n: i for i, n in enumerate(nodes)}
    units = {n: np.flatnonzero(node == n) for n in wholes}
    asked = [(n, int(w)) for n, own in wholes.items() for w in (n, *own)]
    pairs = np.array([(number[n], number[w]) for n, w in asked], np.int64).reshape(-1, 2)
    sets = [hierarchy.members[n] for n in nodes]
    found = count_shared(layer, planes, sets, pairs, [units[n] for n, _ in asked], progress)
    rows, best, first = [np.zeros((7, 0), np.int64)], np.full(len(node), -1, np.int64), 0
    for n, own in wholes.items():
        last = first + 1 + len(own)
        under, pixels = np.stack(found.under[first:last], 1), found.pixels[first:last]
        first = last
        share = _share(under[:, 1:], under[:, :1])
        for unit, shares in zip(units[n].tolist(), share, strict=True):
            at = most_specific_whole(hierarchy, own, shares, tolerance)
            best[unit] = at if at >= 0 and shares[at] >= least_share else -1
        columns = np.broadcast_arrays(
            units[n][:, None], n, own, under[:, :1], under[:, 1:], pixels[0], pixels[1:]
        )
        rows.append(np.stack([column.ravel() for column in columns]))
    table = np.concatenate(rows, axis=1)
    table = table[:, np.argsort(table[0], kind="stable")]
    chosen = np.where(best < 0, -1, np.searchsorted(table[0], np.arange(len(node))) + best)
    unit, part, whole, inside, on_whole, anywhere, there = table
    return Parts(unit, part, whole, inside, on_whole, anywhere, there, chosen)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide, with 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)
