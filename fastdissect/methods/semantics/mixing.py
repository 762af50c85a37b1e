"""Layers of directions: their mix, given again and held against what the run recorded."""

from __future__ import annotations

from collections.abc import Mapping

from fastdissect.codes import Codes
from fastdissect.directions import Directions, Mix, checked_directions
from fastdissect.errors import SettingError
from fastdissect.results import Dissection

__all__ = ["mixes_of"]


def mixes_of(d: Dissection, layer: str, given: Mapping[str, Directions | Codes] | None) -> dict[str, Mix]:
    """Return the mix of a layer of directions; {} for a layer of the network.

    Raises:
        SettingError: the directions were not given, or are others than the run's.
    """
    recorded = (d.run.get("directions") or {}).get(layer)
    if recorded is None:
        return {}
    if layer not in (given or {}):
        raise SettingError(
            f"layer {layer!r}: expected its directions (directions={{{layer!r}: Directions(...)}}), of which the run "
            "keeps the digest alone; got none"
        )
    own = {layer: (given or {})[layer]}
    mixes = checked_directions(own, {own[layer].layer: recorded["layer"]}, ())
    found = mixes[layer].record()
    if found != recorded:
        raise SettingError(
            f"layer {layer!r}: expected the directions that were dissected, {recorded}; got {found}; give the same"
        )
    return mixes
