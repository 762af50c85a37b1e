"""Explanations in tables: the shown units, what is not shown, the covered share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdissect.cli.terminal import listing, output, plain

if TYPE_CHECKING:
    from rich.table import Table

    from fastdissect.methods.explanation import ClassUnits, ClassView, Explanation

__all__ = ["covered", "say_how", "title", "units_table"]

_NUMBERS = ("unit", "IoU", "activation", "weight", "contribution", "cumulative")


def say_how(found: Explanation | ClassUnits) -> None:
    """Which layer, and how its head is read."""
    chosen = f" ({found.chosen})" if found.chosen else ""
    output().print(plain(f"Layer {found.layer.name}{chosen}. {found.head.sentence()}"), soft_wrap=True)


def title(explanation: Explanation, view: ClassView) -> str:
    """Which decision it is about."""
    if view.role == "predicted":
        verdict = {None: "", True: ", which is right", False: ", which is wrong"}[explanation.correct]
        return (
            f"{explanation.image}: {view.name}{verdict} (logit {view.logit:.4g}, probability "
            f"{100 * explanation.probability:.1f} %)"
        )
    if view.role == "difference":
        return f"{explanation.image}: {view.title} (difference of the logits {view.logit:.4g})"
    what = "the true class" if view.role == "true" else "asked for"
    return f"{explanation.image}: {view.name}, {what} (logit {view.logit:.4g})"


def units_table(view: ClassView, kind: str, title: str, units: Any = None) -> Table:
    """The shown units; what is not shown, and the rest of the logit, have lines of their own."""
    from fastdissect.reports.studies.explanation_figures import rest_name

    numbers = _NUMBERS[1:] if units is None else _NUMBERS[1:-1]  # in another order nothing adds up on the way
    table = listing(("unit", "concept", "category", *numbers), title=plain(title), right=_NUMBERS)
    rows = view.units[view.units["unit"].isin(view.shown)] if units is None else units
    for row in rows.itertuples(index=False):
        table.add_row(
            str(row.unit),
            plain(row.concept),
            plain(row.category) if row.concept == row.label else "",
            f"{row.iou:.3f}",
            f"{row.activation:.4g}",
            f"{row.weight:.4g}",
            f"{row.contribution:+.4g}",
            *([f"{100 * row.cumulative:.1f} %"] if units is None else []),
        )
    if units is None:
        table.add_section()
        for line in view.account(rest_name(kind)):
            if line.unit is None:
                table.add_row("", line.what, "", "", "", "", f"{line.value:+.4g}", "")
        table.add_row(
            "", "logit" if view.against is None else "difference", "", "", "", "", f"{view.logit:.4g}", ""
        )
    return table


def covered(view: ClassView) -> str:
    """How much of what speaks in favour was shown."""
    from fastdissect.reports.studies.explanation_sections import covered_words

    return covered_words(view)
