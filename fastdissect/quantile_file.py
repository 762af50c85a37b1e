"""The state of a TopQuantile in a file: one .npz, equal states in equal bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.arrays_file import read_arrays, write_arrays
from fastdissect.device_arrays import to_host
from fastdissect.errors import OutputError
from fastdissect.key_bins import BITS, KeyBins
from fastdissect.top_values import TopValues

__all__ = ["QuantileState", "read_quantile", "write_quantile"]

FORMAT = 1
_DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}


class QuantileState(NamedTuple):
    """Arguments of a TopQuantile, and what it has seen."""

    arguments: dict[str, Any]  # units, quantile (text), total, nan, memory
    top: TopValues
    bins: KeyBins | None


def write_quantile(path: str | Path, state: QuantileState) -> None:
    """Write the state (beside and renamed).

    Raises:
        OutputError: the file cannot be written.
    """
    top = state.top
    record = {**state.arguments, "format": FORMAT, "kind": top.kind, "count": top.count}
    start, values = top.by_unit()
    arrays: dict[str, NDArray[Any]] = {
        "record": np.frombuffer(json.dumps(record, sort_keys=True).encode(), np.uint8),
        "missing": top.missing,
        "bounds": to_host(top.bounds),
        "value_start": start,
        "values": values.astype(_DTYPES[top.kind]) if not values.size else values,
    }
    if state.bins is not None:
        arrays["bins"] = state.bins.counts
    write_arrays(Path(path), arrays)


def read_quantile(path: str | Path) -> QuantileState:
    """Read what `write_quantile` wrote; `top.deepest` is left at 1, the caller's quantile gives it.

    Raises:
        OutputError: the file is missing, damaged, or from a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise OutputError(f"{path}: expected a saved TopQuantile; there is no such file")
    arrays = read_arrays(path)
    try:
        record = json.loads(arrays["record"].tobytes())
        version = record.pop("format")
        if version > FORMAT:
            raise OutputError(
                f"{path}: expected format {FORMAT} or older; got {version}; update fastdissect to read it"
            )
        kind, count = record.pop("kind"), record.pop("count")
        _check(arrays, record["units"], kind)
        top = TopValues(record["units"], 1)
        top.restore({**arrays, "count": np.array(count)}, kind)
        bins = KeyBins(arrays["bins"], arrays["bounds"]) if "bins" in arrays else None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise OutputError(
            f"{path}: expected a saved TopQuantile; the file is damaged ({error}); restore it, or run again"
        ) from error
    return QuantileState(record, top, bins)


def _check(arrays: dict[str, NDArray[Any]], units: int, kind: str) -> None:
    """Shapes and dtypes that fit together: what keeps compiled loops inside the arrays."""
    start, values = arrays["value_start"], arrays["values"]
    expected = {
        "missing": (np.int64, units),
        "bounds": (np.uint32, units),
        "value_start": (np.int64, units + 1),
    }
    for name, (dtype, length) in expected.items():
        if arrays[name].dtype != dtype or arrays[name].shape != (length,):
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}")
    if values.dtype != _DTYPES[kind] or values.ndim != 1:
        raise ValueError(f"values are {values.dtype} {values.shape}")
    if start[0] != 0 or start[-1] != len(values) or (np.diff(start) < 0).any():
        raise ValueError("the units' values do not follow each other")
    if "bins" in arrays:
        bins = arrays["bins"]
        sizes = [1 << bits for bits in range(BITS[0], BITS[1] + 1)]
        if bins.dtype != np.int64 or bins.ndim != 2 or len(bins) != units or bins.shape[1] not in sizes:
            raise ValueError(f"bins are {bins.dtype} {bins.shape}")
