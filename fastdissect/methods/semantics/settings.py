"""The settings that decide which vectors are found, checked; they are part of the vectors' record."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.results import Dissection
from fastdissect.types import Concepts

__all__ = ["LEAST", "check_run", "check_whole", "columns_asked", "only_layer", "settings_of"]

LEAST = 20  # positions of either kind, below which a concept is skipped


def settings_of(
    d: Dissection,
    layer: str,
    *,
    concepts: Sequence[str | int] | None = None,
    positions: int = 10_000,
    cover: float | None = None,
    ridge: float = 1e-2,
    nonnegative: bool = False,
    shifts: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """What decides which vectors `semantic_vectors` finds: part of their record.

    Raises:
        SettingError: a setting out of its range, an unknown concept. LayerError: no such layer.
    """
    check_whole("positions", positions, LEAST)
    check_whole("shifts", shifts, 20)
    check_whole("seed", seed, 0)
    if not _is_number(ridge) or not 0 < ridge < float("inf"):
        raise SettingError(f"expected a ridge above 0; got {ridge!r}")
    if cover is not None and not (_is_number(cover) and 0 <= cover <= 1):
        raise SettingError(f"expected cover to be a share from 0 to 1; got {cover!r}")
    columns = columns_asked(d.concepts, concepts)
    key = d.run.get("key") or {}
    return {
        "method": "semantic vectors, our formulation after Gu and Tresp 2019; 2",  # the number: of their table
        "layer": layer,
        "concepts": "all" if concepts is None else d.concepts.numbers[columns].tolist(),
        "positions": int(positions),
        "cover": (0.0 if d[layer].shape[2:] == (1, 1) else 0.5) if cover is None else float(cover),
        "ridge": float(ridge),
        "nonnegative": bool(nonnegative),
        "shifts": int(shifts),
        "seed": int(seed),
        "weights": key.get("weights"),
        "data set": key.get("data set"),
        "directions": (d.run.get("directions") or {}).get(layer),
    }


def columns_asked(concepts: Concepts, wanted: Sequence[str | int] | None) -> NDArray[np.int64]:
    """Columns of concepts, by name (all of that name) or number; None: all.

    Raises:
        SettingError: an unknown one, or none.
    """
    if wanted is None:
        return np.arange(len(concepts), dtype=np.int64)
    given: Any = wanted
    if isinstance(given, str) or not isinstance(given, Sized) or not len(given):
        raise SettingError(f"expected a list of concepts, by name or number; got {wanted!r}")
    found = set()
    for one in wanted:
        place = [c for c, name in enumerate(concepts.names) if name == one] or [
            c
            for c, number in enumerate(concepts.numbers.tolist())
            if number == one and not isinstance(one, bool)
        ]
        if not place:
            raise SettingError(f"unknown concept {one!r}{nearest(str(one), concepts.names)}")
        found |= set(place)
    return np.array(sorted(found), np.int64)


def only_layer(d: Dissection) -> str:
    """The name of the run's only layer.

    Raises:
        SettingError: it has several.
    """
    if len(d) == 1:
        return next(iter(d))
    raise SettingError(
        f"expected the name of one of the run's layers, {', '.join(d)}; got none (layer=, --layer)"
    )


def check_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number of at least `least`.

    Raises:
        SettingError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingError(f"expected {name} to be a whole number of {least} or more; got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_run(d: Dissection, vectors: ConceptVectors) -> None:
    """Refuse vectors of another network than the run's.

    Raises:
        SettingError: their record has another digest of the weights.
    """
    own, theirs = (d.run.get("key") or {}).get("weights"), vectors.record.get("weights")
    if vectors.kind != "semantic" or own != theirs:
        raise SettingError(
            f"expected semantic vectors of the run's network, with weights {own}; got {vectors.kind} vectors of {theirs}; "
            "find the vectors of this run"
        )
