"""Ours on saved activations: what `dissect()` does to a layer, without the network.

One read of each activation by the layer's collector (batches of 32, as `dissect()` deals them), the exact thresholds,
one count against planes that are packed beforehand, then scores and labels.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect import count_intersections
from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.work import Found, Work
from fastdissect.collecting import LayerCollector
from fastdissect.conventions import profile as profile_of
from fastdissect.counting import Counter, concept_area
from fastdissect.labels import label_units
from fastdissect.packing import slice_planes
from fastdissect.planning import LayerShape, make_plan
from fastdissect.scores import iou
from fastdissect.sifting import fault_error
from fastdissect.types import ActivationView, Concepts, Counts, Planes, Profile
from fastdissect.upsampling import make_upsampling

__all__ = ["counted", "pipeline", "pipeline_on_arrays", "tally"]

BATCH = 32


class Dissected(NamedTuple):
    thresholds: NDArray[np.float32]
    counts: Counts


def pipeline_on_arrays(
    view: ActivationView,
    planes: Planes,
    concepts: Concepts,
    profile: Profile,
    thresholds: NDArray[np.float32] | None = None,
) -> Dissected:
    """Thresholds and counts of saved activations, step by step as a run of `dissect()` takes them.

    Args:
        view: [images, units, height, width].
        planes: of the same images, packed for the profile.
        thresholds: float32 [units], to count with thresholds from elsewhere.

    Raises:
        ActivationError: an activation that cannot be used.
    """
    images, units, height, width = view.data.shape
    upsampling = make_upsampling(profile.upsampling, (height, width), planes.size)
    shape = LayerShape(units, height, width, view.kind, upsampling)
    known = frozenset() if thresholds is None else frozenset({"layer"})
    plan = make_plan({"layer": shape}, images, profile, memory=None, passes=None, known=known).layers["layer"]
    with tempfile.TemporaryDirectory() as spill:
        collector = LayerCollector(
            "layer",
            (units, height, width),
            view.kind,
            images,
            profile,
            upsampling,
            passes=plan.passes,
            memory=plan.memory,
            spill=Path(spill),
            thresholds=thresholds,
        )
        more = True
        while more:
            for first in range(0, images, BATCH):
                sifted = collector.add(ActivationView(view.data[first : first + BATCH], view.kind))
                if sifted.fault is not None:
                    raise fault_error("layer", sifted.fault, f"{first + sifted.fault.image}")
            more = collector.end_pass()
        found = collector.finish()
        counter = Counter(found.thresholds, upsampling, concepts, profile)
        counter.add(found.cells, lambda first, last: slice_planes(planes, first, last))
    return Dissected(found.thresholds, counter.counts(concept_area(planes, len(concepts))))


def _work(case: Case, thresholds: NDArray[np.float32] | None) -> Work:
    assert case.labels is not None
    assert case.concepts is not None
    concepts, profile = case.concepts, profile_of(case.settings.get("profile", "netdissect"))
    planes = case.labels.planes(concepts, once=profile.repeats == "once")

    def run(_: None) -> Found:
        found = pipeline_on_arrays(case.view(), planes, concepts, profile, thresholds)
        scores = iou(found.counts, concepts, profile)
        labels = label_units(scores, concepts, profile)
        best = labels.best
        rows = np.arange(len(best))
        return {
            "thresholds": found.thresholds,
            "iou": scores,
            "score": labels.score,
            "label": np.where(best >= 0, labels.numbers[rows, best], 0),
        }

    return Work(run)


def pipeline(case: Case) -> Work:
    """Quantile and tally together, under the case's profile."""
    return _work(case, None)


def tally(case: Case) -> Work:
    """The tally alone, with the case's thresholds."""
    return _work(case, case.thresholds)


def counted(case: Case) -> Work:
    """`fastdissect.count_intersections`: the label maps as they are; packing them is inside the clock.

    Its scores are dissect's of 2020: every image counts in a unit's area.
    """
    assert case.labels is not None
    assert case.concepts is not None
    assert case.thresholds is not None
    concepts, thresholds = case.concepts, case.thresholds
    profile = profile_of("dissect-2020")
    labels, size = case.labels.dense(), case.labels.size
    columns = concepts.numbers - 1
    maps = case.activations

    def run(_: None) -> Found:
        greatest = int(concepts.numbers[-1])
        found = count_intersections(maps, thresholds, labels, size, profile.upsampling, concepts=greatest)
        areas = np.repeat(found.unit_area, len(concepts.categories), axis=1)
        own = Counts(found.intersection[:, columns], areas, found.concept_area[columns], found.mask_area)
        scores = iou(own, concepts, profile)
        labels_ = label_units(scores, concepts, profile)
        best, rows = labels_.best, np.arange(len(labels_.best))
        return {"iou": scores, "score": labels_.score, "label": labels_.numbers[rows, best]}

    return Work(run)
