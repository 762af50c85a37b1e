"""The page of a roll-up: every unit in it once, names that want to be markup, and its search in a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hierarchy_cases import SIDE, drawn, layer_with, run_of
from report_cases import HOSTILE

from fastdissect.errors import OutputError
from fastdissect.methods.hierarchy import RollUp, build_hierarchy, check_relations, roll_up_layer
from fastdissect.reports.studies import hierarchy_tree
from fastdissect.reports.studies.hierarchy_page import write_hierarchy_study
from fastdissect.reports.studies.hierarchy_tree import label_trees, whole_trees

NAMES = ("poodle", "dachshund", "cat", "sky", "paw", *HOSTILE[:8])
GIVEN = [
    ("poodle", "dog"), ("dachshund", "dog"), ("dog", "animal"), ("cat", "animal"), ("cat", "pet"), ("dog", "pet"),
    ("paw", "dog", "part-of"), ("paw", "cat", "part-of"), *((name, HOSTILE[8]) for name in HOSTILE[:8]),
]  # fmt: skip


@pytest.fixture(scope="module")
def found() -> RollUp:
    """A unit a label, the union of dogs, all animals, and one that is never active."""
    where = {name: [(i, slice(0, 5 + i % 3))] for i, name in enumerate(NAMES)}
    where["paw"] = [(0, slice(4, 5)), (1, slice(4, 5)), (2, slice(4, 5))]
    labels = drawn(where, NAMES, len(NAMES))
    masks = [
        *labels.transpose(1, 0, 2, 3),
        labels[:, :2].any(1),
        labels[:, :3].any(1),
        np.zeros_like(labels[:, 0]),
    ]
    layers = {}
    for name in ("conv/1", "</h2><script>window.hacked = 1</script>"):
        layer, planes = layer_with(np.stack(masks, 1), labels, NAMES, name)
        tree = build_hierarchy(layer.concepts, check_relations(GIVEN))
        layers[name] = roll_up_layer(layer, planes, tree)
    return RollUp(tree, layers, "<b>planted</b>")


def branches(trees: list[Any]) -> list[Any]:
    return [one for tree in trees for one in (tree, *branches(tree.branches))]


def test_every_unit_stands_at_its_node_once(found: RollUp) -> None:
    one = found["conv/1"]
    trees, flat = label_trees(one, "l0", "../report/index.html")
    nodes = branches([*trees, *flat])
    units = [unit.number for node in nodes for unit in node.units]
    assert sorted(units) == np.flatnonzero(one.chosen.node >= 0).tolist()
    by_name = {node.name: node for node in nodes}
    table = one.units()
    for unit, adequate in enumerate(table["adequate"]):
        shown = [node for node in nodes if any(u.number == unit for u in node.units)]
        assert len(shown) == (adequate != "")
    assert [u.number for u in by_name["dog"].units] == [13]
    assert by_name["dog"].units[0].words.startswith("label dachshund 0.545; dachshund 0.55, poodle")
    assert by_name["dog"].units[0].link == "../report/index.html#unit=conv%2F1%2F13"
    assert by_name["animal"].count == 5
    assert by_name["pet"].also or by_name["animal"].also  # cat and dog stand under one of them
    assert {node.name for node in flat} == {"sky", "paw"}
    ids = {node.id for node in nodes}
    assert {id for node in nodes for id, _ in node.also} <= ids
    assert len(ids) == len(nodes)


def test_parts_stand_under_their_wholes(found: RollUp) -> None:
    (tree,) = whole_trees(found["conv/1"])
    assert (tree.name, tree.branches[0].name) in (("animal", "paw"), ("pet", "paw"))
    assert [u.number for u in tree.branches[0].units] == [4]
    assert "100% of it on" in tree.branches[0].units[0].words


def test_long_lists_say_how_many_are_left(found: RollUp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hierarchy_tree, "LISTED", 0)
    nodes = branches([*label_trees(found["conv/1"], "l0")[0]])
    assert all(not node.units for node in nodes)
    assert sum(node.more for node in nodes) == max(node.count for node in nodes if node.name == "animal") + 8


@pytest.mark.parametrize("depth", [49, 50, 51, 120, 1000])
def test_a_deep_tree_begins_anew(depth: int, tmp_path: Path) -> None:
    """Units at the top and at the bottom of one long line."""
    labels = drawn({"leaf": [(0, slice(0, 5))], "side": [(1, slice(0, 9))]}, ("leaf", "side"), 2)
    layer, planes = layer_with(np.stack([labels[:, 0], labels.any(1)], 1), labels, ("leaf", "side"))
    names = [f"n{i}" for i in range(depth)]
    line = [*zip(["leaf", *names], names, strict=False), ("side", names[-1])]
    tree = build_hierarchy(layer.concepts, check_relations(line))
    one = roll_up_layer(layer, planes, tree)
    trees, flat = label_trees(one, "l0")

    def deepest(all_of: list[Any]) -> int:
        return max((1 + deepest(branch.branches) for branch in all_of), default=0)

    nodes = branches(trees)
    assert not flat
    assert deepest(trees) == min(depth + 1, hierarchy_tree.NESTED)
    assert sorted(unit.number for node in nodes for unit in node.units) == [0, 1]
    assert {node.name for node in nodes} == {"leaf", *names}
    assert {id for node in nodes for id, _ in node.also} == {
        tree.id for tree in trees if tree.name != names[-1]
    }
    found = RollUp(tree, {layer.name: one}, "a line")
    write_hierarchy_study(run_of(layer), found, tmp_path / "page")


def test_layers_whose_tables_would_have_one_name(tmp_path: Path) -> None:
    labels = drawn({"poodle": [(0, slice(0, 5))]}, ("poodle",), 1)
    layers = {}
    for name in ("a", "a-nodes", "overview", "a-nodes~", "b"):
        layer, planes = layer_with(labels, labels, ("poodle",), name)
        tree = build_hierarchy(layer.concepts, check_relations([("poodle", "dog")]))
        layers[name] = roll_up_layer(layer, planes, tree)
    found = RollUp(tree, layers, "planted")
    assert len(found.tables()) == 2 + 4 * len(layers)
    assert found.files["a"] == "a"
    assert found.files["b"] == "b"
    page = write_hierarchy_study(run_of(*(one.layer for one in layers.values())), found, tmp_path / "page")
    saved = {path.stem for path in page.parent.glob("*.csv")}
    assert saved == set(found.tables())
    for name, file in found.files.items():
        assert list(pd.read_csv(page.parent / f"{file}.csv").columns) == list(layers[name].units().columns)


class Seen(HTMLParser):
    """Tags, ids, links and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on")]
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_all_and_takes_names_as_text(found: RollUp, tmp_path: Path) -> None:
    d = run_of(*(one.layer for one in found.layers.values()))
    page = write_hierarchy_study(d, found, tmp_path / "page", report=tmp_path / "report" / "index.html")
    text = page.read_text(encoding="utf-8")
    seen = Seen(text)
    assert seen.tags.count("script") == 2
    assert "window.hacked" in seen.text
    assert len(set(seen.ids)) == len(seen.ids)
    for link in seen.links:
        if link.startswith("#"):
            assert link[1:] in seen.ids
        elif link.startswith("../"):
            assert link.startswith("../report/index.html#unit=")
        elif not link.startswith("data:"):
            assert (page.parent / re.sub("%25", "%", link)).is_file() or (page.parent / link).is_file(), link
    assert "<b>planted</b>" in seen.text
    for words in ("Labels and what they are", "Labels that are no kind of another", "Parts on their wholes"):
        assert seen.text.count(words) == 2
    for name, table in found.tables().items():
        saved = pd.read_csv(page.parent / f"{name}.csv", keep_default_na=False)
        assert list(saved.columns) == list(table.columns)
        assert len(saved) == len(table)
    again = write_hierarchy_study(d, found, tmp_path / "page", report=tmp_path / "report" / "index.html")
    assert again.read_text(encoding="utf-8") == text
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="choose another folder"):
        write_hierarchy_study(d, found, tmp_path / "other")
    assert SIDE == 10  # the areas above rest on it


@pytest.mark.browser
def test_the_search_in_a_browser(found: RollUp, tmp_path: Path) -> None:
    sync = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("no Chromium")
    page = write_hierarchy_study(run_of(*(o.layer for o in found.layers.values())), found, tmp_path / "page")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"]
        )
        view = browser.new_page()
        errors: list[str] = []
        view.on("pageerror", lambda error: errors.append(str(error)))
        view.goto(page.as_uri())
        assert view.evaluate("window.hacked") is None
        opened = view.locator(".tree details[open]").count()

        def units() -> list[str]:
            return sorted(view.locator("#l0 .units li[data-find]:visible").all_inner_texts())

        view.fill("#find", "dog")
        view.wait_for_function("document.getElementById('tally').textContent !== ''")
        assert [text.split()[1] for text in units()] == [
            "0",
            "1",
            "13",
            "14",
        ]  # 14: of animals, dogs among them
        assert view.inner_text("#tally") == "8 units"  # of both layers
        view.fill("#find", "paw")  # under its label and under its whole
        assert [text.split()[1] for text in units()] == ["4", "4"]
        assert view.inner_text("#tally") == "2 units"
        view.fill("#find", "unit 3")
        assert [text.split()[1] for text in units()] == ["3"]
        view.fill("#find", "nothing like it")
        assert units() == []
        assert view.inner_text("#tally") == "0 units"
        view.fill("#find", "")
        assert view.locator(".tree details[open]").count() == opened
        view.click("#open")
        assert view.locator(".tree details:not([open])").count() == 0
        view.click("#close")
        assert view.locator(".tree details[open]").count() == 0
        also = view.evaluate("document.querySelector('.also a').getAttribute('href').slice(1)")
        view.evaluate(f"location.hash = {also!r}")
        view.wait_for_function(f"document.getElementById({also!r}).open")
        assert view.locator(f"#{also} > summary").is_visible()
        browser.close()
        assert errors == []
