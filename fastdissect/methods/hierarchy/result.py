"""`LayerRollUp` and `RollUp`: what a hierarchy says of units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import LayerError, nearest
from fastdissect.files import write_bytes
from fastdissect.labels import passes
from fastdissect.layer import LayerDissection
from fastdissect.methods.hierarchy import tables
from fastdissect.methods.hierarchy.choosing import Chosen
from fastdissect.methods.hierarchy.graph import Hierarchy
from fastdissect.methods.hierarchy.parts import Parts
from fastdissect.methods.hierarchy.union_counts import UnionCounts
from fastdissect.storage import layer_folder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LayerRollUp", "RollUp", "RollUpSummary"]

_ENDS = ("", "-nodes", "-levels", "-wholes")  # of the names of a layer's tables


class _UnknownLayer(LayerError, KeyError):
    """A LayerError that `Mapping.get` and `in` understand."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


@dataclass(frozen=True)
class RollUpSummary:
    """A layer in numbers."""

    units: int
    same: int  # units whose adequate label is the run's label
    up: int  # units whose adequate label lies above it
    other: int  # units whose adequate label is one of another branch
    detectors: int  # by the run's labels
    adequate_detectors: int  # by the adequate ones
    nodes: int  # adequate labels of at least one detector
    parts: int  # units that detect a part of a whole that is named


@dataclass(frozen=True, eq=False)
class LayerRollUp:
    """A layer's units under a hierarchy; `chosen` says how the adequate label is found (choosing.py)."""

    layer: LayerDissection
    hierarchy: Hierarchy
    tolerance: float
    least_share: float
    counts: UnionCounts
    chosen: Chosen
    parts: Parts

    @property
    def change(self) -> NDArray[np.str_]:
        """str [units]: "same", "up" or "other", as `RollUpSummary`; "" for a unit that overlaps with no label."""
        return tables.changes(self.chosen, self.hierarchy)

    @property
    def detector(self) -> NDArray[np.bool_]:
        """bool [units]: the adequate label's IoU passes the cut of the run's profile."""
        profile = self.layer.profile
        return passes(self.chosen.iou, profile.cut, profile.cut_inclusive)

    def iou(self) -> NDArray[np.float64]:
        """IoU of every unit and node, float64 [units, nodes]; 0 for a node without labels."""
        extent = self.hierarchy.extent
        held = extent >= 0
        score = np.zeros((self.layer.units_count, len(self.hierarchy)))
        score[:, held] = self.counts.iou(self.layer, slice(None))[:, extent[held]]
        return score

    def units(self) -> pd.DataFrame:
        """Return a row a unit.

        Columns: unit; label, category, iou (the run's); adequate, adequate_iou, change (same, up, other), depth, path
        ("animal > dog"); best, best_iou (the node of highest IoU); made_of (the nodes just below and their shares of the
        overlap; they may overlap themselves); whole, whole_share (of the part's pixels under the mask, those on it),
        whole_base (the same of all its pixels); detector, adequate_detector.
        """
        return tables.units(self)

    def nodes(self) -> pd.DataFrame:
        """Return a row a node that unites labels.

        Columns: node, name, labels (how many it unites), depth, path, pixels, units (whose adequate label it is),
        detectors (of these), units_below, detectors_below (of it and all below), unit and iou of the one that detects it
        best among those at or below.
        """
        return tables.nodes(self)

    def levels(self) -> pd.DataFrame:
        """Return a row a depth: depth, nodes (that unite labels), covering (those that are adequate for a detector),
        units, detectors.
        """
        return tables.levels(self)

    def wholes(self) -> pd.DataFrame:
        """Return a row for every unit that detects a part and every whole on which part of it lies.

        Columns: unit, part, whole, share, base, part_pixels (under the mask), on_whole (of these), chosen.
        """
        return tables.wholes(self)

    def summary(self) -> RollUpSummary:
        """Return the numbers of the layer."""
        change, detector = self.change, self.detector
        profile = self.layer.profile
        before = passes(self.chosen.label_iou, profile.cut, profile.cut_inclusive)
        return RollUpSummary(
            units=self.layer.units_count,
            same=int((change == "same").sum()),
            up=int((change == "up").sum()),
            other=int((change == "other").sum()),
            detectors=int(before.sum()),
            adequate_detectors=int(detector.sum()),
            nodes=len(np.unique(self.chosen.node[detector])),
            parts=int((self.parts.chosen >= 0).sum()),
        )


@dataclass(frozen=True, eq=False)
class RollUp(Mapping[str, LayerRollUp]):
    """A run's layers under one hierarchy: layer names -> `LayerRollUp`."""

    hierarchy: Hierarchy
    layers: Mapping[str, LayerRollUp]
    source: str  # where the relations are from

    def __getitem__(self, name: str) -> LayerRollUp:
        try:
            return self.layers[name]
        except KeyError:
            raise _UnknownLayer(
                f"expected a layer of {', '.join(self.layers)}; got {name!r}{nearest(str(name), self.layers)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def overview(self) -> pd.DataFrame:
        """Return a row a layer, `RollUpSummary` of each."""
        return tables.overview(self.layers)

    @property
    def files(self) -> dict[str, str]:
        """{layer: its name in those of tables}; where "a" and "a-nodes" are layers both, the second is "a-nodes~"."""
        found: dict[str, str] = {}
        taken = {"overview", "relations"}
        for name in self.layers:
            file = layer_folder(name)
            while taken & (own := {f"{file}{end}" for end in _ENDS}):
                file += "~"
            found[name] = file
            taken |= own
        return found

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return all tables by name: overview, relations, and <layer>, <layer>-nodes, -levels, -wholes of each layer,
        its name as `files` has it.
        """
        found = {"overview": self.overview(), "relations": tables.relations(self.hierarchy)}
        files = self.files
        for name, layer in self.layers.items():
            file = files[name]
            found[file] = layer.units()
            found[f"{file}-nodes"], found[f"{file}-levels"] = layer.nodes(), layer.levels()
            found[f"{file}-wholes"] = layer.wholes()
        return found

    def save(self, folder: str | Path) -> None:
        """Write every table of `tables` as <name>.csv, RFC 4180.

        Raises:
            OutputError: a file cannot be written.
        """
        for name, table in self.tables().items():
            text = table.to_csv(index=False, lineterminator="\r\n")
            write_bytes(Path(folder) / f"{name}.csv", text.encode(errors="surrogateescape"))
