"""Another cut for a finished run: any number, or the calibrated ones that the chance study wrote."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastdissect.conventions import profile
from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.level import ChanceLevel
from fastdissect.results import Dissection

__all__ = ["CUTS", "read_cuts", "with_cut", "write_cuts"]

CUTS = "cuts.json"  # in RUN/chance


def with_cut(d: Dissection, cut: float | Mapping[str, float]) -> Dissection:
    """Return the same run under another cut: detectors and summaries change, counts and scores do not.

    Args:
        cut: from 0 to 1, for all layers, or {layer: cut} for those layers, which alone stay.

    Raises:
        SettingError: no number from 0 to 1. LayerError: the run has no such layer.

    Example:
        >>> with_cut(fd.load("out"), 0.1)["layer4"].summary().detectors      # doctest: +SKIP
    """
    cuts = dict(cut) if isinstance(cut, Mapping) else dict.fromkeys(d, cut)
    layers = {}
    for name, value in cuts.items():
        layers[name] = dataclasses.replace(d[name], profile=profile(d[name].profile, cut=value))
    if len(set(cuts.values())) == 1:
        return Dissection(
            layers, profile(d.profile, cut=next(iter(cuts.values()))), d.concepts, d.image_names, d.run
        )
    return Dissection(layers, d.profile, d.concepts, d.image_names, d.run)


def write_cuts(path: Path, found: Mapping[str, ChanceLevel]) -> None:
    """Write the calibrated cuts of some layers as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    record = {
        name: {
            "cut": one.cut,
            "level": one.level,
            "permutations": one.permutations,
            "seed": one.seed,
            "counts": _digest(one.layer),
        }
        for name, one in found.items()
    }
    text = json.dumps({"format": 1, "layers": record}, indent=2, ensure_ascii=False)
    write_bytes(path, text.encode(errors="surrogateescape") + b"\n")


def read_cuts(run: Path, d: Dissection) -> dict[str, float]:
    """Read the calibrated cuts of a run's layers, in the run's order; layers that were left out have none.

    Raises:
        OutputError: there are none, or they are of other counts.
    """
    path, again = run / "chance" / CUTS, f"run `fastdissect chance {run}` first"
    try:
        record: Any = json.loads(path.read_bytes().decode(errors="surrogateescape"))
        found = {str(name): (_cut(one["cut"]), str(one["counts"])) for name, one in record["layers"].items()}
    except FileNotFoundError:
        raise OutputError(f"expected the calibrated cuts of this run in {path}; got none; {again}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"{path}: expected calibrated cuts; the file is damaged ({error}); {again}"
        ) from error
    cuts = {}
    for name in d:
        if name in found:
            cuts[name], counts = found[name]
            if counts != _digest(d[name]):
                raise OutputError(
                    f"{path}: expected the cuts of this run; layer {name!r} has other counts than they were made from; "
                    f"{again}"
                )
    if not cuts:
        raise OutputError(
            f"{path}: expected cuts of {', '.join(d)}; got {', '.join(found) or 'none'}; {again}"
        )
    return cuts


def _cut(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"a cut that is no number from 0 to 1: {value!r:.40}")
    return float(value)


def _digest(layer: LayerDissection) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in (layer.intersection, layer.unit_area, layer.counts.concept_area):
        digest.update(array.tobytes())
    return digest.hexdigest()
