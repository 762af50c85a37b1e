"""The shapes pictures and the network of the other tutorial, examples/studies: found, or trained."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from fastdissect.datasets.shapes import Shapes
from fastdissect.methods.factorization.gathering import gather_matrices
from fastdissect.methods.factorization.gathering_kept import Gathered

__all__ = ["gather_shapes", "network_file", "source"]

STUDIES = Path(__file__).resolve().parents[1] / "studies"
if str(STUDIES) not in sys.path:
    sys.path.append(str(STUDIES))  # behind this folder: names that both have are this one's

from networks import VARIANTS
from train import train_all

NAME = "plain"


def source() -> Path:
    """The file that builds the network."""
    return STUDIES / "networks.py"


def network_file(given: Path | None, usual: Path, own: Path, *, quick: bool) -> Path:
    """The weights: in the folder that is given, else in the other tutorial's, else trained now as it does."""
    folder = given if given is not None else usual if (usual / f"{NAME}.safetensors").is_file() else own
    path = folder / f"{NAME}.safetensors"
    if not path.is_file():
        there = [name for name in VARIANTS if (folder / f"{name}.safetensors").is_file()]
        train_all(
            folder,
            [*there, NAME],
            images=192 if quick else 4000,
            held_out=Shapes(images=120 if quick else 1000, seed=1),
            epochs=1 if quick else 14,
            seed=0,
        )
    return path


@cache
def gather_shapes(
    model: str, images: int, seed: int, layers: str, pool: str, pixels: int | None, *, masks: bool = False
) -> Gathered:
    """One pass over so many pictures; layers with commas. masks: also what each picture shows, for naming alone."""
    return gather_matrices(
        model, Shapes(images=images, seed=seed), layers.split(","), pool=pool, pixels=pixels, device="cpu",
        masks=masks, progress=False,
    )  # fmt: skip
