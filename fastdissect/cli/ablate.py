"""`fastdissect ablate`: what the network loses when units are taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fastdissect.cli.ablate_tables import group_table, unit_table
from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.pairs import read_names, read_pairs
from fastdissect.cli.report import Run
from fastdissect.cli.reporting import say_where
from fastdissect.cli.terminal import output, plain

__all__ = ["ablate"]

_WHICH, _HOW, _INPUT = "Which units", "How", "Images and network"


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False, **more)


def ablate(
    run: Run,
    layer: Annotated[
        str | None, _option(_WHICH, "Of the run; needed if it has several.", "--layer", "-l")
    ] = None,
    label: Annotated[
        list[str] | None, _option(_WHICH, "All detectors with this label; several times.")
    ] = None,
    category: Annotated[
        list[str] | None, _option(_WHICH, "All detectors of this category; several times.")
    ] = None,
    units: Annotated[
        list[str] | None,
        _option(_WHICH, "These units, such as 1,2,5-9; several times for several groups."),
    ] = None,
    each_label: Annotated[bool, _option(_WHICH, "A group for each label.", "--each-label")] = False,
    under_cut: Annotated[
        bool, _option(_WHICH, "Labels and categories also of units that are no detectors.", "--under-cut")
    ] = False,
    each_unit: Annotated[
        bool,
        _option(_WHICH, "Each unit alone too: do detectors matter more than others?", "--each-unit"),
    ] = False,
    mode: Annotated[
        str, typer.Option(help="zero, mean (over the data set), or a factor.", rich_help_panel=_HOW)
    ] = "zero",
    random_groups: Annotated[
        int, typer.Option(help="Random groups of each size to compare with.", min=0, rich_help_panel=_HOW)
    ] = 10,
    pool: Annotated[
        str,
        typer.Option("--from", help="Draw them from all units, or from the others.", rich_help_panel=_HOW),
    ] = "all",
    seed: Annotated[int, typer.Option(help="Of the random groups.", min=0, rich_help_panel=_HOW)] = 0,
    targets: Annotated[
        Path | None,
        _option(
            _INPUT,
            "The images' classes: a table with the columns image and class. The data set's own, if not given.",
            metavar="FILE.csv",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        _option(_INPUT, "Names of the classes, a line each, in the order of the outputs.", metavar="FILE"),
    ] = None,
    class_: Annotated[
        str | None, _option(_INPUT, "A class to show, by name or number.", "--class", metavar="NAME")
    ] = None,
    model: Annotated[str | None, _option(_INPUT, "The run's network, if it has moved.")] = None,
    data: Annotated[str | None, _option(_INPUT, "The run's data set, if it has moved.")] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=_INPUT)
    ] = "auto",
    out: Annotated[
        Path | None,
        _option(_INPUT, "Folder of the page and its tables; RUN/ablation, if not given.", "--out", "-o"),
    ] = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Take units out of a dissected network, and measure what it loses, against random groups of the same size.

    Without --label, --category, --units or --each-label: detectors, the other units, and each category's detectors.

    \b
    Example:
      fastdissect ablate out --layer conv5 --label stripes --label dots
      fastdissect ablate out --layer conv5 --each-unit --targets classes.csv
    """
    del verbose, traceback
    chosen: dict[str, Any] = {
        "labels": label or (),
        "categories": category or (),
        "groups": _groups(units or []),
        "mode": _mode(mode),
        "targets": None if targets is None else read_pairs(targets, "image", "class"),
        "classes": None if classes is None else read_names(classes),
    }
    if pool not in ("all", "others"):
        raise typer.BadParameter(f"expected all or others; got {plain(pool)!r}", param_hint="'--from'")

    from fastdissect.methods.ablation.ablating import ablate as run_ablation
    from fastdissect.reports.studies.ablation_page import contrast_sentence, write_ablation
    from fastdissect.reports.studies.free import check_study_folder
    from fastdissect.results import load

    dissection, folder = load(run), run / "ablation" if out is None else out
    check_study_folder(folder)
    found = run_ablation(
        dissection,
        layer=layer,
        each_label=each_label,
        under_cut=under_cut,
        each_unit=each_unit,
        random_groups=random_groups,
        pool=pool,
        seed=seed,
        class_asked=class_,
        model=model,
        data=data,
        device=device,
        **chosen,
    )
    console = output()
    for sentence in found.sentences():
        console.print(plain(sentence), soft_wrap=True)
    if len(found.table):
        console.print(group_table(found))
    if found.contrast is not None:
        console.print(unit_table(found))
        console.print(plain(contrast_sentence(found.contrast)), soft_wrap=True)
    say_where(write_ablation(folder, found))


def _mode(text: str) -> str | float:
    if text in ("zero", "mean"):
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(
            f"expected zero, mean or a factor such as 0.5; got {plain(text)!r}", param_hint="'--mode'"
        ) from None


def _groups(given: list[str]) -> dict[str, list[int]] | None:
    """{name: units} of "1,2,5-9" texts."""
    found = {}
    for text in given:
        units: list[int] = []
        for part in text.split(","):
            first, dash, last = part.strip().partition("-")
            numbers = [first, last] if dash else [first]
            if not all(n.isascii() and n.isdecimal() and len(n) < 10 for n in numbers):
                raise typer.BadParameter(
                    f"expected units such as 1,2,5-9; got {plain(text)!r}", param_hint="'--units'"
                )
            low, high = int(numbers[0]), int(numbers[-1])
            if high - low > 10**6 or high < low:
                raise typer.BadParameter(f"expected FIRST-LAST; got {plain(part)!r}", param_hint="'--units'")
            units += range(low, high + 1)
        found[f"units {text.strip()}"] = units
    return found or None
