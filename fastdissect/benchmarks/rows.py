"""What a row of the benchmark is: contestants that meet on one case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastdissect.benchmarks.rounds import Contestant
from fastdissect.benchmarks.work import Found

__all__ = ["HERE", "Judge", "Row"]

HERE = "fastdissect.benchmarks"
Judge = Callable[[Found, Found], dict[str, float]]  # (a contestant's findings, those of the reference)


@dataclass(frozen=True)
class Row:
    """One table: the times of all contestants are compared with the first one's."""

    group: str  # quantile, tally, pipeline, forward
    title: str
    unit: str  # "ns a value", "ms an image"
    per_second: float  # figure = seconds x this
    case: tuple[Path, int]  # folder, images
    contestants: tuple[Contestant, ...]
    judges: tuple[Judge, ...]  # one a contestant
    reference: int = 0  # the contestant whose findings the others' are compared with
    apart: frozenset[str] = (
        frozenset()
    )  # names of those whose transposition is timed apart, and shown both ways
