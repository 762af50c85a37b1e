"""A top-k sparse autoencoder of 32,768 latents on the residual stream of a ViT-B/16, dissected; and a dense slice of it.

    python bench/sparse_codes.py [--images 128] [--quick]

Random weights. Thresholds and counts of 64 latents are computed a second time from their dense maps, with `TopQuantile`
and `count_intersections`, and must be equal. The bare loop: the same images decoded, the network, the encoder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from machine import write
from vision_transformers import base

import fastdissect as fd
from fastdissect.codes import CodeMix
from fastdissect.datasets import open_dataset, resize_labels
from fastdissect.models import get_layer
from fastdissect.opening import open_run

LATENTS, K, SLICE, BATCH = 32768, 32, 64, 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    images = 16 if options.quick else options.images
    network, layer = base(), "layers.8"
    rng = np.random.default_rng(0)
    encoder = fd.top_k_codes(rng.standard_normal((LATENTS, 768), np.float32) / 28, k=K)
    spec = f"shapes:images={images}"
    before = bare(network, spec, layer, encoder)
    begun = time.perf_counter()
    d = fd.dissect(
        network,
        spec,
        [],
        directions={"latents": fd.Codes(layer, encoder)},
        size=224,
        batch_size=BATCH,
        device="cpu",
        cache=None,
        progress=False,
    )
    whole = time.perf_counter() - begun
    alone = (before + bare(network, spec, layer, encoder)) / 2
    found = d["latents"]
    cells, every = found.activations.values.size, images * 196 * LATENTS
    taken = np.linspace(0, LATENTS - 1, SLICE).astype(np.int64)
    mix = CodeMix("latents", layer, encoder, LATENTS)
    slices = [mix(maps)[:, taken].numpy() for maps in residuals(network, spec, layer)]
    dense = np.concatenate(slices)
    quantile = fd.TopQuantile(SLICE, total=images * 196)
    quantile.update(dense)
    assert np.array_equal(quantile.thresholds(), found.thresholds[taken]), "thresholds differ"
    dataset = open_dataset(spec)
    same = 0
    for column, number in enumerate(found.concept_numbers):
        labels = np.zeros((images, 112, 112), np.uint16)
        for index in range(images):
            for channel in dataset.read_labels(index):
                mask = (
                    np.full((112, 112), channel.labels)
                    if isinstance(channel.labels, int)
                    else resize_labels(channel.labels, (112, 112))
                )
                labels[index][mask == number] = 1
        counts = fd.count_intersections(dense, found.thresholds[taken], labels, size=(112, 112))
        own = counts.intersection[:, 0] if counts.intersection.size else np.zeros(SLICE, np.int64)
        assert np.array_equal(own, found.intersection[taken, column]), f"counts differ at concept {number}"
        same += int(own.sum())
    assert same, "no pixel was counted"
    write(
        "sparse-codes",
        [
            {
                "latents": LATENTS,
                "k": K,
                "images": images,
                "seconds": whole,
                "bare seconds": alone,
                "ratio": whole / alone,
                "sift s": d.run["sift seconds"],
                "count s": d.run["count seconds"],
                "peak MB": d.run["peak memory"] / 1e6,
                "dense GB, float16": every * 2 / 1e9,
                "kept MB": found.activations.nbytes / 1e6,
                "cells kept": cells / every,
                "pixels compared": same,
            }
        ],
        torch=torch.__version__,
        threads=torch.get_num_threads(),
    )


def residuals(network: Any, spec: str, layer: str) -> Iterator[torch.Tensor]:
    """The residual stream as maps [n, 768, 14, 14], a batch a time; the class token left out by hand."""
    opened = open_run(network, spec, [layer], size=224, batch_size=BATCH, device="cpu")
    features: list[Any] = []
    handle = get_layer(network, layer).register_forward_hook(lambda _m, _i, output: features.append(output))
    with torch.inference_mode():
        for batch in opened.source.batches(0, planes=False):
            network(batch.images)
            tokens = features.pop()
            tokens = tokens[0] if isinstance(tokens, tuple) else tokens
            yield tokens[:, 1:].transpose(1, 2).reshape(len(tokens), 768, 14, 14)
    handle.remove()


def bare(network: Any, spec: str, layer: str, encoder: Any) -> float:
    """Seconds of the network and the encoder, and nothing else."""
    mix, begun = CodeMix("latents", layer, encoder, LATENTS), time.perf_counter()
    for maps in residuals(network, spec, layer):
        mix.codes(maps)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
