"""The whole `dissect()` on the device against the bare forward loop over the same batches, pair by pair.

Images lie on the device beforehand for both (`DeviceImages` in place of the data set: today's public sources hand
images over from the host). The bare loop: every batch, a full forward pass in inference mode, nothing else. Two ratios:

    loop and count   what grows with the images: dissect's loop over the batches and its count / the bare loop
    whole            everything, the fixed cost too: weights digest, probe, results; at these few images it shows

Predicted: sift reads a layer's output once, while the network reads and writes all of them several times. ResNet-50,
layer4: 401 KB an image of float32, 0.1 us at 4 TB/s, beside 300 us of forward pass at 3,300 images/s; four layers:
6 MB, 1.5 us (0.5 %). The pass stops after the last layer, which saves about as much. Count at most 2 us an image and
layer (1 %). The host's launches (some 100 us a layer and batch of 128) are hidden behind the pass. So 1.00 to 1.02.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpu.device_images import DeviceImages, vocabulary
from gpu.networks import NETWORKS, Network, build
from gpu.rows import Rows, Wanted
from gpu.timing import Device, paired, quartiles

import fastdissect as fd
from fastdissect import opening

WANTED = Wanted("dissect(), loop and count, over the bare loop", at_most=1.03)
BATCH, PAIRS = 128, 9
ENOUGH = 0.5  # seconds of a bare loop


def run(device: Device, rows: Rows, quick: bool = False) -> None:
    for own in NETWORKS:
        network, origin = build(own.name, device.place)
        for dtype in ("float32", "bfloat16"):
            images = device_images(device, network, dtype, quick)
            for layers in (own.one, own.four):
                one(device, rows, own, network, origin, dtype, images, layers, 2 if quick else PAIRS)
            del images
            device.torch.cuda.empty_cache()


def bare(device: Device, network: Any, dtype: str, images: Any) -> None:
    """The forward loop, without anything else."""
    torch = device.torch
    with torch.inference_mode():
        for batch in images.split(BATCH):
            with torch.autocast(device.place, torch.bfloat16, enabled=dtype == "bfloat16"):
                network(batch)


def device_images(device: Device, network: Any, dtype: str, quick: bool) -> Any:
    """Random images, all distinct: as many as a bare loop of ENOUGH seconds takes, a quarter of the memory at most."""
    torch = device.torch
    few = torch.randn((4 * BATCH, 3, 224, 224), device=device.place)
    bare(device, network, dtype, few)
    rate = len(few) / device.seconds(lambda: bare(device, network, dtype, few))
    free, _ = torch.cuda.mem_get_info()
    most = free // 4 // few[0].nbytes
    count = int(min(most, 4 * BATCH if quick else rate * ENOUGH)) // BATCH * BATCH
    return torch.randn((max(2 * BATCH, count), 3, 224, 224), device=device.place)


def one(
    device: Device,
    rows: Rows,
    own: Network,
    network: Any,
    origin: str,
    dtype: str,
    images: Any,
    layers: tuple[str, ...],
    pairs: int,
) -> None:
    source = DeviceImages(images, BATCH, device.synchronize)
    growing: list[float] = []
    found: list[Any] = []

    def whole() -> None:
        found.append(dissected(device, network, source, layers, dtype))
        growing.append(source.loop_seconds + found[-1].run["count seconds"])
        del found[1:-1]

    times = paired(
        lambda: device.seconds(whole),
        lambda: device.seconds(lambda: bare(device, network, dtype, images)),
        pairs,
    )
    same = all(
        np.array_equal(found[0][name].intersection, found[-1][name].intersection)
        and np.array_equal(found[0][name].thresholds, found[-1][name].thresholds)
        for name in layers
    )
    ratios = quartiles([grows / b for grows, (_, b) in zip(growing[1:], times, strict=True)])
    record, count = found[-1].run, len(images)
    row = {
        "network": own.title,
        "layers": len(layers),
        "dtype": dtype,
        "images": count,
        "batch": BATCH,
        "pairs": pairs,
        "loop and count": ratios,
        "whole": quartiles([a / b for a, b in times]),
        "bare, images/s": count / quartiles([b for _, b in times])[1],
        "fixed s": quartiles([a - g for g, (a, _) in zip(growing[1:], times, strict=True)])[1],
        "count us an image": record["count seconds"] / count * 1e6,
        "equal in all runs": "yes" if same else "NO",
        "network from": origin,
        "forward": record.get("forward", {}),
    }
    rows.add("whole", row)
    rows.add("wanted", WANTED.row(f"{own.title}, {len(layers)} layer(s), {dtype}", ratios[1], 1.01))
    assert same, "two runs over the same images differ"


def dissected(device: Device, network: Any, source: DeviceImages, layers: tuple[str, ...], dtype: str) -> Any:
    """`dissect()` as it is, but for the source of its batches."""
    before, opening.open_source = opening.open_source, lambda *_, **__: (source, vocabulary())
    try:
        return fd.dissect(
            network, "device", layers, device=device.place, dtype=dtype, cache=None, progress=False
        )
    finally:
        opening.open_source = before
