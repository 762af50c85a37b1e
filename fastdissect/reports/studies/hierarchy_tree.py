"""A layer's roll-up as trees for the page: nodes with the units whose adequate label they are, parts under wholes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import quote

import numpy as np

from fastdissect.methods.hierarchy import LayerRollUp
from fastdissect.reports.studies.figures import printable

__all__ = ["LISTED", "Branch", "Unit", "label_trees", "whole_trees"]

LISTED = 200  # units shown under a node, the best; the CSV has all
NESTED = 50  # levels of a tree on the page: browsers flatten markup beyond some hundreds of elements


@dataclass(frozen=True)
class Unit:
    """One line under a node."""

    number: int
    iou: float
    detector: bool
    words: str  # what else there is to say
    link: str  # to its place in the run's report; "" where there is none


@dataclass(frozen=True)
class Branch:
    """A node with its units and the nodes below it."""

    name: str
    id: str = ""
    units: list[Unit] = field(default_factory=list)
    count: int = 0  # units at it and below
    detectors: int = 0  # of these
    more: int = 0  # units of its own that are not listed
    also: list[tuple[str, str]] = field(
        default_factory=list
    )  # (id, name) of nodes below it that stand elsewhere
    branches: list[Branch] = field(default_factory=list)


def label_trees(one: LayerRollUp, prefix: str, report: str = "") -> tuple[list[Branch], list[Branch]]:
    """Return the trees of the is-a relations, and the labels that no such relation names; without units: left out.

    A node with several parents stands under the one that its path goes through; the others refer to it. So does the
    parent of a node that is too deep down to be nested further: that begins a tree of its own.

    Args:
        prefix: of the ids. report: the run's report, for links.
    """
    tree, at = one.hierarchy, _units_at(one, report)
    passing = np.bincount(one.chosen.node[one.detector], minlength=len(tree))
    shown = {n for n in range(len(tree)) if any(i in at for i in (n, *tree.below[n].tolist()))}

    begins = tree.depth % NESTED == 0

    def branch(node: int) -> Branch:
        inside = [node, *tree.below[node].tolist()]
        own = at.get(node, [])
        children = [n for n in tree.children[node] if n in shown]
        here = {n for n in children if tree.above[n] == node and not begins[n]}
        elsewhere = [(f"{prefix}-{n}", printable(tree.names[n])) for n in children if n not in here]
        return Branch(
            name=printable(tree.names[node]),
            id=f"{prefix}-{node}",
            units=own[:LISTED],
            count=sum(len(at.get(n, ())) for n in inside),
            detectors=int(passing[inside].sum()),
            more=max(0, len(own) - LISTED),
            also=elsewhere,
            branches=_sorted([branch(n) for n in here]),
        )

    found = {n: branch(n) for n in sorted(shown) if begins[n]}
    flat = {n for n in found if not tree.children[n] and tree.above[n] < 0}
    return (
        _sorted([b for n, b in found.items() if n not in flat]),
        _sorted([b for n, b in found.items() if n in flat]),
    )


def whole_trees(one: LayerRollUp, report: str = "") -> list[Branch]:
    """Return wholes with their parts, and under each part the units that detect it on this whole."""
    parts, names = one.parts, one.hierarchy.names
    listed: dict[int, dict[int, list[Unit]]] = defaultdict(lambda: defaultdict(list))
    rows = parts.chosen[parts.chosen >= 0]
    for row in rows[np.lexsort((rows, -one.chosen.iou[parts.unit[rows]]))].tolist():
        words = f"{parts.share[row]:.0%} of it on {names[parts.whole[row]]}; of all {names[parts.part[row]]} {parts.base[row]:.0%}"
        unit = _unit(one, int(parts.unit[row]), words, report)
        listed[int(parts.whole[row])][int(parts.part[row])].append(unit)
    return _sorted(
        [
            _whole(
                printable(names[whole]),
                [
                    Branch(
                        name=printable(names[part]),
                        units=own[:LISTED],
                        count=len(own),
                        detectors=sum(u.detector for u in own),
                        more=max(0, len(own) - LISTED),
                    )
                    for part, own in under.items()
                ],
            )
            for whole, under in listed.items()
        ]
    )


def _whole(name: str, parts: list[Branch]) -> Branch:
    count, detectors = sum(p.count for p in parts), sum(p.detectors for p in parts)
    return Branch(name, count=count, detectors=detectors, branches=_sorted(parts))


def _sorted(branches: list[Branch]) -> list[Branch]:
    return sorted(branches, key=lambda b: (-b.detectors, -b.count, b.name))


def _units_at(one: LayerRollUp, report: str) -> dict[int, list[Unit]]:
    """{node: its units, the best first}."""
    table, chosen, change = one.units(), one.chosen, one.change
    found: dict[int, list[Unit]] = defaultdict(list)
    for unit in np.lexsort((np.arange(len(chosen.node)), -chosen.iou)).tolist():
        node = int(chosen.node[unit])
        if node < 0:
            continue
        words = []
        if change[unit] != "same":
            words.append(f"label {table['label'][unit]} {chosen.label_iou[unit]:.3f}")
        if table["made_of"][unit]:
            words.append(table["made_of"][unit])
        if table["whole"][unit]:
            words.append(f"on {table['whole'][unit]} {table['whole_share'][unit]:.0%}")
        found[node].append(_unit(one, unit, "; ".join(words), report))
    return found


def _unit(one: LayerRollUp, unit: int, words: str, report: str) -> Unit:
    link = f"{report}#unit={quote(f'{one.layer.name}/{unit}', safe='')}" if report else ""
    return Unit(unit, float(one.chosen.iou[unit]), bool(one.detector[unit]), printable(words), link)
