"""The true class of an image to explain, where something says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets import Dataset
from fastdissect.errors import DataError, SettingError, nearest
from fastdissect.methods.classes import UNKNOWN, class_columns, find_class
from fastdissect.methods.explanation.images import Picture

__all__ = ["Targets", "Truth"]

Targets = Mapping[str, str | int]


class Truth:
    """What was given; for the run's images, the data set's own class; for files, the name of their folder.

    Args:
        names: of the network's classes.
        targets: {image name: class} or None. images: names of all images that will be explained.

    Raises:
        SettingError: an unknown class. DataError: a target of an image that will not be explained.
    """

    def __init__(
        self,
        names: Sequence[str],
        targets: Targets | None,
        images: Sequence[str],
        dataset: Callable[[], Dataset],
    ) -> None:
        self._names, self._dataset = list(names), dataset
        self._given = {image: find_class(name, names) for image, name in (targets or {}).items()}
        for image in self._given:
            if image not in images:
                raise DataError(f"targets: no image is called {image!r}{nearest(str(image), images)}")
        self._columns: NDArray[np.int64] | None = None

    def of(self, picture: Picture) -> int | None:
        """The number of the image's class; None: not known."""
        if picture.name in self._given:
            return self._given[picture.name]
        if picture.number is not None:
            return self._of_data(picture.number)
        return self._names.index(picture.folder) if picture.folder in self._names else None

    def _of_data(self, number: int) -> int | None:
        dataset: Any = self._dataset()
        if self._columns is None:
            try:
                self._columns = class_columns(dataset, self._names)
            except SettingError:  # it knows no classes, or others than the network
                self._columns = np.empty(0, np.int64)
        if not len(self._columns):
            return None
        found = int(self._columns[int(dataset.target(number))])
        return None if found == UNKNOWN else found
