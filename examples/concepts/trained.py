"""The networks of the other tutorial, examples/studies: found, or trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from fastdissect.datasets.shapes import Shapes

__all__ = ["NAMES", "UNTRAINED", "networks_folder", "source", "train_missing"]

NAMES = ("plain", "wide", "batch_norm")
UNTRAINED = "untrained"
STUDIES = Path(__file__).resolve().parents[1] / "studies"
if str(STUDIES) not in sys.path:
    sys.path.append(str(STUDIES))  # behind this folder: names that both have are this one's

from networks import VARIANTS, plain
from train import save, train_all


def source() -> Path:
    """The file that builds the networks."""
    return STUDIES / "networks.py"


def networks_folder(given: Path | None, usual: Path, own: Path) -> Path:
    """The folder that is given; else the other tutorial's if it has all networks; else one of our own."""
    if given is not None:
        return given
    return usual if all((usual / f"{name}.safetensors").is_file() for name in NAMES) else own


def train_missing(
    names: Sequence[str], folder: Path, out: Path, *, quick: bool, jobs: int
) -> dict[str, Path]:
    """Train those of `names` that `folder` lacks, as the other tutorial does.

    Returns:
        {name: weights}: of `names`, in `folder`; and "untrained", weights as they were drawn, in `out`.
    """
    paths = {name: folder / f"{name}.safetensors" for name in names}
    if not all(path.is_file() for path in paths.values()):
        there = [name for name in VARIANTS if (folder / f"{name}.safetensors").is_file()]
        train_all(
            folder,
            list(dict.fromkeys([*there, *names])),
            images=192 if quick else 4000,
            held_out=Shapes(images=120 if quick else 1000, seed=1),
            epochs=1 if quick else 14,
            seed=0,
            jobs=jobs,
        )
    paths[UNTRAINED] = out / f"{UNTRAINED}.safetensors"
    torch.manual_seed(0)
    save(plain(), paths[UNTRAINED], {})
    return paths
