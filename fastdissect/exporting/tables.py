"""NetDissect's table of a layer, as rows of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastdissect.files import write_bytes
from fastdissect.layer import LayerDissection
from fastdissect.storage.tally_file import write_tally

__all__ = ["tally_rows", "write_rows"]


def tally_rows(layer: LayerDissection) -> list[list[str]]:
    """Return the header and a row a unit, best score first; the same text as the run's tally.csv."""
    text = io.StringIO(newline="")
    write_tally(layer, text)
    text.seek(0)
    return list(csv.reader(text, strict=True))


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV as the peers' own writers do (Python's csv module, lines end in CR LF); return its path."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_bytes(path, text.getvalue().encode())
    return path
