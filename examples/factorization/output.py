"""Where the tutorial's pages and figures go, and what its command line prints."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comparing
import drawing
import naming
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastdissect.cli import main as fastdissect
from fastdissect.methods.factorization.class_profiles import class_profiles
from fastdissect.methods.factorization.result import Factorization
from fastdissect.reports.studies.factorization_page import write_factorization_study

__all__ = ["Output", "say_copies", "say_names", "say_projected", "say_thirds"]


class Output:
    """The folder, the figures' folder, and the pages so far."""

    def __init__(self, folder: Path, figures: Path, *, quick: bool) -> None:
        self.folder, self.figures, self.quick = folder, figures, quick
        figures.mkdir(parents=True, exist_ok=True)
        self.seeds = 1 if quick else 3
        self.pages: list[tuple[str, Path]] = []

    def page(self, title: str, f: Factorization, folder: Path, **more: Any) -> Path:
        self.pages.append((title, write_factorization_study(f, folder, title=title, **more)))
        return folder

    def take(self, page: Path, name: str, figure: str) -> None:
        """A page's figure is the tutorial's `name`."""
        shutil.copyfile(page / "figures" / f"{figure}.svg", self.figures / f"{name}.svg")

    def command(self, *command: object) -> None:
        """Run a command of fastdissect's."""
        words = [str(word) for word in command]
        print(f"\n$ fastdissect {shlex.join(words)}", flush=True)
        if code := fastdissect(words):
            sys.exit(code)

    def settings(self, table: pd.DataFrame, name: str) -> None:
        """The comparison of settings: printed, as a table and as a figure."""
        print(f"\n{comparing.spoken(table)}\n")
        print(
            f"  medians of {self.seeds}; largest difference between two seeds {table['range'].max():.2f}, "
            f"median difference {table['range'].median():.2f}"
        )
        table.to_csv(self.folder / f"settings-{name}.csv", index=False, float_format="%.4f")
        drawing.measures(table, self.figures / f"{name}-settings.svg")


def say_names(what: str, named: list[tuple[int, str, float]], names: Sequence[str]) -> None:
    pure = [one for one in named if one[2] >= naming.HALF]
    told = ", ".join(f"factor {r} {name} {share:.2f}" for r, name, share in named)
    print(
        f"\n{what}: {len(pure)} of {len(named)} factors have half of their weight on one class or more; "
        f"{len({name for _, name, _ in pure})} of {len(names)} classes; {told}"
    )


def say_thirds(f: Factorization, correct: NDArray[np.bool_], classes: int) -> None:
    thirds = ", ".join(f"{100 * one:.1f} %" for one in naming.by_third(f, correct, classes))
    print(
        f"  the network is right for {100 * correct.mean():.1f} %; by thirds, from least to most mixed: {thirds}"
    )


def say_projected(new: int, told: float, fitted: float, network: float) -> None:
    print(
        f"  projection: {new} new examples: the strongest factor's name is right for {100 * told:.1f} % "
        f"(fitted {100 * fitted:.1f} %; the network is right for {100 * network:.1f} %)"
    )


def say_copies(
    f: Factorization,
    groups: Sequence[str],
    numbers: NDArray[np.int64],
    correct: NDArray[np.bool_],
    images: NDArray[np.int64],
) -> None:
    """Of each kind of copy: the network's accuracy, and how many keep the strongest factor of their clean one."""
    first = naming.strongest(f, f.mixtures)
    clean = dict(zip(images[numbers == 0].tolist(), first[numbers == 0].tolist(), strict=True))
    weights = class_profiles(f, numbers, groups, what="group").weights
    for number, group in enumerate(groups):
        own = numbers == number
        kept = np.mean([clean[i] == r for i, r in zip(images[own].tolist(), first[own], strict=True)])
        most = int(weights[:, number].argmax())
        print(
            f"  {group}: the network is right for {100 * correct[own].mean():.1f} %, strongest factor as the clean one's "
            f"{100 * kept:.1f} %; largest share of a factor {100 * weights[most, number]:.0f} % (factor {most})"
        )
