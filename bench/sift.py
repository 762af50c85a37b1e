"""Sift: ns an activation, one core, beside a plain read of the same memory.

    python bench/sift.py [--quick]

Two rows a shape: `steady` is the kernel with the final bounds (late in a run), `stream` is a whole run over 8,192
(2,048) images from nothing, with every rise of the bound and every prune, divided by all activations. The
thresholds are compared with np.partition over everything; a difference is an error.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
from machine import paired, spread, write
from maps import bump_maps, channels_last

from fastdissect.conventions import profile
from fastdissect.kernels import available, backend, selection, set_num_threads
from fastdissect.kernels.keys import keys
from fastdissect.sifting import LayerSifter
from fastdissect.types import ActivationView
from fastdissect.upsampling import make_upsampling

BATCH = 64


def batches(pool: np.ndarray, count: int, layout: str):
    """`count` batches drawn from the pool: units rolled and values scaled, so that no two are equal."""
    for i in range(count):
        maps = np.roll(pool[(i * 7) % 4], i * 13, axis=1) * np.float32(1 + (i % 97) * 1e-4)
        yield channels_last(maps) if layout == "NHWC" else maps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    set_num_threads(1)
    convention = profile("netdissect")
    rows = []
    for units, side, images in ((512, 7, 8192), (256, 14, 2048)):
        images //= 8 if quick else 1
        pool = np.stack([bump_maps(BATCH, units, side, seed) for seed in range(4)])
        upsampling = make_upsampling("half-pixel", (side, side), (112, 112))
        every = np.concatenate(
            [
                maps.transpose(1, 0, 2, 3).reshape(units, -1)
                for maps in batches(pool, images // BATCH, "NCHW")
            ],
            axis=1,
        )
        rank = int(convention.quantile * every.shape[1])
        exact = -np.partition(-every, rank, axis=1)[:, rank]
        firing = float((pool[0].max((2, 3)) > exact).mean())
        del every
        for layout in ("NCHW", "NHWC"):
            maps = channels_last(pool[0]) if layout == "NHWC" else pool[0]
            view = ActivationView(maps, "float32")
            for name in available():
                if name == "reference" or (quick and name == "numba"):
                    continue
                kernels = backend(name)
                bounds = keys(exact)
                steady = partial(kernels.sift, view, bounds, 1, False, False, 1)
                pairs = paired(steady, maps.sum, 5 if quick else 15)
                times = [a / maps.size * 1e9 for a, _ in pairs]
                selection._backend.cache_clear()
                selection.os.environ["FASTDISSECT_BACKEND"] = name
                sifter = LayerSifter("", (units, side, side), "float32", images, convention, upsampling)
                spent, peak = 0.0, 0
                for batch in batches(pool, images // BATCH, layout):
                    start = time.perf_counter()
                    sifter.add(ActivationView(batch, "float32"))
                    spent += time.perf_counter() - start
                    peak = max(peak, sifter.nbytes)
                start = time.perf_counter()
                found = sifter.finish()
                spent += time.perf_counter() - start
                del selection.os.environ["FASTDISSECT_BACKEND"]
                assert np.array_equal(found.thresholds, exact), "thresholds differ from np.partition"
                total = images * units * side * side
                rows.append(
                    {
                        "maps": f"{units} x {side} x {side}",
                        "layout": layout,
                        "backend": name,
                        "steady ns": spread(times)[1],
                        "steady GB/s": 4 / spread(times)[1],
                        "stream ns": spent / total * 1e9,
                        "read ns": spread([b / maps.size * 1e9 for _, b in pairs])[1],
                        "firing maps": firing,
                        "cells kept": found.cells.cells.size / total,
                        "bytes a cell": found.cells.nbytes / found.cells.cells.size,
                        "peak share": peak / (total * 4),
                    }
                )
    write("sift", rows, threads=1, quantile=str(convention.quantile))


if __name__ == "__main__":
    main()
