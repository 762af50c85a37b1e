"""The pilot: bounds guessed from a sample of the whole data set, for shards that cannot talk to each other.

It runs images spread evenly over the set and notes, for every unit, the values at a row of ever deeper tails:

    tails     2 q     4 q     8 q    ...    at most 1/2
    bounds    high  >  lower  >  lower ...

Shards sift from the first. A unit whose threshold turns out to be below it is sifted again from the next, and at last from
none at all: the results never rest on the guess (guesses.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.forward_options import in_channels_last
from fastdissect.guesses import Guess
from fastdissect.opening import OpenedRun
from fastdissect.resuming import Checkpoints, refuse_other
from fastdissect.running import Run
from fastdissect.samples import spread_images
from fastdissect.sifting import LayerSifter
from fastdissect.storage.tensors_file import read_tensors, write_tensors

__all__ = ["IMAGES", "Pilot", "read_pilot", "run_pilot"]

IMAGES = 1024  # of a pilot, unless told otherwise
_NAME = "pilot.safetensors"


class Pilot(NamedTuple):
    """Guessed bounds of every layer.

    Attributes:
        tails: the fractions of the values that lie above, about; deeper and deeper.
        bounds: {layer: uint32 keys [tails, units]}.
        digest: tells it from another one.
    """

    tails: tuple[Fraction, ...]
    bounds: Mapping[str, NDArray[np.uint32]]
    digest: str

    def guess(self, layer: str, level: int | NDArray[np.int64] = 0, *, ties: bool = True) -> Guess:
        """The guess at a tail, or at one for each unit; beyond the last: none."""
        own = np.vstack([self.bounds[layer], np.zeros_like(self.bounds[layer][:1])])
        levels = np.minimum(np.broadcast_to(level, own.shape[1:]), len(own) - 1)
        bounds, units = own[levels, np.arange(own.shape[1])], np.arange(own.shape[1])
        deeper = own[np.minimum(levels + 1, len(own) - 2), units]
        tied = (bounds == deeper) & (bounds > 0) & (levels < len(own) - 1)
        return Guess(bounds, tied if ties else np.zeros_like(tied))


def run_pilot(opened: OpenedRun, out: Path, images: int = IMAGES, progress: bool | None = None) -> Pilot:
    """Run evenly spaced images, and write OUT/shards/pilot.safetensors.

    Raises:
        DataError: the images cannot be picked: a DataLoader.
    """
    settings = opened.settings
    fewer = spread_images(opened.source, images, "a pilot")
    tails = [2 * settings.profile.quantile]
    while tails[-1] * 2 <= Fraction(1, 2) and len(tails) < 5:
        tails.append(tails[-1] * 2)
    tails = [min(tail, Fraction(1, 2)) for tail in tails]
    own = dataclasses.replace(
        settings,
        profile=dataclasses.replace(settings.profile, quantile=tails[-1], readout="inverted-cdf"),
        images=fewer.images,
        passes=1,
        kept=frozenset(),
    )
    with (
        tempfile.TemporaryDirectory(prefix="fastdissect-") as work,
        in_channels_last(opened.loaded.module, own.forward),
        contextlib.closing(
            Run(
                own,
                opened.loaded,
                fewer,
                opened.concepts,
                opened.device,
                Checkpoints(Path(work), {}),
                None,
                progress,
            )
        ) as run,
    ):
        run.collect(None)
        bounds = {name: _bounds(collector.stage, tails) for name, collector in run.collectors.items()}
    arrays: dict[str, NDArray[Any]] = {f"layer-{i}": array for i, array in enumerate(bounds.values())}
    record = {"layers": list(bounds), "tails": [str(tail) for tail in tails], "images": fewer.images}
    text = {"record": json.dumps(record), "key": json.dumps(opened.key)}
    write_tensors(out / "shards" / _NAME, arrays, text)
    return Pilot(tuple(tails), bounds, _digest(arrays))


def _bounds(sifter: Any, tails: list[Fraction]) -> NDArray[np.uint32]:
    """uint32 [tails, units]: the keys of the values at these tails of what was seen."""
    if not isinstance(sifter, LayerSifter):
        raise OutputError(
            "expected the pilot's cells to fit the memory; give more with --memory, or a smaller pilot"
        )
    seen = np.maximum(sifter.images * sifter.values_per_image - sifter.missing, 1)
    ranks = np.array([[int(tail * int(n)) + 1 for tail in tails] for n in seen], np.int64)
    if sifter.known is not None or not sifter.store.parts:
        return np.zeros((len(tails), len(seen)), np.uint32)
    return np.ascontiguousarray(sifter.store.select(ranks).T)


def read_pilot(out: Path, key: Mapping[str, Any]) -> Pilot | None:
    """The pilot of a run; None if there is none.

    Raises:
        OutputError: it is damaged, or was made for other settings, another network or data set.
    """
    path = out / "shards" / _NAME
    if not path.exists():
        return None
    arrays, text = read_tensors(path)
    try:
        record, theirs = json.loads(text["record"]), json.loads(text["key"])
        bounds = {name: np.array(arrays[f"layer-{i}"]) for i, name in enumerate(record["layers"])}
        tails = tuple(Fraction(tail) for tail in record["tails"])
    except (KeyError, ValueError, TypeError) as error:
        raise OutputError(f"{path} is damaged ({error!r}); make the pilot again (--pilot)") from error
    refuse_other(path, theirs, key)
    return Pilot(tails, bounds, _digest(arrays))


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
