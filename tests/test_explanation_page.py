"""The pages of explanations: all units in the CSVs, escaped names, pictures, the covered share."""

from __future__ import annotations

import csv
import html.parser
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explanation_cases import Deep, Gap, dissected, pixels
from PIL import Image

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.explanation import class_units, explain
from fastdissect.reports.studies.explanation_classes import write_class
from fastdissect.reports.studies.explanation_figures import percent
from fastdissect.reports.studies.explanation_pages import write_explanations
from fastdissect.reports.studies.explanation_sections import covered_words, slug
from fastdissect.results import Dissection

NAMES = ["<b>bold</b>", "a & b", 'quote "', "$x^2$", "täxi \u202e"]


class Parsed(html.parser.HTMLParser):
    """Tags, texts and links of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(page.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def net() -> Gap:
    return Gap().eval()


@pytest.fixture(scope="module")
def d(net: Gap) -> Dissection:
    return dissected(net, cut=0.01)


def named(net: Gap, d: Dissection) -> list[str]:
    """The names, turned so that the first image's class has the first of them."""
    first = explain(d, pixels(1), model=net)[0].predicted
    return NAMES[-first:] + NAMES[:-first]


@pytest.fixture(scope="module")
def page(net: Gap, d: Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    wrong = {"image 0": (explain(d, pixels(1), model=net)[0].predicted + 1) % 5}
    found = explain(d, pixels(3), model=net, class_names=named(net, d), targets=wrong)
    return write_explanations(tmp_path_factory.mktemp("pages") / "page", found)


def test_names_are_escaped(page: Path) -> None:
    parsed = Parsed(page)
    assert "b" not in parsed.tags
    assert "1. image 0: <b>bold</b>, wrongly" in parsed.text
    assert "This is wrong: it is a & b." in parsed.text
    assert "<b>bold</b> rather than a & b" in parsed.text
    for line in parsed.links:
        local = line.partition("#")[0]
        assert line.startswith("data:") or (page.parent / local).is_file(), line


def test_every_image_has_a_csv_of_all_units_in_all_views(net: Gap, d: Dissection, page: Path) -> None:
    found = explain(d, pixels(3), model=net, class_names=named(net, d))
    for number, explanation in enumerate(found, start=1):
        table = pd.read_csv(page.parent / f"{number:03d}-image-{number - 1}.csv")
        own = table[table["view"] == "predicted"].reset_index(drop=True)
        expected = explanation.views[0].units
        assert own["unit"].tolist() == expected["unit"].tolist()
        assert np.allclose(own["contribution"], expected["contribution"])
        assert (own["class"] == explanation.views[0].name).all()
    first = pd.read_csv(page.parent / "001-image-0.csv")
    assert first["view"].value_counts().to_dict() == {"predicted": 12, "true": 12, "difference": 12}
    overview = list(csv.DictReader(io.StringIO((page.parent / "images.csv").read_text())))
    assert [row["right"] for row in overview] == ["no", "", ""]
    assert float(overview[1]["covered"]) == pytest.approx(found[1].views[0].covered)


def test_the_page_says_what_was_covered_and_how_it_was_read(net: Gap, d: Dissection, page: Path) -> None:
    text = Parsed(page).text
    for explanation in explain(d, pixels(3), model=net, class_names=named(net, d)):
        assert covered_words(explanation.views[0]) in text
        assert explanation.head.sentence() in text
    assert "This is wrong" in text
    assert "no concept" in text


def test_pictures_are_dimmed_outside_the_unit(net: Gap, d: Dissection, page: Path) -> None:
    found = explain(d, pixels(3), model=net)[1]
    unit = found.views[0].shown[0]
    whole = np.asarray(Image.open(page.parent / "pictures" / "002-image-1.jpg"), float)
    shown = np.asarray(Image.open(page.parent / "pictures" / f"002-image-1-0-{unit}.jpg"), float)
    assert whole.shape == shown.shape
    mask = found.segmentation(unit, whole.shape[:2])  # type: ignore[arg-type]
    assert 0 < mask.mean() < 1
    assert abs(whole[mask] - shown[mask]).mean() < abs(whole[~mask] - shown[~mask]).mean() / 4


def test_only_the_first_images_have_pictures_and_the_page_says_so(
    net: Gap, d: Dissection, tmp_path: Path
) -> None:
    page = write_explanations(tmp_path / "page", explain(d, pixels(4), model=net), shown=1)
    assert "Pictures are shown of the first 1 images of 4; the tables have all." in Parsed(page).text
    assert {p.name.partition("-")[0] for p in (page.parent / "pictures").iterdir()} == {"001"}
    assert len(list(page.parent.glob("0*.csv"))) == 4


def test_a_page_of_nothing_and_a_folder_of_others_are_refused(
    net: Gap, d: Dissection, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="at least one explanation"):
        write_explanations(tmp_path / "page", [])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else there"):
        write_explanations(tmp_path / "mine", explain(d, pixels(1), model=net))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_the_remainder_is_named(tmp_path: Path) -> None:
    net = Deep().eval()
    page = write_explanations(tmp_path / "page", explain(dissected(net), 0, model=net))
    assert "the remainder" in Parsed(page).text
    assert "remainder" in next((page.parent / "figures").glob("*.svg")).read_text()


@pytest.mark.parametrize("kept", [True, False])
def test_the_page_of_a_class(net: Gap, tmp_path: Path, kept: bool) -> None:
    run = dissected(net, activations=kept)
    number = explain(run, 0, model=net)[0].predicted
    names = [f"<i>{i}</i>" for i in range(5)]
    found = class_units(run, number, model=net, class_names=names)
    page = write_class(tmp_path / "class", found, found.dataset)
    parsed = Parsed(page)
    assert "i" not in parsed.tags
    assert f"What speaks for <i>{number}</i>" in parsed.text
    assert covered_words(found.view) in parsed.text
    assert ("What these units look for" in parsed.text) is kept
    table = pd.read_csv(page.parent / "units.csv")
    assert table["unit"].tolist() == found.view.units["unit"].tolist()


def test_words() -> None:
    assert percent(0.5) == "50.0 %"
    assert slug("a/b/Photo of me!.jpg") == "Photo-of-me"
    assert slug("..") == "image"
    assert slug("日本.png") == "image"
