"""Sift as a run does it: batches of new images, the bound rising, cells pruned. The second half of 64 batches is timed.

Two times a batch: all launches, and the call as the host sees it, with its waits (a run hides these behind the next
forward pass). The thresholds of some units are compared with an exact selection over all their values.

Predicted: late in a run the launches of a batch cost what the steady row costs and a little more for raising and
pruning (retained: 2 % of the activations so far, read twice over the second half): 1.1 to 1.5 times the steady row. A
batch of 512 x 7 x 7 is 26 MB, 7 us at 4 TB/s: there the time of launching, some 100 us a call, is what is seen.
"""

from __future__ import annotations

import time

from gpu.inputs import SHAPES, Shape, bump_tensor, exact_thresholds, view_of
from gpu.launches import Launches
from gpu.rows import Rows
from gpu.sift import maps_of
from gpu.timing import Device, gigabytes, quartiles

from fastdissect.conventions import profile
from fastdissect.sifting import LayerSifter
from fastdissect.upsampling import make_upsampling

CHECKED = 3  # units whose thresholds are compared


def run(device: Device, rows: Rows, quick: bool = False) -> None:
    copy = rows.copy_bandwidth()
    for shape in SHAPES:
        for layout in shape.layouts:
            for dtype in ("float32", "bfloat16"):
                one(device, rows, shape, layout, dtype, 8 if quick else 64, copy)
                device.torch.cuda.empty_cache()


def one(device: Device, rows: Rows, shape: Shape, layout: str, dtype: str, batches: int, copy: float) -> None:
    torch, convention = device.torch, profile("netdissect")
    kind = getattr(torch, dtype)
    pool = [bump_tensor(torch, shape, shape.batch, layout, kind, seed, device.place) for seed in range(4)]
    batch = torch.empty_like(pool[0])
    units_at = 2 if layout == "tokens" else 1
    upsampling = make_upsampling("half-pixel", (shape.side, shape.side), (112, 112))
    sifter = LayerSifter(
        "", (shape.units, shape.side, shape.side), dtype, batches * shape.batch, convention, upsampling
    )
    seen, launches, calls = [], [], []
    with Launches.real() as recorder:
        for i in range(batches):  # units rolled and values scaled, so that no two batches are equal
            torch.mul(torch.roll(pool[(i * 7) % 4], i * 13, units_at), 1 + (i % 97) * 1e-4, out=batch)
            seen.append(maps_of(batch, shape, layout)[:, :CHECKED].float().clone())
            device.hold()
            device.synchronize()
            recorder.take()
            begun = time.perf_counter()
            sifter.add(view_of(batch, shape.side, layout))
            device.synchronize()
            calls.append(1e3 * (time.perf_counter() - begun))
            launches.append(sum(recorder.take().values()))
    found = sifter.finish()
    values = torch.cat(seen).transpose(0, 1).reshape(CHECKED, -1)
    expected = exact_thresholds(torch, values, convention.quantile)
    assert found.thresholds[:CHECKED].tolist() == expected.tolist(), (
        "thresholds differ from an exact selection"
    )
    size = batch[:, 1:].nbytes if layout == "tokens" else batch.nbytes
    late, late_calls = launches[batches // 2 :], calls[batches // 2 :]
    mean = sum(late) / len(
        late
    )  # raising and pruning come now and then: the mean holds them, a median would not
    rows.add(
        "stream",
        {
            "maps": shape.title,
            "layout": layout,
            "dtype": dtype,
            "batch": shape.batch,
            "MB a batch": size / 1e6,
            "launches, ms a batch (mean)": mean,
            "GB/s": gigabytes(size, mean),
            "share": gigabytes(size, mean) / copy,
            "launches, ms a batch": quartiles(late),
            "call, ms a batch": quartiles(late_calls),
            "first half, ms a batch (mean)": sum(launches[: batches // 2]) / (batches // 2),
        },
    )
