"""The tables of a roll-up; what their columns mean stands with `LayerRollUp` and `RollUp`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.labels import passes
from fastdissect.methods.hierarchy.choosing import Chosen
from fastdissect.methods.hierarchy.graph import Hierarchy

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.hierarchy.result import LayerRollUp

__all__ = ["changes", "levels", "nodes", "overview", "relations", "units", "wholes"]

_SHARES = 4  # nodes that `made_of` lists; the others are of smaller shares


def changes(chosen: Chosen, hierarchy: Hierarchy) -> NDArray[np.str_]:
    found = np.full(len(chosen.node), "", "<U5")
    for unit in np.flatnonzero(chosen.node >= 0).tolist():
        node, label = int(chosen.node[unit]), int(chosen.label[unit])
        up = node != label and label in hierarchy.members[node]
        found[unit] = "same" if node == label else "up" if up else "other"
    return found


def units(one: LayerRollUp) -> pd.DataFrame:
    import pandas as pd

    chosen, tree, parts, profile = one.chosen, one.hierarchy, one.parts, one.layer.profile
    names = np.array([*tree.names, ""], dtype=object)  # node -1 reads as ""
    labels = np.array([*tree.concepts.names, ""], dtype=object)
    category = np.array([*(tree.concepts.categories[q] for q in tree.concepts.category), ""], dtype=object)
    path = {n: tree.path(n) for n in np.unique(chosen.node[chosen.node >= 0]).tolist()}
    row = parts.chosen
    has = row >= 0
    number = [np.full(len(row), np.nan) for _ in range(2)]
    whole = np.full(len(row), -1)
    whole[has] = parts.whole[row[has]]
    number[0][has], number[1][has] = parts.share[row[has]], parts.base[row[has]]
    table = {
        "unit": np.arange(len(row)),
        "label": labels[chosen.label],
        "category": category[chosen.label],
        "iou": chosen.label_iou,
        "adequate": names[chosen.node],
        "adequate_iou": chosen.iou,
        "change": one.change,
        "depth": pd.array(np.where(chosen.node < 0, -1, tree.depth[chosen.node]), dtype="Int64"),
        "path": [path.get(n, "") for n in chosen.node.tolist()],
        "best": names[chosen.best],
        "best_iou": chosen.best_iou,
        "made_of": _made_of(one),
        "whole": names[whole],
        "whole_share": number[0],
        "whole_base": number[1],
        "detector": passes(chosen.label_iou, profile.cut, profile.cut_inclusive),
        "adequate_detector": one.detector,
    }
    frame = pd.DataFrame(table)
    frame["depth"] = frame["depth"].where(chosen.node >= 0)
    text = ["label", "category", "adequate", "change", "path", "best", "made_of", "whole"]
    return frame.astype(dict.fromkeys(text, "str"))


def _made_of(one: LayerRollUp) -> list[str]:
    """Of each unit whose node has nodes below it, their shares of the overlap: "dog 0.61, cat 0.38"."""
    tree, counts = one.hierarchy, one.counts.counts
    found = []
    for unit, node in enumerate(one.chosen.node.tolist()):
        below = [n for n in tree.children[node] if tree.extent[n] >= 0] if node >= 0 else []
        if not below or len(tree.members[node]) < 2:
            found.append("")
            continue
        own = np.concatenate([one.layer.intersection[unit], counts.intersection[unit]])
        share = own[tree.extent[below]] / own[tree.extent[node]]
        order = [i for i in np.argsort(-share, kind="stable") if share[i] > 0][:_SHARES]
        found.append(", ".join(f"{tree.names[below[i]]} {share[i]:.2f}" for i in order))
    return found


def nodes(one: LayerRollUp) -> pd.DataFrame:
    import pandas as pd

    tree, chosen, detector = one.hierarchy, one.chosen, one.detector
    has = chosen.node >= 0
    own = np.bincount(chosen.node[has], minlength=len(tree))
    passing = np.bincount(chosen.node[detector], minlength=len(tree))
    order = np.lexsort((np.arange(len(chosen.node)), -chosen.iou))
    order = order[has[order]]
    first = {n: int(u) for u, n in zip(order[::-1].tolist(), chosen.node[order[::-1]].tolist(), strict=True)}
    area = np.concatenate([one.layer.concept_area, one.counts.counts.concept_area])
    rows = []
    for node in np.flatnonzero(tree.extent >= 0).tolist():
        inside = [node, *tree.below[node].tolist()]
        best = min((first[n] for n in inside if n in first), key=lambda u: (-chosen.iou[u], u), default=-1)
        rows.append(
            {
                "node": node,
                "name": tree.names[node],
                "labels": len(tree.members[node]),
                "depth": int(tree.depth[node]),
                "path": tree.path(node),
                "pixels": int(area[tree.extent[node]]),
                "units": int(own[node]),
                "detectors": int(passing[node]),
                "units_below": int(own[inside].sum()),
                "detectors_below": int(passing[inside].sum()),
                "unit": best if best >= 0 else None,
                "iou": chosen.iou[best] if best >= 0 else np.nan,
            }
        )
    return pd.DataFrame(rows).astype({"name": "str", "path": "str", "unit": "Int64"})


def levels(one: LayerRollUp) -> pd.DataFrame:
    import pandas as pd

    tree, node = one.hierarchy, one.chosen.node
    held = tree.extent >= 0
    rows = []
    for depth in range(int(tree.depth[held].max(initial=0)) + 1):
        there = (node >= 0) & (tree.depth[node] == depth)
        passing = there & one.detector
        rows.append(
            {
                "depth": depth,
                "nodes": int((held & (tree.depth == depth)).sum()),
                "covering": len(np.unique(node[passing])),
                "units": int(there.sum()),
                "detectors": int(passing.sum()),
            }
        )
    return pd.DataFrame(rows)


def wholes(one: LayerRollUp) -> pd.DataFrame:
    import pandas as pd

    parts = one.parts
    names = np.array([*one.hierarchy.names, ""], dtype=object)
    chosen = np.zeros(len(parts.unit), np.bool_)
    chosen[parts.chosen[parts.chosen >= 0]] = True
    table = pd.DataFrame(
        {
            "unit": parts.unit,
            "part": names[parts.part],
            "whole": names[parts.whole],
            "share": parts.share,
            "base": parts.base,
            "part_pixels": parts.under,
            "on_whole": parts.on_whole,
            "chosen": chosen,
        }
    ).astype({"part": "str", "whole": "str"})
    return table[parts.on_whole > 0].reset_index(drop=True)


def relations(tree: Hierarchy) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(tree.relations), columns=["child", "parent", "kind"]).astype("str")


def overview(layers: Mapping[str, LayerRollUp]) -> pd.DataFrame:
    import pandas as pd

    rows = [{"layer": name, **dataclasses.asdict(one.summary())} for name, one in layers.items()]
    return pd.DataFrame(rows).astype({"layer": "str"})
