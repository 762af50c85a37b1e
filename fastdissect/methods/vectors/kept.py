"""Vectors that were trained before: found again instead of trained again, or compared with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.net2vec.filter_counts import FilterCounts
from fastdissect.methods.net2vec.filter_counts_file import FILE
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.net2vec.sealed_file import array_digest
from fastdissect.storage import layer_folder

__all__ = ["PLACE", "find_vectors", "kept_filter_counts", "kept_vectors", "vectors_folder"]

PLACE = "net2vec"  # in a run's folder


def vectors_folder(run: str | Path, layer: str, kind: str = "segmentation") -> Path:
    """Return where a run's vectors lie: RUN/net2vec/LAYER, RUN/net2vec/LAYER@classification.

    >>> vectors_folder("out", "layer4", "classification").as_posix()
    'out/net2vec/layer4@classification'
    """
    end = "" if kind == "segmentation" else f"@{kind}"  # no layer's folder has an @ (storage.folders)
    return Path(run) / PLACE / f"{layer_folder(layer)}{end}"


def kept_vectors(
    folder: str | Path, kind: str, layer: str, record: Mapping[str, Any]
) -> ConceptVectors | None:
    """Return the vectors of a folder if they are of this kind and layer, with these entries in their record.

    Raises:
        OutputError: the files are there and damaged.
    """
    if not (Path(folder) / "vectors.json").is_file():
        return None
    found = ConceptVectors.load(folder)
    same = all(found.record.get(name) == value for name, value in record.items())
    return found if same and (found.kind, found.layer) == (kind, layer) else None


def kept_filter_counts(folder: str | Path, vectors: ConceptVectors) -> FilterCounts | None:
    """Return the scores with fewer filters that a folder has of these very vectors.

    Raises:
        OutputError: the file is there and damaged.
    """
    if not (Path(folder) / FILE).is_file():
        return None
    found = FilterCounts.load(folder)
    own = {"settings": vectors.record.get("settings"), "vectors": array_digest(vectors.weights)}
    own["problem"] = vectors.record.get("problem")
    return found if dict(found.record) == own and found.names == vectors.names else None


def find_vectors(place: str | Path, layer: str, kind: str = "segmentation") -> ConceptVectors:
    """Return the vectors that a name stands for: a folder of vectors, a run's folder, or RUN@LAYER.

    Args:
        layer: of a run, where `place` names none and the run has vectors of several layers.

    Raises:
        OutputError: there are none. SettingError: a run with several layers' vectors, none of them `layer`.
    """
    folder = Path(place)
    if (folder / "vectors.json").is_file():
        return ConceptVectors.load(folder)
    text, at, named = str(place).rpartition("@")
    if at and not folder.exists():
        folder, layer = Path(text), named
    own = vectors_folder(folder, layer, kind)
    if (own / "vectors.json").is_file():
        return ConceptVectors.load(own)
    option = " --classification" if kind == "classification" else ""
    others = sorted(
        p.parent.name
        for p in (folder / PLACE).glob("*/vectors.json")
        if ("@" in p.parent.name) == bool(option)
    )
    if at or not others:
        raise OutputError(
            f"expected vectors of {kind} in {own}; there are none: train them first, with `fastdissect net2vec "
            f"{folder} --layer {layer}{option}`"
        )
    if len(others) > 1:
        raise SettingError(
            f"expected one layer with vectors in {folder}; there are {', '.join(others)}: name one as RUN@LAYER"
        )
    return ConceptVectors.load(folder / PLACE / others[0])
