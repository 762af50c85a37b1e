"""A factorisation in a folder: arrays as safetensors, tables as CSV, the rest as JSON.

FOLDER/factorization.safetensors   mixtures, and of each matrix (by its place) loadings and dead features
FOLDER/history.csv, restarts.csv   the tables, RFC 4180
FOLDER/factorization.json          settings, matrices, example names, record; digests of the other three and of itself
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError, SettingError
from fastdissect.files import write_bytes
from fastdissect.methods.factorization.result import Factorization, Loadings
from fastdissect.methods.factorization.sealing import sealed, unsealed
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.storage.tensors_file import read_tensors, write_tensors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_factorization", "save_factorization"]

FORMAT = 2
_ARRAYS, _INDEX = "factorization.safetensors", "factorization.json"
_TABLES = {"history": "history.csv", "restarts": "restarts.csv"}


def save_factorization(found: Factorization, folder: Path) -> None:
    """See `Factorization.save`."""
    arrays: dict[str, NDArray[Any]] = {"mixtures": found.mixtures}
    for i, one in enumerate(found.loadings):
        arrays |= {f"loadings_{i}": one.values, f"dead_{i}": np.asarray(one.dead, np.int64)}
    # Text first: what it cannot hold (a record that is no JSON) is an error before anything is written.
    index = {
        "format": FORMAT,
        "settings": found.settings.record(),
        "matrices": [
            {
                "name": one.name,
                "kind": one.kind,
                "shape": list(one.shape),
                "scale": one.scale,
                "fit": None if math.isnan(one.fit) else one.fit,
                "weight": one.weight,
            }
            for one in found.loadings
        ],
        "columns": {
            name: {str(column): str(dtype) for column, dtype in getattr(found, name).dtypes.items()}
            for name in _TABLES
        },
        "example_names": list(found.example_names),
        "record": dict(found.record),
    }
    json.dumps(index, allow_nan=False)
    write_tensors(folder / _ARRAYS, arrays, {"format": str(FORMAT)})
    for name, file in _TABLES.items():
        write_bytes(folder / file, getattr(found, name).to_csv(index=False, lineterminator="\r\n").encode())
    index["files"] = {name: _digest(folder / name) for name in (_ARRAYS, *_TABLES.values())}
    write_bytes(folder / _INDEX, (json.dumps(sealed(index), indent=1, allow_nan=False) + "\n").encode())


def load_factorization(folder: Path) -> Factorization:
    """See `Factorization.load`."""
    path = folder / _INDEX
    try:
        index = json.loads(path.read_bytes())
        version = index["format"]
        digests = dict(unsealed(index)["files"]) if version == FORMAT else {}
    except FileNotFoundError:
        raise OutputError(
            f"expected {path}, which holds a factorisation; it is missing: give the folder that it was saved to, or "
            "factorise again"
        ) from None
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if version != FORMAT:
        raise OutputError(
            f"{path}: expected format {FORMAT}; got {version!r}: it was written by another version of fastdissect; "
            "factorise again, or use that version"
        )
    for name in (_ARRAYS, *_TABLES.values()):
        if _digest(folder / name) != digests.get(name):
            raise OutputError(
                f"{folder / name} is damaged, or not the file that {_INDEX} describes; restore it, or factorise again"
            )
    try:
        arrays, _ = read_tensors(folder / _ARRAYS)
        return Factorization(
            settings=FactorizationSettings(**index["settings"]),
            mixtures=np.array(arrays["mixtures"]),
            loadings=tuple(_loadings(i, one, arrays) for i, one in enumerate(index["matrices"])),
            history=_table(folder / _TABLES["history"], index["columns"]["history"]),
            restarts=_table(folder / _TABLES["restarts"], index["columns"]["restarts"]),
            example_names=tuple(str(name) for name in index["example_names"]),
            record=dict(index["record"]),
        )
    except (ValueError, KeyError, TypeError, SettingError) as error:
        raise _damaged(path, error) from error


def _loadings(i: int, told: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Loadings:
    channels, height, width = told["shape"]
    return Loadings(
        name=told["name"],
        kind=told["kind"],
        shape=(int(channels), int(height), int(width)),
        scale=float(told["scale"]),
        values=np.array(arrays[f"loadings_{i}"]),
        fit=math.nan if told["fit"] is None else float(told["fit"]),
        weight=float(told["weight"]),
        dead=np.array(arrays[f"dead_{i}"]),
    )


def _table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    # csv, not pandas: a float shall come back bit by bit
    header, *rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
    if header != list(columns):
        raise ValueError(f"columns {header}")
    table = {}
    for i, (name, dtype) in enumerate(columns.items()):
        cells = [row[i] for row in rows]
        if dtype == "bool":
            table[name] = pd.Series([cell == "True" for cell in cells], dtype="bool")
        elif dtype.startswith("int"):
            table[name] = pd.Series([int(cell) for cell in cells], dtype=dtype)
        else:
            table[name] = pd.Series([float(cell) if cell else math.nan for cell in cells], dtype=dtype)
    return pd.DataFrame(table)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read: {error.strerror or error}; restore it, or factorise again"
        ) from error


def _damaged(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{path} is damaged: {error!r}; restore it, or factorise again")
