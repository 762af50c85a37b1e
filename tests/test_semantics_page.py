"""The pages of the semantic vectors: what they say, what they show, names that are markup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from semantics_cases import Planted, dissected, planted_data

from fastdissect.errors import SettingError
from fastdissect.methods.semantics import explain_by_concepts, global_view, semantic_vectors
from fastdissect.reports.studies.semantics_evidence import evidence_tile
from fastdissect.reports.studies.semantics_global import by_category, listed, write_global
from fastdissect.reports.studies.semantics_local import ConceptPage, all_parts

NASTY = '<b>$x_1$</b> & "red"'


@pytest.fixture(scope="module")
def study() -> tuple[Any, ...]:
    net, data = (
        Planted().eval(),
        planted_data(40, more={NASTY: lambda i, m: m[0] | m[1] if i % 2 else None, "gone": lambda *_: None}),
    )
    net.classes = ["one", "<i>two</i>", "three", "four"]
    d = dissected(net, data)
    return net, data, d, semantic_vectors(d, model=net, data=data, cache=None, progress=False)


def test_the_global_page(study: tuple[Any, ...], tmp_path: Path) -> None:
    net, data, d, found = study
    view = global_view(d, found, model=net, data=data, draws=50, progress=False)
    page = write_global(tmp_path / "page", view)
    text = page.read_text()
    assert "<b>$x_1$" not in text
    assert "&lt;b&gt;$x_1$&lt;/b&gt;" in text
    assert "<i>two" not in text
    assert "our formulation" in text
    assert "gone" in text
    assert "no images in train" in text
    assert NASTY in pd.read_csv(tmp_path / "page" / "concepts.csv")["concept"].tolist()
    svg = (tmp_path / "page" / "figures" / "concepts.svg").read_text()
    assert "<b>" not in svg
    again = write_global(tmp_path / "again", view)
    for name in ("index.html", "figures/quality.svg", "figures/classes.svg", "classes.csv"):
        assert (again.parent / name).read_bytes() == (page.parent / name).read_bytes(), name
    rows = by_category(found.vectors.table)
    assert rows["concepts"].sum() == len(found.vectors)
    assert rows["AP"].item() == pytest.approx(found.vectors.table["ap_val"].mean())


def test_the_page_of_decisions(study: tuple[Any, ...], tmp_path: Path) -> None:
    net, data, d, found = study
    page = ConceptPage(shown=1)
    explanations = list(
        explain_by_concepts(
            d, found, [0, 1], model=net, data=data, classes=[1], removals=3, targets={"0000": 3}
        )
    )
    for explanation in explanations:
        page.add(explanation)
    path = page.write(tmp_path / "images")
    text = path.read_text()
    assert "<i>two" not in text
    assert "Pictures are shown of the first 1 images of 2" in text
    images = pd.read_csv(tmp_path / "images" / "images.csv", keep_default_na=False)
    assert images["true"].tolist() == ["four", ""]
    assert images["right"].tolist()[0] in ("yes", "no")
    first = explanations[0]
    parts = all_parts(first)
    for view in first.views:
        own = parts[
            (parts["view"] == view.role)
            & (parts["class"] == view.name)
            & (parts["versus"] == view.against_name)
        ]
        assert own["contribution"].sum() == pytest.approx(view.evidence.score, abs=1e-6)
    favour = [c for c in first.views[0].evidence.contributions if c > 0]
    shown = [p for p in (tmp_path / "images" / "pictures").iterdir() if p.name.startswith("001-0000-0-")]
    assert len(shown) == len(favour[:6])
    assert (tmp_path / "images" / "002-0001.csv").is_file()
    assert not list((tmp_path / "images" / "pictures").glob("002*"))


def test_a_decision_that_is_not_explained_is_said(study: tuple[Any, ...], tmp_path: Path) -> None:
    net, data, d, _ = study
    blue = semantic_vectors(d, model=net, data=data, concepts=["blue"], cache=None, progress=False)
    pixels = np.full((32, 32, 3), 10, np.uint8)
    pixels[..., 0] = 250
    page = ConceptPage()
    page.add(next(explain_by_concepts(d, blue, pixels, model=net, data=data, removals=0)))
    assert "Decision not explained by the vocabulary" in page.write(tmp_path / "images").read_text()


def test_nothing_makes_no_page(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="at least one explanation"):
        ConceptPage().write(tmp_path / "images")


def test_evidence_glows_where_it_is_positive() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    quiet = evidence_tile(pixels, np.zeros((2, 3)), 0.0)
    assert (quiet == quiet[..., :1]).all()  # grey
    assert (evidence_tile(pixels, np.array([[-1.0, -2, -3], [-1, -1, -1]]), 1.0) == quiet).all()
    one = evidence_tile(pixels, np.array([[1.0, 0, 0], [0, 0, 0]]), 1.0)
    assert (one[:3, :3] != quiet[:3, :3]).any()
    assert (one[15:, 20:] == quiet[15:, 20:]).all()
    assert (
        np.abs(one[0, 0].astype(int) - quiet[0, 0]).sum()
        >= np.abs(
            evidence_tile(pixels, np.array([[0.1, 0, 0], [0, 0, 0]]), 1.0)[0, 0].astype(int) - quiet[0, 0]
        ).sum()
    )


def test_rows_in_words() -> None:
    table = pd.DataFrame({"concept": ["sky", "sky", "sea"], "unit": [3, 1, 2], "weight": [0.5, -0.25, 1.0]})
    found = listed(table, "concept", "unit", "weight")
    assert found.to_dict("list") == {"concept": ["sky", "sea"], "units": ["3 +0.50, 1 -0.25", "2 +1.00"]}
