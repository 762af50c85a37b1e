"""One explained decision on a page: a section for each logit, with the units that speak for it and where."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.labels import NO_CONCEPT
from fastdissect.methods.explanation import ClassView, Explanation
from fastdissect.reports.image_reading import tile_size
from fastdissect.reports.pictures import masked_tile
from fastdissect.reports.studies.explanation_figures import account_figure, percent
from fastdissect.reports.studies.page import Picture, Pictures, Section, Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["covered_words", "jpeg", "ranked", "sections_of", "slug", "unit_words"]

_TILE = 216  # CSS pixels of a picture's longer side
_ROWS = 8


def sections_of(explanation: Explanation, number: int, name: str) -> list[Section]:
    """The sections of one image; `name` is that of its files."""
    found = []
    size = tile_size(explanation.pixels.shape[:2], _TILE)
    tile = _resized(explanation.pixels, size)
    for place, view in enumerate(explanation.views):
        pictures = [Picture(f"{name}.jpg", explanation.image, jpeg(tile))] if place == 0 else []
        for unit in view.shown:
            mask = explanation.segmentation(unit, size)
            pictures.append(
                Picture(
                    f"{name}-{place}-{unit}.jpg",
                    unit_words(view, unit),
                    jpeg(masked_tile(tile, mask)),
                    alt=f"where unit {unit} is active in {explanation.image}",
                )
            )
        title, text = _words(explanation, view, number)
        figure = account_figure(view, explanation.head.kind, f"{name}-{place}", covered_words(view))
        table = Table.of(ranked(view), rows=_ROWS, csv=name)
        found.append(Section(title, text, [Pictures(tuple(pictures), _TILE), figure, table]))
    return found


def _words(explanation: Explanation, view: ClassView, number: int) -> tuple[str, str]:
    """Heading and paragraph of a view."""
    if view.role == "predicted":
        said = (
            f"Predicted {view.name}, logit {view.logit:.4g}, probability {percent(explanation.probability)}."
        )
        if explanation.true is not None:
            name = explanation.names[explanation.true]
            said += " This is right." if explanation.correct else f" This is wrong: it is {name}."
        verdict = {None: "", True: "", False: ", wrongly"}[explanation.correct]
        return f"{number}. {explanation.image}: {view.name}{verdict}", said
    if view.role == "difference":
        return f"{number}. {view.title}", (
            f"What speaks for {view.name} and against {view.against_name}: contributions to one less those to the other; "
            f"the logits differ by {view.logit:.4g}."
        )
    what = "the true class" if view.role == "true" else "asked for"
    return f"{number}. {view.name}, {what}", f"The logit of {view.name} is {view.logit:.4g}."


def unit_words(view: ClassView, unit: int) -> str:
    """One unit of a view, for the words under its picture."""
    row = view.units.loc[view.units["unit"] == unit].iloc[0]
    if row["concept"] == NO_CONCEPT:
        return f"{NO_CONCEPT} · unit {unit} · {row['contribution']:+.3g} · IoU {row['iou']:.3f}"
    return f"{row['concept']} · unit {unit} · {row['contribution']:+.3g} · {row['category']}, IoU {row['iou']:.3f}"


def covered_words(view: ClassView) -> str:
    """How much of what speaks in favour is shown, and how much of it has a name."""
    if math.isnan(view.covered):
        return "No unit speaks in favour."
    count = len(view.shown)
    return (
        f"The {count} unit{'s' * (count != 1)} shown make {percent(view.covered)} of all that speaks in favour; units "
        f"with a concept make {percent(view.with_concept)}."
    )


def ranked(view: ClassView, units: pd.DataFrame | None = None) -> pd.DataFrame:
    """The units (in another order, where given) as the page lists them: no label where it is no concept."""
    table = (view.units if units is None else units).drop(columns="label").rename(columns={"iou": "IoU"})
    return table.assign(category=table["category"].where(table["concept"] != NO_CONCEPT, ""))


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if pixels.shape[:2] == size:
        return pixels
    picture = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(picture)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [height, width, 3] as a JPEG file's bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=86, subsampling="4:4:4")
    return file.getvalue()


def slug(name: str) -> str:
    """A part of a file's name that any file system takes."""
    stem = re.split(r"[/\\]", name)[-1].rpartition(".")[0] or name
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", stem)[:60].strip("-") or "image"
