"""`fastdissect layers`: what there is to dissect in a network."""

from __future__ import annotations

from typing import Annotated

import typer

from fastdissect.cli.options import Model, Traceback, Verbose, check_layout, parse_tokens
from fastdissect.cli.terminal import listing, output, plain

__all__ = ["layers"]

_SIZE = (224, 224)  # where neither the model nor a data set says


def layers(
    model: Model,
    size: Annotated[
        str | None,
        typer.Option(
            help="The network's input in pixels, 224 or 224x320; the model's own if not given.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC", help="A data set: its number of images, and their size.", show_default=False
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Images to predict the memory for; else the data set's, or 1000."),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(help="How outputs lie: auto, as the network says, or NCHW, NHWC, NTC for all layers."),
    ] = "auto",
    tokens: Annotated[
        str | None,
        typer.Option(
            metavar="prefix=5,grid=16x16",
            help="How tokens lie on the image, where the network does not say: tokens before the grid, and the grid.",
        ),
    ] = None,
    verbose: Verbose = 0,
    traceback: Traceback = False,
) -> None:
    """List a network's layers: names, types, shapes, calls, and the memory that a run will need.

    \b
    Example:
      fastdissect layers torchvision:resnet18 --data broden:broden1_224

    In --layers of `fastdissect run` a name stands for itself; in patterns * means anything up to a dot,
    ** anything at all, ? one character.
    """
    del verbose, traceback
    check_layout(layout)
    grid = parse_tokens(tokens)

    from fastdissect.datasets import open_dataset
    from fastdissect.models import TokenGrid, describe_layers, load_model
    from fastdissect.settings import parse_size

    asked = parse_size(size, "size")
    dataset = None if data is None else open_dataset(data)
    loaded = load_model(model)
    stated = loaded.preprocessing.size
    inputs = asked or stated or (dataset.image_size() if dataset is not None else _SIZE)
    count = images or (len(dataset) if dataset is not None else 1000)
    rows = describe_layers(
        loaded.module,
        inputs,
        images=count,
        layout=layout,  # type: ignore[arg-type]  # check_layout
        tokens=None if grid is None else TokenGrid(*grid),
    )
    numbers = ("units", "map", "calls", "parameters", "memory")
    table = listing(("layer", "type", *numbers, "notes"), right=numbers)
    for row in rows:
        calls = "" if row.calls == 1 else str(row.calls)
        if row.shape is None:
            table.add_row(
                plain(row.name),
                plain(row.type),
                "",
                "",
                calls,
                f"{row.parameters:,}",
                "",
                plain(row.reason),
                style="dim",
            )
            continue
        units, height, width = row.shape
        note = f"called {row.calls} times: dissect a layer around it" if row.calls > 1 else row.reading
        table.add_row(
            plain(row.name),
            plain(row.type),
            f"{units:,}",
            f"{height} x {width}",
            calls or "1",
            f"{row.parameters:,}",
            memory(row.retained_bytes),
            plain(note),
        )
    console = output()
    console.print(table)
    console.print(
        f"Input {inputs[0]} x {inputs[1]}; memory: what one pass retains of {count:,} images at quantile 0.005, at most.",
        soft_wrap=True,
    )
    example = next((row.name for row in reversed(rows) if row.shape is not None and row.calls == 1), None)
    if example is not None:
        console.print(
            f"Dissect one with: fastdissect run {plain(model)} DATA --layers {plain(example)} --out OUT",
            soft_wrap=True,
        )
    console.print(
        'Patterns: "layer*" stops at dots, "**.relu" does not, "?" is one character; commas separate several.'
    )


def memory(size: float) -> str:
    """Return a number of bytes as people read it.

    >>> memory(950), memory(1_500_000)
    ('950 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
