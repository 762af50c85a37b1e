"""`fastdissect semantics`: concepts as directions of a layer, and what they say of classes and single decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fastdissect.cli import explain_options as shared
from fastdissect.cli import semantics_options as given
from fastdissect.cli.options import Traceback, Verbose, parse_image
from fastdissect.cli.pairs import read_names
from fastdissect.cli.report import Run
from fastdissect.cli.semantics_tables import category_table, class_table, say_view, say_what
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.methods.semantics import SemanticVectors
    from fastdissect.results import Dissection

__all__ = ["semantics"]


def semantics(
    run: Run,
    image: shared.Image = None,
    class_: given.Class = None,
    versus: given.Versus = None,
    among: shared.Among = None,
    layer: given.Layer = None,
    head: shared.Head = None,
    classes: shared.Classes = None,
    concept: given.Concepts = None,
    positions: given.Positions = 10_000,
    ridge: given.Ridge = 1e-2,
    non_negative: given.NonNegative = False,
    all_concepts: given.AllConcepts = False,
    most: given.Most = 10,
    removals: given.Removals = 20,
    seed: given.Seed = 0,
    model: shared.Model = None,
    data: shared.Data = None,
    device: shared.Device = "auto",
    cache: given.Cache = "auto",
    pictures: shared.PicturesShown = 60,
    out: given.Out = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Find every concept's direction in a layer; compare it with units, classes and other concepts; explain images by it.

    Our formulation, after the abstract of Gu and Tresp (2019). The vectors are kept and found again.

    \b
    Example:
      fastdissect semantics out --layer layer4
      fastdissect semantics out --layer layer4 --image kitchen.jpg --versus bathroom
    """
    del verbose, traceback
    if versus is not None and not image:
        raise typer.BadParameter("expected with --image only", param_hint="'--versus'")

    from fastdissect.methods.extras import need
    from fastdissect.results import load

    for library in ("scipy", "matplotlib"):  # said before the work, not after it
        need(library)
    dissection = load(run)
    place = {"model": model, "data": data, "device": device}
    settings: dict[str, Any] = {
        "concepts": concept or None,
        "positions": positions,
        "ridge": ridge,
        "nonnegative": non_negative,
        "seed": seed,
    }
    classes_given: dict[str, Any] = {
        "head": head,
        "class_names": None if classes is None else read_names(classes),
        "among": among or None,
    }
    folder, study = _vectors(dissection, layer, settings, place, cache, run, out)
    page = (
        _explain(
            dissection,
            study,
            [parse_image(text) for text in image],
            {
                **place,
                **classes_given,
                "classes": class_ or [],
                "versus": versus,
                "most": most,
                "removals": removals,
                "all_concepts": all_concepts,
                "seed": seed,
            },
            folder,
            pictures,
        )
        if image
        else _compare(dissection, study, {**place, **classes_given, "seed": seed}, class_ or [], folder)
    )
    output().print(f"Page: {plain(page)}\n{plain(page.absolute().as_uri())}", soft_wrap=True)


def _vectors(
    dissection: Dissection,
    layer: str | None,
    settings: dict[str, Any],
    place: dict[str, Any],
    cache: str,
    run: Path,
    out: Path | None,
) -> tuple[Path, SemanticVectors]:
    """Those that were kept, else found now and kept."""
    from fastdissect.methods.semantics import kept_vectors, semantic_vectors, settings_of
    from fastdissect.methods.semantics.settings import only_layer
    from fastdissect.reports.studies.free import check_study_folder
    from fastdissect.storage import layer_folder

    name = dissection[only_layer(dissection) if layer is None else layer].name
    folder = out or run / "semantics" / layer_folder(name)
    for page in ("page", "images"):
        check_study_folder(folder / page)
    wanted = settings_of(dissection, name, **settings)
    found = kept_vectors(folder, wanted)
    if found is None:
        where = None if cache == "none" else cache
        found = semantic_vectors(dissection, name, **settings, **place, cache=where)
        found.save(folder)
        say_what(found, "")
    else:
        say_what(found, f", found again in {plain(folder)}")
    return folder, found


def _compare(
    dissection: Dissection, study: SemanticVectors, options: dict[str, Any], classes: list[str], folder: Path
) -> Path:
    from fastdissect.methods.classes import find_class
    from fastdissect.methods.semantics import global_view
    from fastdissect.reports.studies.semantics_global import by_category, write_global

    view = global_view(dissection, study, **options)
    console = output()
    console.print(category_table(by_category(view)))
    if view.classes is None:
        console.print(plain(f"The classes are left out: {view.reason}"), soft_wrap=True)
        if classes:
            raise typer.Exit(1)
    else:
        assert view.reading is not None
        wanted = [view.reading.names[find_class(name, view.reading.names)] for name in classes]
        console.print(class_table(view, wanted))
    return write_global(folder / "page", view, eyebrow=_what(dissection))


def _explain(
    dissection: Dissection,
    study: SemanticVectors,
    images: list[str | int],
    options: dict[str, Any],
    folder: Path,
    pictures: int,
) -> Path:
    from fastdissect.methods.semantics import explain_by_concepts
    from fastdissect.reports.studies.semantics_local import ConceptPage

    page = ConceptPage(pictures)
    for explanation in explain_by_concepts(dissection, study, images, **options):
        page.add(explanation)
        for view in explanation.views:
            say_view(explanation, view)
    output().print(f"Parts add up to every score; the largest gap is {page.gap:.1g}, relative.")
    return page.write(folder / "images", _what(dissection))


def _what(dissection: Dissection) -> str:
    return f"{dissection.run.get('model', 'a network')} on {dissection.run.get('data', 'a data set')}"
