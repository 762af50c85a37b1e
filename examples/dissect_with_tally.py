"""Dissect a network with the tally functions of davidbau/dissect, or with ours: one import line tells them apart.

    python examples/dissect_with_tally.py
    python examples/dissect_with_tally.py --images 400 --layer conv4

A unit's mask is where its upsampled map is above the level of its top 1 %; its label has the largest IoU with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastdissect.compat.netdissect import tally  # davidbau/dissect: from netdissect import tally
from fastdissect.datasets.shapes import Shapes
from fastdissect.models.shapes import ShapesNet, load_shapes

SIDE = 56  # pixels of masks and upsampled maps
CHANNELS = 16  # of labels, at most


class LabelledImages(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """(image, float32 [3, height, width]; labels, int64 [CHANNELS, SIDE, SIDE], 0 for none)."""

    def __init__(self, data: Shapes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        mean, std = ShapesNet.preprocessing.mean, ShapesNet.preprocessing.std
        pixels = ((self.data.read_image(index)[0] / 255 - mean) / std).astype(np.float32)
        labels, step = np.zeros((CHANNELS, SIDE, SIDE), np.int64), self.data.size // SIDE
        for channel, (_, found) in enumerate(self.data.read_labels(index)):
            labels[channel] = found if isinstance(found, int) else found[::step, ::step]
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), torch.from_numpy(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description="Dissect the built-in network with tallies.")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--layer", default="conv5")
    parser.add_argument("--top", type=float, default=0.01, help="share of all pixels in a unit's mask")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    data, network, maps = Shapes(arguments.images), load_shapes(), {}
    network.get_submodule(arguments.layer).register_forward_hook(lambda *call: maps.update(here=call[2]))

    def upsampled(images: Tensor) -> Tensor:
        network(images)
        return F.interpolate(maps["here"], size=(SIDE, SIDE), mode="bilinear")

    def pixels(images: Tensor, _: Tensor) -> Tensor:
        acts = upsampled(images)
        return acts.permute(0, 2, 3, 1).reshape(-1, acts.shape[1])

    def masks_by_label(images: Tensor, labels: Tensor) -> Iterator[tuple[int, Tensor]]:
        return tally.conditional_samples((upsampled(images) > level).float(), labels)

    dataset = LabelledImages(data)
    level = tally.tally_quantile(pixels, dataset).quantiles(1 - arguments.top)[None, :, None, None]
    iou = tally.iou_from_conditional_indicator_mean(tally.tally_conditional_mean(masks_by_label, dataset))
    best, label = iou[1:].nan_to_num().max(0)

    names = dict(zip(data.concepts.numbers.tolist(), data.concepts.names, strict=True))
    found = [names[number + 1] for number in label.tolist()]
    for unit in best.argsort(descending=True, stable=True)[:12].tolist():
        print(f"unit {unit:3d}  {found[unit]:16s}  IoU {best[unit]:.4f}")
    detectors = (best > 0.04).nonzero()[:, 0].tolist()
    print(f"{len(detectors)} of {len(best)} units detect {len({found[unit] for unit in detectors})} concepts")


if __name__ == "__main__":
    main()
