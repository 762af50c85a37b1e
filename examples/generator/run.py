"""Dissect a generator of the shapes against a segmenter's masks of what it makes, as GAN dissection does.

    python examples/generator/run.py --networks networks --out out

Trains both networks first where they are missing (train.py). OUT holds the tables, and OUT/report/index.html the units
with the generated images on which they are highest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from networks import Z, generator
from safetensors.torch import load_file

import fastdissect as fd
from fastdissect.datasets.segmented.generated import Generated
from fastdissect.reports.writing import write_report

HERE = Path(__file__).parent
LAYERS = ("up1", "up2", "up3", "up4")
QUANTILE = (
    0.05  # a scene's parts fill far more of an image than 0.5 %: no mask so small could overlap them well
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=Path, default=Path("networks"), help="folder that train.py wrote")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the results")
    parser.add_argument("--images", type=int, default=2000, help="to generate (default 2000)")
    parser.add_argument("--quick", action="store_true", help="train on little, to see that it works")
    arguments = parser.parse_args()
    weights = arguments.networks / "generator.safetensors"
    if not (weights.exists() and (arguments.networks / "segmenter" / "accuracy.json").exists()):
        quick = ["--images", "200", "--epochs", "1"] if arguments.quick else []
        subprocess.run([sys.executable, HERE / "train.py", "--out", arguments.networks, *quick], check=True)

    network = generator()
    network.load_state_dict(load_file(weights))
    data = Generated(
        str(arguments.networks / "segmenter"), z=Z, images=arguments.images, void="nothing", batch=32, side=64
    ).of(network)
    d = fd.dissect(network, data, LAYERS, out=arguments.out, mask_size=64, quantile=QUANTILE)
    for name, layer in d.items():
        units = layer.units().sort_values("iou", ascending=False)
        best = ", ".join(f"{row.label} {row.iou:.2f}" for row in units.head(4).itertuples())
        print(f"{name}: {layer.summary().detectors} of {len(units)} units are detectors; best: {best}")
    print(f"report: {write_report(d, data, arguments.out / 'report')}")


if __name__ == "__main__":
    main()
