"""The page of a layer's concept vectors: one filter against many, what is like what, concepts and units one by one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.facts import network_name, run_facts
from fastdissect.reports.studies.net2vec_concepts import ShownImages, concept_section
from fastdissect.reports.studies.net2vec_overviews import (
    across_scores,
    concept_overview,
    unit_labels,
    unit_overview,
)
from fastdissect.reports.studies.net2vec_sections import likeness_sections, score_sections
from fastdissect.reports.studies.page import Section, Table, write_study
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_net2vec_study"]

_SHOWN = 12  # concepts with a section of their own

_CONCEPTS = """\
Each concept with its largest weights (unit and weight, of a vector of length 1) and its nearest neighbours (cosine).
The sections below show some of them over the whole range of scores, the best first and the worst last."""

_UNITS = """\
The concepts that each unit helps to encode: those in which its weight is one of the five largest by size, with that
weight. The label is the run's: the concept that the unit detects by itself, where it is a detector."""


def write_net2vec_study(
    study: VectorStudy,
    path: str | Path,
    *,
    dissection: Dissection,
    shown: tuple[str, ...] = (),
    images: ShownImages | None = None,
) -> Path:
    """Write one page with figures, tables and CSVs; returns the page to open.

    Args:
        path: a folder of its own; an older study there is replaced.
        dissection: the run, for its facts and the units' own labels.
        shown: concepts with a section of their own; default: twelve over the whole range of scores.
        images: for pictures; None: none.

    Raises:
        BackendError: matplotlib is not installed. OutputError: the folder cannot be written.

    Example:
        >>> write_net2vec_study(study_vectors(vectors), "out/net2vec/page", dissection=d)     # doctest: +SKIP
    """
    vectors, labels = study.vectors, unit_labels(study, dissection)
    rows = [study.embedding.find(name) for name in shown] or across_scores(study, _SHOWN)
    csv: dict[str, pd.DataFrame] = {
        "concepts": vectors.table.assign(learned=study.embedding.learned),
        "filters": study.filters,
        "units": study.units,
        "neighbours": study.neighbours,
    }
    sections = [
        *score_sections(study, csv),
        *likeness_sections(study, csv),
        Section("Concepts", _CONCEPTS, [Table.of(concept_overview(study), csv="concepts")]),
        *(concept_section(study, row, labels, images) for row in rows),
        Section("Units", _UNITS, [Table.of(unit_overview(study, labels), csv="units")]),
    ]
    if vectors.skipped:
        sections.append(Section("Not trained", "", [Table(("concept", "reason"), vectors.skipped)]))
    return write_study(
        path,
        title=f"{network_name(dissection.run)}: concepts as combinations of {vectors.layer}'s units",
        eyebrow="How are concepts spread over units?",
        facts=_facts(study, dissection),
        sections=sections,
        csv=csv,
    )


def _facts(study: VectorStudy, dissection: Dissection) -> list[tuple[str, str]]:
    vectors = study.vectors
    facts = [
        ("Layer", f"{vectors.layer}, {vectors.units:,} units"),
        ("Vectors", f"{vectors.kind}, {len(vectors):,} concepts"),
    ]
    lost = int((~study.embedding.learned).sum())
    if lost:
        facts.append(("Not learned", f"{lost:,} concept{'s' * (lost > 1)}"))
    facts += _training(vectors.record.get("settings"))
    return [*facts, *(fact for fact in run_facts(dissection) if fact[0] in ("Data set", "Images", "Profile"))]


def _training(settings: Any) -> list[tuple[str, str]]:
    """Of the settings in a record, those that change what comes out most."""
    if not isinstance(settings, Mapping):
        return []
    words = [f"{settings['loss']} loss"] if "loss" in settings else []
    words += [f"{settings['epochs']} epochs"] if "epochs" in settings else []
    words += [name for name in ("positive", "bias") if settings.get(name) is True]
    words += [f"seed {settings['seed']}"] if "seed" in settings else []
    return [("Training", ", ".join(words))] if words else []
