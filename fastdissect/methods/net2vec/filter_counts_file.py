"""Scores with fewer filters in a folder: FOLDER/filter-counts.safetensors.

filters [F], numbers [concepts], train and val [concepts, F], weights [F, concepts, units], bias [F, concepts]
as text: metric, names, record
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.net2vec.filter_counts import FilterCounts
from fastdissect.methods.net2vec.sealed_file import read_sealed, write_sealed

__all__ = ["FILE", "load_filter_counts", "save_filter_counts"]

FILE = "filter-counts.safetensors"
FORMAT = 1


def save_filter_counts(counts: FilterCounts, folder: Path) -> None:
    """See `FilterCounts.save`."""
    sizes = counts.filters
    if not {*sizes} <= {*counts.weights}:
        raise SettingError(
            f"expected weights of every F of {', '.join(map(str, sizes))}; got {sorted(counts.weights)}"
        )
    first = counts.table["filters"].to_numpy() == counts.units  # a row a concept
    arrays: dict[str, NDArray[Any]] = {
        "filters": np.array(sizes, np.int64),
        "numbers": counts.table["number"].to_numpy(np.int64)[first],
        "train": counts.scores("train"),
        "val": counts.scores("val"),
        "weights": np.stack([np.asarray(counts.weights[size], np.float32) for size in sizes]),
    }
    if counts.bias is not None:
        arrays["bias"] = np.stack([np.asarray(counts.bias[size], np.float32) for size in sizes])
    text = {
        "format": str(FORMAT),
        "metric": counts.metric,
        "names": json.dumps(list(counts.names)),
        "record": json.dumps(dict(counts.record), sort_keys=True),
    }
    write_sealed(folder / FILE, arrays, text)


def load_filter_counts(folder: Path) -> FilterCounts:
    """See `FilterCounts.load`."""
    import pandas as pd

    path = folder / FILE
    arrays, text = read_sealed(path)
    if text.get("format") != str(FORMAT):
        raise OutputError(
            f"{path}: expected format {FORMAT}; got {text.get('format')!r}: it was written by another version of "
            "fastdissect; use that version, or delete it"
        )
    try:
        names, sizes = tuple(json.loads(text["names"])), arrays["filters"]
        concepts, count = len(names), len(sizes)
        table = pd.DataFrame(
            {
                "concept": np.repeat(np.array([*names, ""], object)[:-1], count),
                "number": np.repeat(arrays["numbers"], count),
                "filters": np.tile(sizes, concepts),
                "train": arrays["train"].reshape(-1),
                "val": arrays["val"].reshape(-1),
            }
        )
        return FilterCounts(
            metric=text["metric"],
            units=int(sizes[-1]),
            names=names,
            table=table.astype({"concept": "str"}),
            weights={int(size): np.array(own) for size, own in zip(sizes, arrays["weights"], strict=True)},
            bias={int(size): np.array(own) for size, own in zip(sizes, arrays["bias"], strict=True)}
            if "bias" in arrays
            else None,
            record=json.loads(text["record"]),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise OutputError(
            f"{path} is damaged: {error!r}; delete it, and train with fewer filters again"
        ) from error
