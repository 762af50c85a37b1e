"""The whole folder: what it holds is what the results say, and names are only ever text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_cases import CATEGORIES, HOSTILE, Photos, make_concepts, make_dissection, plant

from fastdissect.errors import OutputError, SettingError
from fastdissect.reports import write_report
from fastdissect.reports.layer_data import CHUNK
from fastdissect.reports.pages import MANY


def _load(report: Path, name: str) -> Any:
    text = (report / "data" / f"{name}.js").read_text("ascii")
    key, value = json.loads("[" + text.removeprefix("FD.put(").removesuffix(");\n") + "]")
    assert key == name
    return value


def _files(report: Path) -> dict[str, bytes]:
    return {
        p.relative_to(report).as_posix(): p.read_bytes() for p in sorted(report.rglob("*")) if p.is_file()
    }


def test_the_same_results_are_the_same_bytes(tmp_path: Path) -> None:
    data = Photos(12)
    layers = [plant("layer3", 9, 12, data.concepts), plant("layer4", 21, 12, data.concepts)]
    found = make_dissection(layers, data)
    page = write_report(found, data, tmp_path / "a", tile=16)
    assert page == tmp_path / "a" / "index.html"
    write_report(found, Photos(12), tmp_path / "b", tile=16)
    first, second = _files(tmp_path / "a"), _files(tmp_path / "b")
    assert first == second
    assert {"index.html", "detectors-layer3.svg", "detectors-layer4.svg"} <= set(first)
    assert sum(name.startswith("images/") for name in first) == 9 + 21


def test_the_data_are_the_results(tmp_path: Path) -> None:
    data = Photos(12)
    layer = plant("layer4", CHUNK + 3, 12, data.concepts)
    write_report(make_dissection([layer], data), data, tmp_path / "r", tile=16, top_images=5)
    report, units, scores = tmp_path / "r", layer.units(), layer.iou()
    index, table = _load(report, "index"), _load(report, "layer-0")
    names = [row[1] for row in index["concepts"]]
    assert [names[c] for c in table["concept"]] == units["label"].to_list()
    assert [index["categories"][q] for q in table["category"]] == units["category"].to_list()
    np.testing.assert_allclose(table["iou"], units["iou"], rtol=1e-5)
    assert table["area"] == layer.mask_area.tolist()
    assert table["detector"] == [int(d) for d in units["detector"]]
    assert 0 < sum(table["detector"]) < len(units)
    details = [row for chunk in range(2) for row in _load(report, f"detail-0-{chunk}")]
    assert len(details) == len(units)
    top = layer.top_images(5)
    for unit, row in enumerate(details):
        concepts = [entry[0] for entry in row["ranking"]]
        values = scores[unit, concepts]
        assert (values > 0).all()
        assert len(concepts) == (scores[unit] > 0).sum()
        assert (np.diff(values) <= 0).all()
        for concept, iou, shared, area, pixels in row["ranking"]:
            assert iou == pytest.approx(scores[unit, concept], rel=1e-5)
            assert shared == layer.intersection[unit, concept]
            assert area == layer.unit_area[unit, layer.concepts.category[concept]]
            assert pixels == layer.concept_area[concept]
            assert iou == pytest.approx(shared / (area + pixels - shared), rel=1e-5)
        for q, concept, iou in row["best"]:
            assert names[concept] == units[f"{CATEGORIES[q]}-label"][unit]
            assert iou == pytest.approx(units[f"{CATEGORIES[q]}-iou"][unit], rel=1e-5)
        assert [name for name, _ in row["top"]] == [data.image_name(int(i)) for i in top[unit]]


def test_a_concepts_best_units_over_all_layers(tmp_path: Path) -> None:
    data = Photos(6)
    layers = [plant(name, 30, 6, data.concepts) for name in ("a", "b")]
    write_report(make_dissection(layers, data), None, tmp_path / "r")
    for concept, rows in enumerate(_load(tmp_path / "r", "concepts")):
        every = sorted(
            (-float(layer.iou()[u, concept]), n, u)
            for n, layer in enumerate(layers)
            for u in range(30)
            if layer.iou()[u, concept] > 0
        )
        assert [(n, u) for n, u, _ in rows] == [(n, u) for _, n, u in every[:24]]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    data = Photos(8, concepts=make_concepts(14, HOSTILE))
    layers = [plant("a/b\"'<i>", 20, 8, data.concepts), plant("", 20, 8, data.concepts)]
    write_report(make_dissection(layers, data), data, tmp_path / "r", tile=16)
    text = (tmp_path / "r" / "index.html").read_text("utf-8")
    tags = _Tags()
    tags.feed(text)
    assert {tag for tag, _ in tags.tags} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "link",
            "script",
            "style",
            "noscript",
            "body",
            "a",
            "header",
            "footer",
        ),
        *(
            "main",
            "div",
            "span",
            "button",
            "svg",
            "circle",
            "path",
            "rect",
            "g",
            "line",
            "text",
            "tspan",
            "p",
            "h1",
        ),
        *(
            "h2",
            "dl",
            "dt",
            "dd",
            "section",
            "table",
            "thead",
            "tbody",
            "tfoot",
            "tr",
            "th",
            "td",
            "i",
            "em",
            "strong",
            "figure",
        ),
        *("figcaption", "kbd", "form", "label", "input", "select", "option", "output", "dialog"),
    }
    assert "<i>" not in text  # the layer's name; our own <i> has a class
    assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)
    scripts = [attributes.get("src", "") for tag, attributes in tags.tags if tag == "script"]
    assert all(src and src.startswith(("assets/", "data/")) for src in scripts)
    assert "49 " not in text  # {{ 7 * 7 }}
    links = [attributes["href"] or "" for tag, attributes in tags.tags if tag == "a"]
    assert all(link.startswith(("#", "detectors-")) for link in links)
    for _, attributes in tags.tags:
        for value in (attributes.get("src"), attributes.get("href")):
            assert value is None or not value.startswith(("http:", "https:", "//"))


def test_every_file_that_the_page_names_is_there(tmp_path: Path) -> None:
    data = Photos(8)
    layers = [plant("a/b", 3, 8, data.concepts), plant("", 3, 8, data.concepts)]
    report = write_report(make_dissection(layers, data), data, tmp_path / "r", tile=16).parent
    tags = _Tags()
    tags.feed((report / "index.html").read_text("utf-8"))
    named = [a.get("src") or a.get("href") or "" for _, a in tags.tags]
    named = [n for n in named if n and not n.startswith(("#", "data:"))]
    assert "detectors-a%252Fb.svg" in named
    for name in named:
        assert (report / name.replace("%25", "%")).is_file(), name
    for layer in _load(report, "index")["layers"]:
        assert (report / "images" / layer["folder"] / "2.jpg").is_file()


def test_without_the_data_set_the_page_says_so(tmp_path: Path) -> None:
    data = Photos(8)
    found = make_dissection([plant("a", 3, 8, data.concepts)], data)
    report = write_report(found, None, tmp_path / "r").parent
    assert "written without its data set" in (report / "index.html").read_text("utf-8")
    assert not list((report / "images").iterdir())
    assert _load(report, "index")["layers"][0]["tiles"] == 0
    assert "top" not in _load(report, "detail-0-0")[0]


def test_a_layer_without_activations_has_no_pictures(tmp_path: Path) -> None:
    data = Photos(8)
    layers = [plant("a", 3, 8, data.concepts, keep=False), plant("b", 3, 8, data.concepts)]
    report = write_report(make_dissection(layers, data), data, tmp_path / "r", tile=16).parent
    assert "kept no activations" in (report / "index.html").read_text("utf-8")
    assert [p.name for p in (report / "images").iterdir()] == ["b"]
    assert [layer["tiles"] for layer in _load(report, "index")["layers"]] == [0, 8]


def test_an_undetermined_layer_is_not_called_without_detectors(tmp_path: Path) -> None:
    data = Photos(4)
    report = write_report(
        make_dissection([plant("a", 3, 4, data.concepts, seen=3)], data), data, tmp_path / "r"
    ).parent
    text = (report / "index.html").read_text("utf-8")
    assert "Undetermined." in text
    assert "At least 267 images" in text
    assert "passes the cut" not in text
    assert _load(report, "index")["layers"][0]["undetermined"] is True


def test_the_summary_states_both_ways_of_counting(tmp_path: Path) -> None:
    data = Photos(8)
    layer = plant("a", 15, 8, data.concepts)
    report = write_report(make_dissection([layer], data), None, tmp_path / "r").parent
    text = (report / "index.html").read_text("utf-8")
    found = layer.summary()
    assert found.unique_detectors != found.unique_by_category_total
    for number in (found.detectors, found.unique_detectors, found.unique_by_category_total):
        assert f"<dd>{number}<span" in text
    assert "1 min 12 s" in text
    assert "IoU &gt; 0.04" in text


@pytest.mark.parametrize("wrong", [{"top_images": 0}, {"tile": 0}])
def test_counts_must_be_positive(tmp_path: Path, wrong: dict[str, int]) -> None:
    data = Photos(4)
    found = make_dissection([plant("a", 3, 4, data.concepts)], data)
    with pytest.raises(SettingError, match="at least 1"):
        write_report(found, data, tmp_path / "r", **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"top_images": 30_000}, {"tile": 9_000}])
def test_pictures_must_fit_a_file(tmp_path: Path, wrong: dict[str, int]) -> None:
    data = Photos(4)
    with pytest.raises(SettingError, match="fewer or smaller"):
        write_report(make_dissection([plant("a", 3, 4, data.concepts)], data), data, tmp_path / "r", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_another_data_set_is_refused(tmp_path: Path) -> None:
    class Renamed(Photos):
        def image_name(self, index: int) -> str:
            return f"other/{index}"

    data = Photos(4)
    found = make_dissection([plant("a", 3, 4, data.concepts)], data)
    with pytest.raises(SettingError, match=r"4 images; got .* with 3"):
        write_report(found, Photos(3), tmp_path / "r")
    with pytest.raises(SettingError, match=r"image 0 to be .*; got 'other/0'"):
        write_report(found, Renamed(4), tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_a_run_over_the_first_images_takes_the_whole_data_set(tmp_path: Path) -> None:
    data = Photos(4)
    found = make_dissection([plant("a", 3, 4, data.concepts)], data)
    longer = Photos(9)
    write_report(found, longer, tmp_path / "r", tile=16)
    assert max(longer.reads) < 4


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    data = Photos(4)
    with pytest.raises(OutputError):
        write_report(make_dissection([plant("a", 3, 4, data.concepts)], data), None, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_fewer_images_than_pictures(tmp_path: Path) -> None:
    data = Photos(2)
    report = write_report(
        make_dissection([plant("a", 3, 2, data.concepts)], data), data, tmp_path / "r"
    ).parent
    assert _load(report, "index")["layers"][0]["tiles"] == 2


def test_of_many_units_some_have_pictures_and_the_page_says_which(tmp_path: Path) -> None:
    data = Photos(8)
    layers = [plant("a", 40, 8, data.concepts), plant("b", 20, 8, data.concepts)]
    found = make_dissection(layers, data)
    report = write_report(found, data, tmp_path / "r", tile=16, pictures=25).parent
    whole = write_report(found, data, tmp_path / "whole", tile=16, pictures=None).parent
    text = (report / "index.html").read_text("utf-8")
    assert "25 of 60 units have pictures" in text
    assert "fastdissect report RUN --pictures all" in text
    assert "have pictures" not in (whole / "index.html").read_text("utf-8")
    count = 0
    for number, layer in enumerate(layers):
        pictured = _load(report, f"layer-{number}")["pictured"]
        files = {path.name for path in (report / "images" / layer.name).iterdir()}
        assert files == {f"{unit}.jpg" for unit in pictured}
        details = _load(report, f"detail-{number}-0")
        assert [unit for unit, row in enumerate(details) if "top" in row] == pictured
        for unit in pictured:
            name = f"images/{layer.name}/{unit}.jpg"
            assert (report / name).read_bytes() == (whole / name).read_bytes()
            assert details[unit] == _load(whole, f"detail-{number}-0")[unit]
        assert "pictured" not in _load(whole, f"layer-{number}")
        count += len(pictured)
    assert count == 25


def test_no_pictures_at_all_may_be_asked_for(tmp_path: Path) -> None:
    data = Photos(4)
    found = make_dissection([plant("a", 3, 4, data.concepts)], data)
    report = write_report(found, data, tmp_path / "r", pictures=0).parent
    assert len(data.reads) <= 1  # of its size
    assert "0 of 3 units have pictures" in (report / "index.html").read_text("utf-8")
    assert _load(report, "index")["layers"][0]["tiles"] == 0
    assert _load(report, "layer-0")["pictured"] == []
    with pytest.raises(SettingError, match="at least 0 units"):
        write_report(found, data, tmp_path / "r", pictures=-1)


def test_of_many_layers_only_the_last_summary_stands_in_the_page(tmp_path: Path) -> None:
    data = Photos(4, concepts=make_concepts(14, HOSTILE))
    names = [f"blocks.{i}" for i in range(MANY)]
    few = [plant(name, 20, 4, data.concepts) for name in names]
    report = write_report(make_dissection(few, data), None, tmp_path / "few").parent
    whole = (report / "index.html").read_text("utf-8")
    assert whole.count('<section class="layer"') == MANY
    assert not list((report / "data").glob("summary-*"))
    many = [*few, plant("last", 20, 4, data.concepts)]
    report = write_report(make_dissection(many, data), None, tmp_path / "many").parent
    text = (report / "index.html").read_text("utf-8")
    assert text.count('<section class="layer"') == 1
    assert all(f'<tr data-layer="{name}">' in text for name in [*names, "last"])
    for number in range(MANY):
        section = _load(report, f"summary-{number}").strip()
        assert section.removeprefix("<section").startswith(f' class="layer" data-layer="{names[number]}"')
        assert section.split(">", 1)[1] in whole  # the very markup of a smaller report, escaped as there
    assert not (report / "data" / f"summary-{MANY}.js").exists()
