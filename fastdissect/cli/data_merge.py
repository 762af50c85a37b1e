"""`fastdissect data merge`: several data sets as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastdissect.cli.data_write import check_format, check_scale, steps, write_as
from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from fastdissect.datasets.merging.merged import Merged

__all__ = ["merge"]

_Sets = Annotated[
    list[str],
    typer.Argument(
        metavar="SPEC... OUT",
        help="The data sets, and the folder (or .json file) to make; it must not exist.",
        show_default=False,
    ),
]


def merge(
    sets: _Sets,
    to: Annotated[
        str,
        typer.Option(metavar="broden|folder|json", help="The format; json: no copy.", show_default=False),
    ] = "",
    recipe: Annotated[
        str | None,
        typer.Option(metavar="broden", help="As Broden was made: see below.", show_default=False),
    ] = None,
    synonyms: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Table name,synonym, beside those of the sets.", show_default=False),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW", help="Merge a category into another; repeatable.", show_default=False
        ),
    ] = None,
    min_images: Annotated[
        int | None,
        typer.Option(min=0, help="Leave out labels that fewer images hold. [default: 0]", show_default=False),
    ] = None,
    min_coverage: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Leave out labels that cover less, in areas of an image. [default: 0]",
            show_default=False,
        ),
    ] = None,
    across_categories: Annotated[
        bool | None,
        typer.Option(
            "--across-categories/--by-category",
            help="Labels of one name are one label, whatever their categories; or inside a category only (default).",
            show_default=False,
        ),
    ] = None,
    broden_names: Annotated[
        bool | None,
        typer.Option(
            "--broden-names/--plain-names",
            help="End the names of scenes in -s and of colours in -c; or leave them (default).",
            show_default=False,
        ),
    ] = None,
    mask_scale: Annotated[
        float | None,
        typer.Option(help="Sides of the masks over those of the images. [default: 0.5]", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, and write nothing.")] = False,
    top: Annotated[int, typer.Option(min=0, help="Show so many labels of each list.")] = 10,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Make one data set of several. Labels of one name, or joined by a synonym, become one label.

    Case, white space and underscores of names do not count. Labels are numbered by the images that hold them.
    OUT/merge.csv says what became of each label (beside a .json: NAME.csv).

    --recipe broden is --across-categories --broden-names --min-images 10 --min-coverage 0.5.

    \b
    Example:
      fastdissect data merge ade20k:ADE20K dtd:dtd folder:mine all --to broden --recipe broden
      fastdissect data merge coco:instances.json lvis:lvis.json both.json --to json --category thing=object
      fastdissect data merge folder:a folder:b --dry-run
    """
    del verbose, traceback
    from fastdissect.datasets.merging.building import merge_datasets, opened
    from fastdissect.progress import progress_bar

    specs, out = _split(sets, to, dry_run)
    check_scale(to or "broden", mask_scale)
    options: dict[str, Any] = {
        "recipe": recipe,
        "synonyms": synonyms,
        "categories": _parse_categories(category or []),
        "across_categories": across_categories,
        "broden_names": broden_names,
        "min_images": min_images,
        "min_coverage": min_coverage,
        "by_frequency": True,
    }
    found = opened(specs)
    with progress_bar("counting", sum(len(data) for data in found)) as advance:
        merged = merge_datasets(found, progress=steps(advance), **options)
    _report(merged, top)
    if out is not None:
        _write(merged, out, to, mask_scale)


def _split(sets: list[str], to: str, dry_run: bool) -> tuple[list[str], Path | None]:
    """The sets, and the folder or file to make; with --dry-run there may be none: what has a colon is a set."""
    from fastdissect.datasets.merging.prefixes import is_spec
    from fastdissect.errors import OutputError

    if not dry_run or to:
        check_format(to, ("broden", "folder", "json"))
    last_is_set = is_spec(sets[-1])
    specs = sets if dry_run and last_is_set else sets[:-1]
    if not specs or (last_is_set and not dry_run):
        raise typer.BadParameter(
            f"expected data sets, and behind them OUT, a folder or file to make; got {plain(sets[-1])!r} last",
            param_hint="'SPEC... OUT'",
        )
    if dry_run:
        return specs, None
    out = Path(sets[-1])
    if to == "json" and out.suffix.lower() != ".json":
        raise typer.BadParameter(f"expected a file NAME.json; got {plain(out)!r}", param_hint="'SPEC... OUT'")
    for path in (out, out.with_suffix(".csv")) if to == "json" else (out,):  # before labels are counted
        if path.exists() or path.is_symlink():
            raise OutputError(f"{path} exists already; remove it or choose another name.")
    return specs, out


def _parse_categories(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        old, equals, new = (part.strip() for part in text.partition("="))
        if not old or not equals or not new or found.get(old, new) != new:
            raise typer.BadParameter(
                f"expected OLD=NEW, each OLD once; got {plain(text)!r}", param_hint="'--category'"
            )
        found[old] = new
    return found


def _write(merged: Merged, out: Path, to: str, mask_scale: float | None) -> None:
    from fastdissect.datasets.merging.accounting import write_account
    from fastdissect.datasets.merging.merged_file import write_merged

    if to == "json":
        place = write_merged(merged, out)
        write_account(merged, place.with_suffix(".csv"))
        spec = f"merged:{plain(place)}"
    else:
        place = write_as(merged, out, to, mask_scale)
        write_account(merged, place / "merge.csv")
        spec = f"{to}:{plain(place)}"
    output().print(f"{len(merged):,} images; open them as {spec}", soft_wrap=True)


def _report(merged: Merged, top: int) -> None:
    from fastdissect.datasets.merging.accounting import account

    console = output()
    for prefix, data in zip(merged.prefixes, merged.sets, strict=True):
        console.print(
            f"{plain(prefix)}: {plain(data.name)}, {len(data):,} images, {len(data.concepts):,} labels",
            soft_wrap=True,
        )
    numbers = ("of all sets", "unified", "in several sets", "by synonym", "left out", "stay")
    table = listing(("category", *numbers), title="Labels by category", right=numbers)
    for row in account(merged):
        table.add_row(plain(row.category), *(f"{value:,}" for value in row[1:]))
    console.print(table)
    joined = [label for label in merged.labels if label.by_synonym]
    lists = {
        "Unified by synonyms": [
            f"{label.name} <- {', '.join(m.name for m in label.members if m.name != label.name)}"
            for label in joined
        ],
        "Left out": [f"{label.name} ({label.dropped})" for label in merged.unified.labels if label.dropped],
        "Synonyms of several labels, left alone": [
            f"{name}: {', '.join(others)}" for name, others in merged.unified.ambiguous
        ],
        "Given synonyms that name no label": list(merged.unified.unused),
    }
    for title, items in lists.items():
        if items:
            more = f"; and {len(items) - top:,} more" if len(items) > top else ""
            console.print(f"{title}: {plain('; '.join(items[:top]))}{more}", soft_wrap=True)
    if len(merged.sets) > 1 and not _share_category(merged):
        console.print("No category is in two sets; --category OLD=NEW merges categories of other names.")
    console.print(f"{len(merged):,} images, {len(merged.labels):,} labels stay", soft_wrap=True)


def _share_category(merged: Merged) -> bool:
    from fastdissect.datasets.merging.unifying import merged_categories

    into = merged_categories(merged.sets, merged.options)
    own = [{into[name] for name in data.concepts.categories} for data in merged.sets]
    return any(a & b for i, a in enumerate(own) for b in own[:i])
