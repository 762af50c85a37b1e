"""Pictures of units: the top images, dimmed outside the unit's mask, one sheet (file) a unit that gets one.

sheet of 8     0 1 2 3        best image first, row by row; tiles touch, the page cuts them apart
               4 5 6 7
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastdissect.datasets.protocol import Dataset
from fastdissect.layer import LayerDissection
from fastdissect.reports.image_reading import TileImages

__all__ = ["Sheets", "masked_tile", "tile_mask", "write_sheets"]

COLUMNS = 4
# Outside the mask a pixel keeps less than half of its light and half of its colour: enough to see what the scene is.
_DIM = [round(6 + 0.43 * value) for value in range(256)] * 3
_RIM = np.array([255, 250, 235], np.uint16)


@dataclass(frozen=True)
class Sheets:
    """The sheets of one layer."""

    layer: LayerDissection
    units: NDArray[np.int64]  # [sheets], the units that get one, ascending
    images: NDArray[np.int64]  # [sheets, count], best first
    folder: Path  # receives <unit>.jpg


def tile_mask(layer: LayerDissection, unit: int, image: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the unit's mask at the tile's pixels, bool [height, width].

    Half-pixel maps are upsampled to the tile itself, so their edges are smooth. Other conventions place the
    cells elsewhere; there the very mask that was counted is enlarged.
    """
    if layer.upsampling.mode == "half-pixel":
        return layer.unit_mask(unit, image, size)
    mask = Image.fromarray(layer.unit_mask(unit, image).astype(np.uint8) * 255)
    return np.asarray(mask.resize((size[1], size[0]), Image.Resampling.BILINEAR)) > 127


def masked_tile(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the image as it is inside the mask, dimmed outside, with a fine bright line between them.

    Args:
        pixels: uint8 [height, width, 3].
        mask: bool [height, width].
    """
    picture = Image.fromarray(pixels)
    dimmed = Image.blend(picture, picture.convert("L").convert("RGB"), 0.5).point(_DIM)
    dimmed.paste(picture, mask=Image.fromarray(mask))
    tile = np.array(dimmed)
    near = mask.copy()  # the mask and one pixel around it: the line lies outside, nothing inside is hidden
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    near[:, 1:] |= mask[:, :-1]
    near[:, :-1] |= mask[:, 1:]
    rim = np.nonzero(near & ~mask)
    tile[rim] = ((tile[rim].astype(np.uint16) + 2 * _RIM) // 3).astype(np.uint8)
    return tile


def write_sheets(
    dataset: Dataset,
    layers: Sequence[Sheets],
    size: tuple[int, int],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write one JPEG a sheet. Every image is decoded once as long as the memory holds (see `TileImages`).

    Args:
        size: height and width of a tile in pixels.
        progress: called with the number of sheets done and their total.
    """
    jobs = [(sheets, place) for sheets in layers for place in range(len(sheets.units))]
    uses = [image for sheets in layers for image in sheets.images.ravel().tolist()]
    tiles = TileImages(dataset, uses, size)

    def write(job: tuple[Sheets, int]) -> None:
        sheets, place = job
        sheet = _sheet(sheets, place, tiles, size)
        (sheets.folder / f"{sheets.units[place]}.jpg").write_bytes(sheet)

    # Two threads keep one core masking and encoding while the other decodes; decoding is serial.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        try:
            for done, _ in enumerate(pool.map(write, jobs), start=1):
                if progress is not None:
                    progress(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _sheet(sheets: Sheets, number: int, tiles: TileImages, size: tuple[int, int]) -> bytes:
    height, width = size
    unit, chosen = int(sheets.units[number]), sheets.images[number].tolist()
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // COLUMNS)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, image in enumerate(chosen):
        pixels = tiles.read(image)
        if not sheets.layer.undetermined:  # no mask exists there: the images are shown as they are
            pixels = masked_tile(pixels, tile_mask(sheets.layer, unit, image, size))
        y, x = place // COLUMNS * height, place % COLUMNS * width
        sheet[y : y + height, x : x + width] = pixels
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "JPEG", quality=82, subsampling="4:4:4")
    return file.getvalue()
