"""The page of a roll-up: every layer's units in the trees of their labels, and parts under their wholes.

index.html   <table>.csv   assets/
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.methods.hierarchy import LayerRollUp, RollUp
from fastdissect.reports.facts import network_name, run_facts
from fastdissect.reports.folder import atomic_folder
from fastdissect.reports.pages import asset, render
from fastdissect.reports.studies.figures import printable
from fastdissect.reports.studies.free import check_study_folder
from fastdissect.reports.studies.hierarchy_tree import label_trees, whole_trees
from fastdissect.reports.studies.page import Table
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_hierarchy_study"]

_STYLES = ("base.css", "summary.css", "study.css", "hierarchy.css")
_SCRIPTS = ("theme.js", "hierarchy.js")
_ROWS = 50  # units shown that change; the CSV has all

_READING = """\
A node of a tree is the union of the labels below it, counted pixel by pixel: its IoU is the one that it would have as a
label of its own. Each unit stands at its adequate label. That is the node of highest IoU, or a more specific one below it
whose IoU is at least {near:.0f} % of that. A unit goes up only where the more general label is clearly better.

An IoU is bounded by the sizes: masks that cover few pixels cannot have a high IoU with a label of many, however well
they lie on it. "dog (itself)" is what is labelled dog, and nothing more specific."""

_PARTS = """\
Units that detect a part, under the whole on which it lies: the share of the part's pixels under the unit's mask that lie
on the whole, beside the same of all pixels of the part. A whole is named from {least:.0f} % on; of several the most
specific."""


def write_hierarchy_study(
    d: Dissection, found: RollUp, path: str | Path, *, report: str | Path | None = None
) -> Path:
    """Write the page and a CSV of every table; returns the page to open.

    Args:
        path: a folder of its own; an older page there is replaced.
        report: the run's report (its index.html), for links to the units' pictures.

    Raises:
        OutputError: the folder cannot be written.

    Example:
        >>> write_hierarchy_study(d, roll_up(d), "out/hierarchy")            # doctest: +SKIP
    """
    check_study_folder(path)
    path, tree = Path(path).absolute(), found.hierarchy
    first = next(iter(found.layers.values()))
    link = "" if report is None else Path(os.path.relpath(Path(report).absolute(), path)).as_posix()
    tables = found.tables()
    kinds = [one.kind for one in tree.relations]
    page = render(
        "hierarchy.html.j2",
        title=f"{network_name(d.run)}: labels with hierarchy",
        eyebrow="Which label is general enough, and what is it part of?",
        facts=[
            ("Relations", f"{kinds.count('is-a'):,} is-a, {kinds.count('part-of'):,} part-of"),
            ("From", printable(found.source)),
            ("Unions of labels", f"{len(tree.unions):,}"),
            ("Adequate", f"from {100 * (1 - first.tolerance):g} % of the best IoU on"),
            *run_facts(d),
        ],
        paragraphs=_paragraphs(_READING.format(near=100 * (1 - first.tolerance))),
        overview=Table.of(tables["overview"], csv="overview"),
        parts=_paragraphs(_PARTS.format(least=100 * first.least_share)),
        layers=[
            _layer(name, one, f"l{i}", link, found.files[name], tables)
            for i, (name, one) in enumerate(found.items())
        ],
        files=[f"{name}.csv" for name in tables],
        styles=_STYLES,
    )
    with atomic_folder(path) as folder:
        (folder / "assets").mkdir()
        for name in (*_STYLES, *_SCRIPTS):
            (folder / "assets" / name).write_bytes(asset(name))
        for name, table in tables.items():
            (folder / f"{name}.csv").write_bytes(_csv(table))
        (folder / "index.html").write_bytes(page)
    return path / "index.html"


def _layer(
    name: str, one: LayerRollUp, id: str, report: str, file: str, tables: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    trees, flat = label_trees(one, id, report)
    units = tables[file]
    moved = units[units["change"].isin(["up", "other"])].sort_values(
        ["adequate_iou", "unit"], ascending=[False, True]
    )
    columns = ["unit", "label", "iou", "adequate", "adequate_iou", "change", "path", "made_of"]
    numbers = one.summary()
    text = (
        f"Of {numbers.units:,} units {numbers.up:,} have a better label further up, {numbers.other:,} one in another "
        f"branch, {numbers.same:,} keep theirs. Detectors: {numbers.detectors:,} by the run's labels, "
        f"{numbers.adequate_detectors:,} by the adequate ones, which are {numbers.nodes:,} different."
    )
    return {
        "id": id,
        "name": printable(name) or "the network itself",
        "text": text,
        "levels": Table.of(tables[f"{file}-levels"], csv=f"{file}-levels"),
        "moved": Table.of(_shown(moved[columns]), rows=_ROWS, csv=file) if len(moved) else None,
        "trees": trees,
        "flat": flat,
        "wholes": whole_trees(one, report),
        "csv": file,
    }


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    text = [c for c in table.columns if table[c].dtype.kind not in "iuf"]
    return table.assign(**{c: table[c].map(printable) for c in text})


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _csv(table: pd.DataFrame) -> bytes:
    text: str = table.to_csv(index=False, lineterminator="\r\n")
    try:
        return text.encode(errors="surrogateescape")  # names of labels, whose bytes these were
    except UnicodeEncodeError:  # half characters out of a file that somebody wrote
        return text.encode(errors="backslashreplace")
