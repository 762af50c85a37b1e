"""The tables that `fastdissect ablate` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastdissect.cli.terminal import listing, plain

if TYPE_CHECKING:
    from rich.table import Table

    from fastdissect.methods.ablation.result import Ablation

__all__ = ["group_table", "unit_table"]

_ROWS = 15  # of the longer tables


def group_table(found: Ablation) -> Table:
    """A row a group: its accuracy, and what it loses beside random groups; the logits where no accuracy is known."""
    numbers = ["units", "accuracy", "drop", "random drop", "p"] if found.has_accuracy else ["units"]
    numbers += ["shift", "random shift"] + ([] if found.has_accuracy else ["p"])
    if found.class_asked is not None:
        numbers += [
            f"{what}: {plain(found.class_asked)}" for what in ("drop", "logit")[not found.has_accuracy :]
        ]
    table = listing(("group", *numbers), right=numbers)
    for row in found.table.to_dict("records"):
        cells = [f"{row['units']:,}"]
        if found.has_accuracy:
            random = " ± ".join(filter(None, (_number(row["random_drop"]), _number(row["random_sd"]))))
            cells += [_number(row["accuracy"]), _number(row["drop"]), random, _number(row["p"])]
        cells += [_number(row["shift"]), _number(row["random_shift"])]
        if not found.has_accuracy:
            cells.append(_number(row["shift_p"]))
        if found.class_asked is not None:
            cells += [_number(row["asked_drop"])] * found.has_accuracy + [_number(row["asked_logit_change"])]
        table.add_row(plain(row["group"]), *cells)
    table.caption = "shift: how far a logit moves, up or down, on the mean over images and classes"
    table.caption_justify = "left"
    return table


def unit_table(found: Ablation) -> Table:
    """The units that matter most, each ablated alone."""
    assert found.units is not None
    numbers = ("unit", "IoU", "drop", "shift", "its drop")
    loses = ("class that loses most", "its drop") if found.has_accuracy else ()
    columns = (
        "unit",
        "label",
        "IoU",
        "detector",
        *(("drop",) if found.has_accuracy else ()),
        "shift",
        *loses,
    )
    table = listing(
        columns, title=f"the {min(_ROWS, len(found.units))} units that matter most", right=numbers
    )
    ordered = found.units.sort_values([found.measure, "unit"], ascending=[False, True]).head(_ROWS)
    for row in ordered.to_dict("records"):
        table.add_row(
            str(row["unit"]),
            plain(row["label"]) or "-",
            f"{row['iou']:.3f}",
            "yes" if row["detector"] else "no",
            *([_number(row["drop"])] if found.has_accuracy else []),
            _number(row["shift"]),
            *([plain(row["class"]), _number(row["class_drop"])] if found.has_accuracy else []),
        )
    return table


def _number(value: float) -> str:
    """Four digits behind the point, fewer where that says nothing; "" for what is not known."""
    if value != value:  # noqa: PLR0124 (NaN)
        return ""
    return f"{value:.2g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"
