"""The images that excite a unit most, and its masks there, decoded once each as long as the memory holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import DataError, FastdissectError, SettingError
from fastdissect.exporting.jobs import Job
from fastdissect.layer import LayerDissection
from fastdissect.reports.image_reading import TileImages
from fastdissect.reports.pictures import tile_mask
from fastdissect.results import Dissection

__all__ = ["TopImages", "check_pictures", "top_images"]


@dataclass(frozen=True)
class TopImages:
    """One layer's top images."""

    layer: LayerDissection
    ids: NDArray[np.int64]  # [units, top], image numbers from 0, best first
    pictures: TileImages
    size: tuple[int, int]

    def unit(self, unit: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return uint8 [top, height, width, 3] and bool [top, height, width]; once a unit, in rising order.

        Raises:
            DataError: an image cannot be read.
        """
        images = self.ids[unit].tolist()
        pixels = np.stack([self._read(image) for image in images])
        return pixels, np.stack([tile_mask(self.layer, unit, image, self.size) for image in images])

    def _read(self, image: int) -> NDArray[np.uint8]:
        try:
            return self.pictures.read(image)
        except OSError as error:  # else it would look like a file that cannot be written
            if isinstance(error, FastdissectError):
                raise
            raise DataError(f"image {image} cannot be read: {error.strerror or error}") from error


def top_images(job: Job) -> Iterator[TopImages]:
    """Yield every layer's top images; the job has a data set.

    Raises:
        SettingError: the data set is not the run's.
    """
    assert job.dataset is not None
    ids = [layer.top_images(job.top) for layer in job.layers]
    _check_names(job.dissection, job.dataset, ids)
    tiles = TileImages(job.dataset, (int(i) for table in ids for i in table.ravel()), job.size)
    for layer, table in zip(job.layers, ids, strict=True):
        yield TopImages(layer, table, tiles, job.size)


def check_pictures(
    layers: Sequence[LayerDissection], images: int, top: int, size: tuple[int, int], advice: str
) -> None:
    """Refuse what cannot be drawn, before anything is written.

    Args:
        images: of the run.
        advice: what else may be done about a layer that cannot be drawn.

    Raises:
        SettingError: numbers outside what is possible; a layer without activations or thresholds.
    """
    if not 1 <= top <= images:
        raise SettingError(
            f"expected 1 to {images:,} images a unit, as many as the run has; got {top}; "
            "say how many with --top (top=)"
        )
    if not all(1 <= side <= 65_536 for side in size):
        raise SettingError(f"expected pictures of 1 to 65,536 pixels a side; got {size[0]} x {size[1]}")
    for layer in layers:
        if layer.activations is None or layer.maxima is None:
            raise SettingError(
                f"layer {layer.name!r}: pictures need the activations, which this run did not keep; "
                f"dissect without --no-activations (activations=True), or {advice}"
            )
        if layer.undetermined:
            raise SettingError(
                f"layer {layer.name!r}: its units have no masks: {int(layer.seen.max(initial=0)):,} values a unit "
                f"are too few for the top {float(layer.profile.quantile):g}; dissect with more images or a larger "
                f"--quantile, or {advice}"
            )


def _check_names(dissection: Dissection, dataset: Dataset, ids: Sequence[NDArray[np.int64]]) -> None:
    """The images that will be read must be the run's; the data set may hold more than the run took."""
    expected = dissection.image_names
    advice = "give the data set of the run with --data (dataset=)"
    if len(dataset) < len(expected):
        raise SettingError(
            f"expected the run's {len(expected):,} images; got {dataset.name} with {len(dataset):,}; {advice}"
        )
    for image in sorted({int(i) for table in ids for i in table.ravel()}):
        if dataset.image_name(image) != expected[image]:
            raise SettingError(
                f"expected image {image} to be {expected[image]!r}; got {dataset.image_name(image)!r} of "
                f"{dataset.name}; {advice}"
            )
