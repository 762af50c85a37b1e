"""The benchmark: rows run, what they say of an approximate method is right, and who is missing is named."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_fakes import fake_checkouts
from cli_cases import call
from hypothesis import given
from hypothesis import strategies as st

from fastdissect.benchmarks import bench, peers, sizes
from fastdissect.benchmarks.bench import GROUPS, run_benchmark, write_result
from fastdissect.benchmarks.peers import CHECKOUTS, Field, field_of
from fastdissect.benchmarks.quantile_rows import quantile_rows
from fastdissect.benchmarks.rounds import Contestant, Runs, play
from fastdissect.benchmarks.rows import Row
from fastdissect.benchmarks.sizes import Sizes, quick_sizes
from fastdissect.benchmarks.spreads import slope, spread
from fastdissect.benchmarks.tables import markdown, records
from fastdissect.benchmarks.work import Found
from fastdissect.errors import SettingError

NOBODY = Field({}, frozenset(), {"torch": "was sent home"}, {})
TINY = dataclasses.replace(
    quick_sizes(),
    maps=((3, 5, 40),),
    units=6,
    side=4,
    images=6,
    dissect_images=4,
    picture=32,
    small_mask=8,
    warm=2,
)


def planted() -> dict[str, Any]:
    """A result whose runs took stated seconds: ours 1, 2, 4 and another 2, 6, 4, with 1 s for its layout each."""
    contestants = (Contestant("fastdissect", "a:b", note="one"), Contestant("other", "a:c", note="two"))

    def judge(found: Found, _: Found) -> dict[str, float]:
        return {"rank error, max": float(found["error"][0])}

    row = Row(
        "quantile",
        "it",
        "ns a value",
        10.0,
        (Path(), 1),
        contestants,
        (judge,) * 2,
        apart=frozenset({"other"}),
    )
    runs = [
        Runs(
            [[{"run": s, "arrange": 1.0, "memory": 5e6}] for s in own],
            [{"error": np.array([e])}],
            {"numpy": "2"},
        )
        for own, e in (((1.0, 2.0, 4.0), 0.0), ((2.0, 6.0, 4.0), 3e-4))
    ]
    rows = records(row, runs)
    numbers = {"threads": 1, "repetitions": 3, "images": 1, "quick": True, "seconds": {"quantile": 1.5}}
    machine = ("processor", "cores", "system", "python", "fastdissect", "commit", "backend", "date")
    named = {"skipped": {"torch": "was sent home"}, "versions": {"numpy": "2"}, "commits": {}}
    return {"machine": dict.fromkeys(machine, "some"), "rows": rows, "scaling": [], **numbers, **named}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three groups of rows, beside brute-force twins of the peers that lie where the peers' files lie."""
    field = field_of(fake_checkouts(tmp_path_factory.mktemp("peers")))
    field = dataclasses.replace(field, libraries=frozenset(), skipped={"torch": "was sent home"})
    return run_benchmark(("quantile", "tally", "pipeline"), TINY, field, repeats=1, threads=1)


def lines(result: dict[str, Any], group: str, ending: str = "") -> list[dict[str, Any]]:
    return [r for r in result["rows"] if r["row"] == group and r["case"].endswith(ending)]


@pytest.fixture
def helpers_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of the benchmark find the contestants that are planted here."""
    known = os.environ.get("PYTHONPATH")
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", here if not known else here + os.pathsep + known)


def test_figures_are_medians_and_ratios_are_taken_run_by_run() -> None:
    ours, other, counted = planted()["rows"]
    assert (ours["median"], other["median"], counted["median"]) == (20.0, 40.0, 50.0)
    assert ours["times the first"] == 1
    assert other["times the first"] == 2, "of 2, 3 and 1, not of the medians"
    assert counted["times the first"] == 3, "of 3, 3.5 and 1.25"
    assert counted["contestant"] == "other, transposition counted"
    assert other["peak MB"] == 5
    assert other["correctness"] == {"rank error, max": 3e-4}


@pytest.mark.slow
def test_nothing_fails_and_every_line_has_its_figures(result: dict[str, Any]) -> None:
    assert not [r["failed"] for r in result["rows"] if "failed" in r]
    for record in result["rows"]:
        assert record["repetitions"] == 1
        assert record["quartiles"][0] <= record["median"] <= record["quartiles"][1]
        assert record["unit"] == ("ns a value" if record["row"] == "quantile" else "ms an image")
        assert record["median"] > 0
    assert json.loads(json.dumps(result)) == result
    assert result["machine"]["backend"]
    assert (result["threads"], result["repetitions"], result["images"]) == (1, 1, 6)
    assert list(result["seconds"]) == ["quantile", "tally", "pipeline"]
    assert set(result["commits"]) == set(CHECKOUTS)
    assert "numpy" in result["versions"]


@pytest.mark.slow
def test_the_quantile_rows(result: dict[str, Any]) -> None:
    exact = [n + t for n in ("numpy.partition", "numpy.sort") for t in ("", ", transposition counted")]
    own = lines(result, "quantile", "float32")
    assert [r["contestant"] for r in own] == ["fastdissect", *exact, *(c.title for c in CHECKOUTS.values())]
    assert own[0]["times the first"] == 1
    assert own[2]["median"] > own[1]["median"], "the transposition takes time"
    assert own[2]["times the first"] > own[1]["times the first"]
    bits = lines(result, "quantile", "bfloat16")
    assert [r["contestant"] for r in bits] == ["fastdissect", *exact[:2]]
    for record in (*own, *bits):
        assert record["correctness"] == {"rank error, median": 0, "rank error, max": 0}, record


@pytest.mark.slow
def test_the_labelled_rows(result: dict[str, Any]) -> None:
    """Ours, at two conventions, and the twins: no rank error, and the same labels and IoU."""
    sides = ("NetDissect-Lite", "davidbau/dissect")
    expected = [name for side in sides for name in (f"fastdissect, as {side}", "fastdissect", side)]
    tally, pipeline = lines(result, "tally"), lines(result, "pipeline")
    assert [r["contestant"] for r in pipeline] == expected
    assert [r["contestant"] for r in tally] == [*expected[:5], "fastdissect.count_intersections", sides[1]]
    for record in (*tally, *pipeline):
        correct = record["correctness"]
        if record["row"] == "pipeline":
            assert correct["rank error, max"] == 0, record
        if record["contestant"] == "fastdissect":
            assert "label agreement" not in correct, "another convention: not compared"
            continue
        assert correct["label agreement"] == 1, record
        assert correct["IoU difference, max"] < 1e-6, record


@pytest.mark.usefixtures("helpers_importable")
def test_the_rank_error_of_a_planted_sketch_is_seen_and_a_failure_is_told(tmp_path: Path) -> None:
    row = quantile_rows(TINY, NOBODY, tmp_path)[0]
    rough, bad = (Contestant(n, f"bench_fakes:{n}") for n in ("three_ranks_low", "broken"))
    row = dataclasses.replace(
        row, contestants=(row.contestants[0], rough, bad), judges=(row.judges[0],) * 3, apart=frozenset()
    )
    told: list[str] = []
    runs = play(row.contestants, [row.case], repeats=2, threads=1, warm=2, progress=told.append)
    ours, low, failed = records(row, runs)
    n = 40 * 5 * 5
    assert ours["correctness"]["rank error, max"] == 0
    assert low["correctness"] == {"rank error, median": 3 / n, "rank error, max": 3 / n}
    assert failed["failed"] == "ValueError: planted: 2 images are not to its taste"
    assert "median" not in failed
    turns = ["1/2 fastdissect", "1/2 three_ranks_low", "1/2 broken", "2/2 fastdissect", "2/2 three_ranks_low"]
    assert told == turns, "A B C A B: in turn, and what failed is not run again"


@pytest.mark.slow
def test_scaling_gives_a_slope_an_axis() -> None:
    small = dataclasses.replace(
        TINY,
        base={"images": 4, "units": 4, "concepts": 20, "maps": 4, "units of the largest map": 2},
        points={"images": (2, 4), "units": (2, 4), "concepts": (8, 20), "maps": (4, 8)},
    )
    result = run_benchmark(("scaling",), small, NOBODY, repeats=1, threads=1)
    axes = {r["axis"]: r for r in result["scaling"]}
    assert list(axes) == ["images", "units", "concepts", "maps", "threads"]
    for axis, record in axes.items():
        assert "failed" not in record, record
        assert len(record["x"]) == len(record["seconds"]) == len(record["quartiles"])
        assert (record["slope"] is None) == (len(record["x"]) == 1)
        if axis != "threads":
            assert record["slope"] == slope(record["x"], record["seconds"])
    assert axes["maps"]["x"] == [16, 64], "cells, not sides"


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=30))
def test_a_spread_is_in_order_and_inside(values: list[float]) -> None:
    low, middle, high = spread(values)
    assert low <= middle <= high
    assert min(values) <= middle <= max(values)


def test_who_does_not_take_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LIBRARIES", ("numpy", "no_such_library"))
    field = field_of({})
    assert field.libraries == {"numpy"}
    assert field.skipped == {
        "NetDissect-Lite": "no --netdissect-lite PATH was given",
        "davidbau/dissect": "no --dissect PATH was given",
        "baukit": "no --baukit PATH was given",
        "no_such_library": "not installed; pip install 'fastdissect[bench]' brings it",
    }


@pytest.mark.parametrize("name", CHECKOUTS)
def test_a_wrong_folder_says_what_is_expected_in_it(name: str, tmp_path: Path) -> None:
    peer = CHECKOUTS[name]
    right = fake_checkouts(tmp_path / "right")[name]
    assert right is not None
    assert field_of({name: right}).paths == {name: right.resolve()}
    for file in peer.files:
        (right / file).rename(right / "elsewhere")
        with pytest.raises(SettingError, match=f"without {file}") as told:
            field_of({name: right})
        (right / "elsewhere").rename(right / file)
        for word in (*peer.files, peer.option, peer.repository):
            assert word in str(told.value)
    with pytest.raises(SettingError, match="got no folder"):
        field_of({name: tmp_path / "nowhere"})


def test_unknown_rows_and_numbers_are_refused() -> None:
    with pytest.raises(SettingError, match=f"expected rows of {', '.join(GROUPS)}; got 'talley'.*tally"):
        run_benchmark(("talley",), TINY, NOBODY, repeats=1, threads=1)
    with pytest.raises(SettingError, match="repeats of 1 or more"):
        run_benchmark(("quantile",), TINY, NOBODY, repeats=0, threads=1)


def test_the_result_is_written_as_json_tables_and_charts(tmp_path: Path) -> None:
    result = planted()
    failed = {"row": "tally", "case": "it", "contestant": "one", "note": "", "failed": "a | b"}
    scaling = [
        {"axis": "units", "contestant": "fastdissect", "x": [1, 2], "images": [4, 4], "seconds": [1, 2]}
        | {"quartiles": [[1, 1], [2, 2]], "slope": 1.0},
        {"axis": "maps", "contestant": "other", "failed": "no"},
    ]
    result = {**result, "rows": [*result["rows"], failed], "scaling": scaling}
    files = write_result(result, tmp_path)
    assert json.loads((tmp_path / "peers.json").read_text()) == result
    text = (tmp_path / "peers.md").read_text()
    assert "- torch: was sent home" in text
    assert "| other | 40 | 20 - 60 | 2 | 1 - 3 | 5 | 3.0e-04 | two |" in text
    assert "| failed: a \\| b |" in text
    assert "| units | fastdissect | 1, 2 | 1, 2 | 4 | 1.00 |" in text
    columns = 0
    for line in text.splitlines():
        bars = line.replace("\\|", "").count("|")
        assert bars in (0, columns) or not columns, f"a line with another number of columns: {line}"
        columns = bars
    pytest.importorskip("matplotlib")
    charts = {"peers.svg", "peers-scaling-units.svg"}
    assert {path.name for path in files} == {"peers.md", "peers.json", *charts}
    assert all((tmp_path / name).read_text().rstrip().endswith("</svg>") for name in charts)
    assert all(f"]({name})" in text for name in charts)


def test_without_matplotlib_there_are_words_instead_of_charts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = planted()
    assert [path.name for path in write_result(result, tmp_path)] == ["peers.md", "peers.json"]
    text = (tmp_path / "peers.md").read_text()
    assert "No charts: matplotlib is not installed" in text
    assert "the figures mean nothing" in text
    assert text.startswith(markdown(result))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = planted()
    asked: list[Any] = []

    def measured(*arguments: Any, **named: Any) -> dict[str, Any]:
        asked.append((*arguments, named["repeats"], named["threads"]))
        return result

    monkeypatch.setattr(bench, "run_benchmark", measured)
    out = tmp_path / "out"
    said = call("bench", "--rows", "tally,quantile", "--images", "80", "--threads", "2", "--out", str(out))
    assert said.exit_code == 0, said.output
    groups, size, field, repeats, threads = asked[0]
    assert (groups, size.images, repeats, threads) == (("quantile", "tally"), 80, 5, 2)
    assert not field.paths
    assert "NetDissect-Lite does not take part: no --netdissect-lite PATH was given" in said.output
    assert "## Quantile of saved activations" in said.output
    assert (out / "peers.json").is_file()
    (tmp_path / "file").write_text("")
    said = call("bench", "--out", str(tmp_path / "file"))
    assert said.exit_code == 1
    assert "peers.json" not in said.output
    assert len(asked) == 1  # nothing is measured that could not be written
    for wrong in (["--rows", "talley"], ["--dissect", str(tmp_path)]):
        said = call("bench", *wrong)
        assert said.exit_code == 1
        assert "expected" in said.output
    assert len(asked) == 1
    failed = {**result["rows"][0], "failed": "it broke"}
    monkeypatch.setattr(bench, "run_benchmark", lambda *_, **__: {**result, "rows": [failed]})
    said = call("bench", "--quick", "--out", str(out))
    assert said.exit_code == 1
    assert "failed: it broke" in said.output


def test_importing_the_package_does_not_load_the_benchmark() -> None:
    code = "import sys, fastdissect.cli; sys.exit(any('benchmarks' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sizes_follow_the_images() -> None:
    table = sizes.sizes_for(500)
    assert (table.images, table.dissect_images) == (500, 100)
    assert {images * units * side * side for units, side, images in table.maps} == {25_088_000}, (
        "as much work"
    )
    less = sizes.sizes_for(40)
    assert isinstance(less, Sizes)
    assert all(a <= b for a, b in zip(less.points["images"], less.points["images"][1:], strict=False))
