"""A network whose units are concepts, by construction, and what a rotation leaves of them.

    python examples/studies/planted.py --out studies/planted

64 units, 64 concepts; each concept covers 0.45 % of all places with an amplitude of its own at each, and unit c gives just
that amplitude where concept c is. In its own basis every unit is a perfect detector, so whatever is lost on the way to
a random basis was in the axes, and not in the space: the space is the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastdissect.datasets import Dataset
from fastdissect.datasets.files import digest
from fastdissect.methods import rotate
from fastdissect.methods.rotation.results import RotationStudy
from fastdissect.models import Preprocessing
from fastdissect.reports.studies.figures import figure_files, study_figure
from fastdissect.types import Concepts, LabelChannel

CONCEPTS, SIDE, IMAGES = 64, 40, 100
COVERAGE = 0.0045  # of all places, below the top 0.5 %: a threshold of 0, and masks that are the concepts
CUT = 0.5  # a rotated unit still overlaps with its largest ingredient: at 0.04 little would be seen to fall


class Planted(Dataset):
    """Pictures whose red is the concept's number at each place, and whose green and blue are its amplitude."""

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.name = seed, f"planted:seed={seed}"
        names = tuple(f"concept {c}" for c in range(CONCEPTS))
        self.concepts = Concepts(
            np.arange(1, CONCEPTS + 1), names, np.zeros(CONCEPTS, np.int64), ("planted",)
        )
        rng = np.random.default_rng(seed)
        places = IMAGES * SIDE * SIDE
        own = int(COVERAGE * places)
        pixels = np.zeros((places, 3), np.uint8)
        at = rng.permutation(places)[: CONCEPTS * own]
        pixels[at, 0] = np.repeat(np.arange(1, CONCEPTS + 1), own)
        pixels[at, 1:] = rng.integers(0, 256, (len(at), 2))
        self._pixels = pixels.reshape(IMAGES, SIDE, SIDE, 3)

    def __len__(self) -> int:
        return IMAGES

    def image_name(self, index: int) -> str:
        return f"planted/{self.seed}_{index:03d}.png"

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        return self._pixels[index].copy(), digest(self._pixels[index].tobytes())

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return (LabelChannel(0, self._pixels[index, ..., 0].astype(np.uint16)),)

    def files(self, index: int) -> tuple[Path, ...]:
        return ()

    def fingerprint(self) -> str:
        return digest(self._pixels.tobytes())


class Reader(nn.Module):
    """Unit c of `units` gives the amplitude, 0.3 to 1, where concept c is, and 0 elsewhere."""

    preprocessing = Preprocessing((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (SIDE, SIDE), source="planted")

    def __init__(self) -> None:
        super().__init__()
        self.units = _Units()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.units(images)
        return found


class _Units(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        pixels = ((images * 0.25 + 0.5) * 255).round().long()
        amplitude = 0.3 + 0.7 * (256 * pixels[:, 1] + pixels[:, 2]).float() / 65535
        return (pixels[:, :1] == torch.arange(1, CONCEPTS + 1)[:, None, None]) * amplitude[:, None]


def study(out: Path | None = None, seeds: int = 3) -> RotationStudy:
    """Rotate the planted network's units; with `out` the run is kept there."""
    return rotate(Reader(), Planted(), "units", seeds=seeds, cut=CUT, mask_size=SIDE, out=out, workers=0)


def draw(found: RotationStudy) -> bytes:
    """Unique detectors and mean IoU against alpha, SVG."""
    table = found.table()
    with study_figure(6.8, 2.7, columns=2) as (figure, panels):
        for panel, column, words in zip(
            panels,
            ("unique_detectors", "mean_iou"),
            (f"unique detectors, IoU > {CUT:g}", "mean best IoU"),
            strict=True,
        ):
            over = table.groupby("alpha")[column]
            low, mean, high = (getattr(over, name)() for name in ("min", "mean", "max"))
            panel.plot(mean.index, mean, "o-")
            panel.fill_between(mean.index, low, high, alpha=0.2, linewidth=0)
            panel.set(xlabel="alpha", ylabel=words, ylim=(0, None))
        return figure_files(figure, "planted", "").svg


def say(found: RotationStudy) -> str:
    """The table, a row an alpha: means over the rotations."""
    table = found.table().groupby("alpha")[["unique_detectors", "mean_iou"]].mean()
    rows = [f"  {a:5.1f} {r.unique_detectors:17.1f} {r.mean_iou:14.3f}" for a, r in table.iterrows()]
    return "\n".join([f"  alpha  unique (> {CUT:g})  mean best IoU", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("studies/planted"), help="folder of the run")
    found = study(parser.parse_args().out)
    print(say(found))


if __name__ == "__main__":
    main()
