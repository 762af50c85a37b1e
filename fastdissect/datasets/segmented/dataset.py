"""`segmenter:MODEL?images=FOLDER`: any images, labelled by a segmentation network while they are dissected.

As davidbau/dissect does with a segmenter of its own (Bau, Zhu, Strobelt, Lapedriza, Zhou, Torralba, "Understanding the
role of individual units in a deep neural network", PNAS 2020).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import digest
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.segmented.images import PlainImages, open_images
from fastdissect.datasets.segmented.network_labels import NetworkLabels
from fastdissect.datasets.segmented.opening import open_segmenter
from fastdissect.datasets.segmented.options import SegmenterOptions, options_from
from fastdissect.datasets.segmented.segmenter import Segmenter
from fastdissect.errors import SettingError

__all__ = ["Segmented", "as_segmenter"]


class Segmented(NetworkLabels):
    """Images of a folder, or of another data set, with labels by a segmenter.

    The segmenter sees each image resized by its own processor settings, whole; its scores are resized to the image's
    aspect with `side` pixels on the longer side, and become labels there. Blocks of `batch` images in the set's order go
    through it together, so that a label depends on the set alone.

    Args:
        model: a model of transformers that segments: its folder, or its name in the library's cache; or a `Segmenter`.
        images: a folder (all images below it), a data set's name, or a data set, whose own labels are left out.
        cut: confidence above which a label counts; default: the family's own (0.5 for masks, 0.3 for boxes, none for
            semantic models, whose best label counts).
        task: "semantic", "panoptic" or "instance", of models that do several.
        prompts: what an open-vocabulary model looks for, "cat;dog".
        void: labels that count as none, "background;other".
        category: of all labels.
        masks: the SAM that turns the boxes of Grounding DINO into masks.
        batch: images that the segmenter sees at a time. side: the longer side of the label maps.
        device: of the segmenter; "auto": CUDA, else MPS, else the CPU.
        download: let the library download what is not in its cache.
        max_pixels: height x width that an image may have.

    Raises:
        BackendError: transformers is missing.
        ModelError: no such model, or none that segments.
        SettingError: an option that is missing, unknown to the family or out of range.
        DataError: no images, or more labels than numbers.

    Example:
        >>> data = Segmented("nvidia/segformer-b0-finetuned-ade-512-512", "photos")        # doctest: +SKIP
        >>> data.read_labels(0)[0].labels.shape                                            # doctest: +SKIP
        (192, 256)
    """

    def __init__(
        self,
        model: str | Path | Segmenter,
        images: str | Path | Dataset = "",
        cut: float | None = None,
        task: str | None = None,
        prompts: str = "",
        void: str = "",
        category: str = "object",
        masks: str | None = None,
        batch: int = 8,
        side: int = 256,
        device: str = "auto",
        download: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if images == "":
            raise SettingError(
                "expected images with a segmenter: segmenter:MODEL?images=FOLDER, or the name of a data set."
            )
        options = options_from(
            prompts, void, masks, cut=cut, task=task, category=category, device=device, download=download
        )
        self.images = open_images(images, max_pixels)
        super().__init__(as_segmenter(model, options), batch, side)
        self.name, self.keeps_planes = self._spec(options), self.images.keeps_planes

    def _spec(self, options: SegmenterOptions) -> str:
        """The name that opens the set again: images last, whose own name may have options."""
        given = {
            **{key: value for key, value in vars(options).items() if value != vars(SegmenterOptions())[key]},
            **({} if self.batch == 8 else {"batch": self.batch}),
            **({} if self.side == 256 else {"side": self.side}),
            "images": self.images.root if isinstance(self.images, PlainImages) else self.images.name,
        }
        text = {
            k: ";".join(v) if isinstance(v, tuple) else "yes" if v is True else str(v)
            for k, v in given.items()
        }
        return f"segmenter:{self.segmenter.name}?" + ",".join(f"{key}={value}" for key, value in text.items())

    def __len__(self) -> int:
        return len(self.images)

    def image_name(self, index: int) -> str:
        return self.images.image_name(index)

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        return self.images.read_image(index)

    def read_input(self, index: int) -> tuple[NDArray[np.float32], str]:
        raise NotImplementedError  # the dissected network sees the images

    def files(self, index: int) -> tuple[Path, ...]:
        return self.images.files(index)[:1]

    def content_stamp(self, index: int) -> int:
        return self.images.content_stamp(index)

    def image_size(self) -> tuple[int, int]:
        return self.images.image_size()

    def fingerprint(self) -> str:
        parts = (self.images.fingerprint(), self.segmenter.fingerprint(), str(self.batch), str(self.side))
        return digest("\0".join(("segmented 1", *parts)).encode())


def as_segmenter(model: str | Path | Segmenter, options: SegmenterOptions) -> Segmenter:
    """A model of transformers by its name, or a segmenter as it is.

    Raises:
        SettingError: options beside a segmenter, which has its own.
    """
    if not isinstance(model, Segmenter):
        return open_segmenter(str(model), options)
    if options != SegmenterOptions():
        raise SettingError("expected options with a model's name; a Segmenter has its own.")
    return model
