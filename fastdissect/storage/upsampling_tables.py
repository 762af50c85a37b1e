"""Upsampling tables as arrays and JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.types import AxisTable, Upsampling

__all__ = ["tables_arrays", "tables_from", "tables_record"]


def tables_record(tables: Upsampling) -> dict[str, Any]:
    """What JSON holds of them."""
    return {
        "mode": tables.mode,
        "cells": list(tables.cells),
        "size": list(tables.size),
        "ring": tables.ring,
        "lerp": [tables.rows.lerp, tables.columns.lerp],
    }


def tables_arrays(tables: Upsampling) -> dict[str, NDArray[Any]]:
    """Their arrays."""
    return {
        "rows_start": tables.rows.start,
        "rows_weights": tables.rows.weights,
        "columns_start": tables.columns.start,
        "columns_weights": tables.columns.weights,
    }


def tables_from(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Upsampling:
    """The tables that the two others describe."""
    rows, columns = (
        AxisTable(np.array(arrays[f"{axis}_start"]), np.array(arrays[f"{axis}_weights"]), bool(lerp))
        for axis, lerp in zip(("rows", "columns"), record["lerp"], strict=True)
    )
    return Upsampling(
        record["mode"], tuple(record["cells"]), tuple(record["size"]), rows, columns, bool(record["ring"])
    )
