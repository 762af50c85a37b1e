"""The summary's words and numbers, as a reader wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

import numpy as np

from fastdissect.conventions import PROFILES
from fastdissect.labels import CategorySummary, Summary, passes
from fastdissect.layer import LayerDissection
from fastdissect.reports.bars import BarGraph, Detector, bar_graph, group_bars
from fastdissect.reports.palette import display_order
from fastdissect.results import Dissection

__all__ = ["LayerFacts", "duration", "layer_facts", "network_name", "percent", "run_facts"]


@dataclass(frozen=True)
class LayerFacts:
    """One layer's summary, ready for the template."""

    number: int
    name: str
    map: str  # "7 × 7"
    summary: Summary
    categories: tuple[CategorySummary, ...]  # display order, those with a detector under either convention
    graph: BarGraph
    images_needed: int  # for a quantile of at least one value; 0 unless undetermined


def layer_facts(number: int, layer: LayerDissection) -> LayerFacts:
    """Return a layer's numbers and its bar graph."""
    summary = layer.summary()
    images, _, height, width = layer.shape
    by_name = {row.category: row for row in summary.by_category}
    shown = tuple(by_name[q] for q in display_order(by_name) if by_name[q].detectors)
    needed = 0
    if layer.undetermined:
        seen = max(int(layer.seen.max(initial=0)), 1)
        needed = -(-images * layer.profile.quantile.denominator // (layer.profile.quantile.numerator * seen))
    return LayerFacts(
        number=number,
        name=layer.name,
        map=f"{height} × {width}",
        summary=summary,
        categories=shown,
        graph=bar_graph(group_bars(detectors(layer), layer.concepts.categories)),
        images_needed=needed,
    )


def detectors(layer: LayerDissection) -> list[Detector]:
    """Return the layer's detectors, in the units' order."""
    found, concepts, profile = layer.labels, layer.concepts, layer.profile
    if not concepts.categories:
        return []
    units = np.arange(layer.units_count)
    score = found.score[units, found.best]
    own = units[passes(score, profile.cut, profile.cut_inclusive)]
    rows = (found.column[own, found.best[own]], found.best[own], score[own])
    return [
        Detector(concepts.names[column], concepts.categories[q], iou)
        for column, q, iou in zip(*(row.tolist() for row in rows), strict=True)
    ]


def run_facts(dissection: Dissection) -> list[tuple[str, str]]:
    """Return (what, value) lines for the head of the page; what the run does not know is left out."""
    run, profile, names = dissection.run, dissection.profile, list(dissection)
    layer = next(iter(dissection.values()))
    quantile = f"top {percent(float(profile.quantile))}"
    changed = profile.name in PROFILES and profile != PROFILES[profile.name]
    recorded = _text(run, "network", "model")
    facts = [
        ("Network", recorded if recorded and recorded != network_name(run) else ""),
        ("Data set", _text(run, "data", "dataset")),
        ("Images", f"{layer.shape[0]:,}"),
        ("Concepts", f"{len(dissection.concepts):,} in {_categories(len(dissection.concepts.categories))}"),
        (
            "Layers",
            ", ".join(name or "the network itself" for name in names) if len(names) <= 5 else str(len(names)),
        ),
        ("Profile", f"{profile.name}{' (changed)' if changed else ''}, {quantile}"),
        ("Detector", f"IoU {'≥' if profile.cut_inclusive else '>'} {_cuts(dissection)}"),
        ("Time", duration(_seconds(run))),
        ("Device", _text(run, "device") or _text(_mapping(run.get("key")), "device")),
    ]
    return [(what, value) for what, value in facts if value]


def _cuts(dissection: Dissection) -> str:
    """The IoU that makes a detector; the least and the greatest where layers have cuts of their own."""
    cuts = sorted({layer.profile.cut for layer in dissection.values()})
    return f"{cuts[0]:g}" if len(cuts) == 1 else f"{cuts[0]:.3g} to {cuts[-1]:.3g}, by layer"


def network_name(run: Mapping[str, Any]) -> str:
    """Return the network's name for a title: as the run recorded it, files without their folders.

    >>> network_name({"model": "examples/net.py:build?weights=ckpt/epoch_12.pt"}), network_name({})
    ('net.py:build (epoch_12)', 'network')
    """
    builder, weighted, file = _text(run, "network", "model").partition("?weights=")
    source, colon, function = builder.rpartition(":")
    if source.endswith(".py"):
        builder = f"{PureWindowsPath(source).name}{colon}{function}"  # either kind of slash
    return f"{builder} ({PureWindowsPath(file).stem})" if weighted else builder or "network"


def _text(run: Mapping[str, Any], *keys: str) -> str:
    """The first of these entries; an entry may be a text or a mapping with a name."""
    for key in keys:
        value = run.get(key)
        if isinstance(value, Mapping):
            value = value.get("name") or value.get("spec")
        if isinstance(value, str) and value:
            return value
    return ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _seconds(run: Mapping[str, Any]) -> float | None:
    timings = run.get("timings")
    for place in (run, timings if isinstance(timings, Mapping) else {}):
        for key in ("seconds", "total", "total_seconds"):
            if isinstance(place.get(key), int | float):
                return float(place[key])
    return None


def duration(seconds: float | None) -> str:
    """Return a time in words.

    >>> duration(4.21), duration(72), duration(3 * 3600 + 300), duration(None)
    ('4.2 s', '1 min 12 s', '3 h 5 min', '')
    """
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def percent(share: float) -> str:
    """
    >>> percent(0.005), percent(5 / 999)
    ('0.5 %', '0.5005 %')
    """
    return f"{100 * share:.4g} %"


def _categories(count: int) -> str:
    return "1 category" if count == 1 else f"{count} categories"
