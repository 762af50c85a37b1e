"""A rotation study in a terminal: one table by alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from rich.table import Table

    from fastdissect.methods.rotation import RotationStudy

__all__ = ["say"]


def say(study: RotationStudy) -> None:
    """Print what was rotated, and a row for each alpha and baseline."""
    run, layer = study.dissection.run, study.dissection[study.layer]
    sign = ">=" if layer.profile.cut_inclusive else ">"
    console = output()
    console.print(
        plain(
            f"{run.get('model', 'a network')} on {run.get('data', 'a data set')}: {layer.shape[0]:,} images, "
            f"{len(layer.concepts):,} concepts; {study.layer} of {layer.units_count:,} units, "
            f"{len(study.seeds)} rotations; profile {layer.profile.name}, detectors at IoU {sign} {study.cut:g}"
        ),
        soft_wrap=True,
    )
    console.print(_by_alpha(study))


def _by_alpha(study: RotationStudy) -> Table:
    """A row an alpha: the mean over the rotations, and from least to most; then a row a baseline."""
    columns = {
        "detectors": "detectors",
        "unique_detectors": "unique (best)",
        "unique_by_category_total": "unique (sum)",
        "mean_iou": "mean IoU",
    }
    table = listing(
        ("alpha", *columns.values()), title=plain(f"{study.layer}: rotated"), right=columns.values()
    )
    curve = study.curve()
    undetermined = study.dissection[study.layer].undetermined
    for alpha in study.alphas:
        rows = curve[(curve["alpha"] == alpha) & curve["category"].isna()].set_index("measure")
        cells = [
            "undetermined" if undetermined else _range(rows.loc[name], 3 if name == "mean_iou" else 1)
            for name in columns
        ]
        table.add_row(f"{alpha:g}", *cells)
    baselines = study.baselines()
    table.add_section()
    for _, row in baselines[baselines["baseline"] != "own basis"].iterrows():
        table.add_row(row["baseline"], *(_number(row[name], name) for name in columns))
    return table


def _number(value: float, column: str) -> str:
    if value != value:  # noqa: PLR0124 (NaN: not counted)
        return "-"
    return f"{value:.3f}" if column == "mean_iou" else f"{value:.4g}"


def _range(row: Any, digits: int) -> str:
    if row["min"] == row["max"]:
        return f"{row['mean']:.{digits if digits > 1 else 0}f}"
    low = digits if digits > 1 else 0
    return f"{row['mean']:.{digits}f} ({row['min']:.{low}f} - {row['max']:.{low}f})"
