"""OUT/steps.tsv and OUT/rows.jsonl -> OUT/gpu.json (everything) and OUT/gpu.md (tables, wanted beside got)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpu.rows import Rows

__all__ = ["report"]

TABLES = {
    "copy": "Device-to-device copy",
    "sift": "Sift, the final bounds",
    "stream": "Sift, late in a run",
    "count": "Count",
    "whole": "The whole, against the bare forward loop",
    "tally": "The tally of davidbau/dissect on the GPU",
}
ONLY_JSON = ("kernels ms", "forward", "network from")  # too wide for a table


def shown(value: Any) -> str:
    """A cell of a table: [lower quartile, median, upper quartile] as "median (lower - upper)".

    >>> shown([1.0, 2.0, 3.0]), shown(None), shown(0.12345), shown(12)
    ('2 (1 - 3)', '-', '0.1235', '12')
    """
    if isinstance(value, list):
        low, middle, high = (shown(v) for v in value)
        return f"{middle} ({low} - {high})"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value).replace("|", "/").replace("\n", " ")


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; the columns of the first row that has them, in their order."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name not in ("table", *ONLY_JSON)))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(shown(row.get(name)) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def read_steps(out: Path) -> list[dict[str, Any]]:
    path = out / "steps.tsv"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    names = ("step", "outcome", "seconds", "note")
    return [dict(zip(names, line.split("\t", 3), strict=False)) for line in lines if line]


def report(out: Path) -> str:
    """Write both files; returns the Markdown."""
    rows, steps = list(Rows(out).read()), read_steps(out)
    by_table: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_table.setdefault(row["table"], []).append({k: v for k, v in row.items() if k != "table"})
    found = (by_table.pop("machine", None) or [{}])[-1]
    record = {"machine": found, "steps": steps, **by_table}
    (out / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")
    device = found.get("device") or "no CUDA device: nothing was measured"
    parts = [f"# On a GPU: {device}", f"{found.get('date', '')}, commit {found.get('commit', 'unknown')}"]
    parts.append(table([{"machine": name, "": value} for name, value in found.items()]))
    for name, title in TABLES.items():
        if name in by_table:
            parts += [f"## {title}", table(by_table[name])]
        elif found.get("device"):
            parts += [f"## {title}", "Not measured in this run: see the steps."]
    parts += ["## Steps", table(steps)] if steps else []
    if "wanted" in by_table:
        parts += ["## Wanted, and got", table(by_table["wanted"])]
        parts.append(
            "Predicted: bytes over the copy's bandwidth of this run, or as the step's file says; not measured."
        )
    text = "\n\n".join(parts) + "\n"
    (out / "gpu.md").write_text(text)
    return text
