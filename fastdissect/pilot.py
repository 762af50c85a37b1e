"""The pilot: bounds guessed from a sample of the whole data set, for shards that cannot talk to each other.

It runs images spread evenly over the set and guesses two bounds for every unit:

    first     some 1.2 to 2 times the quantile lies above it: so much more that the whole set's quantile does too, but for
              one unit in a thousand, as the sample's images differ (at most 4 times)
    deeper    8 times the quantile

Shards sift from the first. A unit whose threshold turns out to be below it is sifted again from the next, and at last from
none at all: the results never rest on the guess (guesses.py).

How much above the first: with c q of the sample's values above it, n_i of them in image i, those of the whole set are
expected to lie within SURE standard errors (of the n_i, without replacement) of it; c is the least for which the quantile
does not reach below. A unit that fires in few images gets a lower bound than one that fires in many. Our formulation.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.guesses import Guess
from fastdissect.kernels.keys import widen
from fastdissect.kernels.stores import cells_on_host
from fastdissect.opening import OpenedRun
from fastdissect.resuming import refuse_other
from fastdissect.samples import running_sample, spread_images
from fastdissect.sifting import LayerSifter
from fastdissect.storage.tensors_file import read_tensors, write_tensors
from fastdissect.types import SparseActivations

__all__ = ["IMAGES", "Pilot", "read_pilot", "run_pilot"]

IMAGES = 1024  # of a pilot, unless told otherwise
SURE = 3.0
SHARES = 1.05 * 1.08 ** np.arange(18)  # c, tried in this order: 1.05 ... 3.9
DEEPER = 8  # times the quantile
NAME = "pilot.safetensors"


class Pilot(NamedTuple):
    """Guessed bounds of every layer.

    Attributes:
        bounds: {layer: uint32 keys [levels, units]}, falling.
        digest: tells it from another one.
    """

    bounds: Mapping[str, NDArray[np.uint32]]
    digest: str

    def guess(self, layer: str, level: int | NDArray[np.int64] = 0) -> Guess:
        """The guess at a level, or at one for each unit; beyond the last: none."""
        own = np.vstack([self.bounds[layer], np.zeros_like(self.bounds[layer][:1])])
        levels = np.minimum(np.broadcast_to(level, own.shape[1:]), len(own) - 1)
        bounds, units = own[levels, np.arange(own.shape[1])], np.arange(own.shape[1])
        deeper = own[np.minimum(levels + 1, len(own) - 2), units]
        return Guess(bounds, (bounds == deeper) & (bounds > 0))

    def deeper(self, layer: str, level: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each unit the next level whose bound is a lower one."""
        own, units = self.bounds[layer], np.arange(self.bounds[layer].shape[1])
        following = level.astype(np.int64) + 1
        for _ in own:
            last = np.minimum(following, len(own) - 1)
            same = (following < len(own)) & (own[last, units] == own[np.minimum(level, len(own) - 1), units])
            following = following + same
        return following


def run_pilot(opened: OpenedRun, out: Path, images: int = IMAGES, progress: bool | None = None) -> Pilot:
    """Run evenly spaced images, and write OUT/shards/pilot.safetensors.

    Raises:
        DataError: the images cannot be picked: a DataLoader.
        OutputError: the sample's cells do not fit the memory.
    """
    settings = opened.settings
    fewer = spread_images(opened.source, images, "a pilot")
    own = dataclasses.replace(
        settings,
        profile=dataclasses.replace(
            settings.profile,
            quantile=min(DEEPER * settings.profile.quantile, Fraction(1, 2)),
            readout="inverted-cdf",
        ),
        images=fewer.images,
        passes=1,
        kept=frozenset(),
    )
    share = fewer.images / settings.images
    with running_sample(opened, own, fewer, progress=progress) as run:
        run.collect(None)
        bounds = {
            name: _bounds(collector.stage, settings.profile.quantile, share)
            for name, collector in run.collectors.items()
        }
    arrays: dict[str, NDArray[Any]] = {f"layer-{i}": array for i, array in enumerate(bounds.values())}
    record = {"layers": list(bounds), "images": fewer.images}
    text = {"record": json.dumps(record), "key": json.dumps(opened.key)}
    write_tensors(out / "shards" / NAME, arrays, text)
    return Pilot(bounds, _digest(arrays))


def _bounds(sifter: Any, quantile: Fraction, share: float) -> NDArray[np.uint32]:
    """uint32 [levels, units]: the keys of the guesses."""
    if not isinstance(sifter, LayerSifter):
        raise OutputError(
            "expected the pilot's cells to fit the memory; give more with --memory, or a smaller pilot"
        )
    units = len(sifter.missing)
    if sifter.known is not None:
        return np.zeros((2, units), np.uint32)
    sifter.prune()
    shares = _shares(cells_on_host(sifter.store.parts[0]), sifter.missing, quantile, share)
    ranks = np.empty((units, 2), np.int64)
    for unit, missing in enumerate(sifter.missing.tolist()):
        seen = sifter.images * sifter.values_per_image - missing
        ranks[unit] = (
            int(shares[unit] * float(quantile) * seen) + 2,
            int(min(DEEPER * quantile, Fraction(1, 2)) * seen) + 1,
        )
    ranks[:, 0] = np.minimum(ranks[:, 0], ranks[:, 1])
    return np.ascontiguousarray(sifter.store.select(ranks).T)


def _shares(
    cells: SparseActivations, missing: NDArray[np.int64], quantile: Fraction, share: float
) -> NDArray[np.float64]:
    """float64 [units]: how many times the quantile shall lie above the guess."""
    images, units, height, width = cells.shape
    chosen = np.full(units, SHARES[-1])
    for unit in range(units):
        first, last = int(cells.unit_start[unit]), int(cells.unit_start[unit + 1])
        starts = cells.cell_start[first : last + 1]
        values = widen(cells.values[int(starts[0]) : int(starts[-1])], cells.kind)
        wanted = float(quantile) * (images * height * width - int(missing[unit]))
        order = np.argsort(-values, kind="stable")[: int(SHARES[-1] * wanted) + 2]
        image, values = np.repeat(np.arange(last - first), np.diff(starts))[order], values[order]
        for times in SHARES:
            above = int(times * wanted) + 1
            if above >= len(values):
                break
            counts = np.bincount(image[:above], minlength=1).astype(np.float64)
            variance = (counts**2).sum() - above**2 / images  # of a sum over the sample
            sure = above - SURE * np.sqrt(variance * max(0.0, 1 - share)) >= wanted
            if (
                sure and values[above] < values[int(wanted)]
            ):  # not the quantile itself, which may have many cells
                chosen[unit] = times
                break
    return chosen


def read_pilot(out: Path, key: Mapping[str, Any]) -> Pilot | None:
    """The pilot of a run; None if there is none.

    Raises:
        OutputError: it is damaged, or was made for other settings, another network or data set.
    """
    path = out / "shards" / NAME
    if not path.exists():
        return None
    arrays, text = read_tensors(path)
    try:
        record, theirs = json.loads(text["record"]), json.loads(text["key"])
        bounds = {name: np.array(arrays[f"layer-{i}"]) for i, name in enumerate(record["layers"])}
    except (KeyError, ValueError, TypeError) as error:
        raise OutputError(
            f"{path} is damaged ({error!r}); remove it and make the pilot again (--pilot)"
        ) from error
    refuse_other(path, theirs, key)
    return Pilot(bounds, _digest(arrays))


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
