"""Sift with the final bounds, as late in a run: GB/s read, as a share of the copy's GB/s (read and written).

Three times a row: the sift kernel alone, all launches of a call, and the whole call with what it copies to the host
(means and maxima) and waits for. Results of the first images are compared with a backend of the host.

Predicted: memory is the limit, so time = bytes moved (inputs.traffic) / the copy's bandwidth, and the share is bytes
read / bytes moved. The sift kernel: 12 bytes written a map, 0.93 for 7 x 7 in float32 (bfloat16 0.87),
0.96 to 0.99 for the larger maps. All launches: 44 bytes a map more, and the kept cells: 0.69
(0.57) for 7 x 7, 0.77 to 0.87 for the larger maps.
In time, on a card that copies 4.2 TB/s: 0.12 to 0.13 ms for 0.5 GB of float32, half of it for bfloat16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpu.inputs import SHAPES, Shape, bump_tensor, exact_thresholds, traffic, view_of
from gpu.launches import Launches
from gpu.rows import Rows, Wanted
from gpu.timing import Device, gigabytes, quartiles, rotation

from fastdissect.conventions import profile
from fastdissect.kernels import backend
from fastdissect.kernels.keys import keys
from fastdissect.kernels.selection import on_host
from fastdissect.kernels.stores import begin_sift, beside, cells_on_host
from fastdissect.types import ActivationView

WANTED = tuple(
    Wanted(f"{what}, share of the copy's GB/s", at_least=0.8)
    for what in ("sift kernel", "all launches of a sift")
)
CHECKED = 3  # images compared with the host


def run(device: Device, rows: Rows, quick: bool = False) -> None:
    copy = rows.copy_bandwidth()
    for shape in SHAPES:
        for layout in shape.layouts:
            for dtype in ("float32", "bfloat16"):
                images = max(CHECKED, shape.images // 16) if quick else shape.images
                one(device, rows, shape, layout, dtype, images, 5 if quick else 31, copy)
                device.torch.cuda.empty_cache()


def one(
    device: Device, rows: Rows, shape: Shape, layout: str, dtype: str, images: int, repeats: int, copy: float
) -> None:
    torch = device.torch
    itemsize = getattr(torch, dtype).itemsize
    size = images * shape.units * shape.cells * itemsize
    pool = [
        bump_tensor(torch, shape, images, layout, getattr(torch, dtype), seed, device.place)
        for seed in range(rotation(size, device.cache))
    ]
    views = [view_of(tensor, shape.side, layout) for tensor in pool]
    maps = maps_of(pool[0], shape, layout)
    values = maps.transpose(0, 1).reshape(shape.units, -1)
    thresholds = exact_thresholds(torch, values, profile("netdissect").quantile)
    above = torch.from_numpy(thresholds).to(device.place)[None, :, None, None]
    firing = float((maps.amax((2, 3), keepdim=True).float() > above).float().mean())
    del values, maps
    check(views[0], keys(thresholds))
    bounds = beside(keys(thresholds), views[0].data)
    launches, alone, calls, kept = [], [], [], 0.0
    with Launches.real() as recorder:
        for i in range(repeats + 3):
            found: list[Any] = []
            (call,) = device.milliseconds(
                lambda view, found=found: found.append(begin_sift(view, bounds, 1, False, False)()),
                [views[i % len(views)]],
                1,
                warm=0,
            )
            spent = recorder.take()
            if i >= 3:
                calls.append(call)
                launches.append(sum(spent.values()))
                alone.append(sum(ms for name, ms in spent.items() if name.startswith("fd_sift")))
                kept = found[0].cells.cells.size / (images * shape.units * shape.cells)
    moved = traffic(shape, images, itemsize, firing, kept)
    shares = [quartiles([gigabytes(size, ms) / copy for ms in times]) for times in (alone, launches, calls)]
    rows.add(
        "sift",
        {
            "maps": shape.title,
            "layout": layout,
            "dtype": dtype,
            "images": images,
            "MB read": size / 1e6,
            "GB/s": quartiles([gigabytes(size, ms) for ms in alone]),
            "share": shares[0],
            "predicted share": size / moved[0],
            "share, all launches": shares[1],
            "predicted, all launches": size / moved[1],
            "share, whole call": shares[2],
            "ms": quartiles(alone),
            "predicted ms": moved[0] / copy / 1e6,
            "firing maps": firing,
            "cells kept": kept,
            "kernels ms": {name: round(ms, 5) for name, ms in spent.items()},
        },
    )
    where = f"{shape.title}, {layout}, {dtype}"
    for wanted, share, own in zip(WANTED, shares, moved, strict=False):
        rows.add("wanted", wanted.row(where, share[1], size / own))


def maps_of(tensor: Any, shape: Shape, layout: str) -> Any:
    """[images, units, side, side] of what bump_tensor made, in place."""
    if layout != "tokens":
        return tensor
    return tensor[:, 1:].unflatten(1, (shape.side, shape.side)).permute(0, 3, 1, 2)


def check(view: ActivationView, bounds: np.ndarray) -> None:
    """The first images, sifted on the device and on the host: equal bits."""
    found = begin_sift(ActivationView(view.data[:CHECKED], view.kind), bounds, 1, False, False)()
    name = next((name for name in on_host() if name.startswith("cpp")), "reference")
    host = ActivationView(view.data[:CHECKED].get(), view.kind)
    expected = backend(name).sift(host, bounds, 1, False, False, 1)
    cells = cells_on_host(found.cells)
    for field in ("unit_start", "images", "cell_start", "cells", "values"):
        assert np.array_equal(getattr(cells, field), getattr(expected.cells, field)), (
            f"{field} differ from {name}"
        )
    assert np.array_equal(found.means, expected.means), f"means differ from {name}"
    assert np.array_equal(found.maxima, expected.maxima), f"maxima differ from {name}"
