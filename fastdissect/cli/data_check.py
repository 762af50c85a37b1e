"""`fastdissect data check`: is a data set what it says?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastdissect.cli.data_write import steps
from fastdissect.cli.options import Data, Traceback, Verbose
from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from fastdissect.datasets import DatasetReport

__all__ = ["check"]


def check(
    spec: Data,
    overlay: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw a few images with their masks.", show_default=False),
    ] = None,
    overlays: Annotated[int, typer.Option(min=1, help="So many images on it.")] = 8,
    images: Annotated[
        int | None, typer.Option(min=1, help="Check the first so many only.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Show so many of the commonest labels.")] = 15,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """Read every image and its labels; count them, list problems. The exit code is 1 if there are any.

    \b
    Example:
      fastdissect data check broden:broden1_224 --overlay masks.png
      fastdissect data check shapes:images=50
    """
    del verbose, traceback
    from fastdissect.datasets import check_dataset, open_dataset
    from fastdissect.progress import progress_bar

    dataset = open_dataset(spec)
    with progress_bar("checking", min(len(dataset), images or len(dataset))) as advance:
        found = check_dataset(dataset, overlays=overlays, out=overlay, images=images, progress=steps(advance))
    _show(found, top)
    if not found.ok:
        raise typer.Exit(1)


def _show(found: DatasetReport, top: int) -> None:
    console = output()
    concepts = found.concepts
    part = "" if found.checked == found.images else f", {found.checked:,} of them checked"
    console.print(
        f"{plain(found.name)}: {found.images:,} images{part}, {len(concepts):,} labels", soft_wrap=True
    )
    lines = {
        "splits": ", ".join(f"{plain(name)} {count:,}" for name, count in found.splits.items()),
        "sizes": _sizes(found),
        "masks of another size than their image": _resized(found),
        "without labels": f"{found.unlabelled:,} images",
    }
    for name, text in lines.items():
        if text:
            console.print(f"  {name}: {text}", soft_wrap=True)
    numbers = ("labels", "images", "pixels")
    table = listing(("category", *numbers), title="Labels by category", right=numbers)
    for q, category in enumerate(concepts.categories):
        table.add_row(
            plain(category),
            f"{int((concepts.category == q).sum()):,}",
            f"{int(found.category_images[q]):,}",
            f"{int(found.category_pixels[q]):,}",
        )
    console.print(table)
    if top:
        console.print(_commonest(found, top))
    missing = int((found.concept_images == 0).sum())
    if missing:
        console.print(f"{missing:,} labels of the vocabulary were not seen")
    if found.seconds > 0:
        console.print(f"Read at {found.checked / found.seconds:,.0f} images a second, one process")
    if found.overlays is not None:
        console.print(f"Masks drawn in {plain(found.overlays)}", soft_wrap=True)
    if found.ok:
        console.print("No problems")
        return
    console.print(f"{found.problem_count:,} images with problems:", style="bold red")
    for problem in found.problems:
        console.print(f"  {plain(problem)}", soft_wrap=True)
    if found.problem_count > len(found.problems):
        console.print(f"  and {found.problem_count - len(found.problems):,} more")


def _sizes(found: DatasetReport) -> str:
    ordered = sorted(found.image_sizes.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{height} x {width} ({count:,})" for (height, width), count in ordered[:5]]
    return ", ".join([*shown, f"{len(ordered) - 5:,} more"] if len(ordered) > 5 else shown)


def _resized(found: DatasetReport) -> str:
    if not found.resized:
        return ""
    ((image, mask), most) = max(found.resized.items(), key=lambda item: (item[1], item[0]))
    return (
        f"{found.resized_images:,} images, such as {mask[0]} x {mask[1]} of {image[0]} x {image[1]} ({most:,}); "
        "resized by nearest neighbour in a run"
    )


def _commonest(found: DatasetReport, top: int) -> object:
    concepts = found.concepts
    rows = sorted(
        range(len(concepts)), key=lambda c: (-int(found.concept_images[c]), int(concepts.numbers[c]))
    )
    numbers = ("number", "images", "pixels")
    table = listing(
        ("number", "label", "category", "images", "pixels"), title="Commonest labels", right=numbers
    )
    for column in rows[:top]:
        table.add_row(
            str(int(concepts.numbers[column])),
            plain(concepts.names[column]),
            plain(concepts.categories[int(concepts.category[column])]),
            f"{int(found.concept_images[column]):,}",
            f"{int(found.concept_pixels[column]):,}",
        )
    return table
