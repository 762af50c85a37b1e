"""What the tutorial prints: every number that docs/concepts.md quotes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from decisions import Trust
from likeness import Nearness, Sums

from fastdissect.methods.vectors import Embedding, best_sums

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "say_best_sums",
    "say_concepts",
    "say_filters",
    "say_layers",
    "say_nearness",
    "say_sums",
    "say_trust",
]

THIN = 5.0  # cells of the map, on average


def say_layers(table: pd.DataFrame) -> None:
    print("\nmean over all concepts on val, by layer: IoU of the best single filter and of combinations")
    print(table.to_string(index=False, float_format="{:.3f}".format))


def say_concepts(table: pd.DataFrame) -> None:
    print(
        "\nall concepts of the last layer: IoU on val; marked: pixels marked over the concept's own; everywhere: IoU of "
        "marking all; cells: mean size; lone: the single filter without a bias"
    )
    print(table.to_string(index=False, float_format="{:.3f}".format))
    wanted = ("single", "everywhere", "lone", "published", "bias", "log", "bce")
    columns = [name for name in wanted if name in table]
    print(table.groupby("category", sort=False)[columns].mean().to_string(float_format="{:.3f}".format))
    print("all  " + "  ".join(f"{name} {table[name].mean():.3f}" for name in columns))
    for name in columns[3:]:
        lost = table[table[name] <= table["single"]]
        above = (table[name] > table[["single", "everywhere"]].max(axis=1)).sum()
        print(
            f"{name}: {len(table) - len(lost)} of {len(table)} concepts gain; {above} are above marking everything, too; "
            f"lose: {', '.join(lost['concept'])}"
        )
    thin = table["cells"] < THIN
    for label, own in (("thin, below 5 cells", table[thin]), ("others", table[~thin])):
        means = "  ".join(f"{name} {own[name].mean():.3f}" for name in columns)
        marked = "  ".join(f"{name} {own[f'{name}_marked'].median():.1f}" for name in ("published", "bce"))
        print(f"{label}: {len(own)} concepts; {means}; marked pixels over own pixels, median: {marked}")


def say_filters(label: str, needed: pd.DataFrame, scores: pd.DataFrame) -> None:
    known = needed[needed["needed"] > 0]
    print(f"\nfilters, {label}: {len(known)} concepts; mean IoU on val by number of filters")
    print("  " + "  ".join(f"{size}: {own['val'].mean():.3f}" for size, own in scores.groupby("filters")))
    for column, what in (("needed", "for 90 % of the score of all"), ("best", "for the highest score")):
        counts = Counter(known[column].tolist())
        print(
            f"  {what}: median {known[column].median():g}; "
            + ", ".join(f"{k} filters {counts[k]}" for k in sorted(counts))
        )
    chosen = scores.loc[scores.groupby("number")["train"].idxmax(), "val"].mean()
    print(f"  each concept with the number of filters that is best on train: mean IoU on val {chosen:.3f}")


def say_nearness(label: str, found: Nearness, related: tuple[float, float]) -> None:
    print(
        f"{label}: {found.concepts} concepts; nearest neighbour shares pixels {_percent(found.touching)} (chance "
        f"{_percent(found.touching_by_chance)}), shares most pixels {_percent(found.most)} (chance "
        f"{_percent(1 / (found.concepts - 1))}); correlation with shared pixels {found.correlation:.2f} (p {found.p:.3f}); five "
        f"nearest of the own category {_percent(found.same)} (chance {_percent(found.same_by_chance)}); both words of the best "
        f"sum share pixels {_percent(related[0])} (chance {_percent(related[1])})"
    )


def say_best_sums(found: Embedding) -> None:
    print("\nthe ten sums that gain most on the nearest neighbour alone, semantic vectors of the last layer")
    print(best_sums(found).head(10).to_string(index=False, float_format="{:.2f}".format))


def say_sums(label: str, found: Sums, *, listed: bool) -> None:
    within = (found.rank < 10).mean()
    print(
        f"{label}: {len(found.names)} composed concepts; the right pair is the best of {found.pairs:,} for "
        f"{_percent(found.first)} (names shuffled {100 * found.first_by_chance:.1f} %, p {found.p:.3f}), among the ten best for "
        f"{_percent(within)}, in place {np.median(found.rank) + 1:g} by the median (chance {found.pairs / 2:,.0f}); nearest colour "
        f"right {_percent(found.colour)} (chance {_percent(1 / found.colours)}), nearest thing {_percent(found.thing)} (chance "
        f"{_percent(1 / found.things)})"
    )
    if listed:
        for name, pair, rank in zip(found.names, found.found, found.rank.tolist(), strict=True):
            print(f"    {name:16} best {' + '.join(pair):24} right pair in place {rank + 1}")


def say_trust(what: str, found: Trust) -> None:
    print(
        f"\n{found.decisions} {what}: parts and score differ by at most {found.gap:.1e}, relative\n"
        f"  residual, median share {_percent(found.residual)}; at most half in {_percent(found.explained)}\n"
        f"  strongest concept is in the picture {_percent(found.concept_there)} (another picture "
        f"{_percent(found.concept_by_chance)})\n"
        f"  concept of the strongest unit is in the picture {_percent(found.unit_there)} (another picture "
        f"{_percent(found.unit_by_chance)})\n"
        f"  without the strongest concept the score changes by {found.removal:+.2f}, along random directions by "
        f"{found.removal_by_chance:+.2f}; by more than along any of them in {_percent(found.beyond_chance)}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
