"""The report in a browser where there are many units or many layers: pictures of some, summaries on demand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from report_cases import HOSTILE, Photos, make_concepts, make_dissection, plant
from test_report_browser import Page, chromium, page

from fastdissect.reports import write_report
from fastdissect.reports.pages import MANY

__all__ = ["chromium", "page"]  # fixtures
pytestmark = pytest.mark.browser
_BOXES = """[...document.querySelectorAll('#gallery .cell')].map(cell => {
    const box = cell.getBoundingClientRect();
    return [box.left, box.top, box.right, box.bottom, +cell.dataset.position, cell.classList.contains('low')];
})"""


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 units of two layers, 40 of them with pictures."""
    data = Photos(13)
    layers = [plant("layer3", 100, 13, data.concepts), plant("layer4", 200, 13, data.concepts)]
    folder = tmp_path_factory.mktemp("report") / "report"
    return write_report(make_dissection(layers, data), data, folder, tile=24, pictures=40)


def test_the_best_units_have_pictures_and_the_others_low_cards(page: Page, pictured: Path) -> None:
    page.open(pictured, "#layer=*")
    assert page.window.is_visible("text=40 of 300 units have pictures")
    page.to_units()
    page.settled("document.querySelectorAll('#gallery .sheet.here').length > 3")
    assert page("document.querySelectorAll('#gallery .sheet.lost').length") == 0
    first = page(
        "[...document.querySelectorAll('#gallery .cell')].slice(0, 9).every(n => n.querySelector('img'))"
    )
    assert first
    page.window.keyboard.press("/")
    page.window.keyboard.press("ArrowDown")
    page.window.keyboard.press("End")
    assert page(_BOXES)[-1][4] == 299
    assert page(_BOXES)[-1][5] is True
    assert page("document.querySelectorAll('#gallery .cell.low img').length") == 0


@pytest.mark.parametrize("hash_", ["#layer=*&sort=unit", "#layer=*", "#layer=layer4&sort=label&dir=reverse"])
def test_rows_of_two_heights_neither_overlap_nor_leave_gaps(page: Page, pictured: Path, hash_: str) -> None:
    page.open(pictured, hash_)
    page.to_units()
    heights = set()
    for share in (0, 0.3, 0.6, 1):
        page(f"scrollTo({{ top: document.body.scrollHeight * {share}, behavior: 'instant' }})")
        page("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        rows: dict[float, list[list[Any]]] = {}
        for box in page(_BOXES):
            rows.setdefault(round(box[1]), []).append(box)
        near = [rows[top] for top in sorted(rows) if abs(top) < 3000]
        for row in near:
            assert len({round(box[3] - box[1]) for box in row}) == 1
            heights.add(round(row[0][3] - row[0][1]))
        drawn = [(one, two) for one, two in itertools.pairwise(near) if one[-1][4] + 1 == two[0][4]]
        assert all(two[0][1] - one[0][3] == pytest.approx(20, abs=1) for one, two in drawn)
        bottom = page("document.getElementById('gallery').getBoundingClientRect().bottom")
        shown = [box for row in near for box in row]
        assert min(box[1] for box in shown) <= max(
            0, page("document.getElementById('gallery').getBoundingClientRect().top")
        )
        assert max(box[3] for box in shown) >= min(page("innerHeight"), bottom) - 1
    assert len(heights) == 2


def test_a_unit_without_pictures_says_how_to_get_them(page: Page, pictured: Path) -> None:
    page.open(pictured)
    unit = page("FD.selection.place(FD.selection.all.find(u => !u.pictured))")
    page("unit => FD.state.set({ unit })", unit)
    page.settled("document.querySelector('#panel .ranking')")
    assert page.window.is_visible("#panel >> text=fastdissect report RUN --pictures all")
    assert page("document.querySelectorAll('#panel .tile').length") == 0
    page("FD.state.set({ unit: FD.selection.place(FD.selection.all.find(u => u.pictured)) })")
    page.settled("document.querySelector('#panel .ranking')")
    assert page("document.querySelectorAll('#panel .tile').length") == 8
    assert not page.window.is_visible("#panel >> text=--pictures all")


def test_a_concept_of_many_units_shows_its_best(page: Page, tmp_path: Path) -> None:
    data = Photos(4, concepts=make_concepts(2))
    layer = plant("a", 150, 4, data.concepts)
    page.open(write_report(make_dissection([layer], data), None, tmp_path / "r"), "#concept=concept%200")
    assert page("document.querySelectorAll('#panel .cards .card').length") == 60
    assert page.window.is_visible("text=The 60 of the highest IoU are shown here.")
    page.window.click("#panel [data-filter]")
    assert page.tally() == "75 of 150 units"


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More layers than summaries fit into the page; their names begin alike."""
    data = Photos(5, concepts=make_concepts(14, HOSTILE))
    names = [f"tower.encoder.layers.{i}.act<i>" for i in range(MANY + 8)]
    layers = [plant(name, 30, 5, data.concepts) for name in names]
    return write_report(make_dissection(layers, data), None, tmp_path_factory.mktemp("report") / "report")


def test_summaries_come_when_their_layer_is_chosen(page: Page, layered: Path) -> None:
    sections = "[...document.querySelectorAll('section.layer:not([hidden])')].map(n => n.dataset.layer)"
    page.open(layered)
    assert page("document.querySelectorAll('section.layer').length") == 1
    name = "tower.encoder.layers.2.act<i>"
    page.window.select_option("#layer", name)
    page.settled("document.querySelectorAll('section.layer').length === 2")
    assert page(sections) == [name]
    assert page("document.querySelectorAll('#later [tabindex=\"0\"]').length") == 1
    page.window.locator("#later .graph a").nth(3).click()
    assert page.tally().endswith("of 30 units")
    assert page("document.querySelectorAll('#later .graph a.on').length") == 1
    page.window.select_option("#layer", "*")
    assert page(sections) == []
    page.window.select_option("#layer", name)
    assert page(sections) == [name]
    assert page("document.querySelectorAll('section.layer').length") == 2
    assert page("document.querySelectorAll('b, section i:not([class])').length") == 0


def test_the_list_of_layers_scrolls_to_the_one_that_is_shown(page: Page, layered: Path) -> None:
    inside = """(() => {
        const list = document.querySelector('.overview'), row = list.querySelector('tr.on');
        const [outer, own] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
        return own.top >= outer.top && own.bottom <= outer.bottom + 1 && list.scrollHeight > list.clientHeight;
    })()"""
    page.open(layered)
    assert page(inside)
    page("FD.state.set({ layer: FD.get('index').layers[0].name })")
    assert page(inside)
    assert page("document.querySelector('.overview').getBoundingClientRect().height") < 500


def test_layers_whose_names_begin_alike_are_told_apart(page: Page, layered: Path) -> None:
    page.open(layered, "#layer=*")
    assert page("document.getElementById('layer').options[3].textContent") == "…3.act<i>"
    page.to_units()
    assert page("document.querySelector('#gallery .layer-name').textContent") == "…0.act<i>"
    assert "tower.encoder.layers.0" in page(
        "document.querySelector('#gallery .card').getAttribute('aria-label')"
    )


def test_a_missing_summary_is_said(chromium: Any, tmp_path: Path) -> None:
    data = Photos(4)
    layers = [plant(f"a{i}", 3, 4, data.concepts) for i in range(MANY + 1)]
    index = write_report(make_dissection(layers, data), None, tmp_path / "r")
    (index.parent / "data" / "summary-1.js").unlink()
    page = Page(chromium.new_page())
    page.open(index, "#layer=a1")
    page.settled("document.querySelector('#later .notice')")
    assert page.tally() == "3 units"
    page.window.close()


@pytest.mark.parametrize("width", [320, 420, 1280])
def test_nothing_sticks_out(page: Page, layered: Path, pictured: Path, width: int) -> None:
    page.window.set_viewport_size({"width": width, "height": 800})
    for report in (layered, pictured):
        page.open(report, "#layer=*&sort=unit")
        page.to_units()
        assert page("document.documentElement.scrollWidth") <= width
        broken = page(
            """[...document.querySelectorAll('.overview .n')].filter(cell => {
                const text = document.createRange();
                text.selectNodeContents(cell);
                return text.getClientRects().length > 1;
            }).length"""
        )
        assert broken == 0  # a number is on one line
