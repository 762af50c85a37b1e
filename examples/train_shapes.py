"""Train `builtin:shapes`, the network that comes with fastdissect: a few minutes on two cores.

    python examples/train_shapes.py
    python examples/train_shapes.py --images 400 --epochs 1 --out small.safetensors

The network learns which of the data set's concepts an image shows, from that alone: it never sees where they
are. Weights are stored as float16 with the accuracy on held-out images (another seed) in the file's metadata.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from fastdissect.datasets.shapes import Shapes
from fastdissect.models.shapes import INPUT_SIZE, WEIGHTS, ShapesNet

BATCH = 64
SPARSITY = 0.002  # of the read-out: a concept that few units speak for makes detectors of them
HELD_OUT_SEED = 1_000_000  # added to the seed: images that training never saw

log = logging.getLogger("train_shapes")


class Examples(NamedTuple):
    images: Tensor  # uint8 [N, 3, 112, 112]
    shown: Tensor  # bool [N, concepts]


def examples(data: Shapes) -> Examples:
    """Paint a whole data set into memory (38 kB an image)."""
    images = np.empty((len(data), 3, *INPUT_SIZE), dtype=np.uint8)
    for index in range(len(data)):
        images[index] = data.read_image(index)[0].transpose(2, 0, 1)
    shown = np.stack([data.targets(index) for index in range(len(data))])
    return Examples(torch.from_numpy(images), torch.from_numpy(shown))


def pixels(images: Tensor) -> Tensor:
    """uint8 to what the network wants, by its own preprocessing."""
    wanted = ShapesNet.preprocessing
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (wanted.mean, wanted.std))
    return ((images.float() / 255 - mean) / std).to(memory_format=torch.channels_last)


def train(network: ShapesNet, data: Examples, epochs: int, rate: float, generator: torch.Generator) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=5e-4)
    steps = epochs * (len(data.images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    started = perf_counter()
    for epoch in range(epochs):
        network.train()
        reported = 0.0
        order = torch.randperm(len(data.images), generator=generator)
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            images = pixels(data.images[batch])
            if torch.rand((), generator=generator) < 0.5:
                images = images.flip(3)  # left and right are no concepts here
            loss = F.binary_cross_entropy_with_logits(network(images), data.shown[batch].float())
            reported += float(loss.detach())
            loss = loss + SPARSITY * network.evidence.weight.abs().sum(1).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
        mean = reported * BATCH / len(order)
        log.info("epoch %2d of %d  loss %.4f  %4.0f s", epoch + 1, epochs, mean, perf_counter() - started)


def accuracy(network: nn.Module, data: Examples) -> dict[str, float]:
    """How well the held-out images are read.

    accuracy: share of right decisions (image, concept); majority: the same for a network that always says
    what is more frequent; balanced_accuracy: mean over concepts of the mean of the share of images found
    among those that show it and of those rejected among those that do not.
    """
    network.eval()
    with torch.no_grad():
        said = torch.cat([network(pixels(batch)) > 0 for batch in data.images.split(BATCH)])
    shown, count = data.shown, data.shown.sum(0)
    found = (said & shown).sum(0) / count.clamp(min=1)
    rejected = (~said & ~shown).sum(0) / (len(shown) - count).clamp(min=1)
    return {
        "accuracy": float((said == shown).float().mean()),
        "majority": float(torch.maximum(count, len(shown) - count).float().mean() / len(shown)),
        "balanced_accuracy": float(((found + rejected) / 2).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4000, help="training images (default 4000)")
    parser.add_argument("--held-out", type=int, default=1000, help="images for the accuracy (default 1000)")
    parser.add_argument("--epochs", type=int, default=12, help="passes over them (default 12)")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate (default 0.003)")
    parser.add_argument("--seed", type=int, default=0, help="of images, weights and order (default 0)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (default 2)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the weights file to write")
    arguments = parser.parse_args()
    if arguments.images < BATCH:
        parser.error(f"--images: expected at least {BATCH}, one batch, got {arguments.images}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)

    side = INPUT_SIZE[0]
    learned = Shapes(images=arguments.images, size=side, seed=arguments.seed)
    unseen = Shapes(images=arguments.held_out, size=side, seed=arguments.seed + HELD_OUT_SEED)
    log.info("painting %d images", len(learned) + len(unseen))
    training, held_out = examples(learned), examples(unseen)

    torch.manual_seed(arguments.seed)
    network = ShapesNet(len(learned.concepts)).to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(arguments.seed)
    train(network, training, arguments.epochs, arguments.rate, generator)

    # Rounded as they will be stored, so that the accuracy is that of the file.
    state = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(state)
    figures = accuracy(network, held_out)
    for name, value in figures.items():
        log.info("held-out %-18s %.4f", name, value)
    metadata = {
        **{name: f"{value:.4f}" for name, value in figures.items()},
        "concepts": ",".join(learned.concepts.names),
        "dataset": learned.name,
        "dataset_fingerprint": learned.fingerprint(),
        "held_out": unseen.name,
        "epochs": str(arguments.epochs),
        "seed": str(arguments.seed),
        "torch": torch.__version__.split("+")[0],
    }
    beside = arguments.out.with_name(arguments.out.name + ".part")
    save_file(state, beside, metadata)
    beside.chmod(0o644)  # safetensors leaves it to its owner alone
    beside.replace(arguments.out)
    log.info("wrote %s, %.0f kB", arguments.out, arguments.out.stat().st_size / 1000)


if __name__ == "__main__":
    main()
