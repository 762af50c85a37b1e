"""The pages of a layer's concept vectors: one folder that opens from disk, with every concept and every unit in it.

index.html   data/study.js, weights-<i>.js   <table>.csv   figures/<name>.svg, .png   pictures/<name>   assets/
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.facts import network_name
from fastdissect.reports.folder import atomic_folder
from fastdissect.reports.json_scripts import put_script
from fastdissect.reports.pages import asset, render
from fastdissect.reports.palette import hues
from fastdissect.reports.studies.free import check_study_folder
from fastdissect.reports.studies.net2vec_concepts import ShownImages, concept_pictures
from fastdissect.reports.studies.net2vec_data import concept_places, study_data, weight_chunks
from fastdissect.reports.studies.net2vec_facts import headline, page_facts
from fastdissect.reports.studies.net2vec_items import Listing, Part, figures_of, section_context
from fastdissect.reports.studies.net2vec_likeness import likeness_sections
from fastdissect.reports.studies.net2vec_overviews import across_scores, unit_labels
from fastdissect.reports.studies.net2vec_sections import score_sections
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PICTURED", "write_net2vec_study"]

PICTURED = 60  # concepts with pictures, unless they are named: more would weigh more than all the rest

_STYLES = ("base.css", "summary.css", "panel.css", "study.css")
_SCRIPTS = ("store.js", "state.js")  # the report's own
_OWN = (
    "net2vec.css",
    "net2vec-charts.js",
    "net2vec-listings.js",
    "net2vec-strips.js",
    "net2vec-views.js",
    "net2vec-panels.js",
)

_CONCEPTS = """\
Every concept. Choose one to see its filters and all its weights, its neighbours, and what one filter does against all; the
heads of the columns sort."""

_CONCEPTS_KEY = """\
Scores on val. Gain: the bar is the score of all filters, the mark that of the best single one, on the scale of the best
concept. Needed: filters, trained anew. Weights are of a vector of length 1. Names in grey: not learned."""

_UNITS = """\
Every unit of the layer, and the concepts that it helps to encode: those in which its weight is one of the five largest by
size. What a unit detects by itself is the run's label, where it is a detector."""


def write_net2vec_study(
    study: VectorStudy,
    path: str | Path,
    *,
    dissection: Dissection,
    shown: tuple[str, ...] = (),
    images: ShownImages | None = None,
    report: str | Path | None = None,
) -> Path:
    """Write the pages with figures, tables, pictures and CSVs; returns the page to open.

    Every concept and every unit has its place, index.html#concept=<number> and index.html#unit=<number>.

    Args:
        path: a folder of its own; an older study there is replaced.
        dissection: the run, for its facts and the units' own labels.
        shown: concepts with pictures; default: all, of more than 60 those at 60 evenly spaced ranks of the score.
        images: for pictures; None: none.
        report: the run's report (its index.html), for links to the units' pictures.

    Raises:
        SettingError: `shown` has a name that has no vector. BackendError: matplotlib is not installed.
        OutputError: the folder cannot be written.

    Example:
        >>> write_net2vec_study(study_vectors(vectors), "out/net2vec/page", dissection=d)     # doctest: +SKIP
    """
    rows = [study.embedding.find(name) for name in shown] or across_scores(study, PICTURED)
    check_study_folder(path)
    path, vectors = Path(path).absolute(), study.vectors
    csv: dict[str, pd.DataFrame] = {
        "concepts": vectors.table.assign(learned=study.embedding.learned),
        "filters": study.filters,
        "units": study.units,
        "neighbours": study.neighbours,
    }
    pictures = {row: found for row in rows if (found := _pictures(study, row, images))}
    parts = _parts(study, csv, len(pictures), bool(shown))
    data = study_data(
        study,
        unit_labels(study, dissection),
        {row: [(p.name, iou, name) for p, iou, name in found] for row, found in pictures.items()},
    )
    data["report"] = None if report is None else Path(os.path.relpath(report, path)).as_posix()
    links = {name: int(vectors.numbers[row]) for (name, _), row in concept_places(study).items()}
    links = {name: number for name, number in links.items() if vectors.names.count(name) == 1}
    page = render(
        "net2vec.html.j2",
        categories=vectors.categories,
        hues=hues(vectors.categories),
        title=f"{network_name(dissection.run)}: concepts as combinations of {vectors.layer}'s units",
        eyebrow="How are concepts spread over units?",
        facts=page_facts(study, dissection),
        headline=headline(study),
        sections=[section_context(part, vectors.categories, links) for part in parts],
        files=[f"{name}.csv" for name in csv],
        styles=(*_STYLES, *(name for name in _OWN if name.endswith(".css"))),
        scripts=(*_SCRIPTS, *(name for name in _OWN if name.endswith(".js"))),
    )
    with atomic_folder(path) as folder:
        files = {f"assets/{name}": asset(name) for name in (*_STYLES, "theme.js", *_SCRIPTS, *_OWN)}
        files |= {f"figures/{figure.name}.svg": figure.svg for figure in figures_of(parts)}
        files |= {f"figures/{figure.name}.png": figure.png for figure in figures_of(parts)}
        files |= {f"pictures/{p.name}": p.data for found in pictures.values() for p, _, _ in found}
        files |= {
            f"data/weights-{i}.js": put_script(f"weights-{i}", chunk)
            for i, chunk in enumerate(weight_chunks(study))
        }
        files |= {f"{name}.csv": _csv(table) for name, table in csv.items()}
        files |= {"data/study.js": put_script("study", data), "index.html": page}
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    return path / "index.html"


def _parts(study: VectorStudy, csv: dict[str, pd.DataFrame], pictured: int, asked: bool) -> list[Part]:
    vectors, text = study.vectors, _CONCEPTS
    if 0 < pictured < len(vectors):
        which = "those that were asked for" if asked else "at evenly spaced ranks of the score"
        text += f" {pictured:,} of the {len(vectors):,} have pictures, {which}."
    concepts = Listing(
        "concepts", "Search name or category", _CONCEPTS_KEY, ("concepts", "filters", "neighbours")
    )
    units = Listing("units", "Search unit number, label or concept", "", ("units",))
    parts = [
        *score_sections(study, csv),
        Part("concepts", "Concepts", text, [concepts]),
        Part("units", "Units", _UNITS, [units]),
        *likeness_sections(study, csv),
    ]
    if vectors.skipped:
        reasons: dict[str, list[str]] = {}
        for name, reason in vectors.skipped:
            reasons.setdefault(reason, []).append(" ".join(name.split()))
        lines = [f"{len(names):,}: {', '.join(names)}: {reason}." for reason, names in reasons.items()]
        parts.append(Part("skipped", "Not trained", "\n\n".join(lines)))
    return parts


def _pictures(study: VectorStudy, row: int, images: ShownImages | None) -> list[Any]:
    return [] if images is None else concept_pictures(study, row, images)


def _csv(table: pd.DataFrame) -> bytes:
    text: str = table.to_csv(index=False, lineterminator="\r\n")
    try:
        return text.encode(errors="surrogateescape")  # names of files, whose bytes these were
    except UnicodeEncodeError:  # half characters out of a file that somebody wrote
        return text.encode(errors="backslashreplace")
