"""The page of explained decisions: for each image what was decided, by which units, and where they were active."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastdissect.errors import SettingError
from fastdissect.methods.explanation import Explanation
from fastdissect.reports.studies.explanation_sections import sections_of, slug
from fastdissect.reports.studies.page import Section, Table, write_study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExplanationPage", "all_units", "write_explanations"]


def write_explanations(
    path: str | Path, explanations: Iterable[Explanation], *, eyebrow: str = "", shown: int = 60
) -> Path:
    """Write a page about explained decisions, and a CSV for each image with all units.

    Args:
        path: a folder; an older page there is replaced.
        explanations: taken one by one, so that `explain_each` needs memory for one batch alone.
        shown: images with pictures on the page; all are in the tables.

    Returns:
        The page to open.

    Raises:
        SettingError: no explanations. OutputError: the folder cannot be written.
    """
    page = ExplanationPage(shown)
    for explanation in explanations:
        page.add(explanation)
    return page.write(path, eyebrow)


@dataclass(eq=False)
class ExplanationPage:
    """A page that grows image by image."""

    shown: int = 60  # images with pictures
    sections: list[Section] = field(default_factory=list)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    sentence: str = ""
    gap: float | None = None  # largest relative one between a logit and its parts; linear heads alone

    def add(self, explanation: Explanation) -> None:
        """Take the next image."""
        number = len(self.rows) + 1
        name = f"{number:03d}-{slug(explanation.image)}"
        if number == 1:
            self.sentence = explanation.head.sentence()
            self.facts = _facts(explanation)
        if explanation.head.kind == "linear":
            errors = [view.error for view in explanation.views if view.against is None]
            self.gap = max(self.gap or 0.0, *errors)
        self.rows.append(_overview(explanation))
        self.tables[name] = all_units(explanation)
        if number <= self.shown:
            self.sections += sections_of(explanation, number, name)

    def write(self, path: str | Path, eyebrow: str = "") -> Path:
        """Write what was taken; see `write_explanations`."""
        import pandas as pd

        if not self.rows:
            raise SettingError("expected at least one explanation to write a page of; got none")
        overview = pd.DataFrame(self.rows)
        count = len(self.rows)
        known = [row["right"] for row in self.rows if row["right"]]
        facts = [("images", f"{count:,}"), *self.facts]
        if known:
            facts.insert(1, ("right", f"{known.count('yes'):,} of {len(known):,}"))
        if self.gap is not None:
            facts.append(("largest gap of a sum", f"{self.gap:.1g}, relative"))
        first = [
            Section("", self.sentence + _beyond(count, self.shown)),
            *([Section("All images", "", [Table.of(overview, rows=200, csv="images")])] if count > 1 else []),
        ]
        return write_study(
            path,
            title="Explained decisions",
            eyebrow=eyebrow or "why the network decided as it did",
            facts=facts,
            sections=[*first, *self.sections],
            csv={"images": overview, **self.tables},
        )


def _beyond(count: int, shown: int) -> str:
    if count <= shown:
        return ""
    return f"\n\nPictures are shown of the first {shown:,} images of {count:,}; the tables have all."


def _facts(explanation: Explanation) -> list[tuple[str, str]]:
    head, layer = explanation.head, explanation.layer
    where = f" ({explanation.chosen})" if explanation.chosen else ""
    cut = f"{'>=' if layer.profile.cut_inclusive else '>'} {layer.profile.cut:g}"
    classes, among = len(explanation.names), len(explanation.among)
    return [
        ("layer", f"{layer.name}{where}, {layer.units_count:,} units"),
        ("head", f"{head.logits or 'the output'}, {head.kind}"),
        ("classes", f"{classes:,}" if among == classes else f"{among:,}, of {classes:,} outputs"),
        ("a concept is an IoU", cut),
    ]


def _overview(explanation: Explanation) -> dict[str, object]:
    view = explanation.views[0]
    best = view.units[view.units["unit"].isin(view.shown)]
    right = {None: "", True: "yes", False: "no"}[explanation.correct]
    return {
        "image": explanation.image.encode(
            errors="backslashreplace"
        ).decode(),  # a file's name may be any bytes
        "predicted": view.name,
        "probability": explanation.probability,
        "true": "" if explanation.true is None else explanation.names[explanation.true],
        "right": right,
        "units in favour": ", ".join(f"{u} {c}" for u, c in zip(best["unit"], best["concept"], strict=True)),
        "covered": view.covered,
        "by concepts": view.with_concept,
    }


def all_units(explanation: Explanation) -> pd.DataFrame:
    """Every unit's contribution in every view: what an image's CSV holds."""
    import pandas as pd

    parts = []
    for view in explanation.views:
        part = view.units.copy()
        for place, (column, value) in enumerate(
            (("view", view.role), ("class", view.name), ("versus", view.against_name))
        ):
            part.insert(place, column, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
