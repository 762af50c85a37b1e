"""A small SegFormer that learns the colours of the built-in shapes: that of examples/generator, with other labels."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from time import perf_counter

from fastdissect.datasets.shapes import Shapes
from fastdissect.datasets.shapes.vocabulary import COLORS, NUMBER

SIDE = 64  # pixels of the shapes
SEEN = 128  # pixels that photographs are resized to: its layers take any size
UNSEEN_SEED = 1_000_000


def train(folder: Path, *, quick: bool) -> None:
    """Train the segmenter and save it as transformers does, with how well it knows shapes that it never saw.

    Raises:
        BackendError: transformers is missing.
    """
    networks, training = _of_the_generator("networks"), _of_the_generator("train")
    begun = perf_counter()
    network = networks.segmenter(COLORS)
    labels = [NUMBER[f"{name}-c"] for name in COLORS]
    images, epochs = (300, 6) if quick else (2000, 8)
    training.train_segmenter(
        network,
        *training.painted(Shapes(images=images, size=SIDE), labels, "color"),
        epochs=epochs,
    )
    unseen = training.painted(
        Shapes(images=100 if quick else 400, size=SIDE, seed=UNSEEN_SEED), labels, "color"
    )
    training.save_segmenter(network, folder, SEEN, training.accuracy(network, *unseen, COLORS))
    print(f"segmenter: trained in {perf_counter() - begun:.0f} s")


def _of_the_generator(name: str):
    place = str(Path(__file__).parents[1] / "generator")
    if place not in sys.path:
        sys.path.append(place)
    return importlib.import_module(name)
