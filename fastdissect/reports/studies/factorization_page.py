"""The page of a coupled factorisation: the factors as a gallery, examples as mixtures, layers, fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from fastdissect.methods.factorization.reading import Labelled, Reading, read_factorization
from fastdissect.methods.factorization.result import Factorization
from fastdissect.reports.facts import network_name
from fastdissect.reports.studies.factorization_figures import cosine_figure, history_figure
from fastdissect.reports.studies.factorization_files import reading_tables
from fastdissect.reports.studies.factorization_gallery import Images, dead_section, factor_sections
from fastdissect.reports.studies.factorization_rank import Curve, rank_section
from fastdissect.reports.studies.factorization_sections import (
    examples_section,
    gallery_words,
    impurity_section,
    labelled_sections,
    layers_section,
)
from fastdissect.reports.studies.factorization_tables import (
    baseline_table,
    closest,
    fit_table,
    overview,
    restart_table,
)
from fastdissect.reports.studies.factorization_words import HOW, coherence_words
from fastdissect.reports.studies.free import check_study_folder
from fastdissect.reports.studies.page import Section, Table, write_study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_factorization_study"]

_ROWS = 60


def write_factorization_study(
    f: Factorization,
    folder: str | Path,
    *,
    images: Images | None = None,
    classes: Labelled | None = None,
    superclasses: Labelled | None = None,
    groups: Labelled | None = None,
    concepts: Labelled | None = None,
    correct: ArrayLike | None = None,
    curve: Curve | None = None,
    baselines: pd.DataFrame | None = None,
    shown: int = 60,
    title: str = "",
) -> Path:
    """Write the page, with CSVs of everything it shows.

    Args:
        f: a factorisation.
        folder: a folder of its own; an older page there is replaced.
        images: gives an example's picture, uint8 [height, width, 3], from its number; without it the examples are named.
        classes, superclasses, groups, concepts, correct: see `read_factorization`; none is needed.
        curve: of `rank_curve`. baselines: of `factorization_baselines`.
        shown: factors in the gallery, at most; the tables have all.
        title: of the page; "Latent factors of" the record's network where it is not given.

    Returns:
        The page to open.

    Raises:
        SettingError: labels or pictures of another shape. BackendError: matplotlib or scikit-learn is not installed.
        OutputError: the folder cannot be written.

    Example:
        >>> write_factorization_study(f, "factors", classes=(numbers, names))         # doctest: +SKIP
    """
    check_study_folder(folder)
    reading = read_factorization(
        f, classes=classes, superclasses=superclasses, groups=groups, concepts=concepts, correct=correct
    )
    csv = reading_tables(reading)
    factors = list(factor_sections(reading, images, shown))
    dead = dead_section(reading)
    sections = [
        Section("", HOW),
        Section("Factors", gallery_words(reading, len(factors)), [
            Table.of(overview(reading), "The live factors, those of most weight first.", rows=_ROWS, csv="factors"),
        ]),
        *factors,
        *([] if dead is None else [dead]),
        *labelled_sections(reading),
        examples_section(reading, images),
        *impurity_section(reading),
        Section("Between factors", coherence_words(reading.coherence), [cosine_figure(reading), *closest(reading)]),
        layers_section(reading),
        Section(
            "Fit",
            "The fit of a matrix is what is left: squared error over squared norm. 0 is perfect, 1 explains nothing. Dead: "
            "features that are 0 in every example; their loadings are 0. The values were divided by the scale.",
            [Table.of(fit_table(f), csv="matrices"), history_figure(f), restart_table(f)],
        ),
    ]  # fmt: skip
    if curve is not None:
        sections.append(rank_section(curve))
        csv["ranks"] = curve.table
    if baselines is not None:
        sections.append(Section("Beside K-means and NMF", *baseline_table(baselines)))
        csv["baselines"] = baselines
    return write_study(
        folder,
        title=title or f"Latent factors of {network_name(f.record)}",
        eyebrow="coupled factorisation",
        facts=_facts(reading),
        sections=sections,
        csv=csv,
    )


def _facts(reading: Reading) -> list[tuple[str, str]]:
    f = reading.factorization
    kept = f.restarts[f.restarts["kept"]]
    live = f.mixtures.shape[1] - len(reading.dead)
    neurons = sum(len(one.values) for one in f.loadings if one.kind != "pixels")
    facts = [
        ("examples", f"{len(f.mixtures):,}"),
        ("factors", f"{f.mixtures.shape[1]}" + (f", {live} live" if reading.dead else "")),
        ("matrices", f"{len(f.loadings)}" + (f", {neurons:,} neurons" if neurons else "")),
        ("rule", "released" if f.settings.faithful else "scaled, monotone"),
        ("penalty", f"{f.settings.penalty}, {f.settings.mixtures:g}"),
    ]
    if len(kept):
        row = kept.iloc[0]
        done = "converged" if bool(row["converged"]) else "stopped"
        facts += [("fit", f"{float(row['fit']):.4f}"), ("iterations", f"{int(row['iterations']):,}, {done}")]
    data = f.record.get("dataset") or f.record.get("data")
    return [*([("data set", str(data))] if data else []), *facts]
