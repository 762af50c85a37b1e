"""Train the generator and the segmenter of this example on the shapes: about two minutes of one core for both.

    python examples/generator/train.py --out networks
    python examples/generator/train.py --out quick --images 200 --epochs 1       to see that it works

The generator is the decoder of a variational autoencoder: the scenes' large parts (sky, sea, sand, grass) come out, things
are blurs. The segmenter learns the shapes' own object labels, on sharp and on blurred images; on images that it never saw
it knows most large parts well (IoU 0.5 to 0.9; not mountains) and things badly, as it says when it is done. Twice the epochs
give 81 % right pixels in place of 79 %.
Writes OUT/generator.safetensors and OUT/segmenter (a folder of transformers).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from networks import SIDE, Decoder, Encoder, Z, segmenter
from safetensors.torch import save_file
from torch import Tensor, nn

from fastdissect.datasets import resize_labels
from fastdissect.datasets.shapes import Shapes
from fastdissect.datasets.shapes.vocabulary import NUMBER, STUFF, SUBJECTS

NAMES = ("nothing", *SUBJECTS, *STUFF)
BATCH = 64
BETA = 8
HELD_OUT_SEED = 1_000_000


def painted(data: Shapes, labels: Sequence[int], category: str) -> tuple[Tensor, Tensor]:
    """Images uint8 [n, 3, S, S], and what is on them, int64 [n, S, S]: places in `labels`, -1 where no such map is given."""
    side = data.image_size()
    places = np.full(int(data.concepts.numbers.max()) + 1, -1, np.int64)
    places[list(labels)] = range(len(labels))
    own = data.concepts.categories.index(category)
    images = np.empty((len(data), 3, *side), np.uint8)
    wanted = np.full((len(data), *side), -1, np.int64)
    for index in range(len(data)):
        images[index] = data.read_image(index)[0].transpose(2, 0, 1)
        maps = [c.labels for c in data.read_labels(index) if c.category == own]
        for found in (m for m in maps[:1] if isinstance(m, np.ndarray)):
            wanted[index] = places[resize_labels(found, side)]
    return torch.from_numpy(images), torch.from_numpy(wanted)


def batches(count: int, seed: int) -> list[Tensor]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return list(order.split(BATCH))


def train_generator(images: Tensor, epochs: int) -> Decoder:
    """A variational autoencoder: squared error and beta times the divergence from a standard normal."""
    torch.manual_seed(0)
    fast = torch.channels_last  # on a CPU a step takes two thirds of the time
    encoder, decoder = Encoder().to(memory_format=fast), Decoder().to(memory_format=fast)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(weights, 2e-3)
    steps = epochs * len(batches(len(images), 0))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for epoch in range(epochs):
        begun, errors = perf_counter(), []
        for own in batches(len(images), epoch):
            real = (images[own].float() / 127.5 - 1).contiguous(memory_format=fast)
            mean, spread = encoder(real)
            made = decoder(mean + torch.randn_like(mean) * (spread / 2).exp())
            error = (made - real).square().sum((1, 2, 3)).mean()
            divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1).mean()
            optimiser.zero_grad(set_to_none=True)
            (error + BETA * divergence).backward()
            optimiser.step()
            schedule.step()
            errors.append(float(error.detach()) / images[0].numel())
        print(
            f"generator: epoch {epoch + 1} of {epochs}  squared error {np.mean(errors):.4f}  "
            f"{perf_counter() - begun:.1f} s",
            flush=True,
        )
    return decoder.eval()


def blurred(images: Tensor, draws: torch.Generator) -> Tensor:
    """Some images of a batch at half or a quarter of their size and back."""
    factor = (1, 1, 2, 4)[int(torch.randint(4, (1,), generator=draws))]
    small = F.avg_pool2d(images, factor)
    return F.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)


def train_segmenter(network: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.01)
    steps = epochs * len(batches(len(images), 0))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    draws = torch.Generator().manual_seed(0)
    network.train()
    for epoch in range(epochs):
        begun, losses = perf_counter(), []
        for own in batches(len(images), epoch):
            real = blurred(images[own].float() / 127.5 - 1, draws)
            logits = network(pixel_values=real).logits
            wanted = labels[own][:, 2::4, 2::4]  # its maps are a quarter of the size
            loss = F.cross_entropy(logits, wanted, ignore_index=-1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        print(
            f"segmenter: epoch {epoch + 1} of {epochs}  loss {np.mean(losses):.3f}  {perf_counter() - begun:.1f} s",
            flush=True,
        )
    network.eval()


def accuracy(network: nn.Module, images: Tensor, labels: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """Share of right pixels, and IoU of each label that occurs, best first."""
    said = []
    with torch.inference_mode():
        for own in images.split(BATCH):
            logits = network(pixel_values=own.float() / 127.5 - 1).logits
            size = images.shape[-2:]
            said.append(F.interpolate(logits, size=size, mode="bilinear", align_corners=False).argmax(1))
    known = labels >= 0
    found, wanted = torch.cat(said)[known], labels[known]
    ious = {}
    for number, name in enumerate(names):
        either = ((found == number) | (wanted == number)).sum()
        if int((wanted == number).sum()):
            ious[name] = float(((found == number) & (wanted == number)).sum() / either)
    best = dict(sorted(ious.items(), key=lambda item: -item[1]))
    return {"pixels": float((found == wanted).float().mean()), "iou": best}


def save_segmenter(network: Any, folder: Path, side: int, figures: Mapping[str, Any]) -> None:
    """A folder of transformers; side: pixels that its images are resized to. figures: of `accuracy`, written last."""
    network.save_pretrained(folder)
    settings = {
        "size": {"height": side, "width": side},
        "resample": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=1))
    (folder / "accuracy.json").write_text(json.dumps(figures, indent=1))
    print(f"segmenter: {figures['pixels']:.1%} of the pixels of unseen images are right; IoU of each label:")
    print("  " + ", ".join(f"{name} {iou:.2f}" for name, iou in figures["iou"].items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("networks"), help="folder for both (default networks)"
    )
    parser.add_argument("--images", type=int, default=3000, help="training images (default 3000)")
    parser.add_argument(
        "--epochs",
        type=int,
        default=5,
        help="passes over them, twice as many over the generator's (default 5)",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    network: Any = segmenter(NAMES)  # first of all: a library that is missing is said at once

    labels = [0, *(NUMBER[name] for name in NAMES[1:])]
    images, objects = painted(Shapes(images=arguments.images, size=SIDE, seed=0), labels, "object")
    scenes = images[(objects > len(SUBJECTS)).float().mean((1, 2)) > 0.5]  # of sky, grass, floor and the like
    print(f"generator: learns {len(scenes)} of {len(images)} images, those that are scenes for the most part")
    decoder = train_generator(scenes, 2 * arguments.epochs)
    save_file(
        {k: v.contiguous() for k, v in decoder.state_dict().items()}, arguments.out / "generator.safetensors"
    )

    train_segmenter(network, images, objects, arguments.epochs)
    unseen = Shapes(images=max(100, arguments.images // 6), size=SIDE, seed=HELD_OUT_SEED)
    figures = accuracy(network, *painted(unseen, labels, "object"), NAMES)
    save_segmenter(network, arguments.out / "segmenter", SIDE, figures)
    print(f"generator: samples of {Z} numbers; written to {arguments.out}")


if __name__ == "__main__":
    main()
