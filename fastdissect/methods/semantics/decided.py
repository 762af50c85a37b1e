"""Decisions over many images: how much of each the vocabulary explains, and what removing concepts does (our formulation)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from fastdissect.methods.semantics.decisions import ConceptExplanation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["decisions_of", "removals_by_concept"]


def decisions_of(explanations: Iterable[ConceptExplanation]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the decisions, a row an image, and the removals, a row an image and concept that takes part.

    decisions: image, predicted, true, right ("yes", "no", ""), score, residual_share, explained
    removals: image, concept, rank (by contribution, from 1), contribution, change (of the score without it), chance
    (root mean square of the changes along random directions of equal energy), p
    """
    import pandas as pd

    decisions, removals = [], []
    for one in explanations:
        view = one.views[0]
        own = view.evidence
        decisions.append({
            "image": one.image,
            "predicted": view.name,
            "true": "" if one.true is None else one.names[one.true],
            "right": {None: "", True: "yes", False: "no"}[one.correct],
            "score": own.score,
            "residual_share": own.residual_share,
            "explained": own.explained,
        })  # fmt: skip
        for rank, (name, part, removal) in enumerate(
            zip(view.names, own.contributions.tolist(), view.removals, strict=False), 1
        ):
            removals.append({
                "image": one.image,
                "concept": name,
                "rank": rank,
                "contribution": part,
                "change": removal.change,
                "chance": float(np.sqrt(np.square(removal.chance).mean())),
                "p": removal.p,
            })  # fmt: skip
    columns = ["image", "concept", "rank", "contribution", "change", "chance", "p"]
    return pd.DataFrame(decisions), pd.DataFrame(removals, columns=columns)


def removals_by_concept(removals: pd.DataFrame) -> pd.DataFrame:
    """Return a row a concept, those in most decisions first: concept, images, contribution (mean), change (mean),
    size (root mean square of the changes), chance (likewise, along random directions), more (share of images where its
    removal changes the score by more than the random ones do)."""
    import pandas as pd

    rows = []
    for name, own in removals.groupby("concept", sort=False):
        rows.append({
            "concept": name,
            "images": len(own),
            "contribution": own["contribution"].mean(),
            "change": own["change"].mean(),
            "size": float(np.sqrt(np.square(own["change"]).mean())),
            "chance": float(np.sqrt(np.square(own["chance"]).mean())),
            "more": float((own["change"].abs() > own["chance"]).mean()),
        })  # fmt: skip
    columns = ["concept", "images", "contribution", "change", "size", "chance", "more"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["images", "concept"], ascending=[False, True], ignore_index=True)
