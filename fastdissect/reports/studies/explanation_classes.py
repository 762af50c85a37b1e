"""The page of a class: the units that speak for it over the run's images, and what these units look for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.datasets import Dataset
from fastdissect.methods.explanation import ClassUnits
from fastdissect.reports.image_reading import TileImages, tile_size
from fastdissect.reports.pictures import masked_tile, tile_mask
from fastdissect.reports.studies.explanation_figures import account_figure, percent
from fastdissect.reports.studies.explanation_sections import covered_words, jpeg, ranked, unit_words
from fastdissect.reports.studies.page import Picture, Pictures, Section, Table, write_study

__all__ = ["write_class"]

_STRIP = 4  # images a unit
_TILE = 104  # CSS pixels of one of them
_ROWS = 12


def write_class(
    path: str | Path, found: ClassUnits, dataset: Dataset | None = None, *, eyebrow: str = ""
) -> Path:
    """Write a page about a class's units, with a CSV of all of them.

    Args:
        path: a folder; an older page there is replaced.
        dataset: the run's images, numbered as in the run, for pictures of the units; None: no pictures.

    Returns:
        The page to open.

    Raises:
        OutputError: the folder cannot be written.
    """
    view, layer, head = found.view, found.layer, found.head
    cut = f"{'>=' if layer.profile.cut_inclusive else '>'} {layer.profile.cut:g}"
    where = f" ({found.chosen})" if found.chosen else ""
    facts = [
        (f"images {found.by} so", f"{len(found.images):,} of {layer.shape[0]:,}"),
        ("mean logit", f"{view.logit:.4g}"),
        ("layer", f"{layer.name}{where}, {layer.units_count:,} units"),
        ("head", f"{head.logits or 'the output'}, {head.kind}"),
        ("a concept is an IoU", cut),
    ]
    if found.right is not None:
        facts.insert(1, ("prediction and truth agree", percent(found.right)))
    figure = account_figure(view, head.kind, "contributions", covered_words(view), mean=True)
    strips = [] if dataset is None or layer.maxima is None else [_strips(found, dataset)]
    weight = "weight" if head.kind == "linear" else "effective weight (contribution over activation)"
    table, by_weight = ranked(view), ranked(view, found.by_weight())
    return write_study(
        path,
        title=f"What speaks for {found.name}",
        eyebrow=eyebrow or "the units of a class",
        facts=facts,
        sections=[
            Section("", head.sentence()),
            Section(
                "By contribution",
                f"Means over the {len(found.images):,} images of the run whose {found.by} class is {found.name}.",
                [figure, Table.of(table, rows=_ROWS, csv="units")],
            ),
            *(
                [Section("What these units look for", "Each unit's most active images of the whole run.", strips)]
                if strips
                else []
            ),
            Section("By weight", f"The same units, by their {weight} for the class.", [
                Table.of(by_weight.drop(columns="cumulative"), rows=_ROWS, csv="units")
            ]),
        ],
        csv={"units": view.units},
    )  # fmt: skip


def _strips(found: ClassUnits, dataset: Dataset) -> Pictures:
    """For each shown unit its most active images, dimmed where it is not active."""
    layer, shown = found.layer, found.view.shown
    chosen = layer.top_images(min(_STRIP, layer.shape[0]))[list(shown)]
    size = tile_size(dataset.image_size(), _TILE)
    tiles = TileImages(dataset, chosen.ravel().tolist(), size)
    pictures = []
    for unit, images in zip(shown, chosen.tolist(), strict=True):
        strip = np.zeros((size[0], size[1] * len(images), 3), np.uint8)
        for place, image in enumerate(images):
            tile = tiles.read(image)
            if layer.activations is not None and not layer.undetermined:
                tile = masked_tile(tile, tile_mask(layer, unit, image, size))
            strip[:, place * size[1] : (place + 1) * size[1]] = tile
        words = unit_words(found.view, unit)
        alt = f"the most active images of unit {unit}"
        pictures.append(Picture(f"unit-{unit}.jpg", words, jpeg(strip), alt))
    return Pictures(tuple(pictures), _TILE * _STRIP)
