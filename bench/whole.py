"""The whole `dissect()` against the bare forward loop, ResNet-18 shape at 224 x 224 on the CPU.

    python bench/whole.py [--images 256] [--pairs 9] [--quick]

The bare loop: the same loader with images decoded, a full forward pass, no masks, no early stop. Rows: `synthetic`
(images made up front, one plane each; nothing is decoded), `cached` (a Broden folder whose planes are in the cache),
`cold` (its planes packed for the first time); each for one layer (layer4) and for four. The two sides alternate; the
ratio is taken pair by pair. Counts of the cold and the cached run must be equal.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import paired, spread, write

import fastdissect as fd
from fastdissect.batches import DatasetBatches
from fastdissect.benchmarks.networks import resnet18
from fastdissect.datasets import Dataset, Shapes, open_dataset, write_broden
from fastdissect.models import load_model
from fastdissect.packing import columns_of
from fastdissect.running import peak_memory
from fastdissect.types import Concepts, LabelChannel

BATCH = 32


class Synthetic(Dataset):
    """Images and one label map, made beforehand."""

    def __init__(self, images: int) -> None:
        rng = np.random.default_rng(0)
        self.name = "synthetic"
        self.pixels = rng.integers(0, 256, (8, 224, 224, 3), np.uint8)
        self.labels = np.repeat(np.repeat(rng.integers(0, 20, (8, 14, 14)).astype(np.uint16), 8, 1), 8, 2)
        self.images = images
        names = tuple(f"label {i}" for i in range(1, 20))
        self.concepts = Concepts(np.arange(1, 20), names, np.zeros(19, np.int64), ("object",))

    def __len__(self) -> int:
        return self.images

    def image_name(self, index: int) -> str:
        return f"{index}"

    def read_image(self, index: int):
        return self.pixels[index % 8], f"{index:032x}"

    def read_labels(self, index: int):
        return (LabelChannel(0, self.labels[index % 8]),)

    def files(self, index: int):
        return ()

    def fingerprint(self) -> str:
        return f"synthetic {self.images}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    images, pairs = (64, 2) if options.quick else (options.images, options.pairs)
    network = resnet18()
    loaded = load_model(network)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        broden = Path(folder) / "broden"
        write_broden(Shapes(images=images, size=224, seed=0), broden)
        sets = {"synthetic": Synthetic(images), "cached": open_dataset(f"broden:{broden}")}
        sets["cold"] = sets["cached"]
        for kind, dataset in sets.items():
            workers = 0 if kind == "synthetic" else 1

            def bare(dataset=dataset, workers=workers):
                source = DatasetBatches(
                    dataset,
                    loaded.preprocessing,
                    (224, 224),
                    (112, 112),
                    columns_of(dataset.concepts),
                    once=True,
                    batch_size=BATCH,
                    workers=workers,
                    images=images,
                )
                with torch.inference_mode():
                    for batch in source.batches(0, planes=False):
                        network(batch.images)

            for layers in (["layer4"], ["layer1", "layer2", "layer3", "layer4"]):
                found = []

                def whole(dataset=dataset, workers=workers, layers=layers, kind=kind, found=found):
                    cache = None if kind == "cold" else f"{folder}/cache"
                    found.append(
                        fd.dissect(
                            network,
                            dataset,
                            layers,
                            batch_size=BATCH,
                            workers=workers,
                            cache=cache,
                            size=224,
                            device="cpu",
                            progress=False,
                        )
                    )
                    del found[1:-1]

                times = paired(whole, bare, pairs)
                assert np.array_equal(found[0][layers[0]].intersection, found[-1][layers[0]].intersection)
                ratios = [a / b for a, b in times]
                low, middle, high = spread(ratios)
                run = found[-1].run
                rows.append(
                    {
                        "images from": kind,
                        "layers": len(layers),
                        "ratio": middle,
                        "quartiles": f"{low:.3f} - {high:.3f}",
                        "bare ms an image": spread([b for _, b in times])[1] / images * 1e3,
                        "sift ms": run["sift seconds"] / images * 1e3,
                        "count ms": run["count seconds"] / images * 1e3,
                        "peak MB": (peak_memory() or 0) / 1e6,
                    }
                )
    write(
        "whole",
        rows,
        images=images,
        pairs=pairs,
        batch=BATCH,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )


if __name__ == "__main__":
    main()
