"""Verify a run against brute force: kill it twice on the way, then compare every threshold and every count.

    python examples/verify_exactness.py [--images 2000]

Writes a Broden-format folder of generated images, dissects layer3 and layer4 of a ResNet-18-shaped network with random
weights from the command line, killing the process (SIGKILL) twice, and then computes everything again the long way:
all activations in memory, `np.partition`, a dense upsampling of every map, and a dense product of masks and labels. Two
cores take some ten minutes for 2,000 images.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import fastdissect as fd
from fastdissect.datasets import Shapes, open_dataset, write_broden

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
from networks import resnet18

LAYERS = ("layer3", "layer4")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH, MASK = 32, 112


def run_and_kill(broden: Path, out: Path, kills: int, first: float) -> None:
    """The command line, killed after some seconds, again and again, then left alone."""
    network = Path(__file__).parent.parent / "bench" / "networks.py"
    command = [sys.executable, "-m", "fastdissect", "run", f"{network}:resnet18", f"broden:{broden}"]
    command += [
        "--layers",
        ",".join(LAYERS),
        "--out",
        str(out),
        "--checkpoint-seconds",
        "5",
        "--no-report",
        "-v",
    ]
    for kill in range(kills + 1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if kill < kills:
            time.sleep(first * random.uniform(0.8, 1.6))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                print(f"killed: {process.wait()}", flush=True)
                continue
        text, _ = process.communicate()
        print(text)
        if process.returncode:
            sys.exit(f"the run failed with {process.returncode}")


def network_input(pixels: np.ndarray) -> np.ndarray:
    """uint8 [224, 224, 3] -> float32 [3, 224, 224], as the run's first step rounds it."""
    scale = (1 / (255 * np.array(STD))).astype(np.float32)
    shift = (-np.array(MEAN) / np.array(STD)).astype(np.float32)
    # contiguous: torch picks another convolution, with other last bits, for a channels-last input
    return np.ascontiguousarray((pixels.astype(np.float32) * scale + shift).transpose(2, 0, 1))


def upsample(maps: np.ndarray) -> np.ndarray:
    """[K, h, w] -> [K, 112, 112]: half-pixel centres, edges held, vertical first, float32."""
    for axis in (1, 2):
        n = maps.shape[axis]
        position = np.clip((np.arange(MASK) + 0.5) * n / MASK - 0.5, 0, n - 1)
        low = np.floor(position).astype(int)
        weight = (position - low).astype(np.float32).reshape((-1, 1) if axis == 1 else (-1,))
        a, b = np.take(maps, low, axis), np.take(maps, np.minimum(low + 1, n - 1), axis)
        maps = a + (b - a) * weight
    return maps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kill-after", type=float, default=18, help="seconds, more or less")
    options = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        broden, out = Path(folder) / "broden", Path(folder) / "run"
        write_broden(Shapes(images=options.images, size=224, seed=0), broden)
        run_and_kill(broden, out, 2, options.kill_after)
        found = fd.load(out)
        print("resumed", found.run["resumed"], "times;", found)

        dataset = open_dataset(f"broden:{broden}")
        network, kept = resnet18(), {name: [] for name in LAYERS}
        for name in LAYERS:
            getattr(network, name).register_forward_hook(
                lambda _m, _i, o, name=name: kept[name].append(o.numpy().copy())
            )
        with torch.inference_mode():
            for first in range(0, len(dataset), BATCH):
                batch = [
                    network_input(dataset.read_image(i)[0])
                    for i in range(first, min(first + BATCH, len(dataset)))
                ]
                network(torch.from_numpy(np.stack(batch)))
        activations = {name: np.concatenate(kept.pop(name)) for name in LAYERS}

        thresholds = {}
        for name, a in activations.items():
            flat = a.transpose(1, 0, 2, 3).reshape(a.shape[1], -1)
            rank = flat.shape[1] // 200
            thresholds[name] = np.array([-np.partition(-row, rank)[rank] for row in flat])
            assert np.array_equal(found[name].thresholds, thresholds[name]), f"{name}: thresholds differ"
            print(
                f"{name}: {len(flat)} thresholds equal np.partition over {flat.shape[1]:,} values each",
                flush=True,
            )

        concepts = dataset.concepts
        column = {int(number): c for c, number in enumerate(concepts.numbers)}
        counts = {
            n: [np.zeros_like(found[n].intersection), np.zeros_like(found[n].unit_area)] for n in LAYERS
        }
        area = np.zeros(len(concepts), np.int64)
        for image in range(len(dataset)):
            labels = np.zeros((len(concepts), MASK, MASK), bool)
            for channel in dataset.read_labels(image):
                if isinstance(channel.labels, np.ndarray):
                    for number in np.unique(channel.labels[channel.labels > 0]):
                        labels[column[int(number)]] |= channel.labels == number
                else:
                    labels[column[int(channel.labels)]] = True
            flat = labels.reshape(len(concepts), -1).astype(np.float32)
            area += flat.sum(1).astype(np.int64)
            held = np.zeros(len(concepts.categories), bool)
            held[concepts.category[flat.any(1)]] = True
            for name in LAYERS:
                masks = (upsample(activations[name][image]) > thresholds[name][:, None, None]).reshape(
                    len(thresholds[name]), -1
                )
                counts[name][0] += (masks.astype(np.float32) @ flat.T).astype(np.int64)  # exact below 2**24
                counts[name][1] += masks.sum(1)[:, None] * held
        for name in LAYERS:
            assert np.array_equal(found[name].concept_area, area), f"{name}: concept areas differ"
            assert np.array_equal(found[name].intersection, counts[name][0]), f"{name}: intersections differ"
            assert np.array_equal(found[name].unit_area, counts[name][1]), f"{name}: unit areas differ"
            print(
                f"{name}: {counts[name][0].size:,} intersections and {counts[name][1].size:,} areas equal brute force"
            )


if __name__ == "__main__":
    main()
