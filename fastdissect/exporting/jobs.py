"""What a format is, and what it is given to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastdissect.datasets.protocol import Dataset
from fastdissect.layer import LayerDissection
from fastdissect.results import Dissection
from fastdissect.storage import layer_folder

__all__ = ["Format", "Job"]


@dataclass(frozen=True)
class Job:
    """One export: everything is checked, the folder is empty."""

    dissection: Dissection
    layers: Sequence[LayerDissection]
    folder: Path  # receives the files
    dataset: Dataset | None  # the run's own, where pictures are wanted
    top: int  # images a unit
    size: tuple[int, int]  # height, width of a picture
    progress: Callable[[int, int], None]  # units done, and their total; for formats with pictures

    def place(self, layer: LayerDissection) -> Path:
        """The layer's own folder, made; no two layers share one."""
        folder = self.folder / layer_folder(layer.name)
        folder.mkdir()
        return folder


@dataclass(frozen=True)
class Format:
    """A peer's files."""

    name: str
    write: Callable[[Job], list[Path]]  # returns what was written
    pictures: Literal["none", "optional", "required"] = "none"
    top: int = 1  # images a unit, as the peer has them
    size: tuple[int, int] = (224, 224)
