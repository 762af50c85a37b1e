"""`evaluate_vectors()`: how far the vectors can be trusted (METHODS 5.4; our formulation)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.directions import Directions
from fastdissect.errors import LayerError, SettingError
from fastdissect.methods.chance.planes import run_images
from fastdissect.methods.chance.splits import splits_of
from fastdissect.methods.semantics.decided import decisions_of
from fastdissect.methods.semantics.decisions import ConceptExplanation
from fastdissect.methods.semantics.explaining import explain_by_concepts, vocabulary_of
from fastdissect.methods.semantics.playing import play
from fastdissect.methods.semantics.settings import check_run, check_whole
from fastdissect.methods.semantics.space import SemanticVectors
from fastdissect.methods.semantics.stability import STABLE, stability_of
from fastdissect.progress import progress_bar
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STABLE", "Evaluation", "evaluate_vectors"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What held-out images say of the vectors, beyond AP and IoU (`study.vectors.table`).

    Attributes:
        pointing: from `pointing_game`; None where there is nothing to miss: a map of one cell, labels of whole images alone.
        decisions, removals: from `decisions_of`; None without a head or a vocabulary, and `reason` says why.
        stability: a row a concept: concept, category, cosine (mean over the other seeds), least; None: not asked for.
        images: of val that were looked at. of: all of val. seeds: the other ones.
    """

    study: SemanticVectors
    pointing: pd.DataFrame | None
    decisions: pd.DataFrame | None
    removals: pd.DataFrame | None
    stability: pd.DataFrame | None
    reason: str
    images: int
    of: int
    seeds: int


def evaluate_vectors(
    d: Dissection,
    study: SemanticVectors,
    *,
    model: Any = None,
    data: Any = None,
    directions: Mapping[str, Directions] | None = None,
    head: str | None = None,
    class_names: Sequence[str] | None = None,
    among: Sequence[str | int] | None = None,
    device: str = "auto",
    images: int = 300,
    seeds: int = 3,
    most: int = 10,
    removals: int = 20,
    all_concepts: bool = False,
    seed: int = 0,
    cache: str | Path | None = "auto",
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> Evaluation:
    """Play the pointing game, explain decisions with removals, and find the vectors again under other seeds.

    Args:
        d: the run that the vectors came from.
        images: of val, at most so many, drawn; the network runs over them twice.
        seeds: so many times the vectors are found anew, with other positions; 0: not.
        most, removals, all_concepts: as in `explain_by_concepts`.
        seed: of what is drawn here.
        others: as in `semantic_vectors` and `global_view`.

    Raises:
        SettingError: an option out of its range, no images in val. LayerError: a head that was asked for is not there.
        Others: as `semantic_vectors` and `explain_by_concepts`.

    Example:
        >>> found = evaluate_vectors(d, study)                                       # doctest: +SKIP
        >>> found.pointing[["concept", "vector", "single_unit", "random"]]           # doctest: +SKIP
    """
    for name, value, least in (("images", images, 1), ("seeds", seeds, 0), ("removals", removals, 0)):
        check_whole(name, value, least)
    check_whole("seed", seed, 0)
    check_run(d, study.vectors)
    place = {"model": model, "data": data, "device": device}
    val = np.flatnonzero(~splits_of(run_images(d, data), d.image_names).train)
    if not len(val):
        raise SettingError("expected held-out images; all of the run's are for training; use more images")
    chosen = val
    if len(val) > images:
        chosen = np.sort(np.random.default_rng((seed, 11)).choice(val, images, replace=False))
    decisions, spent, reason = None, None, ""
    asked = head is not None or class_names or among
    if not vocabulary_of(study, all_concepts=all_concepts):
        reason = "no concept is above its control, so there is no vocabulary to explain by"
    else:
        try:
            explained = explain_by_concepts(
                d, study, chosen.tolist(), **place, head=head, class_names=class_names, among=among, most=most,
                removals=removals, all_concepts=all_concepts, seed=seed,
            )  # fmt: skip
        except LayerError as error:
            if asked:
                raise
            reason = str(error)
        else:
            decisions, spent = decisions_of(_counted(explained, len(chosen), progress))
    more = {"directions": directions, "cache": cache, "folder": folder, "progress": progress}
    pointing = play(d, study, chosen, {**place, **more}, seed)
    stability = stability_of(d, study, seeds, {**place, **more}) if seeds else None
    return Evaluation(study, pointing, decisions, spent, stability, reason, len(chosen), len(val), seeds)


def _counted(
    explained: Iterator[ConceptExplanation], count: int, progress: bool | None
) -> Iterator[ConceptExplanation]:
    with progress_bar("decisions", count, show=progress) as advance:
        for one in explained:
            yield one
            advance(1)
