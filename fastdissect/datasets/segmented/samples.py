"""Images made from samples: the dissected network's inputs are given, and with them how an image comes of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.datasets.files import digest
from fastdissect.datasets.segmented.network_labels import NetworkLabels
from fastdissect.datasets.segmented.options import check_whole
from fastdissect.datasets.segmented.pictured import as_pixels
from fastdissect.datasets.segmented.segmenter import Segmenter
from fastdissect.errors import DataError, SettingError

__all__ = ["Samples"]


class Samples(NetworkLabels):
    """Samples, the images made of them, and a segmenter's labels on those.

    For a network that makes images by steps of its own: a diffusion model is dissected at one time step by a module
    whose forward takes the noisy latent alone, with samples of such latents, and `image_of` runs the steps to the end
    and decodes. An image is made for its labels and once more where it is shown, never kept.

    Args:
        segmenter: labels the images.
        inputs: index -> one sample without a batch dimension, float32; the same whenever it is asked for.
        image_of: samples [n, ...], on the CPU -> images [n, 3, H, W] or [n, 1, H, W].
        images: how many.
        content: what `inputs` and `image_of` do, in words: code has no digest. Another text is another data set; the same
            text says that packed masks from before still hold.
        span: values of black and white.
        batch: samples that `image_of` and the segmenter get at a time, in blocks of the set's order.
        side: the longer side of the label maps.

    Raises:
        SettingError: a number out of range, or `content` is empty.

    Example:
        >>> def inputs(index):                                                             # doctest: +SKIP
        ...     noise = np.random.default_rng([0, index]).standard_normal((4, 64, 64))
        ...     return noisy_latent(noise, step=600)
        >>> data = Samples("segformer", inputs, lambda x: decode(denoised(x)), 200,        # doctest: +SKIP
        ...                content="my model, step 600 of 1000, seed 0")
        >>> fd.dissect(AtStep(unet, 600), data, "unet.up_blocks.1")                        # doctest: +SKIP
    """

    makes_images = True

    def __init__(
        self,
        segmenter: Segmenter | str | Path,
        inputs: Callable[[int], Any],
        image_of: Callable[[torch.Tensor], Any],
        images: int,
        *,
        content: str,
        span: tuple[float, float] = (-1.0, 1.0),
        batch: int = 8,
        side: int = 256,
    ) -> None:
        if not isinstance(segmenter, Segmenter):
            from fastdissect.datasets.segmented.opening import open_segmenter

            segmenter = open_segmenter(str(segmenter))
        super().__init__(segmenter, batch, side)
        check_whole("images", images, 1, 10**9)
        if not content:
            raise SettingError("content is empty; expected a text that says what inputs and image_of do.")
        if not span[0] < span[1]:
            raise SettingError(f"span is {span}; expected the values of black and white, such as (-1, 1).")
        self.inputs, self.image_of, self.images, self.span = inputs, image_of, images, span
        self._content = content
        self.name = f"samples of {content}"
        self._pictures: tuple[int, NDArray[np.uint8]] | None = None  # of the block that was made last
        self._shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return self.images

    def image_name(self, index: int) -> str:
        return f"generated/{self._checked(index):08d}.png"

    def read_input(self, index: int) -> tuple[NDArray[np.float32], str]:
        found = self.inputs(self._checked(index))
        sample = np.ascontiguousarray(
            found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else found, dtype=np.float32
        )
        self._shape = self._shape or sample.shape
        if not sample.ndim or sample.shape != self._shape or not np.isfinite(sample).all():
            raise DataError(
                f"sample {index}: expected finite numbers of one shape {list(self._shape)} for all samples, without a batch "
                f"dimension; got {list(sample.shape)}{'' if np.isfinite(sample).all() else ' with NaN or infinity'}"
            )
        return sample, digest(str(sample.shape).encode(), sample.tobytes())

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        """The image made of a sample, and the digest of the sample: what makes it is in the fingerprint."""
        number = self._checked(index) // self.batch
        first = number * self.batch
        if self._pictures is None or self._pictures[0] != number:
            last = min(len(self), first + self.batch)
            samples = torch.from_numpy(np.stack([self.read_input(i)[0] for i in range(first, last)]))
            with torch.inference_mode():
                made = self.image_of(samples)
            self._pictures = number, as_pixels(made, last - first, self.span)
        return self._pictures[1][index - first].copy(), self.read_input(index)[1]

    def files(self, index: int) -> tuple[Path, ...]:
        self._checked(index)
        return ()

    def content(self) -> str:
        """What makes the samples and images, as text or digest."""
        return self._content

    def fingerprint(self) -> str:
        numbers = f"{self.images} {self.batch} {self.side} {self.span}"
        return digest(f"samples 1 {numbers} {self.segmenter.fingerprint()} {self.content()}".encode())

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.images:
            raise IndexError(f"image {index} of {self.images}")
        return index
