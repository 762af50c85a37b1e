"""The whole benchmark: rows and scaling, one process a run, and the files of the result.

OUT/peers.json   everything: machine, versions, commits, threads, medians, quartiles, correctness
OUT/peers.md     the same as tables
OUT/peers.svg, peers-scaling-AXIS.svg     charts (with matplotlib)
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastdissect.benchmarks.charts import draw
from fastdissect.benchmarks.forward_rows import forward_rows
from fastdissect.benchmarks.labelled_rows import labelled_rows
from fastdissect.benchmarks.machine import machine
from fastdissect.benchmarks.peers import Field
from fastdissect.benchmarks.quantile_rows import quantile_rows
from fastdissect.benchmarks.rounds import play
from fastdissect.benchmarks.rows import Row
from fastdissect.benchmarks.scaling import scaling
from fastdissect.benchmarks.sizes import Sizes
from fastdissect.benchmarks.tables import markdown, records
from fastdissect.errors import SettingError, nearest
from fastdissect.files import write_bytes

__all__ = ["GROUPS", "check_groups", "require_writable", "run_benchmark", "write_result"]

GROUPS = ("quantile", "tally", "pipeline", "forward", "scaling")


def check_groups(asked: Sequence[str]) -> tuple[str, ...]:
    """The groups of rows that were asked for, in their order; all, if none was.

    Raises:
        SettingError: a name that is none of them.
    """
    for name in asked:
        if name not in GROUPS:
            raise SettingError(f"expected rows of {', '.join(GROUPS)}; got {name!r}{nearest(name, GROUPS)}")
    return tuple(name for name in GROUPS if not asked or name in asked)


def run_benchmark(
    groups: Sequence[str],
    sizes: Sizes,
    field: Field,
    *,
    repeats: int,
    threads: int,
    quick: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run the rows and return the result, as peers.json holds it.

    Args:
        progress: told what is at hand.

    Raises:
        SettingError: an unknown group, or numbers below 1.
    """
    groups = check_groups(groups)
    for name, value in (("repeats", repeats), ("threads", threads)):
        if value < 1:
            raise SettingError(f"expected {name} of 1 or more; got {value}")
    spent: dict[str, float] = {}
    found: list[dict[str, Any]] = []
    grown: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="fastdissect-bench-") as scratch:
        folder = Path(scratch)
        for group in groups:
            started = time.monotonic()
            progress(f"{group}: making the arrays")
            if group == "scaling":
                grown = scaling(
                    sizes, field, folder, repeats=repeats, threads=threads, progress=_under(group, progress)
                )
            for row in () if group == "scaling" else _rows(group, sizes, field, folder):
                runs = play(
                    row.contestants,
                    [row.case],
                    repeats=repeats,
                    threads=threads,
                    warm=sizes.warm,
                    progress=_under(f"{group}, {row.title}", progress),
                )
                found += records(row, runs)
            spent[group] = round(time.monotonic() - started, 1)
    versions: dict[str, str] = {}
    for record in found:
        versions |= record.pop("versions", {})
    return {
        "machine": machine(),
        "threads": threads,
        "repetitions": repeats,
        "images": sizes.images,
        "quick": quick,
        "seconds": spent,
        "versions": dict(sorted(versions.items())),
        "commits": dict(field.commits),
        "skipped": dict(field.skipped),
        "rows": found,
        "scaling": grown,
    }


def _rows(group: str, sizes: Sizes, field: Field, folder: Path) -> list[Row]:
    if group == "quantile":
        return quantile_rows(sizes, field, folder)
    if group == "forward":
        return forward_rows(sizes, field, folder)
    return labelled_rows(group, sizes, field, folder)


def _under(title: str, progress: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: progress(f"{title}: {text}")


def require_writable(folder: Path) -> None:
    """Find out before the measuring, which can take hours, whether its results can be written.

    Raises:
        OutputError: they cannot.
    """
    probe = folder / ".writable"
    write_bytes(probe, b"")
    probe.unlink()


def write_result(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write peers.json, peers.md and the charts; returns the files.

    Raises:
        OutputError: a file cannot be written.
    """
    text, data = folder / "peers.md", folder / "peers.json"
    write_bytes(data, (json.dumps(result, indent=1) + "\n").encode())
    try:
        charts, missing = draw(result, folder), ""
    except ImportError:
        charts, missing = [], "\nNo charts: matplotlib is not installed (pip install 'fastdissect[bench]').\n"
    pictures = "".join(f"\n![{path.stem}]({path.name})\n" for path in charts)
    write_bytes(text, (markdown(result) + pictures + missing).encode())
    return [text, data, *charts]
