"""Train the generator and the segmenter of this example on the shapes: about four minutes of one core for both.

    python examples/generator/train.py --out networks
    python examples/generator/train.py --out quick --images 200 --epochs 1       to see that it works

The generator is the decoder of a variational autoencoder: the scenes' large parts (sky, sea, sand, grass) come out, things
are blurs. The segmenter learns the shapes' own object labels, on sharp and on blurred images; on images that it never saw
it knows most large parts well (IoU 0.6 to 0.9) and most things badly, as it says when it is done.
Writes OUT/generator.safetensors and OUT/segmenter (a folder of transformers).
"""

from __future__ import annotations

import argparse
import json
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


def painted(data: Shapes) -> tuple[Tensor, Tensor]:
    """Images uint8 [n, 3, 64, 64], and their objects int64 [n, 64, 64]: numbers in NAMES, -1 where there is no such map."""
    numbers = np.zeros(max(NUMBER.values()) + 1, np.int64)
    for place, name in enumerate(NAMES[1:], 1):
        numbers[NUMBER[name]] = place
    category = data.concepts.categories.index("object")
    images = np.empty((len(data), 3, SIDE, SIDE), np.uint8)
    objects = np.full((len(data), SIDE, SIDE), -1, np.int64)
    for index in range(len(data)):
        images[index] = data.read_image(index)[0].transpose(2, 0, 1)
        maps = [c.labels for c in data.read_labels(index) if c.category == category]
        for labels in (m for m in maps[:1] if isinstance(m, np.ndarray)):
            objects[index] = numbers[resize_labels(labels, (SIDE, SIDE))]
    return torch.from_numpy(images), torch.from_numpy(objects)


def batches(count: int, seed: int) -> list[Tensor]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return list(order.split(BATCH))


def train_generator(images: Tensor, epochs: int) -> Decoder:
    """A variational autoencoder: squared error and beta times the divergence from a standard normal."""
    torch.manual_seed(0)
    encoder, decoder = Encoder(), Decoder().to(memory_format=torch.channels_last)  # twice as fast on a CPU
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(weights, 2e-3)
    steps = epochs * len(batches(len(images), 0))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for epoch in range(epochs):
        begun, errors = perf_counter(), []
        for own in batches(len(images), epoch):
            real = images[own].float() / 127.5 - 1
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


def train_segmenter(images: Tensor, objects: Tensor, epochs: int) -> nn.Module:
    network = segmenter(NAMES)
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
            wanted = objects[own][:, 2::4, 2::4]  # its maps are a quarter of the size
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
    return network.eval()


def accuracy(network: nn.Module, images: Tensor, objects: Tensor) -> dict[str, Any]:
    """Share of right pixels, and IoU of each label that occurs."""
    said = []
    with torch.inference_mode():
        for own in images.split(BATCH):
            logits = network(pixel_values=own.float() / 127.5 - 1).logits
            said.append(
                F.interpolate(logits, size=(SIDE, SIDE), mode="bilinear", align_corners=False).argmax(1)
            )
    known = objects >= 0
    found, wanted = torch.cat(said)[known], objects[known]
    ious = {}
    for number, name in enumerate(NAMES):
        either = ((found == number) | (wanted == number)).sum()
        if int((wanted == number).sum()):
            ious[name] = float(((found == number) & (wanted == number)).sum() / either)
    return {"pixels": float((found == wanted).float().mean()), "iou": ious}


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
        default=10,
        help="passes over them, twice as many over the generator's (default 10)",
    )
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (default 2)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)

    images, objects = painted(Shapes(images=arguments.images, size=SIDE, seed=0))
    scenes = images[(objects > len(SUBJECTS)).float().mean((1, 2)) > 0.5]  # of sky, grass, floor and the like
    print(f"generator: learns {len(scenes)} of {len(images)} images, those that are scenes for the most part")
    decoder = train_generator(scenes, 2 * arguments.epochs)
    save_file(
        {k: v.contiguous() for k, v in decoder.state_dict().items()}, arguments.out / "generator.safetensors"
    )

    network: Any = train_segmenter(images, objects, arguments.epochs)
    unseen = painted(Shapes(images=max(100, arguments.images // 6), size=SIDE, seed=HELD_OUT_SEED))
    figures = accuracy(network, *unseen)
    network.save_pretrained(arguments.out / "segmenter")
    settings = {
        "size": {"height": SIDE, "width": SIDE},
        "resample": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (arguments.out / "segmenter" / "preprocessor_config.json").write_text(json.dumps(settings, indent=1))
    (arguments.out / "segmenter" / "accuracy.json").write_text(json.dumps(figures, indent=1))
    best = sorted(figures["iou"].items(), key=lambda item: -item[1])
    print(f"segmenter: {figures['pixels']:.1%} of the pixels of unseen images are right; IoU of each label:")
    print("  " + ", ".join(f"{name} {iou:.2f}" for name, iou in best))
    print(f"generator: samples of {Z} numbers; written to {arguments.out}")


if __name__ == "__main__":
    main()
