"""How the networks of the studies learn.

An image's class, and beside it which of the data set's concepts the image shows, never where they are. The read-out of
the concepts is thrown away in the end: what is left is a classifier.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from networks import ShapesClassifier
from painting import Examples, pixels
from torch import nn

__all__ = ["BATCH", "SNAPSHOTS", "Recipe", "snapshot_steps", "train"]

BATCH = 32
SNAPSHOTS = 12
FIRST_SNAPSHOT = 8  # steps; before, little has changed
RATE = 3e-3
HEAD_RATE = 3e-2  # means over 196 places of sparse maps are small: the head's weights have a longer way to go
CONCEPTS_COUNT_FOR = 8.0  # the loss of the concepts, beside that of the class
SPARSITY = 0.004  # of the concepts' read-out: a concept that few units speak for makes detectors of them
POWER = 0.1  # of the features: else one unit grows so strong that it drowns the others in any mixture
SHARPNESS = 4.0  # of the soft maximum over places: 0 would be the mean, infinity the maximum


@dataclass(frozen=True)
class Recipe:
    epochs: int
    seed: int


def snapshot_steps(steps: int) -> list[int]:
    """0, and SNAPSHOTS - 1 steps on a log grid up to the last one; fewer where there are not so many steps."""
    first = min(FIRST_SNAPSHOT, steps)
    return sorted({0, *np.rint(np.geomspace(first, steps, SNAPSHOTS - 1)).astype(int).tolist()})


def train(
    network: ShapesClassifier, data: Examples, recipe: Recipe, name: str, on_step: Callable[[int], None]
) -> None:
    """Train in place; `on_step` is called with 0 and then after each step, with the number of steps done."""
    concepts = nn.Conv2d(network.head.in_features, data.shown.shape[1], 1)
    nn.init.constant_(concepts.bias, -2.0)  # most images lack most concepts
    head = list(network.head.parameters())
    body = [p for name, p in network.named_parameters() if not name.startswith("head.")]
    groups = [
        {"params": [*body, *concepts.parameters()], "lr": RATE, "weight_decay": 5e-4},
        {"params": head, "lr": HEAD_RATE, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups)
    a_pass = len(data.images) // BATCH
    steps = recipe.epochs * a_pass
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [RATE, HEAD_RATE], total_steps=steps, pct_start=0.2
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    started = perf_counter()
    network.train()
    on_step(0)
    for epoch in range(recipe.epochs):
        reported = 0.0
        order = torch.randperm(len(data.images), generator=generator)
        for number, batch in enumerate(order[: a_pass * BATCH].split(BATCH)):
            images = pixels(data.images[batch])
            if torch.rand((), generator=generator) < 0.5:
                images = images.flip(3)  # left and right are no concepts here
            features = network.features(images)
            told = F.cross_entropy(network.head(features.mean((2, 3))), data.classes[batch])
            reported += float(told.detach())
            # A concept is in the image if it is somewhere in it: a soft maximum over the places.
            places = concepts(features).flatten(2) * SHARPNESS
            found = (torch.logsumexp(places, dim=2) - math.log(places.shape[2])) / SHARPNESS
            shown = F.binary_cross_entropy_with_logits(found, data.shown[batch].float())
            weights = concepts.weight.abs().sum(1).mean()
            loss = told + CONCEPTS_COUNT_FOR * (shown + SPARSITY * weights) + POWER * features.square().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if on_step is not None:
                on_step(epoch * a_pass + number + 1)
        said = f"{name}: epoch {epoch + 1:2d} of {recipe.epochs}, loss {reported / a_pass:.3f}"
        print(f"{said}, {perf_counter() - started:.0f} s", flush=True)
