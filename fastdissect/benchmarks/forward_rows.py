"""The row with the forward pass: the whole of it against the bare loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.correctness import agreement
from fastdissect.benchmarks.labelled_rows import make_scenes
from fastdissect.benchmarks.peers import CHECKOUTS, Field
from fastdissect.benchmarks.rounds import Contestant
from fastdissect.benchmarks.rows import HERE, Judge, Row
from fastdissect.benchmarks.sizes import Sizes
from fastdissect.benchmarks.work import Found
from fastdissect.datasets import open_dataset

__all__ = ["forward_rows"]


def forward_rows(sizes: Sizes, field: Field, folder: Path) -> list[Row]:
    """A network of ResNet-18's shape, layer4 (512 units of 7 x 7 at 224 x 224)."""
    broden = make_scenes(sizes, folder)
    concepts = open_dataset(f"broden:{broden}").concepts
    images = min(sizes.forward_images, sizes.images)
    nothing = np.zeros((images, 1, 1, 1), np.float32)  # the activations come from the network
    path = Case(nothing, concepts=concepts, broden=broden).save(folder / "forward")
    where, lite = f"{HERE}.forward:", CHECKOUTS["netdissect-lite"].title
    contestants = [Contestant("bare forward loop", where + "bare", note="decoding and a full forward pass")]
    for name, convention, cached in (
        ("fastdissect", "netdissect", True),
        ("fastdissect, nothing cached", "netdissect", False),
        (f"fastdissect, as {lite}", "netdissect-lite", True),
    ):
        note = "dissect(); planes cached" if cached else "dissect(); masks read and packed on the way"
        settings = {"profile": convention, "cached": cached}
        contestants.append(Contestant(name, where + "ours", settings, note))
    judges: list[Judge] = [_nothing] * len(contestants)
    reference = len(contestants) - 1
    if "netdissect-lite" in field.paths:
        settings = {"path": str(field.paths["netdissect-lite"])}
        note = "feature_extraction, quantile_threshold, tally; unchanged checkout"
        contestants.append(Contestant(lite, where + "netdissect_lite", settings, note))
        judges.append(_compared)
    return [
        Row(
            "forward",
            f"layer4 of a ResNet-18, {images} images of {sizes.picture} x {sizes.picture}",
            "ms an image",
            1e3 / images,
            (path, images),
            tuple(contestants),
            tuple(judges),
            reference,
        )
    ]


def _nothing(found: Found, reference: Found) -> dict[str, float]:
    del found, reference
    return {}


def _compared(found: Found, reference: Found) -> dict[str, float]:
    return agreement(reference, found)
