"""Charts of the results: a bar a contestant, a line an axis of the scaling (SVG, by matplotlib)."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastdissect.files import write_bytes

__all__ = ["draw"]

AXES = {
    "images": "images",
    "units": "units",
    "concepts": "concepts",
    "maps": "cells of a map",
    "threads": "threads",
}
OURS, OTHER = "#1b7837", "#9a9a9a"


def draw(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write peers.svg and peers-scaling-AXIS.svg; returns the files.

    Raises:
        ImportError: matplotlib is not installed.
    """
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    plots = importlib.import_module("matplotlib.pyplot")
    written = []
    with plots.rc_context({"svg.hashsalt": "fastdissect", "svg.fonttype": "none", "font.size": 8}):
        bars = [record for record in result["rows"] if "failed" not in record]
        if bars:
            written.append(_save(plots, _bars(plots, bars), folder / "peers.svg"))
        for axis, label in AXES.items():
            own = [r for r in result["scaling"] if r["axis"] == axis and "failed" not in r]
            if own:
                figure = _lines(plots, own, label)
                written.append(_save(plots, figure, folder / f"peers-scaling-{axis}.svg"))
    return written


def _save(plots: Any, figure: Any, path: Path) -> Path:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plots.close(figure)
    write_bytes(path, file.getvalue())
    return path


def _bars(plots: Any, own: Sequence[Mapping[str, Any]]) -> Any:
    """A panel a case; logarithmic where the contestants lie further apart than five times."""
    cases = list(dict.fromkeys((r["row"], r["case"]) for r in own))
    members = [[r for r in own if (r["row"], r["case"]) == case][::-1] for case in cases]
    heights = [len(mine) + 4 for mine in members]
    figure, panels = plots.subplots(
        len(cases),
        1,
        figsize=(8, 0.19 * sum(heights)),
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    for panel, case, mine in zip(panels.flat, cases, members, strict=True):
        medians = [r["median"] for r in mine]
        colours = [OURS if r["contestant"].startswith("fastdissect") else OTHER for r in mine]
        low = [r["median"] - r["quartiles"][0] for r in mine]
        high = [r["quartiles"][1] - r["median"] for r in mine]
        places = range(len(mine))
        bars = panel.barh(places, medians, color=colours, xerr=(low, high), error_kw={"linewidth": 0.8})
        panel.set_yticks(places, [r["contestant"] for r in mine])
        panel.bar_label(bars, [f"{m:.3g}" for m in medians], padding=3)
        wide = max(medians) > 5 * min(medians)
        if wide:
            panel.set_xscale("log")
            panel.set_xlim(min(medians) / 3, max(medians) * 3)
        else:
            panel.set_xlim(0, max(medians) * 1.2)
        panel.set_title(f"{case[0]}: {case[1]}", fontsize=8)
        panel.set_xlabel(mine[0]["unit"] + (" (logarithmic)" if wide else ""))
    return figure


def _lines(plots: Any, own: Sequence[Mapping[str, Any]], label: str) -> Any:
    """Milliseconds an image, so that contestants with other numbers of images can be laid beside each other."""
    figure, panel = plots.subplots(figsize=(5, 3.5), layout="constrained")
    whole = label in ("images", "threads")
    for record in own:
        per = [1] * len(record["x"]) if whole else [n / 1e3 for n in record["images"]]
        y = [seconds / n for seconds, n in zip(record["seconds"], per, strict=True)]
        slope = "" if record["slope"] is None else f" (exponent {record['slope']:.2f})"
        colour = OURS if record["contestant"].startswith("fastdissect") else None
        panel.plot(record["x"], y, "o-", label=record["contestant"] + slope, color=colour)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xlabel(label)
    panel.set_ylabel("seconds" if whole else "ms an image")
    panel.grid(True, which="both", alpha=0.2)
    panel.legend()
    return figure
