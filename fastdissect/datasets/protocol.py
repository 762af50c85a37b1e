"""What a data set is to fastdissect: numbered images, each with label channels, and a vocabulary.

A reader implements this one class; nothing above `datasets/` knows which reader it talks to. Readers decode
in worker processes, so an instance must survive `fork` and pickling (hold paths and tables, no open files).
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.relations import Relation
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Dataset"]


class Dataset(abc.ABC):
    """Images with labels, in a fixed order; an image may have no label at all (`Profile.unlabelled`)."""

    name: str  # the spec that opens it again, e.g. "broden:/data/broden1_224"
    concepts: Concepts
    relations: tuple[Relation, ...] = ()  # between labels, where the set states any
    keeps_planes: bool = True  # packed masks may be kept between runs; False: the fingerprint is of a sample
    synonyms: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # label name -> its other names

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abc.abstractmethod
    def image_name(self, index: int) -> str:
        """The image's own name, unique in the set: a relative path with forward slashes."""

    @abc.abstractmethod
    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        """Decode one image.

        Returns:
            uint8 [height, width, 3] (grey images are replicated to three channels), and the hex digest
            (blake2b, 16 bytes) of the file's bytes, or of the pixels where there is no file.
        """

    @abc.abstractmethod
    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        """Decode one image's label channels, in the data set's order; () where it has none."""

    def is_labelled(self, index: int) -> bool:
        """Whether an image has a label channel, be it an empty map. Readers that know it without decoding say so."""
        return bool(self.read_labels(index))

    @abc.abstractmethod
    def files(self, index: int) -> tuple[Path, ...]:
        """The files behind one image: the image first, then its masks. () for a generated set."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Hex digest (blake2b, 16 bytes) of what defines the set besides the files of `files()`.

        The index and label tables of a set on disk; the generator's version, seed and parameters of a
        generated one. Never paths or times: a copied folder has the same fingerprint.
        """

    def content_stamp(self, index: int) -> int:
        """64 bits that change with an image's or its labels' content, of a set without files that may change; else 0."""
        del index
        return 0

    def image_size(self) -> tuple[int, int]:
        """Height and width of the first image: the network's input where the model states none."""
        height, width, _ = self.read_image(0)[0].shape
        return height, width
