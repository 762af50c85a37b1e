"""The page of concept vectors: what it shows, what its files hold, and names that want to be markup."""

from __future__ import annotations

import csv
import dataclasses
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_cases import CATEGORIES, HOSTILE, Photos, make_concepts, make_dissection, plant

from fastdissect.errors import BackendError, SettingError
from fastdissect.methods import extras
from fastdissect.methods.net2vec import ConceptVectors, FilterCounts, ImageScores
from fastdissect.methods.vectors import study_vectors
from fastdissect.methods.vectors.predicted import PredictedMasks, predicted_masks
from fastdissect.reports.studies.net2vec_concepts import ShownImages
from fastdissect.reports.studies.net2vec_page import write_net2vec_study
from fastdissect.results import Dissection

pytest.importorskip("sklearn")

UNITS, CONCEPTS, IMAGES = 12, 14, 9


@pytest.fixture(scope="module")
def dissection() -> Dissection:
    concepts = make_concepts(CONCEPTS, HOSTILE)
    return make_dissection([plant("conv", UNITS, IMAGES, concepts)], Photos(IMAGES, concepts=concepts))


@pytest.fixture(scope="module")
def vectors() -> ConceptVectors:
    concepts, rng = make_concepts(CONCEPTS, HOSTILE), np.random.default_rng(3)
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
def page(
    tmp_path_factory: pytest.TempPathFactory,
    dissection: Dissection,
    vectors: ConceptVectors,
    counts: FilterCounts,
) -> Path:
    study = study_vectors(
        vectors,
        counts,
        queries=[f"{HOSTILE[1]} + {HOSTILE[5]} - concept 10"],
        against=("other <run>", dataclasses.replace(vectors, weights=vectors.weights[:, ::-1].copy())),
    )
    folder = tmp_path_factory.mktemp("study") / "page"
    images = ShownImages(Photos(IMAGES), predicted_masks(vectors, dissection["conv"]), 3)
    return write_net2vec_study(study, folder, dissection=dissection, images=images)


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


def test_nothing_that_a_name_holds_is_markup(page: Path, vectors: ConceptVectors) -> None:
    text = page.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.scripts == ["assets/theme.js"]
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert not tags.names & {"i", "b", "x"}
    shown = html.unescape(text)
    for name in vectors.names:
        assert " ".join(name.split()) in " ".join(shown.split())
    assert "no &lt;i&gt;images&lt;/i&gt; for training" in text
    for figure in (page.parent / "figures").glob("*.svg"):
        assert "<script" not in figure.read_text(encoding="utf-8")


def test_the_page_has_each_part(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for title in (
        "Combination against single filter",
        "How many filters a concept needs",
        "Shared filters",
        "What is like what",
        "Sums",
        "Against other &lt;run&gt;",
        "Concepts",
        "Units",
        "Not trained",
    ):
        assert f"<h2>{title}</h2>" in text
    for figure in ("single-combined", "filters-needed", "score-filters", "sharing", "map", "tree"):
        assert f'src="figures/{figure}.svg"' in text
        assert (page.parent / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    assert "linear loss, 3 epochs, seed 1" in text
    assert "The vector is that of one image." in text
    assert "The vector means nothing" in text  # the worst is shown, too
    assert "our formulation" in text


def test_every_link_leads_to_a_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r'(?:href|src)="([^"#:]+)"', text):
        assert (page.parent / html.unescape(link)).is_file(), link


def test_pictures_span_the_range(page: Path, vectors: ConceptVectors) -> None:
    pictures = sorted((page.parent / "pictures").iterdir())
    assert len(pictures) == 12 * 3  # concepts with sections, pictures of each
    assert pictures[0].read_bytes().startswith(b"\xff\xd8")
    assert vectors.images is not None
    best = vectors.images.across(0, 3).tolist()
    assert best == [8, 5, 1]  # of the images of val, by their scores
    text = page.read_text(encoding="utf-8")
    for image in best:
        assert f"IoU {10 * image / 200:.3f}" in text


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
        study = study_vectors(vectors)
        write_net2vec_study(study, tmp_path / folder, dissection=dissection, shown=("concept 11",))
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_chosen_concepts_alone_have_sections(
    tmp_path: Path, dissection: Dissection, vectors: ConceptVectors
) -> None:
    study = study_vectors(vectors)
    page = write_net2vec_study(study, tmp_path / "p", dissection=dissection, shown=("concept 11",))
    assert [p.name for p in (tmp_path / "p" / "figures").glob("concept-*.svg")] == ["concept-35.svg"]
    assert "pictures/" not in page.read_text(encoding="utf-8")
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
