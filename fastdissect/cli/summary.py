"""A run in tables: an overview of its layers, their detectors by category, the best units of one or of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from fastdissect.cli.terminal import listing, plain

if TYPE_CHECKING:
    from fastdissect.layer import LayerDissection
    from fastdissect.results import Dissection

__all__ = ["best_of_all", "best_units", "categories", "headline", "overview", "seconds"]


def headline(dissection: Dissection) -> str:
    """Return one line: which network, on what, under which conventions."""
    run, profile = dissection.run, dissection.profile
    return plain(
        f"{run.get('model', 'a network')} on {run.get('data', 'a data set')}: "
        f"{len(dissection.image_names):,} images, {len(dissection.concepts):,} concepts; profile {profile.name}, "
        f"quantile {float(profile.quantile):g}, detectors at IoU {_cut(dissection)}{_forward(run)}"
    )


def _cut(dissection: Dissection) -> str:
    sign = ">=" if dissection.profile.cut_inclusive else ">"
    cuts = sorted({layer.profile.cut for layer in dissection.values()})
    return f"{sign} {cuts[0]:g}" if len(cuts) == 1 else f"{sign} {cuts[0]:.3g} to {cuts[-1]:.3g}, by layer"


def _forward(run: dict[str, Any]) -> str:
    """The options of the forward pass, where one is not the default."""
    found = run.get("forward", {})
    flags = [
        word for word, key in (("compiled", "compile"), ("channels last", "channels last")) if found.get(key)
    ]
    said = ", ".join([*filter(None, [found.get("dtype")]), *flags])
    return f"; forward pass: {said}" if said else ""


def overview(dissection: Dissection) -> Table:
    """Return a row a layer.

    "unique" counts distinct labels: of the units' best categories ("best"), and of each category by itself,
    added up ("sum"), as the papers' figures do.
    """
    numbers = ("units", "detectors", "unique (best)", "unique (sum)")
    table = listing(("layer", "map", *numbers), right=("map", *numbers))
    for name, layer in dissection.items():
        found, (_, units, height, width) = layer.summary(), layer.shape
        counts = (found.detectors, found.unique_detectors, found.unique_by_category_total)
        shown = ("undetermined",) * 3 if found.undetermined else tuple(f"{n:,}" for n in counts)
        table.add_row(plain(name), f"{height} x {width}", f"{units:,}", *shown)
    return table


def categories(layer: LayerDissection) -> Table:
    """Return a row a category, under both counting conventions, and the total."""
    from fastdissect.reports.palette import display_order

    found = layer.summary()
    rows = {row.category: row for row in found.by_category}
    numbers = ("best: units", "best: labels", "by itself: units", "by itself: labels")
    table = listing(("category", *numbers), title=plain(f"{layer.name}: detectors"), right=numbers)
    for name in display_order(rows):
        row = rows[name]
        table.add_row(
            plain(name), *map(str, (row.best_detectors, row.best_unique, row.detectors, row.unique))
        )
    table.add_section()
    table.add_row(
        "all", str(found.detectors), str(found.unique_detectors), "", str(found.unique_by_category_total)
    )
    return table


def best_units(layer: LayerDissection, count: int, *, distinct: bool = False) -> Table:
    """Return the units with the highest IoU; of equals the lower number first; `distinct`: one a label."""
    units = layer.units().sort_values(["iou", "unit"], ascending=[False, True])
    units = (units.drop_duplicates("label") if distinct else units).head(count)
    table = listing(
        ("unit", "label", "category", "IoU", "detector"),
        title=plain(f"{layer.name}: best units"),
        right=("unit", "IoU"),
    )
    for unit, label, category, iou, detects in zip(
        units["unit"], units["label"], units["category"], units["iou"], units["detector"], strict=True
    ):
        table.add_row(
            str(unit), plain(label) or "-", plain(category), f"{iou:.3f}", "yes" if detects else "no"
        )
    return table


def best_of_all(dissection: Dissection, count: int) -> Table:
    """Return the units with the highest IoU over all layers; of equals the earlier layer, then the lower number."""
    import pandas as pd

    rows = []
    for name, layer in dissection.items():
        units = layer.units()[["unit", "label", "category", "iou", "detector"]]
        own = units.sort_values(["iou", "unit"], ascending=[False, True]).head(count)
        rows.append(own.assign(layer=name))  # no more than `count` of each are held
    best = pd.concat(rows).sort_values("iou", ascending=False, kind="stable").head(count)
    table = listing(
        ("layer", "unit", "label", "category", "IoU", "detector"),
        title="Best units of all layers",
        right=("unit", "IoU"),
    )
    for row in best.itertuples():
        label, detects = plain(row.label) or "-", "yes" if row.detector else "no"
        table.add_row(plain(row.layer), str(row.unit), label, plain(row.category), f"{row.iou:.3f}", detects)
    return table


def seconds(value: float) -> str:
    """Return a length of time as people say it.

    >>> seconds(3.21), seconds(75), seconds(7325)
    ('3.2 s', '1 min 15 s', '2 h 2 min')
    """
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
