"""The page of decisions explained by concepts: for each image the score's parts, where they lie, and the check."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.errors import SettingError
from fastdissect.methods.semantics import ConceptExplanation, ConceptView
from fastdissect.reports.image_reading import tile_size
from fastdissect.reports.studies.explanation_figures import rest_name
from fastdissect.reports.studies.explanation_sections import jpeg, slug
from fastdissect.reports.studies.page import Picture, Pictures, Section, Table, write_study
from fastdissect.reports.studies.semantics_evidence import evidence_tile, score_figure
from fastdissect.reports.studies.semantics_words import (
    LOCAL,
    decision_words,
    merged_words,
    residual_words,
    view_title,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ConceptPage", "all_parts"]

_TILE = 216  # CSS pixels of a picture's longer side
_MAPS = 6  # concepts with a map


@dataclass(eq=False)
class ConceptPage:
    """A page that grows image by image."""

    shown: int = 60  # images with pictures
    sections: list[Section] = field(default_factory=list)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    merged: str = ""  # which concepts count as one
    gap: float = 0.0  # the largest relative one between a score and its parts

    def add(self, explanation: ConceptExplanation) -> None:
        """Take the next image."""
        number = len(self.rows) + 1
        name = f"{number:03d}-{slug(explanation.image)}"
        head = explanation.head
        if number == 1:
            several = [len(group.members) for group in explanation.groups]
            self.merged = merged_words(explanation.groups)
            self.facts = [
                ("layer", explanation.layer),
                ("head", f"{head.logits or 'the output'}, {head.kind}"),
                ("vocabulary", f"{sum(several):,} concepts in {len(several):,} groups"),
            ]
        self.gap = max(self.gap, *(view.evidence.error for view in explanation.views))
        self.rows.append(_overview(explanation))
        self.tables[name] = all_parts(explanation)
        if number <= self.shown:
            self.sections += _sections(explanation, number, name)

    def write(self, path: str | Path, eyebrow: str = "") -> Path:
        """Write what was taken.

        Args:
            path: a folder; an older page there is replaced.

        Returns:
            The page to open.

        Raises:
            SettingError: no images. OutputError: the folder cannot be written.
        """
        import pandas as pd

        if not self.rows:
            raise SettingError("expected at least one explanation to write a page of; got none")
        overview, count = pd.DataFrame(self.rows), len(self.rows)
        known = [row["right"] for row in self.rows if row["right"]]
        right = [("right", f"{known.count('yes'):,} of {len(known):,}")] if known else []
        beyond = (
            f"\n\nPictures are shown of the first {self.shown:,} images of {count:,}; the tables have all."
            if count > self.shown
            else ""
        )
        said = LOCAL + (f"\n\n{self.merged}" if self.merged else "") + beyond
        return write_study(
            path,
            title="Decisions by concepts",
            eyebrow=eyebrow or "why the network decided as it did",
            facts=[
                ("images", f"{count:,}"),
                *right,
                *self.facts,
                ("largest gap of a sum", f"{self.gap:.1g}, relative"),
            ],
            sections=[
                Section("", said),
                *(
                    [Section("All images", "", [Table.of(overview, rows=200, csv="images")])]
                    if count > 1
                    else []
                ),
                *self.sections,
            ],
            csv={"images": overview, **self.tables},
        )


def all_parts(explanation: ConceptExplanation) -> pd.DataFrame:
    """Every view's parts: what an image's CSV holds."""
    import pandas as pd

    parts = []
    for view in explanation.views:
        part = view.table()
        for place, (column, value) in enumerate(
            (("view", view.role), ("class", view.name), ("versus", view.against_name))
        ):
            part.insert(place, column, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _sections(explanation: ConceptExplanation, number: int, name: str) -> list[Section]:
    size = tile_size(explanation.pixels.shape[:2], _TILE)
    tile = _resized(explanation.pixels, size)
    rest = rest_name(explanation.head.kind)
    found = []
    for place, view in enumerate(explanation.views):
        own = view.evidence
        favour = [i for i in range(len(own.active)) if own.contributions[i] > 0][:_MAPS]
        peak = float(max((own.maps[i].max() for i in favour), default=0.0))
        pictures = [Picture(f"{name}.jpg", explanation.image, jpeg(tile))] if place == 0 else []
        pictures += [
            Picture(
                f"{name}-{place}-{i}.jpg",
                f"{view.names[i]} · {own.contributions[i]:+.3g}",
                jpeg(evidence_tile(tile, own.maps[i], peak)),
                alt=f"where {view.names[i]} speaks for {view.title} in {explanation.image}",
            )
            for i in favour
        ]
        title = view_title(explanation, view)
        heading = (
            f"{number}. {explanation.image}: {title}" if view.role == "predicted" else f"{number}. {title}"
        )
        figure = score_figure(view, rest, f"{name}-{place}", residual_words(view))
        found.append(
            Section(
                heading,
                f"{decision_words(explanation, view)} {residual_words(view)}",
                [
                    *([Pictures(tuple(pictures), _TILE)] if pictures else []),
                    figure,
                    Table.of(_named(view, rest), csv=name),
                ],
            )
        )
    return found


def _named(view: ConceptView, rest: str) -> pd.DataFrame:
    """The parts as the page lists them."""
    table = view.table().rename(columns={"beta": "weight", "chance": "by chance"})
    return table.assign(part=[*table["part"][:-1], rest])


def _overview(explanation: ConceptExplanation) -> dict[str, object]:
    view = explanation.views[0]
    own = view.evidence
    best = [view.names[i] for i in range(len(own.active)) if own.contributions[i] > 0][:4]
    return {
        "image": explanation.image,
        "predicted": view.name,
        "score": own.score,
        "true": "" if explanation.true is None else explanation.names[explanation.true],
        "right": {None: "", True: "yes", False: "no"}[explanation.correct],
        "concepts in favour": ", ".join(best),
        "residual": own.residual_share,
        "explained": "yes" if own.explained else "no",
    }


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if pixels.shape[:2] == size:
        return pixels
    picture = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(picture)
