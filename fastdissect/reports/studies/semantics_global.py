"""The page of the semantic vectors: quality, units, classes, concepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastdissect.methods.semantics import GlobalView, strongest, vocabulary_of
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.figures import Figure
from fastdissect.reports.studies.page import Section, Table, write_study
from fastdissect.reports.studies.semantics_figures import class_figure, concept_figure, quality_figure
from fastdissect.reports.studies.semantics_words import HOW, LISTED, classes_words, merged_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["by_category", "listed", "write_global"]

_ROWS = 200
_SEVERAL = {"unit": "units", "concept": "concepts", "class": "classes", "nearest": "nearest"}
_SHOWN = {
    "concept": "concept", "category": "category", "val_images": "images", "represented": "represented",
    "ap_val": "AP", "control": "control", "single_ap": "unit's AP", "single_unit": "unit", "difference_ap": "means' AP",
    "iou_val": "IoU", "single_iou": "unit's IoU", "single_iou_unit": "unit for IoU", "effective_units": "effective units",
}  # fmt: skip


def write_global(path: str | Path, view: GlobalView, *, eyebrow: str = "") -> Path:
    """Write the page, with CSVs of everything it shows.

    Args:
        path: a folder of its own; an older page there is replaced.

    Returns:
        The page to open.

    Raises:
        BackendError: scipy or matplotlib is not installed. OutputError: the folder cannot be written.
    """
    import pandas as pd

    vectors = view.study.vectors
    table, record = vectors.table, vectors.record
    represented = int(table["represented"].sum())
    facts = [
        ("layer", f"{vectors.layer}, {vectors.units:,} units"),
        ("concepts", f"{len(vectors):,}, {len(vectors.skipped):,} skipped"),
        ("represented", f"{represented:,}"),
        ("train", f"{record.get('train images', 0):,} images, by {record.get('train', 'unknown')}"),
        ("features", f"{record.get('features', 0):,} positions"),
        ("ridge", f"{record.get('ridge', 0):g}{', non-negative' if record.get('nonnegative') else ''}"),
    ]
    shown = table[list(_SHOWN)].sort_values(["ap_val", "concept"], ascending=[False, True])
    told = np.where(shown["represented"], "yes", np.where(shown["ap_val"].isna(), "no val images", "no"))
    unit = shown["single_iou_unit"].astype("Int64").where(shown["single_iou_unit"] >= 0)
    shown = shown.assign(represented=told, single_iou_unit=unit).rename(columns=_SHOWN)
    csv = {"concepts": table, "filters": view.filters, "nearest": view.nearest, "cosines": _cosines(view)}
    sections = [
        Section("", HOW),
        Section("How well the layer tells the concepts", "", [
            Table.of(by_category(table), "Means over the concepts of a category."),
            quality_figure(view),
            Table.of(shown, LISTED, rows=_ROWS, csv="concepts"),
        ]),
        Section(
            "Concepts and units",
            "A vector's entry is its cosine with the unit. Effective units (participation ratio, one over the sum of the "
            "fourth powers) say over how many units a concept is spread.",
            [Table.of(listed(view.filters, "concept", "unit", "weight"), "The largest entries.", rows=_ROWS, csv="filters")],
        ),
        Section("Concepts and classes", classes_words(view), _classes(view, csv)),
        Section("Concepts and concepts", merged_words(vocabulary_of(view.study)), [
            concept_figure(view),
            Table.of(listed(view.nearest, "concept", "nearest", "cosine"), "The nearest.", rows=_ROWS, csv="nearest"),
        ]),
    ]  # fmt: skip
    if vectors.skipped:
        left = pd.DataFrame(vectors.skipped, columns=["concept", "why"])
        csv["skipped"] = left
        sections.append(
            Section("Skipped", "Concepts without a vector.", [Table.of(left, rows=_ROWS, csv="skipped")])
        )
    return write_study(
        path,
        title=f"Semantic vectors of {vectors.layer}",
        eyebrow=eyebrow or "concepts as directions",
        facts=facts,
        sections=sections,
        csv=csv,
    )


def by_category(table: pd.DataFrame) -> pd.DataFrame:
    """A row a category: concepts, represented, mean AP and IoU of vectors and single units, effective units."""
    import pandas as pd

    rows = []
    for name in display_order(dict.fromkeys(table["category"])):
        own = table[table["category"] == name]
        means = own[
            ["ap_val", "single_ap", "difference_ap", "iou_val", "single_iou", "effective_units"]
        ].mean()
        rows.append({
            "category": name, "concepts": len(own), "represented": int(own["represented"].sum()),
            "AP": means["ap_val"], "single unit's AP": means["single_ap"],
            "mean difference's AP": means["difference_ap"], "IoU": means["iou_val"],
            "single unit's IoU": means["single_iou"], "effective units": means["effective_units"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def listed(table: pd.DataFrame, by: str, what: str, value: str) -> pd.DataFrame:
    """A row an entry of `by`, its rows joined in words: "sky +0.412, sea +0.371"."""
    import pandas as pd

    if not len(table):  # one concept has no nearest
        return pd.DataFrame({by: [], _SEVERAL[what]: []}, dtype="str")
    words = table[what].astype(str) + " " + table[value].map("{:+.2f}".format)
    joined = words.groupby(table[by], sort=False).agg(", ".join)
    return joined.rename_axis(by).reset_index(name=_SEVERAL[what])


def _classes(view: GlobalView, csv: dict[str, pd.DataFrame]) -> list[Table | Figure]:
    if view.classes is None:
        return []
    csv["classes"] = view.classes
    own = listed(strongest(view.classes, "class"), "class", "concept", "cosine")
    other = listed(strongest(view.classes, "concept"), "concept", "class", "cosine")
    figure = class_figure(view)
    return [
        *([] if figure is None else [figure]),
        Table.of(own, "The strongest concepts of each class, by cosine.", rows=_ROWS, csv="classes"),
        Table.of(other, "The strongest classes of each concept.", rows=_ROWS, csv="classes"),
    ]


def _cosines(view: GlobalView) -> pd.DataFrame:
    """The concepts' cosines, in the dendrogram's order."""
    import pandas as pd

    order = view.order.order
    names = [view.study.vectors.names[i] for i in order]
    table = pd.DataFrame(view.order.cosine[np.ix_(order, order)].round(6), columns=names)
    table.insert(0, "concept", names, allow_duplicates=True)
    return table
