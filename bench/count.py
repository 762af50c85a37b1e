"""Count: us an image, one core: 512 units of 7 x 7 (256 of 14 x 14), 20 planes of 112 x 112 an image.

    python bench/count.py [--quick]

The planes are prepared beforehand, as the cache keeps them. Half of an image's planes are blocks of a quarter of the
image, a quarter are scattered pixels, a quarter cover it whole. Counts of all backends are compared with each other
and, for a few units, with a dense upsampling; a difference is an error.
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import paired, spread, write
from maps import bump_maps

from fastdissect.kernels import available, backend
from fastdissect.kernels.keys import keys
from fastdissect.kernels.reference import pack_bits, upsampled_mask
from fastdissect.types import ActivationView, Planes
from fastdissect.upsampling import make_upsampling

IMAGES, PLANES, SIZE = 64, 20, 112


def make_planes(seed: int) -> Planes:
    rng = np.random.default_rng(seed)
    masks = np.zeros((IMAGES * PLANES, SIZE, SIZE), bool)
    row = np.zeros(IMAGES * PLANES, np.int64)
    for p in range(len(masks)):
        if p % 4 == 3:
            row[p] = -1
            masks[p] = True
        elif p % 4 == 2:
            masks[p] = rng.random((SIZE, SIZE)) < 0.1
        else:
            y, x = rng.integers(0, SIZE // 2, 2)
            masks[p, y : y + SIZE // 2, x : x + SIZE // 2] = True
    held = row >= 0
    row[held] = np.arange(held.sum())
    return Planes(
        (SIZE, SIZE),
        np.arange(IMAGES + 1, dtype=np.int64) * PLANES,
        np.tile(np.arange(PLANES, dtype=np.int32), IMAGES),
        masks.sum((1, 2)),
        row,
        pack_bits(masks[held].reshape(-1, SIZE * SIZE)),
    ), masks


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    rows = []
    planes, masks = make_planes(0)
    category = np.zeros(PLANES, np.int64)
    present = np.ones((IMAGES, 1), bool)
    for units, side in ((512, 7), (256, 14)):
        maps = bump_maps(IMAGES, units, side)
        rank = int(maps[:, 0].size * 0.005)
        thresholds = -np.partition(-maps.transpose(1, 0, 2, 3).reshape(units, -1), rank, axis=1)[:, rank]
        upsampling = make_upsampling("half-pixel", (side, side), (SIZE, SIZE))
        sifted = backend().sift(ActivationView(maps, "float32"), keys(thresholds), 1, False, False, 1).cells
        expected = None
        for name in available():
            if name == "reference":
                continue
            kernels = backend(name)

            def work(
                kernels=kernels, sifted=sifted, thresholds=thresholds, upsampling=upsampling, units=units
            ):
                sums = (
                    np.zeros((units, PLANES), np.int64),
                    np.zeros((units, 1), np.int64),
                    np.zeros(units, np.int64),
                )
                kernels.count(
                    sifted,
                    sifted.unit_start[:-1].copy(),
                    0,
                    thresholds,
                    upsampling,
                    planes,
                    category,
                    present,
                    *sums,
                    1,
                )
                return sums

            found = work()
            expected = expected or found
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), name
            for unit in range(3):
                dense = upsampled_mask(maps[:, unit], thresholds[unit], upsampling)
                for concept in range(PLANES):
                    both = (dense & masks[concept::PLANES]).sum()
                    assert both == found[0][unit, concept], "counts differ from a dense upsampling"
            times = [a / IMAGES * 1e6 for a, _ in paired(work, lambda: None, 5 if quick else 21)]
            records = len(sifted.images)
            rows.append(
                {
                    "maps": f"{units} x {side} x {side}",
                    "backend": name,
                    "us an image": spread(times)[1],
                    "lower quartile": spread(times)[0],
                    "us a mask": spread(times)[1] * IMAGES / records,
                    "masks an image": records / IMAGES,
                }
            )
    write("count", rows, threads=1, planes=PLANES, size=SIZE)


if __name__ == "__main__":
    main()
