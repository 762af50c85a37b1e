"""The page of the chance study: which units detect more than chance does, and what a cut of 0.04 means here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.methods.chance import LayerChance
from fastdissect.reports.facts import network_name, run_facts
from fastdissect.reports.studies.chance_figures import null_histogram, ranked_units
from fastdissect.reports.studies.page import Section, Table, write_study
from fastdissect.results import Dissection
from fastdissect.storage import layer_folder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["overview", "write_chance_study"]

_ROWS = 50  # units shown on the page; the CSV has all

_READING = """\
In a permutation the labels of another image are laid under a unit's masks, and the unit's best IoU over all
concepts is counted again. What comes out is what a unit reaches whose masks have nothing to do with the
labels: the choice of the best of many concepts included, the sizes of masks and objects, and their usual
places in a picture, too.

A unit's p-value is the share of permutations (with the one that was observed) in which it does as well or
better. q is the same after Benjamini and Hochberg: among the units with q at most 0.05, at most one in twenty
is expected to be there by chance. The calibrated cut is one number for a layer: of the units that fire at all,
one without anything to do with the labels passes it with a probability of about the level, one with large
masks more often than one with small ones.

A small p-value says that an overlap is no accident, not that it is large; a cut says that it is large. Images
are taken as exchangeable: in a data set of several sources, a unit that merely tells the sources apart is
beyond chance, too."""


def overview(found: Mapping[str, LayerChance]) -> pd.DataFrame:
    """Return a row a layer: units, detectors at the profile's cut and how many of them chance would give, the
    calibrated cut, detectors there, units beyond chance by q.
    """
    import pandas as pd

    rows = []
    for name, one in found.items():
        numbers, profile = one.level.summary(), one.level.layer.profile
        rows.append(
            {
                "layer": name,
                "units": numbers.units,
                f"detectors at {profile.cut:g}": numbers.detectors,
                "expected by chance": numbers.chance_detectors,
                "calibrated cut": one.level.cut,
                "detectors there": numbers.calibrated,
                f"q ≤ {one.level.level:g}": numbers.significant,
            }
        )
    return pd.DataFrame(rows)


def write_chance_study(d: Dissection, found: Mapping[str, LayerChance], path: str | Path) -> Path:
    """Write one page with two figures a layer, tables and CSVs; returns the page to open.

    Args:
        found: {layer: results}, one or more.
        path: a folder of its own; an older study there is replaced.

    Raises:
        BackendError: matplotlib is not installed. OutputError: the folder cannot be written.

    Example:
        >>> write_chance_study(d, {"layer4": layer_chance(d["layer4"], planes, splits)}, "chance")   # doctest: +SKIP
    """
    table = overview(found)
    csv = {"overview": table}
    sections = [
        Section("Against chance", _READING, [Table.of(table, "Detectors by three rules.", csv="overview")])
    ]
    for name, one in found.items():
        file = layer_folder(name)
        csv[file] = one.table()
        sections.append(_layer(name, one, file))
        if one.held_out is not None:
            csv[f"{file}-train-val"] = one.held_out
            sections.append(_held_out(name, one, one.held_out, file))
    first = next(iter(found.values())).level
    facts = [
        ("Permutations", f"{first.permutations:,}, seed {first.seed}"),
        *(
            ("Bootstrap", f"{len(one.bootstrap.iou):,} replicates")
            for one in [*found.values()][:1]
            if one.bootstrap
        ),
        ("Level", f"{first.level:g}"),
        *run_facts(d),
    ]
    return write_study(
        path,
        title=f"{network_name(d.run)}: units and chance",
        eyebrow="More than chance?",
        facts=facts,
        sections=sections,
        csv=csv,
    )


def _layer(name: str, one: LayerChance, file: str) -> Section:
    items: list[Any] = [null_histogram(one.level, file), ranked_units(one.level, file)]
    table = one.table().sort_values(["iou", "unit"], ascending=[False, True])
    items.append(Table.of(table, rows=_ROWS, csv=file))
    return Section(f"{name}: why {one.level.layer.profile.cut:g}?", _why(one) + _intervals(one), items)


def _why(one: LayerChance) -> str:
    found, level = one.level.summary(), one.level
    cut = level.layer.profile.cut
    sign = "at or above" if level.layer.profile.cut_inclusive else "above"
    share = f"{100 * level.level:g} % of the permutations"
    least = 1 / (1 + level.permutations)
    few = (
        f" With so few permutations no p can be below {least:.2g}, and none q." if least > level.level else ""
    )
    return (
        f"Paired with the labels of other images, a unit of this layer still has its best IoU {sign} {cut:g} in "
        f"{_short(100 * found.chance_share)} % of the permutations: of {found.units:,} units that detected nothing, "
        f"{_short(found.chance_detectors)} would pass; {found.detectors:,} pass with their own images. "
        f"Units that pass by chance in more than {share}, because their masks are large or their "
        f"concepts everywhere: {found.prone_units:,}.\n\n"
        f"At the level {level.level:g} the calibrated cut of this layer is {level.cut:.3g}, and "
        f"{found.calibrated:,} units pass it. Each judged by its own null distribution, "
        f"{found.significant:,} are beyond chance (q ≤ {level.level:g}).{few}"
    )


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _intervals(one: LayerChance) -> str:
    if one.bootstrap is None:
        return ""
    return (
        f"\n\nlow and high bound {100 * one.bootstrap.confidence:g} % bootstrap intervals of the best IoU over images; "
        "stability is the share of replicates in which the unit has the same label. Thresholds stay those of the run, and "
        "the best of many concepts is biased upward in a replicate: the interval says how stable a score is, not how far "
        "it is from chance."
    )


def _held_out(name: str, one: LayerChance, table: pd.DataFrame, file: str) -> Section:
    shown = table.sort_values(["train_iou", "unit"], ascending=[False, True])
    named = table[table["label"] != ""]
    same = (
        f"{int(named['same_label'].sum()):,} of {len(named):,} labels are the same on both. "
        if len(named)
        else ""
    )
    text = (
        f"Labels chosen on the training images and scored on the others (split: {one.split}), at the run's thresholds. "
        f"{same}Their mean IoU is {table['train_iou'].mean():.3f} where they were chosen, which the choice of the best "
        f"of many concepts flatters, and {table['val_iou'].mean():.3f} on the others, which it does not; both also "
        "differ by which images they are of."
    )
    return Section(
        f"{name}: chosen on train, scored on val",
        text,
        [Table.of(shown, rows=_ROWS, csv=f"{file}-train-val")],
    )
