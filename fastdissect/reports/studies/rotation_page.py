"""The page of a rotation study: what is left of a layer's detectors as its basis turns into a random one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.methods.rotation import RotationStudy
from fastdissect.reports.facts import network_name, run_facts
from fastdissect.reports.palette import display_order
from fastdissect.reports.studies.figures import Figure
from fastdissect.reports.studies.page import Section, Table, write_study
from fastdissect.reports.studies.rotation_figures import category_figure, iou_figure, unique_figure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_rotation_study"]

_READING = """\
At alpha 0 are the layer's own units; at alpha 1 the same activations seen in a random orthonormal basis. Both bases
hold the same information: the next layer could undo the rotation. If detectors are lost on the way, concepts lie along
the layer's own axes; if they stay, the axes are nothing special.

A low cut hides a loss: a rotated unit still overlaps with what its largest coefficient detects. So do few concepts
and many units. The mean IoU, below, needs no cut."""


_UNITS = 40  # that the page shows of those with a chance level; the CSV has all
_COLUMNS = {
    "detectors": "detectors",
    "unique_detectors": "unique (best)",
    "unique_by_category_total": "unique (sum)",
    "mean_iou": "mean IoU",
}
_UNDETERMINED = (
    "Too few images for this quantile: no unit has a threshold, and every number of detectors here is 0 "
    "for that reason alone."
)


def write_rotation_study(study: RotationStudy, path: str | Path) -> Path:
    """Write one page with curves over alpha, baselines, tables and CSVs; returns the page to open.

    Args:
        path: a folder of its own; an older study there is replaced.

    Raises:
        BackendError: matplotlib is not installed. OutputError: the folder cannot be written.

    Example:
        >>> write_rotation_study(rotate("builtin:shapes", "shapes", "conv5"), "out/report")    # doctest: +SKIP
    """
    table, by_category, curve = study.table(), study.by_category(), study.curve()
    baselines = study.baselines()
    warning = _UNDETERMINED if bool(table["undetermined"].any()) else ""
    files = {"rotations": table, "categories": by_category, "curve": curve, "baselines": baselines}
    if study.chance is not None:
        files["units"] = study.chance.table()
    sections = [
        Section(
            "Unique detectors",
            _READING,
            [
                unique_figure(study, curve, baselines, warning),
                Table.of(
                    _by_alpha(curve), f"Mean over {_rotations(study)}, and from least to most.", csv="curve"
                ),
            ],
        ),
        Section(
            "Mean IoU",
            "Each unit's best IoU with any concept, averaged over the units.",
            [iou_figure(study, curve, baselines, warning)],
        ),
        Section("Against chance", _baseline_words(study), _against_chance(study, baselines)),
        Section("Every rotation", "", [Table.of(table, csv="rotations")]),
    ]
    if study.dissection.concepts.categories:
        items: list[Figure | Table] = [category_figure(study, curve, warning), _by_category(study, curve)]
        words = "Each category by itself: distinct labels above the cut."
        sections.insert(1, Section("By category", words, items))
    return write_study(
        path,
        title=f"{network_name(study.dissection.run)}: {study.layer} in random bases",
        eyebrow="Are units special directions?",
        facts=_facts(study),
        sections=sections,
        csv=files,
        warning=warning,
    )


def _facts(study: RotationStudy) -> list[tuple[str, str]]:
    layer = study.dissection[study.layer]
    sign = "≥" if layer.profile.cut_inclusive else ">"
    own = [
        ("Layer", f"{study.layer}, {layer.units_count:,} units"),
        ("Alpha", ", ".join(f"{alpha:g}" for alpha in study.alphas)),
        ("Rotations", f"{len(study.seeds)}, seeds {', '.join(map(str, study.seeds))}"),
    ]
    facts = [fact for fact in run_facts(study.dissection) if fact[0] not in ("Layers", "Detector")]
    return [*own, ("Detector", f"IoU {sign} {study.cut:g}"), *facts]


def _rotations(study: RotationStudy) -> str:
    return f"{len(study.seeds)} rotation{'s' if len(study.seeds) > 1 else ''}"


def _by_alpha(curve: pd.DataFrame) -> pd.DataFrame:
    """A row an alpha: "mean (min - max)" of each total."""
    total = curve[curve["category"].isna()].copy()
    digits = [3 if name == "mean_iou" else 1 for name in total["measure"]]
    total["text"] = [
        f"{mean:.{d}f} ({low:.{d if d == 3 else 0}f} - {high:.{d if d == 3 else 0}f})"
        for mean, low, high, d in zip(total["mean"], total["min"], total["max"], digits, strict=True)
    ]
    wide = total.pivot(index="alpha", columns="measure", values="text")
    return _with_alphas(wide[list(_COLUMNS)].rename(columns=_COLUMNS))


def _by_category(study: RotationStudy, curve: pd.DataFrame) -> Table:
    own = curve[curve["measure"] == "unique"].pivot(index="alpha", columns="category", values="mean")
    shown = _with_alphas(own[list(display_order(study.dissection.concepts.categories))])
    return Table.of(shown, f"Unique detectors, mean over {_rotations(study)}.", digits=1, csv="curve")


def _with_alphas(wide: pd.DataFrame) -> pd.DataFrame:
    return wide.rename(index="{:g}".format).rename_axis(columns=None).reset_index()


def _baseline_words(study: RotationStudy) -> str:
    words = []
    if study.random is not None:
        words.append("Random weights: the same network untrained, over the same images.")
    if study.chance is not None:
        words.append(
            f"Permuted images: the labels of each image laid under another one's masks, {study.chance.permutations:,} "
            "times; detectors is the number to be expected, and a unit's p the share of permutations that do as well."
        )
    return " ".join(words) or "No baseline was asked for: --random-weights, --permutations."


def _against_chance(study: RotationStudy, baselines: pd.DataFrame) -> list[Any]:
    shown = baselines.copy()
    for name in shown.columns[2:]:
        form = "{:.3f}" if name == "mean_iou" else "{:.4g}"
        shown[name] = ["" if value != value else form.format(value) for value in shown[name]]  # noqa: PLR0124
    columns = tuple(_COLUMNS.get(name, name) for name in shown.columns)
    rows = tuple(shown.astype(str).itertuples(index=False, name=None))
    tables = [Table(columns, rows, "", frozenset(columns[1:]), csv="baselines")]
    if study.chance is not None:
        units = study.chance.table().sort_values(["iou", "unit"], ascending=[False, True])
        tables.append(Table.of(units, "The layer's own units, by IoU.", rows=_UNITS, csv="units"))
    return tables
