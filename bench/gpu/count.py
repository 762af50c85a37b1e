"""Count: us an image and images/s, 512 x 7 x 7 and 1024 x 14 x 14, 20 planes of 112 x 112 an image, 64 images a call.

Two times: the launches alone, and the whole call, in which the planes come from the host, as in a run. Counts are
compared with a backend of the host.

Predicted (csrc/cuda/count.cu): bound by instruction issue, at most 2,000 clocks of an SM a mask (one that covers the
image). 48 masks an image of 512 x 7 x 7 on 132 SMs at 1.7 GHz: at most 0.43 us an image, 28 us a call: the launch
itself is seen. Planes from the host: 31 KB an image, 0.6 us at 50 GB/s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from count import IMAGES, PLANES, SIZE, make_planes
from gpu.inputs import SHAPES, Shape, bump_tensor, exact_thresholds, view_of
from gpu.launches import Launches
from gpu.rows import Rows
from gpu.timing import Device, quartiles

from fastdissect.conventions import profile
from fastdissect.kernels import backend, backend_for
from fastdissect.kernels.keys import keys
from fastdissect.kernels.selection import on_host
from fastdissect.kernels.stores import begin_sift, cells_on_host, copied, zeros_beside
from fastdissect.types import Planes, SparseActivations, Upsampling
from fastdissect.upsampling import make_upsampling

BLOCKS = 4  # of images, in turn
CLOCKS = 2000  # of an SM, a mask: csrc/cuda/count.cu


def run(device: Device, rows: Rows, quick: bool = False) -> None:
    planes = [make_planes(seed)[0] for seed in range(BLOCKS)]
    for shape in SHAPES[:2]:
        for dtype in ("float32", "bfloat16"):
            one(device, rows, shape, dtype, planes, 5 if quick else 31)


def one(device: Device, rows: Rows, shape: Shape, dtype: str, planes: list[Planes], repeats: int) -> None:
    torch = device.torch
    tensors = [
        bump_tensor(torch, shape, IMAGES, "NCHW", getattr(torch, dtype), seed, device.place)
        for seed in range(BLOCKS)
    ]
    values = torch.cat(tensors).transpose(0, 1).reshape(shape.units, -1)
    thresholds = exact_thresholds(torch, values, profile("netdissect").quantile)
    upsampling = make_upsampling("half-pixel", (shape.side, shape.side), (SIZE, SIZE))
    cells = [
        begin_sift(view_of(t, shape.side, "NCHW"), keys(thresholds), upsampling.reach, False, False)().cells
        for t in tensors
    ]
    check(cells[0], thresholds, upsampling, planes[0])
    sums = empty_sums(shape.units, cells[0].values)

    def work(given: tuple[SparseActivations, Any, Planes]) -> None:
        own, cursor, block = given
        count(own, cursor, thresholds, upsampling, block, sums)

    calls, launches = [], []
    with Launches.real() as recorder:
        for i in range(repeats + 3):
            own, block = cells[i % BLOCKS], planes[i % BLOCKS]
            (call,) = device.milliseconds(work, [(own, copied(own.unit_start), block)], 1, warm=0)
            spent = sum(recorder.take().values())
            if i >= 3:
                calls.append(call * 1e3 / IMAGES)
                launches.append(spent * 1e3 / IMAGES)
    masks = float(np.mean([len(own.images) for own in cells])) / IMAGES
    clock = getattr(device.card, "clock_rate", 0) or 1.7e6  # kHz
    rows.add(
        "count",
        {
            "maps": shape.title,
            "dtype": dtype,
            "us an image": quartiles(launches),
            "predicted, at most": masks * CLOCKS / device.card.multi_processor_count / clock * 1e3,
            "us an image, whole call": quartiles(calls),
            "images/s": 1e6 / quartiles(calls)[1],
            "masks an image": masks,
            "planes": PLANES,
        },
    )


def empty_sums(units: int, beside: Any) -> list[Any]:
    return [zeros_beside(shape, np.int64, beside) for shape in ((units, PLANES), (units, 1), (units,))]


def count(
    cells: SparseActivations,
    cursor: Any,
    thresholds: Any,
    upsampling: Upsampling,
    planes: Planes,
    sums: list[Any],
) -> None:
    kernels: Any = backend_for(cells.values)
    if isinstance(cells.values, np.ndarray):
        kernels = backend(next((name for name in on_host() if name.startswith("cpp")), "reference"))
    category, present = np.zeros(PLANES, np.int64), np.ones((IMAGES, 1), bool)
    kernels.count(cells, cursor[:-1], 0, thresholds, upsampling, planes, category, present, *sums, 1)


def check(cells: SparseActivations, thresholds: Any, upsampling: Upsampling, planes: Planes) -> None:
    """One block on the device and on the host: equal counts."""
    found, host = empty_sums(cells.shape[1], cells.values), cells_on_host(cells)
    expected = empty_sums(cells.shape[1], host.values)
    count(cells, copied(cells.unit_start), thresholds, upsampling, planes, found)
    count(host, copied(host.unit_start), thresholds, upsampling, planes, expected)
    for own, other in zip(found, expected, strict=True):
        assert np.array_equal(own.get(), other), "counts differ from the host's"
