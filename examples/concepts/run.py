"""Everything of the tutorial docs/concepts.md with one command: about eight minutes of one core, and the training.

    python examples/concepts/run.py
    python examples/concepts/run.py --quick --out quick     a minute, to see that it works; the networks learn little

Finds the networks of examples/studies (or trains three of them), dissects them, finds concept vectors of both kinds by the
commands that it prints, and says what it found. What exists is not done again. The tutorial's figures lie in
OUT/figures.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import drawing
import numpy as np
import pandas as pd
import telling
from composed import Composed
from decisions import choose, decisions, trust
from labels import marked, mean_cells, one_filter, overlaps
from likeness import Sums, composed_sums, nearness, relabelled_share, related_sums
from trained import NAMES, UNTRAINED, networks_folder, source, train_missing

import fastdissect as fd
from fastdissect.cli import main as fastdissect
from fastdissect.datasets.shapes import Shapes
from fastdissect.methods import planes_of, semantic_vectors
from fastdissect.methods.chance import splits_of
from fastdissect.methods.net2vec import ConceptVectors, SegmentationSettings, segmentation_vectors
from fastdissect.methods.semantics import SemanticVectors
from fastdissect.methods.vectors import Embedding, embedding_of

LAYERS = ("conv1", "conv3", "conv5")
LAYER = "conv5"
SETTINGS = {
    "published": (),
    "bias": ("--bias",),
    "log": ("--loss", "bce"),
    "bce": ("--loss", "bce", "--bias"),
}
EXPLAINED = 3  # right decisions, and as many wrong ones


class Tutorial:
    """Its parts, in their order: commands first, then what they found."""

    def __init__(self, out: Path, figures: Path, weights: dict[str, Path], *, quick: bool) -> None:
        self.out, self.figures, self.weights, self.quick = out, figures, weights, quick
        figures.mkdir(parents=True, exist_ok=True)
        self.data = Shapes(images=150 if quick else 3000, seed=1)  # the networks learn from seed 0
        self.layers = (LAYER,) if quick else LAYERS
        chosen = ("published", "bce") if quick else SETTINGS
        self.settings = {name: SETTINGS[name] for name in chosen}
        self.others = [name for name in weights if name != "plain"]
        self.pages: list[tuple[str, Path]] = []

    def run(self, *command: object, page: Path | None = None, title: str = "") -> None:
        """Run a command of fastdissect's, and note its page."""
        words = [str(word) for word in command]
        print(f"\n$ fastdissect {shlex.join(words)}", flush=True)
        if code := fastdissect(words):
            sys.exit(code)
        if page is not None:
            self.pages.append((title, page / "index.html"))

    def model(self, name: str) -> str:
        builder = "plain" if name == UNTRAINED else name
        return f"{_short(source())}:{builder}?weights={_short(self.weights[name])}"

    def dissect(self) -> None:
        for name in ("plain", *self.others):
            layers = ",".join(self.layers) if name == "plain" else LAYER
            out = self.out / name
            self.run("run", self.model(name), self.data.name, "--layers", layers, "--out", out, "--no-report")

    def vectors(self) -> None:
        """Vectors of all layers of the plain network, then of the other networks' last one."""
        plain = self.out / "plain"
        for layer in self.layers:
            for name, options in self.settings.items():
                if layer != LAYER and name in ("bias", "log"):
                    continue
                out = self.net2vec_folder(layer, name)
                last = layer == LAYER and name in ("published", "bce")
                more = ("--filters", "all") if last else ("--pictures", 0)
                shown = {"page": out / "page", "title": f"Net2Vec, {layer}, {name}"} if last else {}
                self.run("net2vec", plain, "--layer", layer, *options, *more, "--out", out, **shown)
            page = {"page": plain / "semantics" / layer / "page", "title": f"semantic vectors, {layer}"}
            self.run("semantics", plain, "--layer", layer, **page)
        again = ("--seed", 1, "--pictures", 0, "--out", self.out / "again" / "net2vec")
        self.run("net2vec", plain, "--layer", LAYER, *again)
        self.run("semantics", plain, "--layer", LAYER, "--seed", 1, "--out", self.out / "again" / "semantics")
        for name in self.others:
            run, against = self.out / name, self.net2vec_folder(LAYER, "published")
            self.run("net2vec", run, "--layer", LAYER, "--pictures", 0, "--against", against)
            self.run("semantics", run, "--layer", LAYER)

    def net2vec_folder(self, layer: str, setting: str) -> Path:
        return self.out / "plain" / "net2vec" / (layer if setting == "published" else f"{layer}-{setting}")

    def net2vec(self, layer: str, setting: str = "published") -> ConceptVectors:
        return ConceptVectors.load(self.net2vec_folder(layer, setting))

    def semantic(self, layer: str) -> SemanticVectors:
        return SemanticVectors.load(self.out / "plain" / "semantics" / layer)

    def one_and_many(self) -> None:
        """One filter against many: all concepts, all layers."""
        rows = []
        for layer in self.layers:
            one, other = (self.net2vec(layer, name).table.dropna() for name in ("published", "bce"))
            own = self.semantic(layer).vectors.table
            rows.append(
                {
                    "layer": layer,
                    "single": one["single_iou_val"].mean(),
                    "published": one["iou_val"].mean(),
                    "published_gain": (one["iou_val"] > one["single_iou_val"]).mean(),
                    "bce": other["iou_val"].mean(),
                    "bce_gain": (other["iou_val"] > other["single_iou_val"]).mean(),
                    "semantic_iou": own["iou_val"].mean(),
                    "semantic_single_iou": own["single_iou"].mean(),
                    "ap": own["ap_val"].mean(),
                    "single_ap": own["single_ap"].mean(),
                    "represented": own["represented"].mean(),
                }
            )
        table = pd.DataFrame(rows)
        telling.say_layers(table)
        drawing.layers(self.figures, table)
        every = self.every_concept()
        telling.say_concepts(every)
        drawing.concepts(self.figures, every)

    def every_concept(self) -> pd.DataFrame:
        """A row a concept of the last layer: its scores, its size, and what its single filter does without a bias."""
        d = fd.load(self.out / "plain")
        vectors, planes = self.net2vec(LAYER), planes_of(d)
        columns = [d.concepts.names.index(name) for name in vectors.names]
        table = pd.DataFrame({"concept": vectors.names, "category": vectors.category_names()})
        table["single"] = vectors.table["single_iou_val"]
        for name in self.settings:
            table[name] = self.net2vec(LAYER, name).table["iou_val"]
        for name in ("published", "bce"):
            table[f"{name}_marked"] = marked(self.net2vec(LAYER, name), planes, columns).times
        table["everywhere"] = marked(vectors, planes, columns).everywhere
        table["cells"] = mean_cells(planes, columns, d[LAYER].shape[2:])
        table["lone"] = one_filter(vectors, d[LAYER], planes, columns, 0.0)
        same = one_filter(vectors, d[LAYER], planes, columns, -0.5)
        print(
            f"\nlargest difference of a single filter and a combination of it alone: {np.nanmax(abs(same - table['single'])):.1g}"
        )
        semantic = self.semantic(LAYER).vectors.table.set_index("concept")
        for column in ("iou_val", "single_iou", "ap_val", "single_ap"):
            table[f"semantic_{column}"] = semantic[column].reindex(table["concept"]).to_numpy()
        return table[table["single"].notna()]  # the others have no pictures in val

    def filters(self) -> None:
        found = {}
        for label, name in (("as published", "published"), ("logarithm and bias", "bce")):
            page = self.net2vec_folder(LAYER, name) / "page"
            found[label] = pd.read_csv(page / "filters-needed.csv")
            telling.say_filters(label, found[label], pd.read_csv(page / "filter-scores.csv"))
        sharing = pd.read_csv(
            self.net2vec_folder(LAYER, "published") / "page" / "sharing.csv", dtype={"concepts": str}
        )
        print("concepts that choose a filter as their best: filters\n" + sharing.to_string(index=False))
        drawing.filters(self.figures, found, sharing)

    def neighbours(self) -> None:
        d = fd.load(self.out / "plain")
        labels = overlaps(planes_of(d), d.concepts)
        for layer in self.layers:
            for what, found in (
                ("Net2Vec, as published", embedding_of(self.net2vec(layer))),
                ("Net2Vec, logarithm, bias", embedding_of(self.net2vec(layer, "bce"))),
                ("semantic", embedding_of(self.semantic(layer).vectors)),
            ):
                if len(found.rows()) > 6:
                    telling.say_nearness(
                        f"{layer}, {what}", nearness(found, labels), related_sums(found, labels)
                    )
        telling.say_best_sums(embedding_of(self.semantic(LAYER).vectors))

    def sums(self) -> None:
        """A colour and a thing: every pair that occurs, against the sum of every two words."""
        data = Composed(self.data.images, seed=self.data.seed)
        print(
            f"\n{data.name}: {len(data.pairs)} more concepts, such as {next(iter(data.pairs))!r}", flush=True
        )
        drawn: dict[str, Sums] = {}
        for name, layers in (("plain", self.layers), (UNTRAINED, (LAYER,))):
            d = fd.dissect(self.model(name), data, layers)
            planes, train = planes_of(d, data), splits_of(data, d.image_names).train
            for layer in layers:
                where = layer if name == "plain" else f"{layer}, {name}"
                logarithm = SegmentationSettings(loss="bce", bias=True)
                vectors = {
                    "Net2Vec, as published": segmentation_vectors(d[layer], planes, train),
                    "Net2Vec, logarithm, bias": segmentation_vectors(
                        d[layer], planes, train, settings=logarithm
                    ),
                    "semantic": semantic_vectors(d, layer, data=data).vectors,
                }
                for what, own in vectors.items():
                    found = composed_sums(embedding_of(own), data.pairs, data.words)
                    if found is None:
                        print(f"{where}, {what}: too few composed concepts have vectors")
                        continue
                    listed = (where, what) == (LAYER, "semantic")
                    telling.say_sums(f"{where}, {what}", found, listed=listed)
                    if what == "semantic" or where == LAYER:
                        drawn[f"{where}, {what}"] = found
        if drawn:
            drawing.sums(self.figures, drawn)

    def distances(self) -> None:
        def both(*folders: Path) -> list[Embedding]:
            return [embedding_of(ConceptVectors.load(folder)) for folder in folders]

        def of(name: str) -> list[Embedding]:
            return both(self.out / name / "net2vec" / LAYER, self.out / name / "semantics" / LAYER)

        own, again = of("plain"), self.out / "again"
        pairs = {"the same network, other draws": both(again / "net2vec", again / "semantics")}
        pairs |= {f"the {name.replace('_', ' ')} network": of(name) for name in self.others}
        rows = []
        print(
            "\nconv5 of the plain network against another: shared concepts, mean distance, share of shuffled names'"
        )
        for what, two in pairs.items():
            told = [relabelled_share(a, b) for a, b in zip(own, two, strict=True)]
            rows.append({"what": what, "net2vec": told[0][2], "semantic": told[1][2]})
            text = "; ".join(
                f"{kind} {count} concepts, {mean:.2f}, {100 * share:.0f} %"
                for kind, (count, mean, share) in zip(("Net2Vec", "semantic"), told, strict=True)
            )
            print(f"  {what:32} {text}")
        drawing.distances(self.figures, pd.DataFrame(rows))

    def explain(self) -> None:
        d, study, run = fd.load(self.out / "plain"), self.semantic(LAYER), self.out / "plain"
        images = 30 if self.quick else 300
        chosen = choose(d, images, EXPLAINED)
        words = [word for number in chosen for word in ("--image", number)]
        page = {"page": run / "semantics" / LAYER / "images", "title": "decisions by concepts"}
        self.run("semantics", run, "--layer", LAYER, *words, **page)
        page = {"page": run / "explanations", "title": "the same decisions by units"}
        self.run("explain", run, "--layer", LAYER, *words, **page)
        shown = decisions(d, study, chosen, removals=20)
        drawing.explanations(self.figures, shown)
        drawing.contrasts(self.figures, shown)
        every = decisions(d, study, range(images), removals=20)
        right = [one for one in every if one.concepts.correct]
        wrong = [one for one in every if not one.concepts.correct]
        for what, some, role in (
            ("right decisions", right, "predicted"),
            ("wrong decisions", wrong, "predicted"),
            ("wrong decisions, against the right class", wrong, "difference"),
        ):
            telling.say_trust(what, trust(some, self.data, role))


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
    parser.add_argument("--out", type=Path, default=Path("concepts"), help="folder (default ./concepts)")
    parser.add_argument("--quick", action="store_true", help="a minute: few images, one pass over them")
    parser.add_argument(
        "--networks",
        type=Path,
        help="folder of trained networks (default ./studies/networks if they are there, else OUT/networks)",
    )
    parser.add_argument("--jobs", type=int, default=2, help="networks trained side by side (default 2)")
    parser.add_argument(
        "--figures", type=Path, help="folder for the tutorial's figures (default OUT/figures)"
    )
    given = parser.parse_args(arguments)
    started = perf_counter()
    usual = given.out / "networks" if given.quick else Path("studies/networks")
    folder = networks_folder(given.networks, usual, given.out / "networks")
    names = NAMES[:1] if given.quick else NAMES
    weights = train_missing(names, folder, given.out, quick=given.quick, jobs=given.jobs)
    tutorial = Tutorial(given.out, given.figures or given.out / "figures", weights, quick=given.quick)
    tutorial.dissect()
    tutorial.vectors()
    tutorial.one_and_many()
    tutorial.filters()
    tutorial.neighbours()
    tutorial.sums()
    tutorial.distances()
    tutorial.explain()
    print(f"\nDone in {(perf_counter() - started) / 60:.1f} minutes. Open in a browser:")
    for title, page in tutorial.pages:
        print(f"  {title:36} {page}")
    print(f"  {'the tutorial’s figures':36} {tutorial.figures}")


if __name__ == "__main__":
    np.set_printoptions(suppress=True)
    main()
