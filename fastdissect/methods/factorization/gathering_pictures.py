"""Pictures of the examples, made again when a page asks for them: nothing of them is kept in the pass."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.batches import network_input
from fastdissect.datasets import Dataset
from fastdissect.methods.factorization.gathering_copies import input_gradient
from fastdissect.methods.factorization.gathering_plan import Gathering
from fastdissect.methods.factorization.perturbation import perturbed

__all__ = ["ExamplePictures", "example_pictures"]


class ExamplePictures:
    """An example's number -> uint8 [height, width, 3], as large as the network's input.

    A copy perturbed by a gradient runs the network once more on its image alone.
    """

    def __init__(self, opened: Gathering, dataset: Dataset) -> None:
        self.opened, self.dataset = opened, dataset

    def __call__(self, example: int) -> NDArray[np.uint8]:
        opened = self.opened
        image, copy = divmod(int(example), 1 + len(opened.perturbations))
        pixels, _ = self.dataset.read_image(image)
        inputs = network_input(pixels, opened.loaded.preprocessing, opened.source.batches.input_size)
        shown = opened.source.scale.pixels(
            torch.from_numpy(inputs)[None].to(opened.device), self.dataset.name
        )
        if copy:
            how = opened.perturbations[copy - 1]
            shown = perturbed(shown, how, image, input_gradient(opened))
        found: NDArray[np.uint8] = (shown[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(found)


def example_pictures(opened: Gathering) -> ExamplePictures | None:
    """Return the pictures of a pass's examples; None for a DataLoader, whose images cannot be asked for one by one."""
    dataset = opened.source.dataset
    return None if dataset is None else ExamplePictures(opened, dataset)
