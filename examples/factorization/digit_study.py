"""The digits: arrays are at hand, so the library's functions do."""

from __future__ import annotations

import comparing
import digits as d
import drawing
import naming
import numpy as np
import torch
from comparing import EVEN, STRONG, Case
from output import Output, say_copies, say_names, say_projected, say_thirds

from fastdissect.methods.factorization.baselines import factorization_baselines
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.perturbation import Perturbation, perturbed
from fastdissect.methods.factorization.projection import project
from fastdissect.methods.factorization.rank_curve import rank_curve
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings

__all__ = ["DigitStudy"]

COPIES = (Perturbation("noise", 0.2), Perturbation("blur", 1.0), Perturbation("fgsm", 0.1))
TWO = ("conv2", "hidden")


def cases(quick: bool) -> list[Case]:
    base = "sparse: grey, conv2, hidden"
    cases = [
        Case("pixels alone", "grey"),
        Case("ordinary network: grey, conv2, hidden", "ordinary: grey, conv2, hidden"),
        Case("sparse network: the same", base),
        Case("sparse: hidden alone", "sparse: hidden"),
        Case("sparse: grey, hidden", "sparse: grey, hidden"),
        Case("sparse: grey, conv1, conv2, hidden", "sparse: grey, conv1, conv2, hidden"),
        Case("sparse: grey, conv2 (means of its maps), hidden", "sparse: grey, conv2 mean, hidden"),
    ]
    near = "sparse: grey, hidden"
    if quick:
        return [cases[0], cases[2]]
    return [
        *cases,
        Case("grey, hidden; penalties 0.1", near, settings=EVEN),
        Case("grey, hidden; penalties 0.3", near, settings=STRONG),
        Case("ordinary: grey, hidden; penalties 0.1", "ordinary: grey, hidden", settings=EVEN),
        Case("grey, hidden; rank 15", near, settings={"rank": 15}),
        Case("grey, hidden; rank 20", near, settings={"rank": 20}),
        Case("grey, hidden; 20 iterations", near, settings={"iterations": 20}),
        Case("grey, hidden; best of 5 starts", near, settings={"restarts": 5, "initial": "random"}),
        Case("grey, hidden; unusual activity", near, unusual=True),
        Case("ordinary: grey, hidden; unusual activity", "ordinary: grey, hidden", unusual=True),
        Case("grey, hidden; group-sparse by class (labels)", near, by_class=True,
             settings={"penalty": "group-sparse", "groups": 10, "mixtures": 2.0, "pixels": 0.05, "neurons": 0.05}),
        Case("grey, hidden; released rule", near, settings={"faithful": True, "mixtures": 1.0, "iterations": 50}),
    ]  # fmt: skip


class DigitStudy:
    """Networks, settings, factors, projection, copies."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.learned, self.own, self.new = d.digits()
        if self.output.quick:
            self.own = d.Digits(*(part[:150] for part in self.own))
        epochs = 2 if self.output.quick else 20
        self.readers: dict[tuple[str, int], d.DigitReader] = {}
        print("\nDigits: networks, held-out accuracy, units of `hidden` active per example", flush=True)
        for seed in range(self.output.seeds):
            for name, sparse in (("ordinary", 0.0), ("sparse", d.SPARSE)):
                network = d.train_reader(self.learned, epochs, seed, sparse)
                self.readers[name, seed] = network
                right = (d.answers(network, self.own.images) == self.own.classes).mean()
                (hidden,) = d.matrices(network, self.own.images, ["hidden"], pixels=False)
                active = (hidden.values > 0).sum(1).mean()
                print(f"  {name}, seed {seed}: {100 * right:.1f} %, {active:.1f} of 64", flush=True)

    def gathered(self, source: str, seed: int) -> comparing.Gathered:
        name, _, listed = source.rpartition(": ")
        parts = listed.split(", ")
        reader = self.readers[name or "sparse", seed]
        layers = [part.removesuffix(" mean") for part in parts if part != "grey"]
        found = d.matrices(reader, self.own.images, layers, pixels="grey" in parts)
        found = [d.pooled(one) if f"{one.name} mean" in parts else one for one in found]
        return comparing.Gathered(found, self.own.classes)

    def run(self) -> None:
        print("\nDigits: settings", flush=True)
        table = comparing.compare(
            cases(self.output.quick), self.gathered, d.NAMES, rank=10, seeds=self.output.seeds
        )
        self.output.settings(table, "digits")

        reader = self.readers["sparse", 0]
        matrices = d.matrices(reader, self.own.images, TWO)
        correct = d.answers(reader, self.own.images) == self.own.classes
        settings = FactorizationSettings(rank=10, iterations=400)
        f = factorize_matrices(matrices, settings, example_names=self.own.names)
        curve = rank_curve(
            matrices, (4, 10) if self.output.quick else (5, 8, 10, 12, 15, 20), settings, restarts=2 if self.output.quick else 5
        )  # fmt: skip
        page = self.output.page(
            "The digits' factors", f, self.output.folder / "digits" / "page",
            images=lambda i: d.picture(self.own.images, i), classes=(self.own.classes, d.NAMES), correct=correct,
            curve=curve, baselines=factorization_baselines(f, matrices, self.own.classes, d.NAMES),
        )  # fmt: skip
        self.output.take(page, "digits-profiles", "profiles-class")
        self.output.take(page, "digits-ranks", "rank")
        self.output.take(page, "digits-accuracy", "accuracy")
        named = naming.factor_names(f, self.own.classes, d.NAMES)
        titles = {r: f"{r}: {name}, {100 * share:.0f} %" for r, name, share in named}
        drawing.gallery(
            f, titles, lambda i: d.picture(self.own.images, i), self.output.figures / "digits.png", shown=7
        )
        say_names("Digits", named, d.NAMES)
        print(f"  ranks: {curve.why}")
        print(curve.table.round(3).to_string(index=False))
        say_thirds(f, correct, len(d.NAMES))

        again = project(f, matrices)
        new = project(f, d.matrices(reader, self.new.images, TWO))
        told = naming.told_by_name(f, new, self.new.classes, self.own.classes, d.NAMES)
        fitted = naming.told_by_name(f, f.mixtures, self.own.classes, self.own.classes, d.NAMES)
        network = (d.answers(reader, self.new.images) == self.new.classes).mean()
        print(f"  projection: fitted digits again, largest difference {np.abs(again - f.mixtures).max():.1e}")
        say_projected(len(new), told, fitted, network)
        self.copies()

    def copies(self) -> None:
        """Clean digits and perturbed copies, factorised together; what becomes of each copy."""
        reader, clean = self.readers["sparse", 0], self.own.images
        copies = [clean, *(perturbed(clean, how, 0, lambda p: d.gradient(reader, p)) for how in COPIES)]
        parts = [d.matrices(reader, images, TWO) for images in copies]
        matrices = [
            FeatureMatrix(one.name, one.kind, one.shape, np.concatenate([p[i].values for p in parts]))
            for i, one in enumerate(parts[0])
        ]
        groups = ("clean", *(how.name for how in COPIES))
        names = [f"{name}, {group}" for group in groups for name in self.own.names]
        numbers = np.repeat(np.arange(len(groups)), len(clean))
        classes = np.tile(self.own.classes, len(groups))
        correct = np.concatenate([d.answers(reader, images) == self.own.classes for images in copies])
        f = factorize_matrices(matrices, FactorizationSettings(rank=12, iterations=400), example_names=names)
        everything = torch.cat(copies)
        page = self.output.page(
            "Digits, clean and perturbed", f, self.output.folder / "digits" / "copies",
            images=lambda i: d.picture(everything, i), classes=(classes, d.NAMES), groups=(numbers, groups), correct=correct,
        )  # fmt: skip
        self.output.take(page, "digits-copies", "profiles-group")
        say_copies(f, groups, numbers, correct, np.tile(np.arange(len(clean)), len(groups)))
        said = np.concatenate([d.answers(reader, images) for images in copies])
        changed = said != np.tile(said[: len(clean)], len(groups))
        named = naming.clusters_names(f, numbers == 0, classes, len(d.NAMES))[naming.strongest(f, f.mixtures)]
        new, true = (named == said)[changed].mean(), (named == classes)[changed].mean()
        print(
            f"  the {np.count_nonzero(changed)} copies that the network calls another digit than their clean one: the strongest "
            f"factor is that other digit's for {100 * new:.1f} %, the right digit's for {100 * true:.1f} %"
        )
