"""One concept on a page: what it scores, its filters, its neighbours, and pictures across the whole range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.datasets import Dataset
from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.image_reading import tile_size
from fastdissect.reports.pictures import masked_tile
from fastdissect.reports.studies.explanation_sections import jpeg
from fastdissect.reports.studies.net2vec_figures import concept_figure
from fastdissect.reports.studies.page import Picture, Pictures, Section

__all__ = ["ShownImages", "concept_section", "in_words"]

_FLAGS = {
    "one_image": "The vector is that of one image.",
    "nothing_active": "No unit is active in the training images.",
}
_TILE = 150  # CSS pixels of a picture's longer side


@dataclass(frozen=True)
class ShownImages:
    """Where pictures come from, and where a concept is predicted in them."""

    dataset: Dataset  # image n is the run's image n
    mask: Callable[[int, int], NDArray[np.bool_]]  # (row of the concept, image) -> bool [height, width]
    count: int = 5  # pictures of a concept


def concept_section(
    study: VectorStudy, row: int, labels: Sequence[str], images: ShownImages | None
) -> Section:
    """The section of the concept in a row of the vectors; `labels` are the units' own in the run, or ""."""
    vectors = study.vectors
    name, number = vectors.names[row], int(vectors.numbers[row])
    filters = study.filters_of(row)
    words = [f"{unit}" + (f" · {labels[unit]}" if labels[unit] else "") for unit in filters["unit"]]
    items: list[Any] = []
    if images is not None and vectors.images is not None:
        items += _pictures(study, row, images)
    items.append(
        concept_figure(filters.assign(label=words), study.neighbours_of(row), name, f"concept-{number}")
    )
    return Section(f"{name} ({vectors.category_names()[row]})", in_words(study, row), items)


def in_words(study: VectorStudy, row: int) -> str:
    """What a concept scores, and what is to be doubted."""
    table = study.vectors.table.iloc[row]
    words = [f"{int(table['train_images']):,} images to train on, {int(table['val_images']):,} to validate."]
    if "iou_val" in table:
        words.append(f"IoU_set of the combination: {_both(table, 'iou_train', 'iou_val')}.")
    if "single_unit" in table and "single_iou_val" in table:
        words.append(
            f"Best single filter: unit {int(table['single_unit'])}, {_both(table, 'single_iou_train', 'single_iou_val')}."
        )
    if "accuracy_val" in table:
        words.append(f"Accuracy: {_both(table, 'accuracy_train', 'accuracy_val')}.")
    words += [text for flag, text in _FLAGS.items() if table.get(flag)]
    if not study.embedding.learned[row]:
        words.append("The vector means nothing: it tells the concept no better than by chance.")
    return " ".join(words)


def _both(table: Any, train: str, val: str) -> str:
    scores = [
        f"{float(table[name]):.3f} on {split}"
        for name, split in ((val, "val"), (train, "train"))
        if name in table and not np.isnan(table[name])
    ]
    return ", ".join(scores) or "not known"


def _pictures(study: VectorStudy, row: int, images: ShownImages) -> list[Pictures]:
    scores = study.vectors.images
    assert scores is not None
    chosen = scores.across(row, images.count)
    own = {
        int(i): float(v)
        for i, v, c in zip(scores.image, scores.iou(), scores.concept, strict=True)
        if c == row
    }
    tiles = []
    for place, image in enumerate(chosen.tolist()):
        pixels, _ = images.dataset.read_image(image)
        size = tile_size(pixels.shape[:2], _TILE)
        picture = Image.fromarray(pixels).resize(
            (size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0
        )
        mask = Image.fromarray(images.mask(row, image).astype(np.uint8) * 255)
        enlarged = np.asarray(mask.resize((size[1], size[0]), Image.Resampling.BILINEAR)) > 127
        tiles.append(
            Picture(
                f"concept-{int(study.vectors.numbers[row])}-{place}.jpg",
                f"IoU {own[image]:.3f}",
                jpeg(masked_tile(np.asarray(picture), enlarged)),
                alt=f"where {study.vectors.names[row]} is predicted in {images.dataset.image_name(image)}",
            )
        )
    return [Pictures(tuple(tiles), _TILE)] if tiles else []
