"""Dissect a network against a segmenter's masks of photographs that have none: a minute or two of one core.

    pip install scikit-image
    python examples/segmenter/run.py --out out
    python examples/segmenter/run.py --out quick --quick     seconds, to see that it works; the segmenter learns little

Copies the sample photographs of scikit-image, trains a small SegFormer on the colours of the built-in shapes, has it label
the photographs while the network that comes with fastdissect is dissected, and says what came out. Colours, because a
segmenter that learned from drawings knows those of photographs too, and nothing else there. What exists is not done again.
Writes OUT/photographs, OUT/segmenter, OUT/masks.png (the photographs with their masks) and OUT/run with its report.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from learning import train
from photographs import copy_photographs, said_of

import fastdissect as fd
from fastdissect.cli import main as fastdissect
from fastdissect.datasets import open_dataset
from fastdissect.errors import FastdissectError

NETWORK = "builtin:shapes"
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
CUT = 0.5  # of a pixel's colour the segmenter must be surer than this
QUANTILE = 0.05  # a colour fills far more of a photograph than 0.5 %
DETECTOR = 0.15  # IoU: a mask of 5 % overlaps grey, which is everywhere, by 0.05 wherever it lies


def command(*words: object) -> None:
    """Run a command of fastdissect's, and say so."""
    text = [str(word) for word in words]
    print(f"\n$ fastdissect {shlex.join(text)}", flush=True)
    if code := fastdissect(text):
        sys.exit(code)


def best(layer: fd.LayerDissection) -> str:
    """The best unit of each of three labels."""
    units = layer.units().sort_values("iou", ascending=False)
    rows = units.drop_duplicates("label").head(3).itertuples()
    known = ", ".join(f"unit {row.unit} {row.label} {row.iou:.2f}" for row in rows)
    return f"{layer.summary().detectors} of {len(units)} units are detectors; best: {known}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for all of it (default out)")
    parser.add_argument("--quick", action="store_true", help="train on little, to see that it works")
    arguments = parser.parse_args()
    out: Path = arguments.out
    folder, segmenter = out / "photographs", out / "segmenter"
    try:
        count = copy_photographs(folder)
        print(f"{count} photographs in {folder}", flush=True)
        if not (segmenter / "accuracy.json").exists():
            train(segmenter, quick=arguments.quick)
        spec = f"segmenter:{segmenter}?cut={CUT},category=color,images={folder}"
        command("data", "check", spec, "--overlay", out / "masks.png", "--overlays", count, "--top", 0)
        print(said_of(open_dataset(spec)))
        layers = ",".join(LAYERS)
        method = ("--quantile", QUANTILE, "--set", f"cut={DETECTOR}")
        command("run", NETWORK, spec, "--layers", layers, *method, "--out", out / "run")
    except FastdissectError as error:
        sys.exit(f"error: {error}")
    for name, layer in fd.load(out / "run").items():
        print(f"{name}: {best(layer)}")
    print(f"masks: {out / 'masks.png'}\nreport: {out / 'run' / 'report' / 'index.html'}")


if __name__ == "__main__":
    main()
