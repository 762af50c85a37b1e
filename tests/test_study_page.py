"""The page and the figures that all studies are written with."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fastdissect.errors import BackendError, OutputError, SettingError
from fastdissect.methods import extras
from fastdissect.reports.studies.figures import Figure, figure_files, printable, stamp, study_figure
from fastdissect.reports.studies.page import Picture, Pictures, Section, Table, write_study

HOSTILE = "</p><script>alert(1)</script> $x^2$ \x1b[31m"


def drawn(name: str = "curve", text: str = "α") -> Figure:
    with study_figure(3, 2) as (figure, axes):
        axes.plot([0, 1], [0, 2], label=printable(text))
        axes.set_xlabel(printable(text))
        axes.legend()
        stamp(figure, f"Warning: {text}")
        return figure_files(figure, name, "A line.")


def test_figures_are_the_same_bytes_and_keep_their_text() -> None:
    one, two = drawn(), drawn()
    assert (one.svg, one.png) == (two.svg, two.png)
    texts = [e.text for e in ET.fromstring(one.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "α" in texts
    assert "Warning: α" in texts
    assert one.png.startswith(b"\x89PNG")


def test_a_hostile_label_is_text_in_a_figure() -> None:
    texts = [e.text for e in ET.fromstring(drawn(text=HOSTILE).svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "</p><script>alert(1)</script> $x^2$ \\x1b[31m" in texts


def test_a_page_has_all_of_it_and_escapes_names(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"unit": [3, 1], "label": [HOSTILE, "sky"], "iou": [0.5, np.nan], "on": [True, False]}
    )
    picture = Picture("a b.png", HOSTILE, b"\x89PNG", alt='"quoted"')
    page = write_study(
        tmp_path / "study",
        title=HOSTILE,
        eyebrow="What?",
        facts=[("Data set", HOSTILE)],
        sections=[
            Section(HOSTILE, "One.\n\nTwo.", [Table.of(table, HOSTILE, rows=1, csv="units")]),
            Section("Figures", "", [drawn(), Pictures((picture,))]),
        ],
        csv={"units": table},
        warning="By force.\nSo there.",
    )
    text = page.read_text()
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") >= 5
    assert 'src="pictures/a%20b.png"' in text
    assert "1 of 2 rows" in text
    assert '<td class="n">0.500</td>' in text
    assert (page.parent / "figures" / "curve.svg").is_file()
    assert (page.parent / "figures" / "curve.png").is_file()
    read = pd.read_csv(page.parent / "units.csv", comment="#")
    assert (page.parent / "units.csv").read_bytes().startswith(b"# By force. So there.\r\n")
    assert read["unit"].tolist() == [3, 1]
    assert read["label"][0] == HOSTILE


def test_cells_of_a_table() -> None:
    table = pd.DataFrame(
        {"n": [1234567], "x": [0.00012], "big": [12345.678], "none": [None], "flag": [True], "word": ["a"]}
    )
    shown = Table.of(table)
    assert shown.rows == (("1,234,567", "0.00012", "12,345.678", "", "True", "a"),)
    assert {"n", "x", "big"} <= shown.right
    assert not {"flag", "word"} & shown.right


def test_an_older_study_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    for title in ("one", "two"):
        page = write_study(tmp_path / "s", title=title, eyebrow="", sections=[])
    assert "<h1>two</h1>" in page.read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="something else there"):
        write_study(tmp_path / "mine", title="x", eyebrow="", sections=[])
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_two_figures_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="one name twice"):
        write_study(tmp_path / "s", title="", eyebrow="", sections=[Section("", "", [drawn(), drawn()])])
    assert not (tmp_path / "s").exists()


def test_a_missing_library_is_named_with_its_remedy() -> None:
    with pytest.raises(BackendError, match=r"expected no_such_library.*pip install 'fastdissect\[studies\]'"):
        extras.need("no_such_library.part")
