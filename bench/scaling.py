"""The cost model of docs/scaling.md, and its worked examples as a table.

    python bench/scaling.py

Memory and passes are the planner's own figures; the constants are medians of this folder's results, two noisy cores with
AVX-512, and a network's time per image is whatever it is on the machine in question: an argument. No figure of a GPU is
measured: where one stands, it is an assumption, and marked so.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastdissect.conventions import profile
from fastdissect.exchanging import exchange_points, told_ranks
from fastdissect.planning import LayerShape, layer_needs
from fastdissect.ranks import rank_bounds
from fastdissect.upsampling import make_upsampling

SIFT = 2.0e-9  # s an activation and core, a run's mean with pruning (sift.json); tokens lie as NHWC
COUNT = 0.6e-6  # s a mask and core, 20 planes (count.json)
CELL = 7.0  # bytes, record included (sift.json)
SHARE = 0.02  # of all cells retained, bump-like maps; 0.04 for spatially uncorrelated ones
FIRING = 0.1  # of the maps have a mask
PLANE = 1568 + 28  # bytes of a plane of 112 x 112
MERGE = 1e9  # bytes of cells a second that one machine merges: read, threshold, count (assumed: a fast disk)


@dataclass(frozen=True)
class Example:
    name: str
    images: float
    layers: tuple[tuple[int, int, int, int], ...]  # (how many, units, height, width)
    network: float  # s an image and process, forward pass and decoding
    processes: int = 1
    cores: int = 2  # of a process
    concepts: int = 1197
    planes: float = 10.0  # an image
    assumed: bool = False  # the network's time is not measured


MLP = (24, 4096, 14, 14)
EXAMPLES = (
    Example("ResNet-18 layer4, Broden, laptop (2 cores)", 63_305, ((1, 512, 7, 7),), 0.026),
    Example(
        "ResNet-50 layer1-4, Broden, laptop",
        63_305,
        ((1, 256, 56, 56), (1, 512, 28, 28), (1, 1024, 14, 14), (1, 2048, 7, 7)),
        0.06,
    ),
    Example("ViT-L/16, 24 MLPs, Broden, 2 cores", 63_305, (MLP,), 0.75),
    Example("the same, one GPU", 63_305, (MLP,), 1 / 1000, cores=16, assumed=True),
    Example("the same, 64 jobs of 2 cores", 63_305, (MLP,), 0.75, processes=64),
    Example(
        "the same, 8 GPUs, 1.28 million images", 1.28e6, (MLP,), 1 / 1000, processes=8, cores=16, assumed=True
    ),
    Example(
        "ResNet-50 layer4, 1,000 GPUs, a billion images",
        1e9,
        ((1, 2048, 7, 7),),
        1 / 2000,
        processes=1000,
        cores=16,
        assumed=True,
    ),
    Example(
        "ViT-L/16, 24 MLPs, 1,000 GPUs, a billion images",
        1e9,
        (MLP,),
        1 / 1000,
        processes=1000,
        cores=16,
        assumed=True,
    ),
)


def row(example: Example) -> dict[str, str]:
    images, own = int(example.images), int(-(-example.images // example.processes))
    units = sum(count * k for count, k, _, _ in example.layers)
    values = sum(count * k * h * w for count, k, h, w in example.layers)
    needs = {1: 0.0, 2: 0.0, 3: 0.0}
    netdissect = profile("netdissect")
    exchanged = 0.0
    for count, k, h, w in example.layers:
        shape = LayerShape(k, h, w, "float32", make_upsampling("half-pixel", (h, w), (112, 112)))
        for passes, need in layer_needs(shape, own, netdissect).items():
            needs[passes] += count * need
        told = len(told_ranks(rank_bounds(netdissect, images * h * w).deepest)) + 1
        exchanged += count * k * told * 4 * len(exchange_points(own // 32))
    cells = example.images * values * SHARE * CELL
    masks = units * FIRING
    network = own * example.network
    sift = own * values * SIFT / example.cores
    count_s = example.images * masks * COUNT / example.cores
    return {
        "run": example.name + (" (network's time assumed)" if example.assumed else ""),
        "activations": size(example.images * values * 4),
        "network": clock(network),
        "sift": clock(sift),
        "count, one machine": clock(count_s),
        "cells on disk": size(cells),
        "means and maxima": size(example.images * units * 8),
        "counts": size(units * example.concepts * 8),
        "planes": size(example.images * example.planes * PLANE),
        "memory, 1 pass": size(needs[1]),
        "2": size(needs[2]),
        "3": size(needs[3]),
        "sent a process": size(exchanged * (example.processes - 1)) if example.processes > 1 else "",
        "merge": clock(cells / MERGE) if example.processes > 1 else "",
    }


def size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} PB"


def clock(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.2g} s"


def main() -> None:
    rows = [row(example) for example in EXAMPLES]
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for found in rows:
        print("| " + " | ".join(found.values()) + " |")


if __name__ == "__main__":
    main()
