"""From images to labels: ours and NetDissect-Lite's, against the bare loop of forward passes.

A network of ResNet-18's shape with random weights, on a Broden folder. All see the same pixels: NetDissect-Lite's mean
and scale. Decoding is inside the clock everywhere: in one worker process for ours and the bare loop, in as many
as there are cores for NetDissect-Lite (its own pool).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastdissect
from fastdissect.batches import DatasetBatches
from fastdissect.benchmarks import lite
from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.networks import resnet18
from fastdissect.benchmarks.work import Found, Work
from fastdissect.datasets import open_dataset
from fastdissect.models import Preprocessing
from fastdissect.packing import columns_of

__all__ = ["bare", "netdissect_lite", "ours"]

BATCH, LAYER = 32, "layer4"
MEAN = (124.6901 / 255, 118.6897 / 255, 109.5388 / 255)  # NetDissect-Lite's, red first
PREPROCESSING = Preprocessing(MEAN, (0.224, 0.224, 0.224))


def bare(case: Case) -> Work:
    """Images decoded, a full forward pass, no hooks, no masks."""
    dataset, network = open_dataset(f"broden:{case.broden}"), resnet18()
    size = dataset.image_size()

    def run(_: None) -> Found:
        source = DatasetBatches(
            dataset,
            PREPROCESSING,
            size,
            (size[0] // 2, size[1] // 2),
            columns_of(dataset.concepts),
            once=True,
            batch_size=BATCH,
            workers=1,
            images=case.images,
        )
        with torch.inference_mode():
            for batch in source.batches(0, planes=False):
                network(batch.images)
        return {}

    return Work(run)


def ours(case: Case) -> Work:
    """`fastdissect.dissect()`; where planes are cached, an earlier run has put them there."""
    dataset = open_dataset(f"broden:{case.broden}")
    cache = Path("cache").resolve() if case.settings["cached"] else None

    def dissect(network: torch.nn.Module, layer: str) -> fastdissect.LayerDissection:
        return fastdissect.dissect(
            network,
            dataset,
            layer,
            profile=case.settings["profile"],
            preprocessing=PREPROCESSING,
            batch_size=BATCH,
            workers=1,
            images=case.images,
            cache=cache,
            device="cpu",
            progress=False,
        )[layer]

    if cache is not None:
        dissect(torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1, 32)), "0")  # any network does
    network = resnet18()

    def run(_: None) -> Found:
        found = dissect(network, LAYER)
        rows, labels = np.arange(found.units_count), found.labels
        return {
            "thresholds": found.thresholds,
            "score": labels.score,
            "label": labels.numbers[rows, labels.best],
        }

    return Work(run)


def netdissect_lite(case: Case) -> Work:
    """feature_extraction (activations to a memory-mapped file of float64), quantile_threshold, tally."""
    torch.set_grad_enabled(False)
    module = lite.import_lite(
        case, FEATURE_NAMES=[LAYER], BATCH_SIZE=BATCH, TALLY_BATCH_SIZE=16, TALLY_AHEAD=4
    )
    module.V = lambda pixels, **_: pixels  # torch.autograd.Variable has no `volatile` any more
    network = resnet18()
    network.layer4.register_forward_hook(module.hook_feature)
    concepts = case.concepts
    assert concepts is not None
    loader: Any = importlib.import_module("loader.data_loader")

    def first_images(*arguments: Any, **named: Any) -> Any:
        data = loader.SegmentationData(*arguments, **named)
        data.image = data.image[: case.images]
        return data

    module.SegmentationData = first_images

    def run(_: None) -> Found:
        with lite.quiet():
            operator = module.FeatureOperator()
            features, _ = operator.feature_extraction(model=network)
            thresholds = operator.quantile_threshold(features[0])
            rows = operator.tally(features[0], thresholds)
        return {"thresholds": thresholds, **lite.found_in(rows, concepts)}

    return Work(run)
