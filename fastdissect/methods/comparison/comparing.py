"""`compare`: any number of runs side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from fastdissect.errors import SettingError
from fastdissect.methods.comparison.changes import UnitChanges, unit_changes
from fastdissect.methods.comparison.compatibility import differences
from fastdissect.methods.comparison.entries import Entry, choose_entries
from fastdissect.methods.comparison.matching import UnitMatching, match_units
from fastdissect.methods.comparison.naming import named_runs, numbers_of
from fastdissect.methods.comparison.tables import category_table, layer_table, training_table
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Changed", "Comparison", "Matched", "compare"]


class Changed(NamedTuple):
    """A layer of one run, and the same of another, unit by unit."""

    before: Entry
    after: Entry
    changes: UnitChanges


class Matched(NamedTuple):
    """Two layers whose units were matched."""

    first: Entry
    other: Entry
    matching: UnitMatching


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Runs side by side; what `compare` returns. Its tables are described where they are made (tables.py)."""

    runs: Mapping[str, Dissection]
    entries: tuple[Entry, ...]  # by slot, then in the order of the runs
    steps: Mapping[str, float]  # {run: training step} of those given
    accuracy: Mapping[str, float]  # {run: accuracy} of those given
    left_out: tuple[str, ...] = ()  # a sentence about each layer, run or pair that is not compared
    warning: str = ""  # what differs, where the runs were compared by force; "" otherwise

    @cached_property
    def layers(self) -> pd.DataFrame:
        """A row a layer of a run: units, detectors, unique detectors under both conventions."""
        return layer_table(self.entries, self.steps, self.accuracy)

    @cached_property
    def categories(self) -> pd.DataFrame:
        """A row a category of a layer of a run."""
        return category_table(self.entries)

    @cached_property
    def training(self) -> pd.DataFrame:
        """A row a training step of a layer and a category; empty where no steps were given."""
        return training_table(self.layers, self.categories)

    @property
    def category_names(self) -> tuple[str, ...]:
        """The categories of all runs, in the data set's order."""
        return tuple(dict.fromkeys(q for run in self.runs.values() for q in run.concepts.categories))

    def changes(self) -> tuple[tuple[Changed, ...], tuple[str, ...]]:
        """Match units by index (`unit_changes`): each run with the first, or with the step before where all
        have one of their own.

        Returns:
            the pairs of layers with equally many units, and a sentence about each pair that is left out.
        """
        found, left = [], []
        for before, after in self._pairs(chained=True):
            a, b = before.result, after.result
            if a.units_count != b.units_count:
                left.append(
                    f"{before.title} has {a.units_count} units, {after.title} {b.units_count}: not matched by index"
                )
            elif a.undetermined or b.undetermined:
                left.append(f"{before.title}, {after.title}: undetermined, too few images for the quantile")
            else:
                found.append(Changed(before, after, unit_changes(a, b)))
        return tuple(found), tuple(left)

    def matchings(self) -> tuple[Matched, ...]:
        """Match the units of each run's layers with those of the first run (`match_units`).

        Raises:
            SettingError: one run alone, a run without activations, or runs over other images.
        """
        names = next(iter(self.runs.values())).image_names
        for name, run in self.runs.items():
            if run.image_names != names:
                raise SettingError(
                    f"expected runs over the same images to match units; run {name!r} is over others"
                )
        found = tuple(Matched(a, b, match_units(a.result, b.result)) for a, b in self._pairs(chained=False))
        if not found:
            raise SettingError("expected at least two runs to match the units of; got one")
        return found

    def _pairs(self, *, chained: bool) -> Iterator[tuple[Entry, Entry]]:
        for slot in dict.fromkeys(entry.slot for entry in self.entries):
            own = [entry for entry in self.entries if entry.slot == slot]
            steps = {self.steps.get(entry.run) for entry in own}
            if chained and None not in steps and len(steps) == len(own):
                own.sort(key=lambda entry: self.steps[entry.run])
                yield from itertools.pairwise(own)
            else:
                yield from ((own[0], other) for other in own[1:])

    def __repr__(self) -> str:
        names = ", ".join(dict.fromkeys(entry.layer for entry in self.entries))
        return f"<Comparison of {len(self.runs)} runs ({', '.join(self.runs)}), layers {names}>"


def compare(
    runs: Dissection | Sequence[Dissection] | Mapping[str, Dissection],
    *,
    layers: Sequence[str] | Mapping[str, str | None] | None = None,
    names: Sequence[str] | None = None,
    steps: Sequence[float | None] | Mapping[str, float | None] | None = None,
    accuracy: Sequence[float | None] | Mapping[str, float | None] | None = None,
    own_cuts: bool = False,
    force: bool = False,
) -> Comparison:
    """Put runs side by side: networks, layers, checkpoints, seeds, widths, ways of training.

    Args:
        runs: results over the same images under the same conventions.
        layers: names of layers that all runs have, or {run: layer} where they are named differently (a run that is
            left out, or None: its last layer). Default: the layers that all runs have, or each one's last layer.
        names: of the runs; default: a mapping's keys, or the networks' names.
        steps: training steps (iterations, epochs), from 0; accuracy: of the networks. In the order of the runs, or
            by name; None where not known.
        own_cuts: each layer may have a cut of its own, such as its chance level (`chance.with_cut`).
        force: compare runs that differ in their data or conventions; `Comparison.warning` says in what.

    Raises:
        SettingError: no runs, names that are not one each, or runs that differ; every difference is named.
        LayerError: a layer that the runs have not.

    Example:
        >>> found = compare({"places": fd.load("a"), "imagenet": fd.load("b")})    # doctest: +SKIP
        >>> found.layers[["run", "layer", "unique_sum"]]                          # doctest: +SKIP

    Source: Network Dissection (Bau, Zhou et al. 2017), section 3.3 on; the tables count as METHODS 1.5 says.
    """
    found = named_runs(runs, names)
    others = differences(found, own_cuts=own_cuts)
    if others and not force:
        raise SettingError(
            "expected runs over the same images under the same conventions; they differ in "
            f"{'; '.join(map(str, others))}; dissect them alike, or go on in spite of it with force=True (--force)"
        )
    entries, left_out = choose_entries(found, layers)
    return Comparison(
        runs=found,
        entries=entries,
        steps=numbers_of("steps", steps, list(found)),
        accuracy=numbers_of("accuracy", accuracy, list(found)),
        left_out=left_out,
        warning=f"Not made under the same conditions: {'; '.join(map(str, others))}" if others else "",
    )
