"""`fastdissect explain`: why the network decided as it did, by labelled units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fastdissect.cli import explain_options as given
from fastdissect.cli.explain_tables import covered, say_how, title, units_table
from fastdissect.cli.options import Traceback, Verbose, parse_image
from fastdissect.cli.pairs import read_names
from fastdissect.cli.report import Run
from fastdissect.cli.reporting import say_where
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.results import Dissection

__all__ = ["explain"]


def explain(
    run: Run,
    image: given.Image = None,
    class_: given.Class = None,
    versus: given.Versus = None,
    among: given.Among = None,
    by: given.By = "predicted",
    layer: given.Layer = None,
    head: given.Head = None,
    classes: given.Classes = None,
    model: given.Model = None,
    data: given.Data = None,
    device: given.Device = "auto",
    top: given.Top = 4,
    segmentation: given.Segmentation = "relative",
    pictures: given.PicturesShown = 60,
    out: given.Out = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Explain decisions: the units that speak for a class, each with its concept and where it is active.

    \b
    Example:
      fastdissect explain out --image kitchen.jpg --versus bathroom
      fastdissect explain out --image photos --classes classes.txt
      fastdissect explain out --class kitchen
    """
    del verbose, traceback
    if not image and not class_:
        raise typer.BadParameter("expected --image, --class or both", param_hint="'--image'")
    for value, option, allowed in (
        (by, "--by", ("predicted", "true")),
        (segmentation, "--segmentation", ("relative", "dataset")),
    ):
        if value not in allowed:
            raise typer.BadParameter(
                f"expected {' or '.join(allowed)}; got {plain(value)!r}", param_hint=f"'{option}'"
            )
    shared: dict[str, Any] = {
        "layer": layer,
        "head": head,
        "class_names": None if classes is None else read_names(classes),
        "among": among or None,
        "model": model,
        "data": data,
        "device": device,
        "top": top,
    }

    from fastdissect.reports.studies.free import check_study_folder
    from fastdissect.results import load

    dissection = load(run)
    if out is not None or image:
        check_study_folder(out or run / "explanations")
    if image:
        images = [parse_image(text) for text in image]
        more = {"classes": class_ or [], "versus": versus, "segmentation": segmentation}
        page = _explain_images(dissection, images, shared | more, out or run / "explanations", pictures)
    else:
        if versus is not None:
            raise typer.BadParameter("expected with --image only", param_hint="'--versus'")
        page = _explain_class(dissection, class_ or [], shared | {"by": by}, run, out)
    say_where(page)


def _explain_images(
    dissection: Dissection, images: list[str | int], options: dict[str, Any], folder: Path, pictures: int
) -> Path:
    from fastdissect.methods.explanation import explain_each
    from fastdissect.reports.studies.explanation_pages import ExplanationPage

    page, console = ExplanationPage(pictures), output()
    for explanation in explain_each(dissection, images, **options):
        if not page.rows:
            say_how(explanation)
        page.add(explanation)
        for view in explanation.views:
            console.print(units_table(view, explanation.head.kind, title(explanation, view)))
            console.print(covered(view))
    if page.gap is not None:
        console.print(
            f"Contributions and bias add up to every logit; the largest gap is {page.gap:.1g}, relative."
        )
    return page.write(folder, _what(dissection))


def _explain_class(
    dissection: Dissection, classes: list[str], options: dict[str, Any], run: Path, out: Path | None
) -> Path:
    from fastdissect.methods.explanation import class_units
    from fastdissect.reports.studies.explanation_classes import write_class
    from fastdissect.reports.studies.explanation_sections import slug

    if len(classes) > 1:
        raise typer.BadParameter("expected one class where no --image is given", param_hint="'--class'")
    found = class_units(dissection, classes[0], **options)
    say_how(found)
    agree = "" if found.right is None else f"; prediction and truth agree in {100 * found.right:.1f} %"
    console = output()
    console.print(
        plain(
            f"{found.name}: {len(found.images):,} of {found.layer.shape[0]:,} images, {found.by}{agree}; mean logit "
            f"{found.view.logit:.4g}"
        )
    )
    console.print(units_table(found.view, found.head.kind, "by mean contribution"))
    console.print(covered(found.view))
    console.print(
        units_table(found.view, found.head.kind, "by weight", found.by_weight().head(options["top"]))
    )
    folder = out or run / f"class-{slug(found.name)}"
    return write_class(folder, found, found.dataset, eyebrow=_what(dissection))


def _what(dissection: Dissection) -> str:
    return f"{dissection.run.get('model', 'a network')} on {dissection.run.get('data', 'a data set')}"
