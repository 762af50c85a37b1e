"""Concept vectors in a folder: arrays as safetensors, the table as CSV, the rest as JSON.

FOLDER/vectors.safetensors   weights, bias, numbers, category, and the images' scores
FOLDER/vectors.csv           the table, RFC 4180
FOLDER/vectors.json          kind, layer, names, skipped, record; digests of the other two
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError, SettingError
from fastdissect.files import write_bytes
from fastdissect.methods.net2vec.image_scores import ImageScores
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.storage.tensors_file import read_tensors, write_tensors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_vectors", "save_vectors"]

FORMAT = 1
_ARRAYS, _TABLE, _INDEX = "vectors.safetensors", "vectors.csv", "vectors.json"
_SCORES = ("concept", "image", "train", "intersection", "union")


def save_vectors(vectors: ConceptVectors, folder: Path) -> None:
    """See `ConceptVectors.save`."""
    _remove(folder / _INDEX)  # a save that is killed leaves no vectors, not damaged ones
    arrays: dict[str, NDArray[Any]] = {
        "weights": vectors.weights,
        "numbers": np.asarray(vectors.numbers, np.int64),
        "category": np.asarray(vectors.category, np.int64),
    }
    if vectors.bias is not None:
        arrays["bias"] = vectors.bias
    if vectors.images is not None:
        arrays |= {f"images_{name}": np.asarray(getattr(vectors.images, name), np.int64) for name in _SCORES}
    write_tensors(folder / _ARRAYS, arrays, {"format": str(FORMAT)})
    table = vectors.table.to_csv(index=False, lineterminator="\r\n").encode(errors="surrogateescape")
    write_bytes(folder / _TABLE, table)
    index = {
        "format": FORMAT,
        "kind": vectors.kind,
        "layer": vectors.layer,
        "names": list(vectors.names),
        "categories": list(vectors.categories),
        "skipped": [list(one) for one in vectors.skipped],
        "columns": {str(name): str(dtype) for name, dtype in vectors.table.dtypes.items()},
        "files": {name: _digest(folder / name) for name in (_ARRAYS, _TABLE)},
        "record": dict(vectors.record),
    }
    write_bytes(folder / _INDEX, (json.dumps(index, indent=1) + "\n").encode())


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be replaced: {error.strerror or error}; delete it") from error


def load_vectors(folder: Path) -> ConceptVectors:
    """See `ConceptVectors.load`."""
    path = folder / _INDEX
    try:
        index = json.loads(path.read_bytes())
        written, files = index["format"], dict(index["files"])
    except FileNotFoundError:
        raise OutputError(
            f"expected {path}, which holds concept vectors; it is missing: give the folder that they were "
            "saved to, or train them again"
        ) from None
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error
    if written != FORMAT:
        raise OutputError(
            f"{path}: expected format {FORMAT}; got {written!r}: it was written by another version of fastdissect; "
            "use that version, or delete it and train the vectors again"
        )
    for name in (_ARRAYS, _TABLE):
        if _digest(folder / name) != files.get(name):
            raise OutputError(
                f"{folder / name} is damaged, or not the file that {_INDEX} describes; restore it, or delete {path} and "
                "train the vectors again"
            )
    try:
        arrays, _ = read_tensors(folder / _ARRAYS)
        found = ConceptVectors(
            kind=index["kind"],
            layer=index["layer"],
            numbers=np.array(arrays["numbers"]),
            names=tuple(index["names"]),
            category=np.array(arrays["category"]),
            categories=tuple(index["categories"]),
            weights=np.array(arrays["weights"]),
            bias=np.array(arrays["bias"]) if "bias" in arrays else None,
            table=_read_table(folder / _TABLE, index["columns"]),
            skipped=tuple((str(name), str(reason)) for name, reason in index["skipped"]),
            record=dict(index["record"]),
            images=_scores(arrays, len(index["names"])),
        )
        _check_text(found)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, csv.Error, SettingError) as error:
        raise _damaged(path, error) from error
    return found


def _check_text(found: ConceptVectors) -> None:
    """What no digest vouches for: the index itself."""
    texts = [found.layer, *found.names, *found.categories]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("names that are no text")
    if len(found) and not 0 <= found.category.min() <= found.category.max() < len(found.categories):
        raise ValueError(f"{len(found.categories)} categories")


def _scores(arrays: dict[str, NDArray[Any]], concepts: int) -> ImageScores | None:
    if "images_concept" not in arrays:
        return None
    found = {name: np.array(arrays[f"images_{name}"]) for name in _SCORES}
    if len({len(one) for one in found.values()}) > 1 or found["concept"].max(initial=-1) >= concepts:
        raise ValueError("images' scores of other concepts")
    return ImageScores(**{**found, "train": found["train"].astype(np.bool_)})


def _read_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    # csv, not pandas: a concept may be called "NA", and a float shall come back bit by bit
    text = io.StringIO(path.read_bytes().decode(errors="surrogateescape"), newline="")
    header, *rows = list(csv.reader(text))
    if header != list(columns):
        raise ValueError(f"columns {header}")
    table = {}
    for i, (name, dtype) in enumerate(columns.items()):
        cells = [row[i] for row in rows]
        if dtype.startswith("float"):
            table[name] = pd.Series([float(cell) if cell else np.nan for cell in cells], dtype=dtype)
        elif dtype.startswith(("int", "uint")):
            table[name] = pd.Series([int(cell) for cell in cells], dtype=dtype)
        elif dtype == "bool":
            table[name] = pd.Series([cell == "True" for cell in cells], dtype=dtype)
        else:
            table[name] = pd.Series(cells, dtype=dtype)
    return pd.DataFrame(table)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read: {error.strerror or error}; restore it, or delete {path.with_name(_INDEX)} and train the "
            "vectors again"
        ) from error


def _damaged(path: Path, error: Exception) -> OutputError:
    return OutputError(
        f"{path} is damaged ({type(error).__name__}: {error!s:.200}); restore it, or delete it and train the vectors again"
    )
