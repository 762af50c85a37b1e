"""Train the networks of the studies: a minute or two each on two cores.

    python examples/studies/train.py --out studies/networks
    python examples/studies/train.py --out quick --images 400 --epochs 1 --only plain,wide

Writes NAME.safetensors for each network, with its accuracy on held-out images in the file's metadata, and for the
plain network `snapshots/`: 12 files from random weights to the last step, and snapshots.csv with the accuracy of each.
What exists is not trained again.

Each network is trained on one thread, two of them side by side: on the same kind of processor and release of torch
the same seed gives the same weights.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from learning import BATCH, Recipe, snapshot_steps, train
from networks import VARIANTS
from painting import accuracy, painted
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from fastdissect.datasets.shapes import Shapes

__all__ = ["stored_accuracy", "train_all"]


def save(network: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Write beside, then rename: a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    save_file({name: t.contiguous() for name, t in network.state_dict().items()}, beside, metadata)
    beside.chmod(0o644)  # safetensors leaves it to its owner alone
    beside.replace(path)


def stored_accuracy(path: Path) -> float:
    """What `train_all` wrote beside the weights."""
    with safe_open(path, framework="pt") as file:
        return float((file.metadata() or {})["accuracy"])


def train_all(
    out: Path, names: list[str], *, images: int, held_out: Shapes, epochs: int, seed: int, jobs: int = 1
) -> None:
    """Train those of `names` that `out` lacks, each from the same seed; so many of them side by side.

    accuracy.csv then has the held-out accuracy of all of them.
    """
    missing = [name for name in names if not (out / f"{name}.safetensors").exists()]
    missing.sort(key=lambda name: -VARIANTS[name]().head.in_features)  # the longest first: none is left alone
    one = partial(train_one, out, learned=Shapes(images, held_out.size, seed), held_out=held_out)
    one = partial(one, recipe=Recipe(epochs, seed))
    if jobs == 1 or len(missing) < 2:
        for name in missing:
            one(name)
    else:
        with ProcessPoolExecutor(min(jobs, len(missing)), get_context("spawn")) as pool:
            for done in [pool.submit(one, name) for name in missing]:
                done.result()
    rows = [(name, stored_accuracy(out / f"{name}.safetensors")) for name in names]
    _write_rows(out / "accuracy.csv", ("name", "accuracy"), rows)


def train_one(out: Path, name: str, *, learned: Shapes, held_out: Shapes, recipe: Recipe) -> None:
    """Train one network and write its files; of the plain one its snapshots too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the sums, and so the weights, depend on the number of threads
    try:
        training, unseen = painted(learned), painted(held_out)
        torch.manual_seed(recipe.seed)
        network = VARIANTS[name]().to(memory_format=torch.channels_last)
        about = {
            "dataset": learned.name,
            "held_out": held_out.name,
            "epochs": str(recipe.epochs),
            "seed": str(recipe.seed),
            "torch": torch.__version__.split("+")[0],
        }
        wanted = snapshot_steps(recipe.epochs * (len(learned) // BATCH)) if name == "plain" else []
        rows: list[tuple[str, int, float]] = []

        def keep(step: int) -> None:
            if step in wanted:
                right, title = accuracy(network, unseen), f"step-{step:05d}"
                own = {**about, "step": str(step), "accuracy": f"{right:.4f}"}
                save(network, out / "snapshots" / f"{title}.safetensors", own)
                rows.append((title, step, right))

        train(network, training, recipe, name, keep)
        right = accuracy(network, unseen)
        if rows:
            _write_rows(out / "snapshots.csv", ("name", "step", "accuracy"), rows)
        save(network, out / f"{name}.safetensors", {**about, "accuracy": f"{right:.4f}"})
        print(f"{name}: {100 * right:.1f} % of the held-out images are told", flush=True)
    finally:
        torch.set_num_threads(threads)


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | int | float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([round(v, 4) if isinstance(v, float) else v for v in row] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("studies/networks"), help="folder of the weights")
    parser.add_argument("--only", default=",".join(VARIANTS), help="which, with commas (default all)")
    parser.add_argument("--images", type=int, default=4000, help="training images (default 4000)")
    parser.add_argument("--held-out", type=int, default=1000, help="images for the accuracy (default 1000)")
    parser.add_argument("--epochs", type=int, default=14, help="passes over them (default 14)")
    parser.add_argument("--seed", type=int, default=0, help="of images, weights and order (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="networks side by side (default 2)")
    given = parser.parse_args()
    names = given.only.split(",")
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        parser.error(f"--only: expected some of {', '.join(VARIANTS)}; got {', '.join(unknown)}")
    if given.images < BATCH:
        parser.error(f"--images: expected at least {BATCH}, one batch; got {given.images}")
    train_all(
        given.out,
        names,
        images=given.images,
        held_out=Shapes(images=given.held_out, seed=given.seed + 1),
        epochs=given.epochs,
        seed=given.seed,
        jobs=given.jobs,
    )


if __name__ == "__main__":
    main()
