"""A case: the arrays that all contestants of a row are given, saved in a folder and loaded by each process.

activations.npy   [images, units, height, width], float32, or bfloat16's bits in uint16
labels.npz        the label channels at the masks' size
case.json         the rest
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.benchmarks.scenes import SavedLabels
from fastdissect.files import write_bytes
from fastdissect.types import ActivationView, Concepts, Kind

__all__ = ["Case"]


@dataclass(frozen=True, eq=False)
class Case:
    """What a contestant gets."""

    activations: NDArray[Any]  # [images, units, height, width]
    kind: Kind = "float32"
    labels: SavedLabels | None = None
    concepts: Concepts | None = None
    thresholds: NDArray[np.float32] | None = None  # [units], for the tally alone
    broden: Path | None = None  # the same images and labels as a folder in Broden's format
    settings: dict[str, Any] = field(default_factory=dict)  # of the contestant: profile, quantile, path, ...

    @property
    def images(self) -> int:
        return len(self.activations)

    @property
    def units(self) -> int:
        return int(self.activations.shape[1])

    def view(self) -> ActivationView:
        return ActivationView(self.activations, self.kind)

    def first(self, images: int) -> Case:
        """The same of the first so many images; a copy, as a smaller set would lie in memory."""
        if images >= self.images:
            return self
        labels = None if self.labels is None else self.labels.first(images)
        return dataclasses.replace(self, activations=self.activations[:images].copy(), labels=labels)

    def with_settings(self, **settings: Any) -> Case:
        return dataclasses.replace(self, settings={**self.settings, **settings})

    def save(self, folder: Path) -> Path:
        """Write the case; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "activations.npy", self.activations)
        record: dict[str, Any] = {"kind": self.kind, "settings": self.settings}
        record["broden"] = None if self.broden is None else str(self.broden)
        if self.labels is not None:
            np.savez(folder / "labels.npz", **self.labels._asdict())
        if self.thresholds is not None:
            np.save(folder / "thresholds.npy", self.thresholds)
        if self.concepts is not None:
            found = self.concepts
            record["concepts"] = {
                "numbers": found.numbers.tolist(),
                "names": found.names,
                "category": found.category.tolist(),
                "categories": found.categories,
            }
        write_bytes(folder / "case.json", json.dumps(record).encode())
        return folder

    @classmethod
    def load(cls, folder: Path) -> Case:
        record = json.loads((folder / "case.json").read_text())
        labels = concepts = thresholds = None
        if (folder / "labels.npz").exists():
            with np.load(folder / "labels.npz") as saved:
                arrays = {name: saved[name] for name in SavedLabels._fields}
            labels = SavedLabels(**{**arrays, "images": int(arrays["images"])})
        if (folder / "thresholds.npy").exists():
            thresholds = np.load(folder / "thresholds.npy")
        if "concepts" in record:
            own = record["concepts"]
            concepts = Concepts(
                np.array(own["numbers"], np.int64),
                tuple(own["names"]),
                np.array(own["category"], np.int64),
                tuple(own["categories"]),
            )
        return cls(
            np.load(folder / "activations.npy"),
            record["kind"],
            labels,
            concepts,
            thresholds,
            None if record["broden"] is None else Path(record["broden"]),
            record["settings"],
        )
