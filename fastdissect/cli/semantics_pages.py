"""The pages of `fastdissect semantics`: of the network, of single decisions, of the vectors' worth; each said and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.cli.semantics_tables import category_table, class_table, say_evaluation, say_view
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.methods.semantics import SemanticVectors
    from fastdissect.results import Dissection

__all__ = ["PAGES", "assess", "compare", "explain"]

PAGES = ("page", "images", "evaluation")  # folders beside the vectors


def compare(
    dissection: Dissection, study: SemanticVectors, options: dict[str, Any], classes: list[str], folder: Path
) -> Path:
    """What the vectors say of units, classes and each other."""
    from fastdissect.methods.classes import find_class
    from fastdissect.methods.semantics import global_view
    from fastdissect.reports.studies.semantics_global import by_category, write_global

    view = global_view(dissection, study, **options)
    console = output()
    console.print(category_table(by_category(study.vectors.table)))
    if view.classes is None:
        console.print(plain(f"The classes are left out: {view.reason}"), soft_wrap=True)
    else:
        assert view.reading is not None
        wanted = [view.reading.names[find_class(name, view.reading.names)] for name in classes]
        console.print(class_table(view, wanted))
    return write_global(folder / "page", view, eyebrow=_what(dissection))


def explain(
    dissection: Dissection,
    study: SemanticVectors,
    images: list[str | int],
    options: dict[str, Any],
    folder: Path,
    pictures: int,
) -> Path:
    """Why the network decided so."""
    from fastdissect.methods.semantics import explain_by_concepts
    from fastdissect.reports.studies.semantics_local import ConceptPage

    page = ConceptPage(pictures)
    for explanation in explain_by_concepts(dissection, study, images, **options):
        page.add(explanation)
        for view in explanation.views:
            say_view(explanation, view)
    output().print(f"Parts add up to every score; the largest gap is {page.gap:.1g}, relative.")
    return page.write(folder / "images", _what(dissection))


def assess(dissection: Dissection, study: SemanticVectors, options: dict[str, Any], folder: Path) -> Path:
    """How far the vectors can be trusted."""
    from fastdissect.methods.semantics import evaluate_vectors
    from fastdissect.reports.studies.semantics_evaluation import write_evaluation

    found = evaluate_vectors(dissection, study, **options)
    say_evaluation(found)
    return write_evaluation(folder / "evaluation", found, eyebrow=_what(dissection))


def _what(dissection: Dissection) -> str:
    return f"{dissection.run.get('model', 'a network')} on {dissection.run.get('data', 'a data set')}"
