"""The page of a study: sections of text, tables, figures and pictures, in one folder that opens from disk.

index.html   <table>.csv   figures/<name>.svg, .png   pictures/<name>   assets/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.errors import SettingError
from fastdissect.reports.folder import atomic_folder
from fastdissect.reports.pages import asset, render
from fastdissect.reports.studies.figures import Figure
from fastdissect.reports.studies.free import check_study_folder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Picture", "Pictures", "Section", "Table", "write_study"]

ASSETS = ("base.css", "summary.css", "study.css", "theme.js")


@dataclass(frozen=True)
class Table:
    """A table of texts. `right` names the columns of numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    right: frozenset[str] = frozenset()
    left_out: int = 0  # rows beyond those shown; `csv` has them
    csv: str = ""  # name of the file that holds the whole table

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        caption: str = "",
        *,
        rows: int | None = None,
        digits: int = 3,
        csv: str = "",
    ) -> Table:
        """Take a data frame: numbers to the right, floats with so many digits behind the point, NaN as "".

        Args:
            rows: show only the first so many; the page says how many there are.
            csv: name of the CSV that holds all, for a link.
        """
        shown = table if rows is None else table.head(rows)
        right = frozenset(str(c) for c in table.columns if table[c].dtype.kind in "iuf")
        cells = tuple(
            tuple(_cell(v, digits) for v in row) for row in shown.itertuples(index=False, name=None)
        )
        return cls(tuple(map(str, table.columns)), cells, caption, right, len(table) - len(shown), csv)


@dataclass(frozen=True)
class Picture:
    """An image file's bytes (JPEG, PNG or SVG), with the name of its file."""

    name: str
    caption: str
    data: bytes
    alt: str = ""


@dataclass(frozen=True)
class Pictures:
    """Pictures in a row, which wraps."""

    pictures: tuple[Picture, ...]
    width: int = 200  # CSS pixels of each


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs (separated by blank lines), and what follows them."""

    title: str
    text: str = ""
    items: Sequence[Table | Figure | Picture | Pictures] = field(default_factory=tuple)


def write_study(
    path: str | Path,
    *,
    title: str,
    eyebrow: str,
    sections: Sequence[Section],
    facts: Sequence[tuple[str, str]] = (),
    csv: Mapping[str, pd.DataFrame] | None = None,
    warning: str = "",
) -> Path:
    """Write a study's folder; an older study there is replaced when the new one is whole.

    Args:
        eyebrow: the line above the title: what the study asks.
        facts: (what, value), under the title.
        csv: {name: table}, written as <name>.csv; a warning becomes its first line, behind "# ".
        warning: stands above everything.

    Returns:
        The page to open, `path / "index.html"`.

    Raises:
        SettingError: two figures or pictures of one name. OutputError: the folder cannot be written.
    """
    check_study_folder(path)
    path = Path(path).absolute()
    items = [item for section in sections for item in section.items]
    figures = {item.name: item for item in items if isinstance(item, Figure)}
    pictures = {p.name: p for item in items for p in _pictures(item)}
    count = sum(isinstance(i, Figure) for i in items) + sum(len(_pictures(i)) for i in items)
    if len(figures) + len(pictures) != count:
        raise SettingError("expected figures and pictures of different names; got one name twice")
    with atomic_folder(path) as folder:
        for name in ("assets", "figures", "pictures"):
            (folder / name).mkdir()
        for name in ASSETS:
            (folder / "assets" / name).write_bytes(asset(name))
        for figure in figures.values():
            (folder / "figures" / f"{figure.name}.svg").write_bytes(figure.svg)
            (folder / "figures" / f"{figure.name}.png").write_bytes(figure.png)
        for picture in pictures.values():
            (folder / "pictures" / picture.name).write_bytes(picture.data)
        note = f"# {' '.join(warning.split())}\r\n" if warning else ""
        for name, table in (csv or {}).items():
            text = note + table.to_csv(index=False, lineterminator="\r\n")
            (folder / f"{name}.csv").write_bytes(_encoded(text))
        page = render(
            "study.html.j2",
            title=title,
            eyebrow=eyebrow,
            facts=facts,
            warning=warning,
            sections=[
                {"title": s.title, "paragraphs": _paragraphs(s.text), "items": [_kind(i) for i in s.items]}
                for s in sections
            ],
            files=[f"{name}.csv" for name in (csv or {})],
            styles=[name for name in ASSETS if name.endswith(".css")],
        )
        (folder / "index.html").write_bytes(page)
    return path / "index.html"


def _encoded(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")  # names of files, whose bytes these were
    except UnicodeEncodeError:  # half characters out of a file that somebody wrote
        return text.encode(errors="backslashreplace")


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def _pictures(item: object) -> tuple[Picture, ...]:
    return (item,) if isinstance(item, Picture) else item.pictures if isinstance(item, Pictures) else ()


def _kind(item: Table | Figure | Picture | Pictures) -> dict[str, Any]:
    if isinstance(item, Picture):
        item = Pictures((item,), 320)
    return {"kind": type(item).__name__.lower(), "it": item}


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, bool) or not isinstance(value, Real):
        return "" if value is None or str(value) in ("nan", "<NA>", "NaT") else str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    number = float(value)
    if math.isnan(number):
        return ""
    if number and abs(number) < 10 ** (1 - digits):
        return f"{number:.2g}"
    return f"{number:,.{digits}f}"
