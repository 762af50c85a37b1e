"""`run --dry-run`: what a run will need, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from fastdissect.cli import summary
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    from fastdissect.forecasting import Forecast

__all__ = ["say_forecast"]

_LISTED = 40  # layers that get a row


def say_forecast(model: str, data: str, options: dict[str, Any]) -> None:
    """Predict, and print."""
    from fastdissect.forecasting import forecast
    from fastdissect.opening import open_run

    console, found = output(), forecast(open_run(model, data, **options))
    console.print(
        f"Predicted from {found.sample:,} of {found.images:,} images; nothing is written.", soft_wrap=True
    )
    console.print(_table(found))
    if len(found.groups) > 1:
        console.print(_groups(found), soft_wrap=True)
    console.print(
        f"Memory: {size(found.memory)} for retained cells{' of one group' if len(found.groups) > 1 else ''}, beside {size(found.base)} for network, batch and libraries. "
        f"Disk: {size(found.disk)}, and {size(found.planes)} of packed masks in the cache. "
        f"Time: {summary.seconds(found.seconds)}, of which the network takes {summary.seconds(found.network * found.passes)}"
        + (f" ({found.passes} passes over the images)." if found.passes > 1 else "."),
        soft_wrap=True,
    )


def _groups(found: Forecast) -> str:
    """What runs after what, in words."""
    passes = [max(found.layers[name].plan.passes for name in group) for group in found.groups]
    listed = [
        f"{number}: {plain(group[0])}{f' to {plain(group[-1])}' if len(group) > 1 else ''} ({len(group)} layer"
        f"{'s' * (len(group) > 1)}, {own} pass{'es' * (own > 1)})"
        for number, (group, own) in enumerate(zip(found.groups, passes, strict=True), 1)
    ]
    more = f"; and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return (
        f"The layers do not fit the memory together: {len(listed)} groups run one after the other, {found.passes} passes "
        f"over the images altogether. {'; '.join(listed[:_LISTED])}{more}."
    )


def _table(found: Forecast) -> Table:
    table = Table()
    grouped = len(found.groups) > 1
    for title in (
        "layer",
        *(["group"] if grouped else []),
        "map",
        "units",
        "passes",
        "memory",
        "disk",
        "time",
    ):
        table.add_column(title, justify="left" if title == "layer" else "right")
    group_of = {name: str(number) for number, group in enumerate(found.groups, 1) for name in group}
    for name, layer in list(found.layers.items())[:_LISTED]:
        table.add_row(
            plain(name),
            *([group_of[name]] if grouped else []),
            f"{layer.cells[0]} x {layer.cells[1]}",
            f"{layer.units:,}",
            f"{layer.plan.passes}: {plain(layer.plan.why)}",
            size(layer.memory),
            size(layer.disk),
            summary.seconds(layer.seconds),
        )
    more = len(found.layers) - _LISTED
    if more > 0:
        table.add_row(f"and {more} more")
    units = sum(layer.units for layer in found.layers.values())
    table.add_section()
    table.add_row(
        "all",
        *([""] if grouped else []),
        "",
        f"{units:,}",
        "",
        size(found.memory),
        size(found.disk),
        summary.seconds(sum(layer.seconds for layer in found.layers.values())),
    )
    return table


def size(count: float) -> str:
    """Bytes in words, three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
