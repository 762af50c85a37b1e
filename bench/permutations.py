"""Permutations: ms for counting a whole layer once more with other images' labels under its masks, one core.

    python bench/permutations.py [--quick]

Beside it stands `count`, which makes the masks anew, on the same cells and planes: what a permutation would cost
without masks that are kept. The identity must give count's own numbers, and every backend NumPy's under the first two
permutations; a difference is an error. Planes: rectangles of 8 to 60 pixels a side, a tenth cover the image.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import NamedTuple

import numpy as np
from machine import paired, spread, write
from maps import bump_maps
from numpy.typing import NDArray

from fastdissect.conventions import profile
from fastdissect.counting import Counter, concept_area
from fastdissect.kernels import backend
from fastdissect.kernels.keys import keys
from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.kernels.protocol import HostBackend
from fastdissect.kernels.selection import on_host
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance import unit_masks
from fastdissect.packing import join_planes, pack_channels, slice_planes
from fastdissect.types import ActivationView, Concepts, LabelChannel, Planes
from fastdissect.upsampling import make_upsampling

SIZE, CATEGORIES = (112, 112), 6
CASES = ((500, 96, 14, 60, 10), (2000, 512, 7, 400, 20))  # images, units, side, concepts, planes an image


def make_planes(images: int, concepts: int, most: int, rng: np.random.Generator) -> Planes:
    columns = np.arange(-1, concepts, dtype=np.int32)

    def image() -> list[LabelChannel]:
        channels = []
        for number in rng.choice(concepts, most, replace=False) + 1:
            labels = np.zeros(SIZE, np.uint16)
            y, x = rng.integers(0, 104, 2)
            labels[y : y + rng.integers(8, 60), x : x + rng.integers(8, 60)] = number
            channels.append(LabelChannel(0, int(number) if rng.random() < 0.1 else labels))
        return channels

    return join_planes((pack_channels(image(), columns, SIZE, once=True) for _ in range(images)), SIZE)


class Case(NamedTuple):
    layer: LayerDissection
    masks: MaskRanges
    planes: Planes
    orders: NDArray[np.int64]  # [permutations, images]; the first is the identity


def make_case(images: int, units: int, side: int, concepts: int, most: int, permutations: int) -> Case:
    rng = np.random.default_rng(0)
    maps = bump_maps(images, units, side)
    rank = int(images * side * side * 0.005)
    cut = -np.partition(-maps.transpose(1, 0, 2, 3).reshape(units, -1), rank, axis=1)[:, rank]
    table = make_upsampling("half-pixel", (side, side), SIZE)
    cells = backend().sift(ActivationView(maps, "float32"), keys(cut), table.reach, False, False, 1).cells
    planes = make_planes(images, concepts, most, rng)
    vocabulary = Concepts(
        np.arange(1, concepts + 1),
        tuple(f"c{i}" for i in range(concepts)),
        np.sort(rng.integers(0, CATEGORIES, concepts)),
        tuple(f"q{i}" for i in range(CATEGORIES)),
    )
    convention = profile("netdissect", presence="all")
    counter = Counter(cut, table, vocabulary, convention)
    counter.add(cells, lambda first, last: slice_planes(planes, first, last))
    layer = LayerDissection(
        name="maps",
        profile=convention,
        concepts=vocabulary,
        shape=(images, units, side, side),
        thresholds=cut,
        seen=np.full(units, images * side * side),
        counts=counter.counts(concept_area(planes, concepts)),
        upsampling=table,
        activations=cells,
    )
    orders = np.stack([np.arange(images), *(rng.permutation(images) for _ in range(permutations - 1))])
    return Case(layer, unit_masks(layer), planes, orders)


def permuted(kernels: HostBackend, case: Case) -> list[NDArray[np.int64]]:
    """All permutations: intersection, unit_area."""
    layer, masks, planes, orders = case
    sums = [np.zeros((len(orders), *a.shape), np.int64) for a in (layer.intersection, layer.unit_area)]
    present = np.ones((planes.images, CATEGORIES), bool)
    kernels.count_permuted(masks, planes, orders, layer.concepts.category, present, *sums, 1)
    return sums


def count(kernels: HostBackend, case: Case) -> list[NDArray[np.int64]]:
    """One count, masks made on the way: intersection, unit_area, mask_area."""
    layer, planes, cells = case.layer, case.planes, case.layer.activations
    sums = [np.zeros(a.shape, np.int64) for a in (layer.intersection, layer.unit_area, layer.mask_area)]
    present = np.ones((planes.images, CATEGORIES), bool)
    cursor = cells.unit_start[:-1].copy()
    category = layer.concepts.category
    kernels.count(cells, cursor, 0, layer.thresholds, layer.upsampling, planes, category, present, *sums, 1)
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    rows = []
    for images, units, side, concepts, most in CASES[:1] if quick else CASES:
        case = make_case(images, units, side, concepts, most, 2 if quick else 8)
        expected = permuted(backend("reference"), case._replace(orders=case.orders[:2]))
        for name in on_host():
            if name == "reference":
                continue
            kernels = backend(name)
            found, once = permuted(kernels, case), count(kernels, case)
            assert all(np.array_equal(a[:2], b) for a, b in zip(found, expected, strict=True)), name
            assert all(np.array_equal(a[0], b) for a, b in zip(found, once[:2], strict=True)), name
            times = paired(partial(permuted, kernels, case), partial(count, kernels, case), 3 if quick else 9)
            ours = [a / len(case.orders) * 1e3 for a, _ in times]
            rows.append(
                {
                    "layer": f"{units} x {side} x {side}, {images} images",
                    "planes an image": most,
                    "backend": name,
                    "masks": len(case.masks.unit),
                    "ms a permutation": spread(ours)[1],
                    "lower quartile": spread(ours)[0],
                    "count, ms": spread([b * 1e3 for _, b in times])[1],
                    "count over it": spread([b / (a / len(case.orders)) for a, b in times])[1],
                }
            )
    write("permutations", rows, threads=1, size=SIZE)


if __name__ == "__main__":
    main()
