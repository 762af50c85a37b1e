"""Rows of figures, appended to a file as they are measured: what a later failure cannot take back.

OUT/rows.jsonl    {"table": "sift", "maps": "512 x 7 x 7", ..., "GB/s": [lower quartile, median, upper quartile]}
OUT/steps.tsv     step, outcome, seconds, note: written by gpu.sh
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Rows", "Wanted"]


class Wanted:
    """A figure that is wanted, beside what was predicted and what was got.

    Args:
        at_least, at_most: the bound; one of them.
    """

    def __init__(self, what: str, *, at_least: float | None = None, at_most: float | None = None) -> None:
        assert (at_least is None) != (at_most is None)
        self.what, self.at_least, self.at_most = what, at_least, at_most

    def row(self, where: str, got: float, predicted: float | None) -> dict[str, Any]:
        """A row of the table "wanted"."""
        met = got >= self.at_least if self.at_least is not None else got <= (self.at_most or 0)
        sign, bound = ("at least", self.at_least) if self.at_least is not None else ("at most", self.at_most)
        return {
            "what": self.what,
            "where": where,
            "wanted": f"{sign} {bound:g}",
            "predicted": predicted,
            "got": got,
            "met": "yes" if met else "no",
        }


class Rows:
    """The file of rows in a folder."""

    def __init__(self, out: Path) -> None:
        self.path = out / "rows.jsonl"

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Append a row, and print it."""
        line = json.dumps({"table": table, **row})
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def read(self, table: str | None = None) -> Iterator[dict[str, Any]]:
        """The rows of a table, or all; a last line that was cut off is left out."""
        if not self.path.exists():
            return
        for line in self.path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if table is None or row["table"] == table:
                yield row

    def copy_bandwidth(self) -> float:
        """GB/s of the device-to-device copy of this run: the median.

        Raises:
            SystemExit: it was not measured.
        """
        found = [row["GB/s"][1] for row in self.read("copy")]
        if not found:
            raise SystemExit("expected the copy's bandwidth in rows.jsonl; run the step `copy` first")
        return float(found[-1])
