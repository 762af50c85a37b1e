"""The pages of concept vectors: every concept and unit in them, what the files hold, and names that want to be markup."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_cases import CATEGORIES, HOSTILE, Photos, make_concepts, make_dissection, plant

from fastdissect import extras
from fastdissect.errors import BackendError, SettingError
from fastdissect.methods.net2vec import ConceptVectors, FilterCounts, ImageScores
from fastdissect.methods.vectors import VectorStudy, study_vectors
from fastdissect.methods.vectors.predicted import PredictedMasks, predicted_masks
from fastdissect.reports.studies import net2vec_page
from fastdissect.reports.studies.figures import printable
from fastdissect.reports.studies.net2vec_concepts import ShownImages
from fastdissect.reports.studies.net2vec_data import CHUNK, concept_places
from fastdissect.reports.studies.net2vec_maps import map_figure
from fastdissect.reports.studies.net2vec_page import write_net2vec_study
from fastdissect.results import Dissection

pytest.importorskip("sklearn")

UNITS, CONCEPTS, IMAGES = 12, 14, 9
NAMES = (
    *HOSTILE[:9],
    "red\x1b[31m \u0645\u064a\u0627\u0647",
)  # a terminal's escape, and letters from the right


@pytest.fixture(scope="module")
def dissection() -> Dissection:
    concepts = make_concepts(CONCEPTS, NAMES)
    return make_dissection([plant("conv", UNITS, IMAGES, concepts)], Photos(IMAGES, concepts=concepts))


@pytest.fixture(scope="module")
def vectors() -> ConceptVectors:
    concepts, rng = make_concepts(CONCEPTS, NAMES), np.random.default_rng(3)
    count = CONCEPTS - 1  # the last is left out
    iou = np.linspace(0.6, 0.0, count)
    iou[4] = np.nan
    table = pd.DataFrame(
        {
            "concept": list(concepts.names[:count]),
            "number": concepts.numbers[:count],
            "category": [CATEGORIES[q] for q in concepts.category[:count]],
            "train_images": np.arange(1, count + 1),
            "val_images": np.where(np.isnan(iou), 0, 3),
            "iou_train": np.linspace(0.7, 0.0, count),
            "iou_val": iou,
            "single_unit": np.arange(count) % 5,
            "single_iou_train": 0.3,
            "single_iou_val": np.where(np.isnan(iou), np.nan, 0.25),
            "one_image": np.arange(count) == 0,
        }
    ).astype({"concept": "str", "category": "str"})
    concept, image = (grid.ravel() for grid in np.mgrid[:count, :IMAGES])
    scores = ImageScores(
        concept, image, image % 3 == 0, 10 * image + concept, np.full(len(image), 200, np.int64)
    )
    return ConceptVectors(
        kind="segmentation",
        layer="conv",
        numbers=concepts.numbers[:count],
        names=concepts.names[:count],
        category=concepts.category[:count],
        categories=CATEGORIES,
        weights=rng.normal(size=(count, UNITS)).astype(np.float32),
        bias=None,
        table=table,
        skipped=((concepts.names[-1], "no <i>images</i> for training"),),
        record={"settings": {"loss": "linear", "epochs": 3, "seed": 1, "upsampling": "half-pixel"}},
        images=scores,
    )


@pytest.fixture(scope="module")
def counts(vectors: ConceptVectors) -> FilterCounts:
    rows = pd.DataFrame(
        [
            {"concept": name, "number": number, "filters": f, "train": 0.4, "val": value}
            for name, number, all_, place in zip(
                vectors.names, vectors.numbers, vectors.table["iou_val"], range(99), strict=False
            )
            for f, value in ((1, all_ * (place % 2)), (4, all_ * 0.95), (UNITS, all_))
        ]
    )
    return FilterCounts("iou", UNITS, vectors.names, rows, {})


@pytest.fixture(scope="module")
def study(vectors: ConceptVectors, counts: FilterCounts) -> VectorStudy:
    return study_vectors(
        vectors,
        counts,
        queries=[f"{NAMES[1]} + {NAMES[5]} - concept 10"],
        against=("other <run>", dataclasses.replace(vectors, weights=vectors.weights[:, ::-1].copy())),
    )


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory,
    dissection: Dissection,
    vectors: ConceptVectors,
    study: VectorStudy,
) -> Path:
    folder = tmp_path_factory.mktemp("study") / "net2vec" / "page"
    images = ShownImages(Photos(IMAGES), predicted_masks(vectors, dissection["conv"]), 3)
    report = folder.parent.parent / "report" / "index.html"
    return write_net2vec_study(study, folder, dissection=dissection, images=images, report=report)


def data_of(page: Path, key: str) -> Any:
    """What a data script puts."""
    text = (page.parent / "data" / f"{key}.js").read_bytes().decode("ascii")
    assert not set(text) & set("<>&\x1b")
    before, after = f'FD.put("{key}",', ");\n"
    assert text.startswith(before)
    assert text.endswith(after)
    return json.loads(text[len(before) : -len(after)])


class Tags(HTMLParser):
    """What a browser takes for markup."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "script":
            self.scripts.append(dict(attrs).get("src"))


def test_nothing_that_a_name_holds_is_markup(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    own = ("charts", "listings", "strips", "views", "panels")
    assert tags.scripts == [
        "assets/theme.js",
        "assets/store.js",
        "data/study.js",
        "assets/state.js",
        *(f"assets/net2vec-{name}.js" for name in own),
    ]
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert not tags.names & {"b", "x", "iframe", "object"}
    assert "\x1b" not in text
    assert "no &lt;i&gt;images&lt;/i&gt; for training" in text
    assert "//" not in re.sub(r"data:,|[\w-]+://", "", "".join(re.findall(r'(?:href|src)="([^"]*)"', text)))
    for figure in (page.parent / "figures").glob("*.svg"):
        assert "<script" not in figure.read_text(encoding="utf-8")


def test_the_page_has_each_part(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for title in (
        "Combination against single filter",
        "How many filters a concept needs",
        "Shared filters",
        "Concepts",
        "Units",
        "What is like what",
        "Sums",
        "Against other &lt;run&gt;",
        "Not trained",
    ):
        assert f"<h2>{title}</h2>" in text
    for figure in ("single-combined", "filters-needed", "score-filters", "sharing", "map", "tree"):
        assert f'href="figures/{figure}.svg"' in text
        assert (page.parent / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    assert "linear loss, 3 epochs, seed 1" in text
    assert "our formulation" in text


def test_every_concept_is_there_with_its_numbers(
    page: Path, vectors: ConceptVectors, study: VectorStudy, counts: FilterCounts
) -> None:
    data = data_of(page, "study")
    concepts, table = data["concepts"], vectors.table
    assert concepts["number"] == vectors.numbers.tolist()
    assert concepts["name"] == [printable(name) for name in vectors.names]
    assert [data["categories"][q] for q in concepts["category"]] == list(vectors.category_names())
    for ours, column in (("many", "iou_val"), ("one", "single_iou_val"), ("oneTrain", "single_iou_train")):
        found = np.array([np.nan if v is None else v for v in concepts[ours]])
        np.testing.assert_allclose(found, table[column], rtol=1e-3)
    assert concepts["unit"] == table["single_unit"].tolist()
    assert study.needed is not None
    assert concepts["needed"] == study.needed["needed"].tolist()
    curves = np.array([[np.nan if v is None else v for v in own] for own in concepts["curve"]])
    np.testing.assert_allclose(curves, counts.scores(), rtol=1e-3)
    assert concepts["notes"][0] == "The vector is that of one image."
    assert concepts["notes"][4] == "No images to validate with."
    assert "The vector means nothing" in concepts["notes"][len(vectors) - 1]
    assert [row for row, place in enumerate(concepts["place"]) if place] == study.embedding.rows().tolist()
    unit = vectors.unit_vectors()
    for row in range(len(vectors)):
        order = np.argsort(-np.abs(study.embedding.vectors[row]), kind="stable")[:10]
        assert [k for k, _, _ in concepts["largest"][row]] == order.tolist()
        np.testing.assert_allclose([w for _, w, _ in concepts["largest"][row]], unit[row, order], rtol=1e-3)
        near = study.neighbours[study.neighbours["number"] == vectors.numbers[row]]
        assert [vectors.names[other] for other, _ in concepts["near"][row]] == near["neighbour"].tolist()
        np.testing.assert_allclose(
            [cosine for _, cosine in concepts["near"][row]],
            [float(unit[row] @ unit[other]) for other, _ in concepts["near"][row]],
            atol=1e-3,
        )
    weights = np.concatenate([data_of(page, f"weights-{i}") for i in range(-(-len(vectors) // CHUNK))])
    np.testing.assert_allclose(weights / data["scale"], unit, atol=0.51 / data["scale"])


def test_concepts_and_units_lead_to_each_other(
    page: Path, dissection: Dissection, vectors: ConceptVectors, study: VectorStudy
) -> None:
    data = data_of(page, "study")
    concepts, units = data["concepts"], data["units"]
    helped = {(unit, row) for unit, own in enumerate(units["helps"]) for row, _, _ in own}
    learned = study.embedding.rows().tolist()
    assert helped == {(unit, row) for row in learned for unit, _, _ in concepts["largest"][row][:5]}
    for unit, own in enumerate(units["helps"]):
        for row, weight, rank in own:
            assert concepts["largest"][row][rank - 1][:2] == [unit, weight]
        assert all(abs(one) >= abs(other) for (_, one, _), (_, other, _) in pairwise(own))
    table = dissection["conv"].units()
    assert units["count"] == UNITS
    assert units["label"] == [printable(name) for name in table["label"]]
    for unit, row in enumerate(units["row"]):
        assert row is None or vectors.names[row] == table["label"][unit]
    assert any(row is not None for row in units["row"])
    assert data["report"] == "../../report/index.html"


def test_a_name_that_two_concepts_share_is_no_link(vectors: ConceptVectors) -> None:
    names = ("sky", "sky", "sea", *vectors.names[3:])
    twice = dataclasses.replace(
        vectors,
        names=names,
        category=np.array([1, 1, 1, *vectors.category[3:]]),
        table=vectors.table.assign(concept=names),
    )
    places = concept_places(study_vectors(twice))
    assert ("sky", CATEGORIES[1]) not in places
    assert places["sea", CATEGORIES[1]] == 2


def test_every_link_leads_to_a_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r'(?:href|src)="([^"#:]+)"', text)
    assert len(links) > 20
    for link in links:
        assert (page.parent / html.unescape(link)).is_file(), link
    numbers = set(data_of(page, "study")["concepts"]["number"])
    opened = re.findall(r'href="#concept=(\d+)"', text)
    assert opened
    assert {int(number) for number in opened} <= numbers
    ids = set(re.findall(r'<section id="([^"]+)"', text))
    assert set(re.findall(r'href="#([\w-]+)"', text)) <= ids


def test_pictures_span_the_range(page: Path, vectors: ConceptVectors) -> None:
    shown = data_of(page, "study")["concepts"]["pictures"]
    assert sum(map(len, shown)) == len(list((page.parent / "pictures").iterdir())) == 3 * len(vectors)
    assert vectors.images is not None
    best = vectors.images.across(0, 3).tolist()
    assert best == [8, 5, 1]  # of the images of val, by their scores
    for (file, iou, name), image in zip(shown[0], best, strict=True):
        assert (page.parent / "pictures" / file).read_bytes().startswith(b"\xff\xd8")
        assert iou == pytest.approx(10 * image / 200)
        assert name == Photos(IMAGES).image_name(image)
    assert "have pictures" not in page.read_text(encoding="utf-8")  # all have


def test_only_so_many_concepts_have_pictures_and_the_page_says_so(
    tmp_path: Path,
    dissection: Dissection,
    vectors: ConceptVectors,
    study: VectorStudy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(net2vec_page, "PICTURED", 3)
    images = ShownImages(Photos(IMAGES), predicted_masks(vectors, dissection["conv"]), 2)
    page = write_net2vec_study(study, tmp_path / "p", dissection=dissection, images=images)
    shown = data_of(page, "study")["concepts"]["pictures"]
    score = vectors.table["iou_val"].fillna(-1)
    order = sorted(range(len(vectors)), key=lambda row: -score[row])
    assert {row for row, own in enumerate(shown) if own} == {order[0], order[6], order[12]}
    assert "3 of the 13 have pictures, at evenly spaced ranks of the score" in page.read_text(
        encoding="utf-8"
    )
    assert data_of(page, "study")["report"] is None


def test_names_on_the_map_do_not_cover_one_another() -> None:
    count = 40
    together = pd.DataFrame({"concept": [f"concept {i}" for i in range(count)], "category": "object"})
    figure = map_figure(together.assign(x=0.0, y=0.0), ("object",))
    named = int(re.search(r"(\d+) are named", figure.caption)[1])  # type: ignore[index]
    assert 1 <= named <= 4  # right, left, above, below
    assert len(re.findall("concept \\d+</text>", figure.svg.decode())) == named
    apart = together.assign(x=np.arange(count) % 5 * 10.0, y=np.arange(count) // 5 * 10.0)
    assert "named" not in map_figure(apart, ("object",)).caption


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_come_back_as_they_were(page: Path, vectors: ConceptVectors) -> None:
    folder = page.parent
    concepts = rows_of(folder / "concepts.csv")
    assert [row["concept"] for row in concepts] == list(vectors.names)
    assert [float(row["iou_val"] or "nan") for row in concepts] == pytest.approx(
        vectors.table["iou_val"].tolist(), nan_ok=True
    )
    study = study_vectors(vectors)
    for name, table in (
        ("filters", study.filters),
        ("units", study.units),
        ("neighbours", study.neighbours),
        ("category-mix", study.mix),
        ("sums", study.sums),
        ("map", study.map),
        ("sharing", study.sharing),
        ("single-combined", study.scores),
        ("improvement", study.improvement),
    ):
        assert table is not None
        rows = rows_of(folder / f"{name}.csv")
        assert len(rows) == len(table) > 0
        for column in table.columns:
            values = [row[column] for row in rows]
            if table[column].dtype.kind in "iuf":
                np.testing.assert_allclose([float(v or "nan") for v in values], table[column], rtol=1e-12)
            else:
                assert values == table[column].tolist()
    assert (
        len(rows_of(folder / "arithmetic-1.csv")) == 9
    )  # of 12 learned concepts, less the three of the query
    distances = rows_of(folder / "distances.csv")
    assert all(
        float(row["distance"]) == pytest.approx(0, abs=1e-9) for row in distances
    )  # units in another order


def test_the_same_study_is_the_same_bytes(
    tmp_path: Path, dissection: Dissection, vectors: ConceptVectors
) -> None:
    for folder in ("a", "b"):
        study = study_vectors(vectors)  # the map and the tree, too
        write_net2vec_study(study, tmp_path / folder, dissection=dissection, shown=("concept 11",))
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_chosen_concepts_alone_have_pictures(
    tmp_path: Path, dissection: Dissection, vectors: ConceptVectors, study: VectorStudy
) -> None:
    images = ShownImages(Photos(IMAGES), predicted_masks(vectors, dissection["conv"]), 2)
    page = write_net2vec_study(
        study, tmp_path / "p", dissection=dissection, shown=("concept 11",), images=images
    )
    shown = data_of(page, "study")["concepts"]["pictures"]
    assert [row for row, own in enumerate(shown) if own] == [11]
    assert "1 of the 13 have pictures, those that were asked for" in page.read_text(encoding="utf-8")
    with pytest.raises(SettingError, match="nearest: concept 11"):
        write_net2vec_study(study, tmp_path / "q", dissection=dissection, shown=("concept 111",))
    assert not (tmp_path / "q").exists()


def test_vectors_of_other_units_have_no_labels(
    tmp_path: Path, dissection: Dissection, vectors: ConceptVectors
) -> None:
    other = dataclasses.replace(vectors, weights=vectors.weights[:, :5], images=None)
    page = write_net2vec_study(
        study_vectors(other), tmp_path / "p", dissection=dissection, shown=("concept 11",)
    )
    assert "conv, 5 units" in page.read_text(encoding="utf-8")
    assert data_of(page, "study")["units"]["label"] == []
    for wrong in (other, dataclasses.replace(vectors, layer="conv2")):
        with pytest.raises(SettingError, match="expected the layer of the vectors"):
            predicted_masks(wrong, dissection["conv"])
    with pytest.raises(SettingError, match="which have masks"):
        predicted_masks(dataclasses.replace(vectors, kind="classification"), dissection["conv"])


def test_a_predicted_mask_is_the_weighted_sum_upsampled(
    dissection: Dissection, vectors: ConceptVectors
) -> None:
    torch: Any = pytest.importorskip("torch")
    layer = dissection["conv"]
    biased = dataclasses.replace(vectors, bias=np.linspace(-0.5, 0.5, len(vectors)).astype(np.float32))
    for mode, corners in (("half-pixel", False), ("align-corners", True)):
        record = {"settings": {"upsampling": mode}}
        for own in (dataclasses.replace(vectors, record=record), dataclasses.replace(biased, record=record)):
            masks = predicted_masks(own, layer)
            assert isinstance(masks, PredictedMasks)
            for row in range(0, len(own), 5):
                for image in range(IMAGES):
                    dense = np.zeros((4, 4))
                    for unit in range(UNITS):
                        cells = layer.unit_mask(unit, image, (4, 4))  # at the map's own size
                        dense += own.weights[row, unit] * cells
                    dense += 0 if own.bias is None else own.bias[row]
                    enlarged = torch.nn.functional.interpolate(
                        torch.tensor(dense)[None, None], (16, 16), mode="bilinear", align_corners=corners
                    )[0, 0].numpy()
                    clear = np.abs(enlarged) > 1e-5
                    np.testing.assert_array_equal(masks(row, image)[clear], (enlarged > 0)[clear])


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_to_validate_and_nothing_trained(
    tmp_path: Path, dissection: Dissection, vectors: ConceptVectors, counts: FilterCounts, count: int
) -> None:
    table = vectors.table.head(count).assign(iou_val=np.nan, single_iou_val=np.nan, val_images=0)
    few = dataclasses.replace(
        vectors,
        numbers=vectors.numbers[:count],
        names=vectors.names[:count],
        category=vectors.category[:count],
        weights=vectors.weights[:count],
        table=table,
        images=None,
    )
    rows = counts.table[counts.table["number"].isin(few.numbers)].assign(val=np.nan)
    some = FilterCounts("iou", UNITS, few.names, rows, {}) if count else None
    study = study_vectors(few, some)
    assert study.improvement is None
    page = write_net2vec_study(study, tmp_path / "page", dissection=dissection)
    text = page.read_text(encoding="utf-8")
    assert f"segmentation, {count} concepts" in text
    assert "Combination against single filter" not in text


def test_without_a_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, vectors: ConceptVectors
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(BackendError, match=r"sklearn.*pip install 'fastdissect\[studies\]'"):
        study_vectors(vectors)


@pytest.mark.browser
def test_in_a_browser_every_concept_and_unit_opens(page: Path, vectors: ConceptVectors) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH")
    playwright = pytest.importorskip("playwright.sync_api")
    complaints: list[str] = []
    requests: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        window = browser.new_page(viewport={"width": 420, "height": 900})
        window.set_default_timeout(20_000)
        window.on("console", lambda message: complaints.append(message.text))
        window.on("pageerror", lambda error: complaints.append(str(error)))
        window.on("requestfailed", lambda r: r.failure == "net::ERR_ABORTED" or complaints.append(r.url))
        window.on("request", lambda request: requests.append(request.url))
        for width in (420, 1280):
            window.set_viewport_size({"width": width, "height": 900})
            window.goto(page.as_uri())
            assert window.evaluate("document.documentElement.scrollWidth <= innerWidth")
        rows = "#list-concepts tbody tr"
        assert window.locator(rows).count() == len(vectors)
        assert window.locator("#list-units tbody tr").count() == UNITS
        first = f"{rows}:first-child .name"
        assert window.text_content(first) == printable(vectors.names[0])  # the best score
        window.click("#list-concepts thead button >> text=all filters")
        assert window.text_content(f"{rows}:nth-child({len(vectors)}) .name") == printable(vectors.names[0])
        window.fill("#list-concepts input", "<IMG")
        assert window.text_content("#list-concepts .tally") == f"1 of {len(vectors)} concepts"
        window.fill("#list-units input", "unit 7")
        assert "7" in window.locator("#list-units tbody tr td:first-child").all_text_contents()
        for number, name in zip(vectors.numbers, vectors.names, strict=True):
            window.evaluate("hash => { location.hash = hash }", f"#concept={number}")
            window.locator("#panel-title").get_by_text(printable(name), exact=True).wait_for()
            window.wait_for_selector("#strip svg")
            assert window.evaluate("panel.scrollWidth <= panel.clientWidth")
        said = window.text_content("#panel")
        assert f"{len(vectors)} images to train on, 3 to validate." in said
        assert "The vector means nothing" in said
        window.evaluate(
            f"location.hash = '#concept={vectors.numbers[1]}'"
        )  # 1 filter brings it as far as all
        window.locator("#panel-title").get_by_text(printable(vectors.names[1]), exact=True).wait_for()
        said = window.text_content("#panel")
        assert (
            "2 images to train on, 3 to validate. Trained anew with 1 filter it reaches at least 90 %" in said
        )
        assert "IoU_set with fewer filters: 1 is enough" in said
        window.click("#panel a[data-unit] >> nth=1")  # to a unit, to a concept, and back
        unit = window.text_content("#panel-title")
        assert re.fullmatch(r"Unit \d+", unit)
        window.click("#panel a[data-concept] >> nth=0")
        assert window.text_content("#panel-title") != unit
        window.go_back()
        assert window.text_content("#panel-title") == unit
        for unit in range(UNITS):
            window.evaluate("hash => { location.hash = hash }", f"#unit={unit}")
            window.locator("#panel-title").get_by_text(f"Unit {unit}", exact=True).wait_for()
        window.keyboard.press("Escape")
        assert not window.evaluate("panel.open")
        window.locator("#plot-against a").last.click()  # the best concept lies on top
        assert window.text_content("#panel-title") == printable(vectors.names[0])
        assert window.evaluate("window.hacked") is None
        browser.close()
    assert complaints == []
    assert all(url.startswith(("file:", "about:", "data:")) for url in requests)
