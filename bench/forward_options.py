"""What `--dtype bfloat16`, `--compile` and `--channels-last` bring on this machine, and what they change in the results.

    python bench/forward_options.py [--pairs 7] [--quick]

Speed: one batch through the network and the hooks of a run, against the same without options, in turn; median of the
ratios. Compiling is done before. Results: labels and IoU of a whole run against those of the run without options.
`builtin:shapes` is trained; the other networks have random weights, so only their speed counts.
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

import numpy as np
import torch
from machine import paired, spread, write
from vision_transformers import base

import fastdissect as fd
from fastdissect.activations import LayerHooks
from fastdissect.benchmarks.networks import resnet18
from fastdissect.forward_options import ForwardOptions, in_channels_last
from fastdissect.models import load_model, resolve_layers

OPTIONS: dict[str, dict[str, Any]] = {
    "bfloat16": {"dtype": "bfloat16"},
    "channels last": {"channels_last": True},
    "compile": {"compile": True},
    "bfloat16, channels last": {"dtype": "bfloat16", "channels_last": True},
    "bfloat16, compile": {"dtype": "bfloat16", "compile": True},
    "all three": {"dtype": "bfloat16", "compile": True, "channels_last": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    pairs = 2 if options.quick else options.pairs
    shapes = load_model("builtin:shapes").module
    networks = {
        "builtin:shapes, conv5": (shapes, "conv5", torch.randn(64, 3, 112, 112)),
        "ResNet-18, layer1-4": (resnet18(), "layer?", torch.randn(32, 3, 224, 224)),
        "ViT-B/16, 12 MLPs": (base(), "**.mlp.activation_fn", torch.randn(8, 3, 224, 224)),
    }
    plain = results({}, 200 if options.quick else 1000)
    rows = []
    for name, (module, pattern, images) in networks.items():
        layers = resolve_layers(module, [pattern])
        for option, given in OPTIONS.items():
            ratios = speeds(module, layers, images, given, pairs)
            row: dict[str, Any] = {"network": name, "option": option}
            row["times as fast"] = spread(ratios)[1]
            row["quartiles"] = "{0:.2f} - {2:.2f}".format(*spread(ratios))
            row |= (
                differences(plain, results(given, len(plain.image_names)))
                if module is shapes
                else dict.fromkeys(COLUMNS, "")
            )
            rows.append(row)
            print(row, flush=True)
    write(
        "forward-options",
        rows,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        cpu=torch.backends.cpu.get_cpu_capability(),
    )


def speeds(
    module: Any, layers: tuple[str, ...], images: torch.Tensor, given: dict[str, Any], pairs: int
) -> list[float]:
    options, other = ForwardOptions(**given), copy.deepcopy(module)
    without, wanted = LayerHooks(module, layers), LayerHooks(other, layers, options=options)

    def seen(_name: str, view: Any) -> None:
        assert view.data.size

    with in_channels_last(other, options):
        times = paired(lambda: without.run(images, seen), lambda: wanted.run(images, seen), pairs)
    return [a / b for a, b in times]


def results(given: dict[str, Any], images: int) -> Any:
    return fd.dissect(
        "builtin:shapes",
        f"shapes:images={images}",
        "conv5",
        device="cpu",
        progress=False,
        cache=None,
        **given,
    )


COLUMNS = ("same label", "detectors", "mean |difference of the best IoU|", "largest", "thresholds, relative")


def differences(plain: Any, other: Any) -> dict[str, Any]:
    one, two = plain["conv5"], other["conv5"]
    a, b = one.units(), two.units()
    iou = np.abs(a["iou"].to_numpy() - b["iou"].to_numpy())
    detects = (a["iou"] > 0.04).to_numpy()
    apart = np.abs(two.thresholds - one.thresholds) / np.maximum(np.abs(one.thresholds), 1e-9)
    return {
        "same label": f"{int((a['label'] == b['label'])[detects].sum())} of {int(detects.sum())}",
        "detectors": f"{one.summary().detectors} -> {two.summary().detectors}",
        "mean |difference of the best IoU|": f"{iou.mean():.1e}",
        "largest": f"{iou.max():.1e}",
        "thresholds, relative": f"{np.median(apart):.1e}",
    }


if __name__ == "__main__":
    main()
