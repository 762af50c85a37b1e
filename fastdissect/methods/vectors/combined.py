"""What a combination of filters adds to the best single one.

Source: METHODS 3.6 and 3.7 (rebuttal notebook): the ratio where the single filter's IoU is above 0.005, combinations as
unique detectors above 0.2; of classification, the share of concepts that gain on the "top filter", F = 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastdissect.errors import SettingError

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.net2vec.filter_counts import FilterCounts
    from fastdissect.methods.net2vec.result import ConceptVectors

__all__ = ["COMBINED_CUT", "RATIO_FLOOR", "improvement", "single_and_combined"]

RATIO_FLOOR = 0.005  # single-filter IoU_set above which a ratio is taken
COMBINED_CUT = 0.2  # IoU_set above which a combination counts as a detector


def single_and_combined(vectors: ConceptVectors, counts: FilterCounts | None = None) -> pd.DataFrame | None:
    """Return each concept's score on val by one filter and by all of them.

    Args:
        counts: of classification vectors, where F = 1 is the single filter, trained anew.

    Returns:
        pd.DataFrame: concept, number, category, single, combined (NaN: not known), ratio (combined / single; NaN also
        where single is not above 0.005). None: the vectors have no score of a single filter.
    """
    import pandas as pd

    table = vectors.table
    if {"single_iou_val", "iou_val"} <= set(table.columns):
        single, combined = table["single_iou_val"], table["iou_val"]
    elif counts is not None and 1 in counts.filters and "accuracy_val" in table:
        ones = counts.table[counts.table["filters"] == 1].set_index("number")["val"]
        single, combined = ones.reindex(vectors.numbers), table["accuracy_val"]
    else:
        return None
    one, many = single.to_numpy(np.float64), combined.to_numpy(np.float64)
    above = np.isfinite(one) & np.isfinite(many) & (np.nan_to_num(one) > RATIO_FLOOR)
    return pd.DataFrame(
        {
            "concept": np.array([*vectors.names, ""], dtype=object)[:-1],
            "number": vectors.numbers,
            "category": np.array([*vectors.category_names(), ""], dtype=object)[:-1],
            "single": one,
            "combined": many,
            "ratio": np.divide(many, one, out=np.full(one.shape, np.nan), where=above),
        }
    ).astype({"concept": "str", "category": "str"})


def improvement(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise what combinations add, by category.

    Args:
        scores: columns category, single, combined and ratio, as `single_and_combined` gives them.

    Returns:
        pd.DataFrame: a row a category that has concepts with both scores, in the order of their first concepts, then one
        of all, category "": concepts, single and combined (means), better (share of concepts whose combination is
        higher; equal ones gain nothing), compared (concepts with a ratio), median_ratio, above_single and above_combined
        (concepts above 0.2: as many unique detectors; the notebook has 0.04 for single filters, which is a dissection's
        cut, over all images: here both are IoU_set under one cut).

    Raises:
        SettingError: columns that are missing.
    """
    import pandas as pd

    missing = {"category", "single", "combined", "ratio"} - set(scores.columns)
    if missing:
        raise SettingError(f"expected the columns of single_and_combined(); {sorted(missing)} are missing")
    known = scores[scores["single"].notna() & scores["combined"].notna()]
    groups = [(str(q), known[known["category"] == q]) for q in dict.fromkeys(known["category"])]
    rows = []
    for name, own in [*groups, ("", known)]:
        ratios = own["ratio"].dropna()
        rows.append(
            {
                "category": name,
                "concepts": len(own),
                "single": float(own["single"].mean()),
                "combined": float(own["combined"].mean()),
                "better": float((own["combined"] > own["single"]).mean()),
                "compared": len(ratios),
                "median_ratio": float(ratios.median()),
                "above_single": int((own["single"] > COMBINED_CUT).sum()),
                "above_combined": int((own["combined"] > COMBINED_CUT).sum()),
            }
        )
    return pd.DataFrame(rows)
