"""Every study of the tutorial docs/studies.md with one command: about ten minutes on two cores.

    python examples/studies/run.py
    python examples/studies/run.py --quick --out quick     a minute, to see that it works; the networks learn little

Trains five small classifiers, runs the studies on them by the commands that it prints, and says where each page is.
What exists is not done again. The tutorial's figures lie in OUT/figures.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import planted
import torch
from figures import gather, say_numbers
from networks import VARIANTS
from painting import painted, pixels
from train import train_all

from fastdissect.cli import main as fastdissect
from fastdissect.datasets.shapes import Shapes
from fastdissect.models import load_model
from fastdissect.reports.studies.rotation_page import write_rotation_study

LAYER = "conv5"
LAYERS = "conv1,conv2,conv3,conv4,conv5"
EXPLAINED = 3  # right decisions, and as many wrong ones
CLASS = "tree"  # of the class view


class Studies:
    """The studies, in their order; each is one or two commands."""

    def __init__(self, out: Path, data: Shapes, *, quick: bool) -> None:
        self.out, self.data, self.quick = out, data, quick
        self.pages: list[tuple[str, Path]] = []
        self.source = _short(Path(__file__).with_name("networks.py"))

    def model(self, name: str) -> str:
        return f"{self.source}:{name}?weights={_short(self.out / 'networks' / f'{name}.safetensors')}"

    def run(self, *command: object, page: Path | None = None, title: str = "") -> None:
        """Run a command of fastdissect's, and note its page if it writes one."""
        words = [str(word) for word in command]
        print(f"\n$ fastdissect {shlex.join(words)}", flush=True)
        if code := fastdissect(words):
            sys.exit(code)
        if page is not None:
            self.pages.append((title, page / "index.html"))

    def rotate(self) -> None:
        out = self.out / "rotation"
        self.run(
            *("rotate", self.model("plain"), self.data.name, "--layer", LAYER, "--out", out),
            *("--alphas", "0,1" if self.quick else "0,0.2,0.4,0.6,0.8,1", "--seeds", 1 if self.quick else 3),
            *("--random-model", f"{self.source}:plain", "--permutations", 100 if self.quick else 1000),
            page=out / "report",
            title="units in a random basis",
        )

    def planted(self) -> bytes:
        """The planted network, where nothing but the axes can be lost; its figure."""
        out = self.out / "planted"
        print(f"\n$ python {_short(Path(planted.__file__))} --out {out}", flush=True)
        found = planted.study(out, seeds=1 if self.quick else 3)
        print(planted.say(found))
        page = write_rotation_study(found, out / "report")
        self.pages.append(("a planted network in a random basis", page))
        return planted.draw(found)

    def dissect(self) -> None:
        out = self.out / "plain"
        self.run(
            *("run", self.model("plain"), self.data.name, "--layers", LAYERS, "--out", out),
            page=out / "report",
            title="the plain network, unit by unit",
        )

    def chance(self) -> None:
        run, counts = self.out / "plain", 100 if self.quick else 1000
        self.run(
            *("chance", run, "--layers", LAYER, "--permutations", counts, "--bootstrap", counts),
            page=run / "chance",
            title="what chance would give",
        )

    def training(self) -> None:
        out, networks = self.out / "training", self.out / "networks"
        self.run(
            *("sweep", f"{self.source}:plain", "--checkpoints", networks / "snapshots" / "*.safetensors"),
            *("--accuracy", networks / "snapshots.csv", "--data", self.data.name),
            *("--layers", LAYER, "--out", out),
        )
        page = out / "compared"
        self.run("compare", out, "--pairs", "--out", page, page=page, title="while training")

    def variants(self) -> None:
        out = self.out / "variants"
        models = [f"{name}={self.model(name)}" for name in VARIANTS]
        page = out / "compared"
        self.run(
            *("sweep", *models, "--accuracy", self.out / "networks" / "accuracy.csv"),
            *("--data", self.data.name, "--layers", LAYER, "--out", out),
        )
        self.run("compare", out, "--match", "--out", page, page=page, title="five networks")

    def depth(self) -> None:
        page = self.out / "depth"
        self.run(*("compare", self.out / "plain", "--out", page), page=page, title="from layer to layer")

    def explain(self) -> None:
        run = self.out / "plain"
        chosen = [("--image", number) for number in self.decisions()]
        self.run(
            *("explain", run, "--layer", LAYER, *(word for pair in chosen for word in pair)),
            page=run / "explanations",
            title="decisions, right and wrong",
        )
        self.run(
            *("explain", run, "--layer", LAYER, "--class", CLASS, "--by", "true"),
            page=run / f"class-{CLASS}",
            title=f"the class {CLASS}",
        )

    def decisions(self) -> list[int]:
        """Images that the plain network tells rightly, then some that it does not: the first of different classes."""
        network = load_model(self.model("plain")).module
        held_out = painted(self.data)
        with torch.no_grad():
            said = torch.cat([network(pixels(images)).argmax(1) for images in held_out.images.split(64)])
        found: dict[bool, dict[int, int]] = {True: {}, False: {}}
        for number, (told, true) in enumerate(zip(said.tolist(), held_out.classes.tolist(), strict=True)):
            found[told == true].setdefault(true, number)
        return [number for which in found.values() for number in list(which.values())[:EXPLAINED]]

    def ablate(self) -> None:
        run = self.out / "plain"
        self.run(
            *("ablate", run, "--layer", LAYER, "--each-unit", "--random-groups", 5 if self.quick else 50),
            page=run / "ablation",
            title="without some units",
        )


def _short(path: Path) -> str:
    """Relative where that is shorter: what is printed can be read, and pasted."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path.resolve())
    return str(path.resolve()) if near.startswith("..") else near


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("studies"), help="folder (default ./studies)")
    parser.add_argument("--quick", action="store_true", help="a minute: few images, one pass over them")
    parser.add_argument("--jobs", type=int, default=2, help="networks trained side by side (default 2)")
    parser.add_argument(
        "--figures", type=Path, help="folder for the tutorial's figures (default OUT/figures)"
    )
    given = parser.parse_args(arguments)
    started = perf_counter()

    data = Shapes(images=120 if given.quick else 1000, seed=1)  # the networks learn from seed 0
    train_all(
        given.out / "networks",
        list(VARIANTS),
        images=192 if given.quick else 4000,
        held_out=data,
        epochs=1 if given.quick else 14,
        seed=0,
        jobs=given.jobs,
    )
    studies = Studies(given.out, data, quick=given.quick)
    studies.dissect()
    plant = studies.planted()
    studies.rotate()
    studies.chance()
    studies.training()
    studies.variants()
    studies.depth()
    studies.explain()
    studies.ablate()
    figures = gather(given.out, given.figures or given.out / "figures", studies.decisions())
    (figures / "planted.svg").write_bytes(plant)
    say_numbers(given.out)
    print(f"\nDone in {(perf_counter() - started) / 60:.1f} minutes. Open in a browser:")
    for title, page in studies.pages:
        print(f"  {title:36} {page}")
    print(f"  {'the tutorial’s figures':36} {figures}")


if __name__ == "__main__":
    main()
