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
from fastdissect.cli.semantics_pages import PAGES, assess, compare, explain
from fastdissect.cli.semantics_tables import say_what
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
    evaluate: given.Evaluate = False,
    images: given.EvaluateImages = None,
    seeds: given.Seeds = None,
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
      fastdissect semantics out --layer layer4 --evaluate
    """
    del verbose, traceback
    if versus is not None and not image:
        raise typer.BadParameter("expected with --image only", param_hint="'--versus'")
    if evaluate and (image or class_):
        raise typer.BadParameter("expected without --image and --class", param_hint="'--evaluate'")
    for option, value in (("--images", images), ("--seeds", seeds)):
        if value is not None and not evaluate:
            raise typer.BadParameter("expected with --evaluate only", param_hint=f"'{option}'")

    from fastdissect.methods.extras import need
    from fastdissect.methods.semantics import check_asked, settings_of
    from fastdissect.methods.semantics.settings import only_layer
    from fastdissect.methods.semantics.space import check_folder
    from fastdissect.reports.studies.free import check_study_folder
    from fastdissect.results import load
    from fastdissect.storage import layer_folder

    for library in ("scipy", "matplotlib"):  # said before the work, not after it, as all that follows
        need(library)
    dissection = load(run)
    name = dissection[only_layer(dissection) if layer is None else layer].name
    place: dict[str, Any] = {"model": model, "data": data, "device": device}
    settings: dict[str, Any] = {
        "concepts": concept or None,
        "positions": positions,
        "ridge": ridge,
        "nonnegative": non_negative,
        "seed": seed,
    }
    settings_of(dissection, name, **settings)
    head_given: dict[str, Any] = {
        "head": head,
        "class_names": None if classes is None else read_names(classes),
        "among": among or None,
    }
    pictures_of = [parse_image(text) for text in image or []]
    folder = out or run / "semantics" / layer_folder(name)
    for name_of_page in PAGES:
        check_study_folder(folder / name_of_page)
    asked: dict[str, Any] = {**head_given, "classes": class_ or [], "versus": versus}
    check_asked(dissection, name, images=pictures_of, **asked, **place)
    check_folder(folder)

    where = None if cache == "none" else cache
    study = _vectors(dissection, name, settings, {**place, "cache": where}, folder)
    shared_by_all = {**place, "seed": seed}
    parts = {"most": most, "removals": removals, "all_concepts": all_concepts}
    if pictures_of:
        page = explain(dissection, study, pictures_of, {**shared_by_all, **asked, **parts}, folder, pictures)
    elif evaluate:
        more = {
            "images": 300 if images is None else images,
            "seeds": 3 if seeds is None else seeds,
            "cache": where,
        }
        page = assess(dissection, study, {**shared_by_all, **head_given, **parts, **more}, folder)
    else:
        page = compare(dissection, study, {**shared_by_all, **head_given}, class_ or [], folder)
    output().print(f"Page: {plain(page)}\n{plain(page.absolute().as_uri())}", soft_wrap=True)


def _vectors(
    dissection: Dissection,
    layer: str,
    settings: dict[str, Any],
    options: dict[str, Any],
    folder: Path,
) -> SemanticVectors:
    """Those that were kept, else found now and kept."""
    from fastdissect.methods.semantics import kept_vectors, semantic_vectors, settings_of

    found = kept_vectors(folder, settings_of(dissection, layer, **settings))
    if found is None:
        found = semantic_vectors(dissection, layer, **settings, **options)
        found.save(folder)
        say_what(found, "")
    else:
        say_what(found, f", found again in {plain(folder)}")
    return found
