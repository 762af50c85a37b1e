"""The rows with labels: the tally alone, and quantile and tally together, beside each peer.

Every row has ours at the peer's convention (compared with it) and ours at its default (at the peer's mask size).
"""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.correctness import agreement, rank_errors
from fastdissect.benchmarks.maps import concept_maps
from fastdissect.benchmarks.peers import CHECKOUTS, Field
from fastdissect.benchmarks.rounds import Contestant
from fastdissect.benchmarks.rows import HERE, Judge, Row
from fastdissect.benchmarks.scenes import SavedLabels, labelled_shapes, read_labels
from fastdissect.benchmarks.sizes import Sizes
from fastdissect.benchmarks.work import Found
from fastdissect.conventions import profile
from fastdissect.datasets import open_dataset, write_broden
from fastdissect.upsampling import make_upsampling

__all__ = ["labelled_rows", "make_scenes"]


class Side(NamedTuple):
    """A peer, its convention, and where it is run from."""

    peer: str
    profile: str
    module: str


SIDES = (Side("netdissect-lite", "netdissect-lite", "lite"), Side("dissect", "dissect-2020", "davidbau"))


def make_scenes(sizes: Sizes, folder: Path) -> Path:
    """Write generated images as a Broden folder; returns it."""
    broden = folder / "broden"
    if not broden.exists():
        write_broden(labelled_shapes(sizes.images, sizes.picture), broden)
    return broden


def labelled_rows(group: str, sizes: Sizes, field: Field, folder: Path) -> list[Row]:
    """The rows of "tally" or "pipeline": one beside each peer, also where it is not at hand."""
    return [_row(group, side, _case(side, sizes, folder), sizes, field, folder) for side in SIDES]


def _case(side: Side, sizes: Sizes, folder: Path) -> Case:
    """Labels of the Broden folder at the peer's mask size, maps that like them, exact thresholds; saved once."""
    path = folder / side.profile
    if path.exists():
        return Case.load(path)
    broden = make_scenes(sizes, folder)
    dataset = open_dataset(f"broden:{broden}")
    lite = side.peer == "netdissect-lite"
    size = sizes.picture // 2 if lite else sizes.small_mask
    labels = read_labels(dataset, (size, size)).first(sizes.images if lite else sizes.dissect_images)
    maps = concept_maps(*_places(labels, dataset.concepts.numbers), sizes.units, sizes.side)
    rows = np.ascontiguousarray(maps.transpose(1, 0, 2, 3)).reshape(sizes.units, -1)
    place = rows.shape[1] - 1 - int(profile(side.profile).quantile * rows.shape[1])
    rows.partition(place, axis=1)
    case = Case(maps, "float32", labels, dataset.concepts, rows[:, place].copy(), broden)
    case.save(path)
    return case


def _row(group: str, side: Side, case: Case, sizes: Sizes, field: Field, folder: Path) -> Row:
    where, peer = f"{HERE}.ours:", CHECKOUTS[side.peer]
    own = Contestant(
        f"fastdissect, as {peer.title}", where + group, {"profile": side.profile}, "equal convention"
    )
    default = Contestant("fastdissect", where + group, {"profile": "netdissect"}, "its default convention")
    contestants = [own, default]
    equal = _judge(group, case, side.profile, compared=True)
    judges = [equal, _judge(group, case, "netdissect", compared=False)]
    if group == "tally" and side.peer == "dissect":
        note = "equal convention; label maps packed inside the clock"
        contestants.append(Contestant("fastdissect.count_intersections", where + "counted", note=note))
        judges.append(equal)
    if side.peer in field.paths:
        settings = {"path": str(field.paths[side.peer]), "quantile": str(profile(side.profile).quantile)}
        contestants.append(
            Contestant(peer.title, f"{HERE}.{side.module}:{group}", settings, "unchanged checkout")
        )
        judges.append(equal)
    assert case.labels is not None
    masks = "{} x {}".format(*case.labels.size)
    return Row(
        group,
        f"beside {peer.title}: {case.images} images, {case.units} units of {sizes.side} x {sizes.side}, masks {masks}",
        "ms an image",
        1e3 / case.images,
        (folder / side.profile, case.images),
        tuple(contestants),
        tuple(judges),
    )


def _judge(group: str, case: Case, convention: str, *, compared: bool) -> Judge:
    """Rank errors of what it found itself; labels and IoU compared with ours where the convention is the same."""
    return functools.partial(_verdict, case, convention, group == "pipeline", compared)


def _verdict(
    case: Case, convention: str, ranked: bool, compared: bool, found: Found, ours: Found
) -> dict[str, float]:
    verdict: dict[str, float] = {}
    if ranked:
        verdict |= _ranks(case, convention, found["thresholds"])
    if compared:
        verdict |= agreement(ours, found)
    return verdict


def _ranks(case: Case, convention: str, thresholds: NDArray[np.float32]) -> dict[str, float]:
    own = profile(convention)
    upsampling = None
    if own.population == "upsampled":
        assert case.labels is not None
        height, width = case.activations.shape[2:]
        upsampling = make_upsampling(own.upsampling, (height, width), case.labels.size)
    return rank_errors(case, thresholds, Fraction(own.quantile), upsampling)


def _places(labels: SavedLabels, numbers: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which image shows which concept, and a pixel of it: bool [images, concepts], float32 [images, concepts, 2]."""
    rng = np.random.default_rng(0)
    height, width = labels.size
    column = np.full(int(numbers.max()) + 1, -1)
    column[numbers] = np.arange(len(numbers))
    shown = np.zeros((labels.images, len(numbers)), bool)
    centre = np.zeros((labels.images, len(numbers), 2), np.float32)
    order = rng.permutation(height * width)  # its first pixel of a concept lies anywhere in it
    for image, channels in enumerate(labels.channels()):
        for channel in channels:
            if isinstance(channel.labels, int):
                shown[image, column[channel.labels]] = True
                centre[image, column[channel.labels]] = rng.random(2)
                continue
            found, first = np.unique(channel.labels.ravel()[order], return_index=True)
            own, at = column[found[found > 0]], order[first[found > 0]]
            shown[image, own] = True
            centre[image, own] = np.stack([(at // width + 0.5) / height, (at % width + 0.5) / width], 1)
    return shown, centre
