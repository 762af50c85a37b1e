"""The results as records (JSON) and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastdissect.benchmarks.rounds import Contestant, Runs
from fastdissect.benchmarks.rows import Row
from fastdissect.benchmarks.spreads import spread

__all__ = ["markdown", "records"]

TITLES = {
    "quantile": "Quantile of saved activations",
    "tally": "Tally alone, thresholds given",
    "pipeline": "Quantile and tally together, without the forward pass",
    "forward": "From images to labels, with the forward pass",
}


def records(row: Row, runs: Sequence[Runs]) -> list[dict[str, Any]]:
    """A record a contestant: median and quartiles in the row's unit, times the first one's, peak memory, correctness.

    The ratio is taken repetition by repetition: its runs stood next to each other.
    """
    found = []
    reference = runs[row.reference]
    for contestant, own, judge in zip(row.contestants, runs, row.judges, strict=True):
        if own.failed:
            found.append(_head(row, contestant) | {"failed": own.failed})
            continue
        correct: dict[str, Any] = {}
        if not reference.failed:
            correct = judge(own.found[0], reference.found[0])
        work = own.lap("run")
        found.append(_record(row, contestant, work, own, runs[0], correct))
        if contestant.name in row.apart:
            whole = [a + b for a, b in zip(own.lap("arrange"), work, strict=True)]
            record = _record(row, contestant, whole, own, runs[0], correct)
            found.append({**record, "contestant": f"{contestant.name}, transposition counted"})
    return found


def _head(row: Row, contestant: Contestant) -> dict[str, Any]:
    return {"row": row.group, "case": row.title, "contestant": contestant.name, "note": contestant.note}


def _record(
    row: Row, contestant: Contestant, seconds: list[float], own: Runs, first: Runs, correct: Mapping[str, Any]
) -> dict[str, Any]:
    low, middle, high = spread(seconds)
    base = first.lap("run")
    ratios = [a / b for a, b in zip(seconds, base, strict=False)]  # one that failed has fewer
    memory = own.lap("memory")
    return {
        **_head(row, contestant),
        "unit": row.unit,
        "median": middle * row.per_second,
        "quartiles": [low * row.per_second, high * row.per_second],
        "times the first": spread(ratios)[1] if ratios else None,
        "times the first, quartiles": list(spread(ratios)[::2]) if ratios else None,
        "peak MB": spread(memory)[1] / 1e6 if memory else None,
        "correctness": dict(correct),
        "repetitions": len(seconds),
        "versions": own.versions,
    }


def markdown(result: Mapping[str, Any]) -> str:
    """The whole result as Markdown."""
    machine = result["machine"]
    head = (
        f"{machine['processor']}, {machine['cores']} cores; {machine['system']}, Python {machine['python']}; "
        f"fastdissect {machine['fastdissect']} ({machine['commit']}, kernels {machine['backend']}); {machine['date']}. "
        f"{result['threads']} thread(s) on every side, {result['repetitions']} repetitions, one process a run, the "
        "contestants in turn after a warm-up. Medians; `x first` is the median of the ratios taken repetition by "
        "repetition, to the first line of the table. Peak memory is what the work itself added to the process."
    )
    versions = (
        f"Versions: {_pairs(result['versions'])}. Checkouts: {_pairs(result['commits'])}. "
        f"Seconds that it took: {_pairs(result['seconds'])}."
    )
    lines = ["# Benchmark against the peers", "", head, "", versions]
    if result["quick"]:
        lines += ["", "**--quick: the sizes are tiny, the figures mean nothing.**"]
    if result["skipped"]:
        lines += ["", "Did not take part:", ""]
        lines += [f"- {name}: {why}" for name, why in result["skipped"].items()]
    for group, title in TITLES.items():
        own = [record for record in result["rows"] if record["row"] == group]
        if own:
            lines += ["", f"## {title}"]
        for case in dict.fromkeys(record["case"] for record in own):
            lines += ["", f"{case}:", "", *_table([r for r in own if r["case"] == case])]
    if result["scaling"]:
        lines += ["", "## Scaling of quantile and tally together", "", *_scaling(result["scaling"])]
    return "\n".join(lines) + "\n"


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _table(own: Sequence[Mapping[str, Any]]) -> list[str]:
    ran = [record for record in own if "failed" not in record]
    judged = list(dict.fromkeys(name for record in ran for name in record["correctness"]))
    unit = ran[0]["unit"] if ran else ""
    columns = ["", unit, "quartiles", "x first", "quartiles", "peak MB", *judged, ""]
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 2) + "|---|"]
    for record in own:
        if "failed" in record:
            cells = [record["contestant"], *[""] * (len(columns) - 2), f"failed: {record['failed']}"]
        else:
            memory = record["peak MB"]
            cells = [
                record["contestant"],
                _short(record["median"]),
                _range(record["quartiles"]),
                _short(record["times the first"]),
                _range(record["times the first, quartiles"]),
                "" if memory is None else f"{memory:.0f}",
                *(_judged(name, record["correctness"].get(name)) for name in judged),
                record["note"],
            ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _short(value: float | None) -> str:
    """Three significant digits.

    >>> _short(0.01234), _short(1234.5)
    ('0.0123', '1234')
    """
    return "" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _range(values: Sequence[float] | None) -> str:
    return "" if values is None else f"{_short(values[0])} - {_short(values[1])}"


def _judged(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name == "label agreement":
        return f"{value:.4f}"
    return "0" if value == 0 else f"{value:.1e}"


def _scaling(own: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| with | | sizes | seconds (medians) | images | exponent |", "|---|---|---|---|---|---:|"]
    for record in own:
        if "failed" in record:
            lines.append(f"| {record['axis']} | {record['contestant']} | failed: {record['failed']} | | | |")
            continue
        sizes, seconds = (", ".join(_short(v) for v in record[name]) for name in ("x", "seconds"))
        images = ", ".join(str(n) for n in dict.fromkeys(record["images"]))
        slope = "" if record["slope"] is None else f"{record['slope']:.2f}"
        lines.append(
            f"| {record['axis']} | {record['contestant']} | {sizes} | {seconds} | {images} | {slope} |"
        )
    return lines
