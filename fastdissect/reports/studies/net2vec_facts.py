"""The head of the page of concept vectors: what was trained, on what, and the figures that say most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastdissect.methods.vectors import VectorStudy
from fastdissect.reports.facts import run_facts
from fastdissect.results import Dissection

__all__ = ["headline", "median_needed", "page_facts", "score_word"]


def headline(study: VectorStudy) -> list[tuple[str, str, str]]:
    """The figures at the head of the page: (what, value, of what)."""
    vectors, learned = study.vectors, int(study.embedding.learned.sum())
    found = [("concepts", f"{learned:,}", f"learned of {len(vectors):,} over {vectors.units:,} units")]
    if study.improvement is not None:
        row = study.improvement.iloc[-1]
        what = f"mean {score_word(study)} on val"
        found.append(("best single filter", f"{row['single']:.3f}", what))
        found.append(("all filters together", f"{row['combined']:.3f}", what))
        found.append(
            ("gain over one filter", f"{100 * row['better']:.0f} %", f"of {int(row['concepts']):,} concepts")
        )
    median = median_needed(study)
    if median is not None:
        found.append(("filters needed", f"{median:g}", f"of {vectors.units:,}, in the median"))
    return found


def score_word(study: VectorStudy) -> str:
    return "IoU_set" if study.vectors.kind == "segmentation" else "accuracy"


def median_needed(study: VectorStudy) -> float | None:
    if study.needed is None or not (study.needed["needed"] > 0).any():
        return None
    return float(np.median(study.needed.loc[study.needed["needed"] > 0, "needed"]))


def page_facts(study: VectorStudy, dissection: Dissection) -> list[tuple[str, str]]:
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
