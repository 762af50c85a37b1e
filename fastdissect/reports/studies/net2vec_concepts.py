"""Pictures of a concept: where its vector sees it, in images across the whole range of IoU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.datasets import Dataset
from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.image_reading import tile_size
from fastdissect.reports.pictures import masked_tile
from fastdissect.reports.studies.explanation_sections import jpeg
from fastdissect.reports.studies.page import Picture

__all__ = ["ShownImages", "concept_pictures"]

_TILE = 150  # CSS pixels of a picture's longer side


@dataclass(frozen=True)
class ShownImages:
    """Where pictures come from, and where a concept is predicted in them."""

    dataset: Dataset  # image n is the run's image n
    mask: Callable[[int, int], NDArray[np.bool_]]  # (row of the concept, image) -> bool [height, width]
    count: int = 5  # pictures of a concept


def concept_pictures(study: VectorStudy, row: int, images: ShownImages) -> list[tuple[Picture, float, str]]:
    """Return (picture, its IoU_ind, the image's name) of the validation images at evenly spaced ranks, best first.

    Empty where the scores of single images were not kept, and for a concept without images to validate.
    """
    scores = study.vectors.images
    if scores is None:
        return []
    number, tiles = int(study.vectors.numbers[row]), []
    own = slice(*np.searchsorted(scores.concept, [row, row + 1]))  # concepts rise
    iou = dict(zip(scores.image[own].tolist(), scores.iou()[own].tolist(), strict=True))
    for place, image in enumerate(scores.across(row, images.count).tolist()):
        pixels, _ = images.dataset.read_image(image)
        size = tile_size(pixels.shape[:2], _TILE)
        picture = Image.fromarray(pixels).resize(
            (size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0
        )
        mask = Image.fromarray(images.mask(row, image).astype(np.uint8) * 255)
        enlarged = np.asarray(mask.resize((size[1], size[0]), Image.Resampling.BILINEAR)) > 127
        name = images.dataset.image_name(image)
        data = jpeg(masked_tile(np.asarray(picture), enlarged))
        tiles.append((Picture(f"concept-{number}-{place}.jpg", "", data), iou[image], name))
    return tiles
