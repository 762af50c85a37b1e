"""Sources: what is gathered from, as batches of network input whose pixels in 0..1 are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.batches import BatchSource
from fastdissect.conventions import profile
from fastdissect.datasets import Dataset
from fastdissect.errors import DataError
from fastdissect.methods.factorization.gathering_folder import open_images
from fastdissect.methods.factorization.gathering_loaders import ClassPairs
from fastdissect.methods.factorization.gathering_scale import PixelScale
from fastdissect.models import Preprocessing
from fastdissect.sources import open_source
from fastdissect.types import Concepts

__all__ = ["ImageSource", "open_image_source"]


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Batches of images, with all that goes with them.

    Attributes:
        batches: of network input.
        vocabulary: of the masks; no concepts: there are none.
        dataset: None: a DataLoader.
        labels: the class numbers that a DataLoader gives, once it was read; None: it gives none.
    """

    batches: BatchSource
    vocabulary: Concepts
    scale: PixelScale
    dataset: Dataset | None
    pairs: ClassPairs | None = None

    @property
    def masks(self) -> bool:
        """Whether there are masks to read."""
        return len(self.vocabulary) > 0

    @property
    def has_classes(self) -> bool:
        """Whether it may say what class an image is of."""
        return self.pairs is not None or bool(getattr(self.dataset, "classes", None))

    def labels(self, images: int) -> NDArray[np.int64] | None:
        """The class numbers that a DataLoader gave in its last pass, int64 [images]; None: none."""
        return None if self.pairs is None else self.pairs.labels(images)


def open_image_source(
    data: Any,
    concepts: Concepts | Sequence[str] | None,
    preprocessing: Preprocessing,
    given: Preprocessing | None,
    *,
    size: tuple[int, int] | None,
    batch_size: int,
    workers: int | None,
    images: int | None,
) -> ImageSource:
    """Open what `dissect` takes, a folder of images alone, or a DataLoader without masks.

    Args:
        concepts: of a DataLoader's label maps. Without it a loader gives images, or images and class numbers [n].
        preprocessing: the network's. given: what the caller said; of a DataLoader, what its images went through.

    Raises:
        DataError, SettingError: nothing that can be read, or options that do not go with it.
    """
    options: dict[str, Any] = {
        "size": size, "mask_size": None, "batch_size": batch_size, "workers": workers, "images": images,
    }  # fmt: skip
    convention = profile("netdissect")  # images without a label stay; a concept counts once at a pixel
    if isinstance(data, (str, Dataset)):
        dataset = open_images(data)
        source, vocabulary = open_source(dataset, concepts, preprocessing, convention, **options)
        scale = PixelScale(preprocessing.mean, preprocessing.std, eight_bit=True)
        return ImageSource(source, vocabulary, scale, dataset)
    if given is None:
        scale = PixelScale(None, None, eight_bit=False)
    else:
        scale = PixelScale(given.mean, given.std, eight_bit=False)
    if concepts is not None:
        source, vocabulary = open_source(data, concepts, preprocessing, convention, **options)
        return ImageSource(source, vocabulary, scale, None)
    if hasattr(data, "__iter__") and iter(data) is data:
        raise DataError(
            f"expected a DataLoader, which can be read again; got {type(data).__name__}, which runs once; make a "
            "DataLoader or a list of batches of it"
        )
    pairs = ClassPairs(data) if hasattr(data, "__iter__") else None
    # labels beside images are no concept here: the one name stands for a vocabulary that is not read
    source, _ = open_source(
        data if pairs is None else pairs.sized(), ["none"], preprocessing, convention, **options
    )
    nothing = Concepts(np.zeros(0, np.int64), (), np.zeros(0, np.int64), ())
    return ImageSource(source, nothing, scale, None, pairs)
