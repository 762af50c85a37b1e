"""The report in a browser, opened from disk: no server, no network, no error, all of it by keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_cases import HOSTILE, Photos, make_concepts, make_dissection, plant

from fastdissect.reports import write_report

pytestmark = pytest.mark.browser
_CHROMIUM = shutil.which("chromium")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if _CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


class Page:
    """A window on a report, and everything it complained about or asked for."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.complaints: list[str] = []
        self.requests: list[str] = []
        window.set_default_timeout(20_000)
        window.on("console", lambda message: self.complaints.append(message.text))
        window.on("pageerror", lambda error: self.complaints.append(str(error)))
        window.on("request", lambda request: self.requests.append(request.url))
        window.on("requestfailed", self._failed)

    def _failed(self, request: Any) -> None:
        if (
            request.failure != "net::ERR_ABORTED"
        ):  # a picture that was still coming when the window went elsewhere
            self.complaints.append(f"failed: {request.url} ({request.failure})")

    def open(self, page: Path, hash_: str = "") -> None:
        self.window.goto("about:blank")
        self.window.goto(page.as_uri() + hash_)

    def __call__(self, script: str, argument: Any = None) -> Any:
        return self.window.evaluate(script, argument)

    def cards(self) -> list[str]:
        """Labels of the cards, in reading order."""
        return self("[...document.querySelectorAll('#gallery .label')].map(n => n.textContent)")

    def units(self) -> list[int]:
        """Unit numbers of the cards, in reading order."""
        return self("[...document.querySelectorAll('#gallery .where')].map(n => +n.textContent.slice(5))")

    def tally(self) -> str:
        return self.window.text_content("#tally")

    def title(self) -> str:
        return self.window.text_content("#panel-title")

    def panel_open(self) -> bool:
        return self("document.getElementById('panel').open")

    def focused(self) -> str:
        """The aria-label or id of what has the focus."""
        return self("(document.activeElement.getAttribute('aria-label') || document.activeElement.id)")

    def to_units(self) -> None:
        self("document.getElementById('units').scrollIntoView({behavior: 'instant'})")
        self.window.wait_for_selector("#gallery .card")

    def settled(self, script: str) -> None:
        self.window.wait_for_function(script)


@pytest.fixture
def page(chromium: Any) -> Iterator[Page]:
    window = chromium.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = Page(window)
    yield page
    hacked = page("window.hacked")
    window.close()
    assert page.complaints == []
    assert hacked is None
    assert page.requests
    assert all(url.startswith(("file://", "data:", "about:")) for url in page.requests)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers; 60 units over 20 concepts, three of each label in layer4."""
    data = Photos(13)
    layers = [plant("layer3", 24, 13, data.concepts), plant("layer4", 60, 13, data.concepts)]
    return write_report(
        make_dissection(layers, data), data, tmp_path_factory.mktemp("report") / "report", tile=24
    )


def test_it_opens_with_the_last_layer_best_units_first(page: Page, report: Path) -> None:
    page.open(report)
    assert page.tally() == "60 units"
    page.to_units()
    assert page.units()[:5] == [0, 1, 2, 3, 4]
    assert page.cards()[:2] == ["concept 0", "concept 1"]
    page.settled("document.querySelectorAll('#gallery .sheet.here').length > 3")
    assert page("document.querySelectorAll('#gallery .sheet.lost').length") == 0
    assert page("[...document.querySelectorAll('section.layer')].map(n => n.hidden)") == [True, False]


def test_search_by_label_category_and_number(page: Page, report: Path) -> None:
    page.open(report)
    page.window.fill("#search", "concept 7")
    assert page.tally() == "6 of 60 units"  # concepts 7 and 17
    page.window.fill("#search", "object")
    assert page.tally() == "9 of 60 units"  # concepts 1, 8 and 15
    page.window.fill("#search", "unit 12")
    assert "concept 12" in page.cards()
    page.window.fill("#search", "no such thing")
    assert page.tally() == "0 of 60 units"
    assert page.window.is_visible("#none")
    page.window.click("#none-reset")
    assert page.tally() == "60 units"
    assert not page.window.is_visible("#none")


def test_filters_by_label_category_layer_and_iou(page: Page, report: Path) -> None:
    page.open(report)
    page.to_units()
    page.window.select_option("#label", "concept 3")
    assert page.units() == [3, 23, 43]
    page.window.select_option("#layer", "*")
    page.window.select_option("#label", "concept 3")
    assert page.tally() == "5 of 84 units"
    page.window.click("#reset")
    page.window.select_option("#layer", "layer3")
    assert page.tally() == "24 units"
    page.window.click(".chip[data-category=mood]")
    assert set(page.cards()) == {"concept 6", "concept 13"}
    page.window.click(".chip[data-category=texture]")
    assert set(page.cards()) == {"concept 6", "concept 13", "concept 5", "concept 12", "concept 19"}
    assert page("document.querySelector('.chip[data-category=mood]').getAttribute('aria-pressed')") == "true"
    page.window.click("#reset")
    page.window.focus("#least")
    for _ in range(70):
        page.window.keyboard.press("ArrowRight")
    scores = page("[...document.querySelectorAll('#gallery .score')].map(n => +n.textContent)")
    assert 0 < len(scores) < 24
    assert min(scores) >= 0.7
    assert page.window.text_content("#range-text").startswith("0.70")


def test_sorting(page: Page, report: Path) -> None:
    page.open(report)
    page.to_units()
    page.window.click("#direction")
    assert page.units()[0] == 59  # the worst IoU first; equal ones are reversed too
    page.window.select_option("#sort", "area")
    assert page.units()[0] == 59  # planted: area falls with the unit number
    page.window.click("#direction")
    assert page.units()[:2] == [0, 1]
    page.window.select_option("#sort", "label")
    assert page.cards()[:4] == ["concept 0"] * 3 + ["concept 1"]
    assert page.units()[:3] == [0, 20, 40]
    page.window.select_option("#sort", "unit")
    page.window.click("#direction")
    assert page.units()[:3] == [59, 58, 57]


def test_a_bar_filters_the_gallery_and_again_clears_it(page: Page, report: Path) -> None:
    page.open(report)
    bar = page.window.locator("section.layer:visible .graph a", has_text="concept 8")
    bar.first.click()
    assert page.tally() == "3 of 60 units"
    assert "label=concept%208" in page("location.hash")
    assert page("document.querySelectorAll('.graph a.on').length") >= 1
    bar.first.click()
    assert page.tally() == "60 units"


def test_the_whole_way_by_keyboard(page: Page, report: Path) -> None:
    page.open(report)
    keys = page.window.keyboard
    keys.press("/")
    assert page.focused() == "search"
    keys.type("mood")
    assert page.tally() == "6 of 60 units"
    keys.press("ArrowDown")
    assert page.focused().startswith("Unit 6 of layer4: concept 6, mood, IoU 0.")
    keys.press("ArrowRight")
    assert page.focused().startswith("Unit 13 of")
    keys.press("ArrowLeft")
    keys.press("End")
    last = page.focused()
    keys.press("ArrowRight")
    assert page.focused() == last
    keys.press("Home")
    keys.press("Enter")
    assert page.panel_open()
    assert page.title() == "concept 6"
    assert page("location.hash").endswith("unit=layer4%2F6")
    keys.press("ArrowRight")
    assert page("FD.state.get().unit") == "layer4/13"
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")  # there is none before the first
    assert page("FD.state.get().unit") == "layer4/6"
    keys.press("ArrowRight")
    keys.press("Escape")
    assert not page.panel_open()
    assert page.focused().startswith("Unit 13 of")  # where the reader had come to
    assert "unit=" not in page("location.hash")
    keys.press("/")
    keys.press("Escape")
    assert page.tally() == "60 units"


def test_the_focus_is_visible_and_tab_reaches_the_gallery_once(page: Page, report: Path) -> None:
    page.open(report)
    page.window.keyboard.press("Tab")  # before any scrolling, which moves where Tab starts from
    assert page.focused() == "skip"
    page.to_units()
    assert page("document.querySelectorAll('#gallery [tabindex=\"0\"]').length") == 1
    assert (
        page("document.querySelectorAll('section.layer:not([hidden]) .graph a[tabindex=\"0\"]').length") == 1
    )
    page.window.keyboard.press("Enter")
    assert page.focused().startswith("Unit 0 of layer4")
    outline = page(
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth"
    )
    assert outline == "solid2px"


def test_every_control_has_a_name(page: Page, report: Path) -> None:
    page.open(report, "#unit=layer4/3")
    page.settled("document.querySelector('#panel .ranking')")
    nameless = page(
        """[...document.querySelectorAll('a, button, input, select, [role=img]')].filter(n =>
            !(n.getAttribute('aria-label') || n.textContent.trim() || (n.labels && n.labels.length))).map(n => n.outerHTML)"""
    )
    assert nameless == []


def test_the_panel_shows_what_the_results_say(page: Page, report: Path) -> None:
    page.open(report, "#unit=layer4/21")
    page.settled("document.querySelector('#panel .ranking')")
    assert page.title() == "concept 1"
    rows = page(
        "[...document.querySelectorAll('#panel .ranking tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    shared = int(1_000_000 * (0.9 - 0.8 * 21 / 60))
    assert rows[0] == [
        *("concept 1", "", f"{shared / (2_000_000 - shared):.3f}", f"{shared:,}", "1,000,000", "1,000,000"),
    ]
    assert [row[0] for row in rows] == ["concept 1", "concept 2"]
    best = page(
        "[...document.querySelectorAll('#panel .best tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    assert [row[:2] for row in best] == [["object", "concept 1"], ["part", "concept 2"]]
    assert page("document.querySelectorAll('#panel .tile').length") == 8
    name = page("document.querySelector('#panel .tile').getAttribute('aria-label')")
    assert name.startswith("images/0008 \"'<i>&.jpg, maximum 9")


def test_concepts_and_units_link_to_each_other(page: Page, report: Path) -> None:
    page.open(report, "#unit=layer4/21")
    page.settled("document.querySelector('#panel .ranking')")
    page.window.click("#panel .ranking tbody tr:first-child a")
    assert page.title() == "concept 1"
    assert page("FD.state.get().concept") == "concept 1"
    cards = page("[...document.querySelectorAll('#panel .card')].map(n => n.getAttribute('aria-label'))")
    assert [card.split(":")[0] for card in cards] == [
        *(
            "Unit 1 of layer4",
            "Unit 1 of layer3",
            "Unit 21 of layer4",
            "Unit 41 of layer4",
            "Unit 21 of layer3",
        ),
    ]  # by IoU over both layers
    assert cards[-1].endswith("IoU 0.111")
    page.settled("document.querySelector('#panel #detail .ranking')")  # units with another label
    page.window.click("#panel .card >> nth=1")
    assert page("FD.state.get().unit") == "layer3/1"
    page.window.go_back()
    assert page("FD.state.get().concept") == "concept 1"
    page.window.click("#panel [data-filter]")
    assert not page.panel_open()
    assert page.tally() == "5 of 84 units"


@pytest.mark.parametrize(
    ("hash_", "tally"),
    [
        ("#layer=layer3&cat=mood", "2 of 24 units"),
        ("#q=concept+1&layer=*", "0 of 84 units"),  # a plus is a plus
        ("#min=0.8", "1 of 60 units"),
        ("#layer=nowhere&sort=nothing&unit=layer9/1&min=x", "60 units"),
        ("#%E0%A4%A", "60 units"),
        ("#units", "60 units"),
    ],
)
def test_deep_links(page: Page, report: Path, hash_: str, tally: str) -> None:
    page.open(report, hash_)
    assert page.tally() == tally
    assert not page.panel_open()


def test_dark_and_light_follow_the_system_until_chosen_and_are_kept(chromium: Any, report: Path) -> None:
    context = chromium.new_context(color_scheme="dark")
    page = Page(context.new_page())
    page.open(report)
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    assert page(shade) < 150
    page.window.emulate_media(color_scheme="light")
    assert page(shade) > 600
    page.window.click("#theme")
    assert page(shade) < 150
    page.open(report)
    assert page(shade) < 150
    assert page("document.getElementById('theme').getAttribute('aria-label')") == "Switch to light"
    context.close()
    assert page.complaints == []


def test_it_works_where_storage_is_refused(page: Page, report: Path) -> None:
    page.window.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } })"
    )
    page.open(report)
    page.window.click("#theme")
    assert page("document.documentElement.dataset.theme") == "dark"
    page.window.click("#density")
    assert page("document.getElementById('gallery').classList.contains('whole')")


@pytest.mark.parametrize("width", [320, 390, 800, 2560])
def test_nothing_sticks_out_at_any_width(page: Page, report: Path, width: int) -> None:
    page.window.set_viewport_size({"width": width, "height": 800})
    page.open(report)
    page.to_units()
    assert page("document.documentElement.scrollWidth") <= width
    page.open(report, "#unit=layer4/3")
    page.settled("document.querySelector('#panel .ranking')")
    assert page("document.getElementById('panel').scrollWidth") <= page(
        "document.getElementById('panel').clientWidth"
    )


def test_nothing_moves_while_pictures_arrive(page: Page, report: Path) -> None:
    page.window.add_init_script(
        "window.moved = 0; new PerformanceObserver(list => { for (const e of list.getEntries()) window.moved += e.value; })"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.open(report)
    page.settled("document.querySelector('#gallery .card')")
    page("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    before = page("document.querySelectorAll('#gallery .sheet.here').length")
    page("window.moved = 0")  # the page is built; its pictures come when they are scrolled to
    page.to_units()
    page.settled(f"document.querySelectorAll('#gallery .sheet.here').length > {before + 2}")
    page("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page("window.moved") < 0.01


def test_reduced_motion_is_respected(page: Page, report: Path) -> None:
    page.window.emulate_media(reduced_motion="reduce")
    page.open(report, "#unit=layer4/3")
    assert page("getComputedStyle(document.getElementById('panel')).animationDuration") == "0s"


def test_hostile_names_are_only_text(page: Page, tmp_path: Path) -> None:
    data = Photos(8, concepts=make_concepts(len(HOSTILE) + 4, HOSTILE))
    layers = [plant("a/b\"'<i>", 28, 8, data.concepts), plant("", 28, 8, data.concepts)]
    index = write_report(make_dissection(layers, data), data, tmp_path / "re \"po'rt<b>#%20", tile=24)
    page.open(index, "#layer=*")
    page.to_units()
    assert page.cards()[0] in HOSTILE
    for name in HOSTILE:
        page("name => FD.state.set({ concept: name, unit: null })", name)
        assert page.title() == name
        page("name => FD.state.set({ concept: null, label: name })", name)
        assert set(page.cards()) == {name}
        link = page("location.href")
        page.open(Path(index), "#" + link.split("#", 1)[1])
        assert page("FD.state.get().label") == name
    page.to_units()
    page("FD.state.set({ label: null, unit: FD.selection.place(FD.selection.all[0]) })")
    page.settled("document.querySelector('#panel .ranking')")
    assert page("FD.state.get().unit") == "a/b\"'<i>/0"
    page.settled("document.querySelectorAll('#gallery .sheet.here').length > 3")
    assert page("document.querySelectorAll('.lost').length") == 0
    assert page("document.querySelectorAll('b, #panel i:not([class])').length") == 0


def test_without_the_data_set(page: Page, tmp_path: Path) -> None:
    data = Photos(8)
    page.open(write_report(make_dissection([plant("a", 9, 8, data.concepts)], data), None, tmp_path / "r"))
    page.to_units()
    assert page("document.querySelectorAll('img').length") == 0
    assert page.window.is_visible("text=written without its data set")
    page.window.click("#gallery .card")
    page.settled("document.querySelector('#panel .ranking')")


def test_an_undetermined_layer(page: Page, tmp_path: Path) -> None:
    data = Photos(4)
    page.open(
        write_report(
            make_dissection([plant("a", 9, 4, data.concepts, seen=3)], data), data, tmp_path / "r", tile=24
        )
    )
    page.to_units()
    assert set(page.cards()) == {"undetermined"}
    page.window.click("#gallery .card")
    assert page.title() == "undetermined"
    page.settled("document.querySelector('#panel #detail:not([aria-busy])')")


def test_a_missing_file_is_said_and_nothing_else_breaks(chromium: Any, tmp_path: Path) -> None:
    data = Photos(4)
    index = write_report(
        make_dissection([plant("a", 9, 4, data.concepts)], data), data, tmp_path / "r", tile=24
    )
    (index.parent / "data" / "detail-0-0.js").unlink()
    page = Page(chromium.new_page())
    page.open(index, "#unit=a/1")
    page.settled("document.querySelector('#detail .notice')")
    page.window.keyboard.press("Escape")
    assert not page.panel_open()
    page.window.close()


@pytest.mark.slow
def test_2048_units_draw_only_what_is_seen(page: Page, tmp_path: Path) -> None:
    data = Photos(40)
    layers = [plant(f"layer{i}", 2048, 40, data.concepts) for i in (3, 4)]
    page.open(write_report(make_dissection(layers, data), data, tmp_path / "r", tile=8), "#layer=*")
    assert page.tally() == "4,096 units"
    page.to_units()
    page.window.keyboard.press("/")
    page.window.keyboard.type("concept 7")
    assert page.tally().endswith("of 4,096 units")
    page.window.click("#reset")
    cards = "document.querySelectorAll('.card').length"
    assert 5 < page(cards) < 120
    page("scrollTo({ top: document.body.scrollHeight / 2, behavior: 'instant' })")
    page.settled(
        "document.querySelectorAll('#gallery .card').length > 5 && [...document.querySelectorAll('#gallery .cell')].some(c => c.dataset.position > 500)"
    )
    assert page(cards) < 120
    seen = page(
        """[...document.querySelectorAll('#gallery .cell')].some(cell => {
            const box = cell.getBoundingClientRect(); return box.top < innerHeight / 2 && box.bottom > innerHeight / 3; })"""
    )
    assert seen
    page("FD.gallery.focus(0)")
    page.window.keyboard.press("End")
    assert page.focused().startswith("Unit 2047 of")
    page.window.keyboard.press("Enter")
    page.settled("document.querySelector('#panel .ranking')")
