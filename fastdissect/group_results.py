"""What becomes of a group's results: taken out of its temporary files, compared with earlier groups, joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastdissect.errors import DataError, OutputError
from fastdissect.group_progress import BY_LAYER, LARGEST, GroupDone
from fastdissect.layer import LayerDissection
from fastdissect.storage.folders import layer_folder
from fastdissect.storage.layer_files import read_layer

__all__ = ["check_files", "check_same", "in_memory", "joined_record"]

_TABLES = ("units.csv", "units.parquet", "tally.csv")


def in_memory(layer: LayerDissection) -> LayerDissection:
    """A layer that does not rest on temporary files."""
    cells, means, maxima = layer.activations, layer.means, layer.maxima
    if cells is not None:
        cells = dataclasses.replace(
            cells,
            images=np.array(cells.images),
            cell_start=np.array(cells.cell_start),
            cells=np.array(cells.cells),
            values=np.array(cells.values),
        )
    return dataclasses.replace(
        layer,
        activations=cells,
        means=None if means is None else np.array(means),
        maxima=None if maxima is None else np.array(maxima),
    )


def check_files(out: Path, done: Sequence[GroupDone]) -> None:
    """See that the files of groups that are done are whole, before the others run.

    Raises:
        OutputError: one is missing, damaged, or of another run.
    """
    for group in done:
        for name, entry in group.entries.items():
            folder = out / "layers" / layer_folder(name)
            try:
                read_layer(folder, entry)
            except OutputError as error:
                raise OutputError(f"{error}, or begin again with --fresh") from error
            missing = [table for table in _TABLES if not (folder / table).is_file()]
            if missing:
                raise OutputError(
                    f"{folder / missing[0]} is missing; restore the file, or begin again with --fresh"
                )


def check_same(name: str, first: GroupDone, group: GroupDone) -> None:
    """All groups must have seen the same images and masks.

    Raises:
        DataError: they have not.
    """
    if (first.images, first.content) != (group.images, group.content):
        what = f"{group.images} images, not {first.images}" if group.images != first.images else "others"
        raise DataError(
            f"{name}: expected the images and masks that the first group of layers saw; got {what}; is their order fixed "
            "(shuffle=False, no random transforms), and have no files changed since? Give memory for all layers together "
            "(--memory), or begin again with --fresh"
        )


def joined_record(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What run.json says of how all groups went: what is of layers side by side, times together, memory at its most.

    >>> joined_record([{"passes": {"a": 1}, "peak memory": 5}, {"passes": {"b": 2}, "peak memory": 9}])
    {'passes': {'a': 1, 'b': 2}, 'peak memory': 9, 'groups': [['a'], ['b']]}
    """
    joined: dict[str, Any] = {}
    for name in records[0]:
        values = [record[name] for record in records]
        if name in BY_LAYER:
            joined[name] = {layer: value for own in values for layer, value in own.items()}
        elif name in LARGEST:
            joined[name] = max((value for value in values if value is not None), default=None)
        else:
            joined[name] = round(sum(values), 3)
    return {**joined, "groups": [list(record["passes"]) for record in records]}
