"""The shapes: a network and a data set by name, so the command does; then what the comparison found best."""

from __future__ import annotations

import comparing
import drawing
import naming
import numpy as np
import scenes
from comparing import EVEN, Case
from output import Output, say_copies, say_names, say_projected, say_thirds

from fastdissect.cli.factorize import labels_of
from fastdissect.datasets.shapes import Shapes
from fastdissect.methods.factorization.baselines import factorization_baselines
from fastdissect.methods.factorization.factorizing_kept import FactorizationStudy
from fastdissect.methods.factorization.gathering_examples import Examples
from fastdissect.methods.factorization.projection import project
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.settings import FactorizationSettings

__all__ = ["ShapeStudy"]

WHOLE = (
    "scene",
    "object",
    "texture",
)  # what a factor may be named after, beside its class: no colours, no parts


def cases(quick: bool) -> list[Case]:
    both, last = "conv4,conv5 mean 16", "conv5 mean"
    cases = [
        Case("pixels, conv4, conv5", both),
        Case("conv5", last),
        Case("conv5; unusual activity", last, unusual=True),
    ]
    if quick:
        return cases[:1]
    return [
        *cases,
        Case("conv5; penalties 0.1", last, settings=EVEN),
        Case("conv5; unusual, penalties 0.1", last, unusual=True, settings=EVEN),
        Case("pixels, conv4, conv5; unusual, penalties 0.1", both, unusual=True, settings=EVEN),
        Case("conv5; largest of each map", "conv5 max"),
        Case("conv5; unusual, rank 24", last, unusual=True, settings={"rank": 24}),
        Case("conv5; unusual, best of 5 starts", last, unusual=True, settings={"restarts": 5, "initial": "random"}),
        Case("conv5; group-sparse by class (labels)", last, by_class=True,
             settings={"penalty": "group-sparse", "groups": 16, "mixtures": 2.0, "pixels": 0.05, "neurons": 0.05}),
        Case("conv5; released rule", last, settings={"faithful": True, "mixtures": 1.0, "iterations": 50}),
    ]  # fmt: skip


class ShapeStudy:
    """Settings, the command, and unusual activity."""

    def __init__(self, output: Output, model: str) -> None:
        self.output, self.model = output, model
        self.images = 120 if output.quick else 1000

    def run(self) -> None:
        print("\nShapes: settings", flush=True)
        table = comparing.compare(
            cases(self.output.quick), self.gathered, Shapes.classes, rank=16, seeds=self.output.seeds
        )
        self.output.settings(table, "shapes")
        self.by_command()
        self.best()

    def gathered(self, source: str, seed: int) -> comparing.Gathered:
        layers, pool, *pixels = source.split()
        found = scenes.gather_shapes(
            self.model, self.images, 1 + seed, layers, pool, int(pixels[0]) if pixels else None
        )
        assert found.classes is not None
        return comparing.Gathered(list(found.matrices), found.classes.numbers)

    def by_command(self) -> None:
        out = self.output.folder / "shapes"
        self.output.command(
            *("factorize", self.model, f"shapes:images={self.images},seed=1", "--layers", "conv4,conv5"),
            *("--rank", 16, "--pixels", 16, "--perturb", "noise=0.1", "--perturb", "fgsm=0.03"),
            *("--set", f"iterations={20 if self.output.quick else 400}", "--device", "cpu", "--out", out),
        )
        self.output.pages.append(("Shapes by the command", out / "page" / "index.html"))
        f, examples = Factorization.load(out), Examples.load(out)
        classes, groups, correct = examples.classes, examples.groups, examples.correct
        assert classes is not None
        assert groups is not None
        assert correct is not None
        named = naming.factor_names(f, classes.numbers, classes.names)
        say_names("Shapes by the command", named, classes.names)
        say_copies(f, groups.names, groups.numbers, correct, examples.images)
        self.output.command("factorize", "--project", out, f"shapes:images={12 if self.output.quick else 300},seed=9", "--device", "cpu")  # fmt: skip

    def best(self) -> None:
        """What the comparison found best: unusual activity of the last layer."""
        found = scenes.gather_shapes(self.model, self.images, 1, "conv5", "mean", None, masks=True)
        levels = comparing.usual(found.matrices)
        matrices = comparing.unusual(found.matrices, levels)
        f = factorize_matrices(
            matrices, FactorizationSettings(rank=16, iterations=400, **EVEN), example_names=found.example_names
        )  # fmt: skip
        classes, correct = found.examples.classes, found.examples.correct
        assert classes is not None
        assert correct is not None
        pictures = Shapes(images=self.images, seed=1)
        page = self.output.page(
            "Shapes, unusual activity", f, self.output.folder / "unusual" / "page",
            images=lambda i: pictures.read_image(i)[0], correct=correct,
            **labels_of(FactorizationStudy(f, found.examples)),
            baselines=factorization_baselines(f, matrices, classes.numbers, classes.names),
        )  # fmt: skip
        self.output.take(page, "shapes-profiles", "profiles-class")
        self.output.take(page, "shapes-accuracy", "accuracy")
        named = naming.factor_names(f, classes.numbers, classes.names)
        shares, concepts = found.examples.shares, found.examples.concepts
        assert shares is not None
        assert concepts is not None
        kept = np.flatnonzero(np.isin(concepts.category, [concepts.categories.index(c) for c in WHOLE]))
        shown = naming.shown(f, shares[:, kept], [concepts.names[i] for i in kept.tolist()])
        titles = {
            r: f"{r}: {name}, {100 * share:.0f} %; {shown[r][0]}, {shown[r][1]:.1f} x"
            for r, name, share in named
        }
        drawing.gallery(
            f, titles, lambda i: pictures.read_image(i)[0], self.output.figures / "shapes.png", shown=6
        )
        say_names("Shapes, unusual activity", named, classes.names)
        print("  " + ", ".join(f"factor {r} {shown[r][0]} {shown[r][1]:.1f} x" for r in titles))
        say_thirds(f, correct, len(classes.names))
        new = scenes.gather_shapes(self.model, 12 if self.output.quick else 300, 9, "conv5", "mean", None)
        assert new.classes is not None
        assert new.examples.correct is not None
        mixtures = project(f, comparing.unusual(new.matrices, levels))
        told = naming.told_by_name(f, mixtures, new.classes.numbers, classes.numbers, classes.names)
        fitted = naming.told_by_name(f, f.mixtures, classes.numbers, classes.numbers, classes.names)
        say_projected(len(mixtures), told, fitted, new.examples.correct.mean())
