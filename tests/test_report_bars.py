"""The bar graph: order rules of METHODS 1.5, geometry, and a file that any SVG reader takes."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import CATEGORIES, HOSTILE, make_concepts, plant

from fastdissect.reports.bars import Detector, bar_graph, group_bars
from fastdissect.reports.facts import layer_facts
from fastdissect.reports.pages import detector_svg
from fastdissect.reports.palette import DISPLAY_ORDER, display_order, hues


def test_categories_stand_in_display_order_whatever_the_data_sets() -> None:
    found = [Detector(q, q, 0.1) for q in CATEGORIES]
    assert [g.category for g in group_bars(found, CATEGORIES)] == [*DISPLAY_ORDER, "mood"]


def test_inside_by_count_then_by_best_score_then_by_name() -> None:
    found = [
        *[Detector("few but best", "object", 0.9)] * 2,
        *[Detector("many", "object", 0.05)] * 3,
        *[Detector("few", "object", 0.2)] * 2,
        Detector("b", "object", 0.1),
        Detector("a", "object", 0.1),
    ]
    (group,) = group_bars(found, ["object"])
    assert [bar.label for bar in group.bars] == ["many", "few but best", "few", "a", "b"]
    assert [bar.units for bar in group.bars] == [3, 2, 2, 1, 1]
    assert group.bars[1].best == 0.9
    assert group.units == 9


def test_a_label_of_several_categories_is_drawn_under_its_most_frequent() -> None:
    found = [Detector("wood", "material", 0.3), *[Detector("wood", "texture", 0.1)] * 2]
    (group,) = group_bars(found, CATEGORIES)
    assert group.category == "texture"
    assert (group.bars[0].units, group.bars[0].best) == (3, 0.3)


@pytest.mark.parametrize("order", [CATEGORIES, CATEGORIES[::-1]])
def test_equally_frequent_the_earliest_shown_wins(order: tuple[str, ...]) -> None:
    found = [Detector("red", "color", 0.3), Detector("red", "part", 0.1)]
    assert [g.category for g in group_bars(found, order)] == ["part"]


_FOUND = st.lists(
    st.builds(
        Detector,
        st.sampled_from("abcde"),
        st.sampled_from(CATEGORIES),
        st.integers(1, 9).map(lambda n: n / 10),
    ),
    max_size=40,
)


@given(_FOUND)
def test_every_unit_is_in_one_bar(found: list[Detector]) -> None:
    groups = group_bars(found, CATEGORIES)
    bars = [bar for group in groups for bar in group.bars]
    assert {bar.label: bar.units for bar in bars} == Counter(d.label for d in found)
    for group in groups:
        assert list(group.bars) == sorted(group.bars, key=lambda b: (-b.units, -b.best, b.label))
    assert groups == group_bars(reversed(found), CATEGORIES)


@given(_FOUND)
def test_bars_stand_side_by_side_inside_the_picture(found: list[Detector]) -> None:
    graph = bar_graph(group_bars(found, CATEGORIES))
    bars = [bar for group in graph.groups for bar in group.bars]
    assert all(b.x - a.x >= graph.pitch - 1e-9 for a, b in itertools.pairwise(bars))
    assert all(b.x + graph.pitch <= graph.width for b in bars)
    assert all(0 < b.height <= graph.plot_height for b in bars)
    units = {b.units: b.height for b in bars}
    assert all(abs(h * max(units) - units[max(units)] * n) < 1e-6 for n, h in units.items())
    values = [n for n, _ in graph.ticks]
    assert values[0] == 0
    assert values == sorted(set(values))
    assert len(values) <= 7
    assert values[-1] >= max(units, default=0)


def test_thousands_of_units_of_one_label_still_have_few_ticks() -> None:
    graph = bar_graph(group_bars([Detector("a", "object", 0.5)] * 20_001, ["object"]))
    assert 2 < len(graph.ticks) <= 7


def test_the_file_is_well_formed_safe_and_the_same_twice() -> None:
    layer = plant("layer<4>", 40, 9, make_concepts(20, HOSTILE))
    facts = layer_facts(0, layer)
    svg = detector_svg(facts, CATEGORIES, "net <b>\"'&")
    assert svg == detector_svg(layer_facts(0, layer), CATEGORIES, "net <b>\"'&")
    root = ElementTree.fromstring(svg)
    names = {node.tag.rsplit("}", 1)[-1] for node in root.iter()}
    assert names == {
        "svg",
        "title",
        "style",
        "g",
        "rect",
        "text",
        "tspan",
        "line",
    }  # no script, no image, no link
    titles = [node.text or "" for node in root.iter() if node.tag.endswith("title")]
    assert any(HOSTILE[0] in text for text in titles)
    bars = [node for node in root.iter() if node.get("class") == "bar"]
    assert len(bars) == 20
    assert not re.search(rb"https?://(?!www\.w3\.org)", svg)


def test_without_detectors_the_file_says_so() -> None:
    concepts = make_concepts()
    undetermined = layer_facts(0, plant("a", 5, 4, concepts, seen=3))
    assert undetermined.images_needed == 267  # 200 values, 3 in 4 images
    assert b"undetermined" in detector_svg(undetermined, CATEGORIES, "net")


def test_every_category_has_its_own_colour() -> None:
    colours = hues([*CATEGORIES, "a", "b"])
    assert list(colours) == [*DISPLAY_ORDER, "mood", "a", "b"]
    assert len({c.light for c in colours.values()}) == len(colours)
    assert display_order([]) == ()
