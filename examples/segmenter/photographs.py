"""The sample photographs that scikit-image brings, and what a segmenter says of them."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np

from fastdissect.datasets import Dataset, resize_image
from fastdissect.errors import DataError

# Those of its pictures that were photographed, as files of its own: nothing is downloaded. Most are grey.
NAMES = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png",
    "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png",
    "page.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip


def copy_photographs(folder: Path) -> int:
    """Copy the photographs; their number.

    Raises:
        DataError: scikit-image is missing, or brings none of them.
    """
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise DataError(
            "the photographs are scikit-image's, which is missing; install it: pip install scikit-image"
        )
    source = Path(found.origin).parent / "data"
    there = [name for name in NAMES if (source / name).exists()]
    if not there:
        raise DataError(
            f"expected photographs such as {NAMES[0]} in {source}; install scikit-image 0.19 or later"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in there:
        shutil.copyfile(source / name, folder / name)
    return len(there)


def said_of(data: Dataset) -> str:
    """For each label its share of the pixels, and the mean red, green and blue of those: right ones are what they are called."""
    names = dict(zip(data.concepts.numbers.tolist(), data.concepts.names, strict=True))
    pixels = dict.fromkeys((0, *names), 0.0)
    sums = {number: np.zeros(3) for number in pixels}
    for index in range(len(data)):
        labels = np.asarray(data.read_labels(index)[0].labels)
        image = resize_image(data.read_image(index)[0], labels.shape, "box")
        for number in np.unique(labels).tolist():
            sums[number] += image[labels == number].sum(0)
            pixels[number] += float((labels == number).sum())
    whole = sum(pixels.values())
    lines = [
        f"Labelled: {1 - pixels[0] / whole:.0%} of the pixels of {len(data)} photographs. Mean colours of the labels:"
    ]
    for number in sorted(names, key=lambda n: -pixels[n]):
        if pixels[number]:
            mean = " ".join(f"{value:3.0f}" for value in sums[number] / pixels[number])
            lines.append(f"  {names[number]:7} {pixels[number] / whole:6.1%} of the pixels   rgb {mean}")
    return "\n".join(lines)
