"""The tutorial of concept vectors and its one command (examples/concepts)."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastdissect as fd
from fastdissect.datasets.shapes import Shapes
from fastdissect.methods import planes_of
from fastdissect.methods.chance import splits_of
from fastdissect.methods.net2vec import SegmentationSettings, segmentation_vectors
from fastdissect.methods.vectors import best_sums, make_embedding
from fastdissect.methods.vectors.predicted import predicted_masks

FOLDER = Path(__file__).parents[1] / "examples" / "concepts"
TUTORIAL = Path(__file__).parents[1] / "docs" / "concepts.md"
OWN = ("composed", "labels", "likeness", "trained")
STUDIES = ("networks", "painting", "learning", "train")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="examples/ is not beside the tests")


@pytest.fixture(scope="module")
def tutorial() -> Iterator[Any]:
    """The scripts as modules; their names are too common to stay in sys.modules."""
    before = {name: sys.modules.pop(name, None) for name in (*OWN, *STUDIES)}
    path = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in OWN})
    finally:
        sys.path[:] = path
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def test_a_composed_label_lies_where_its_colour_and_its_thing_lie(tutorial: Any) -> None:
    plain, data = Shapes(40, size=48, seed=3), tutorial.composed.Composed(40, size=48, seed=3)
    number = dict(zip(data.concepts.names, data.concepts.numbers.tolist(), strict=True))
    assert data.words == plain.concepts.names == data.concepts.names[: len(plain.concepts)]
    assert len(data.pairs) == 11 * 10 == len(data.concepts) - len(plain.concepts)
    assert len(set(number.values())) == len(number)
    assert data.fingerprint() != plain.fingerprint()
    found = 0
    for index in range(len(data)):
        assert np.array_equal(data.read_image(index)[0], plain.read_image(index)[0])
        before, after = plain.read_labels(index), data.read_labels(index)
        for old, new in zip(before, after, strict=False):
            assert old.category == new.category
            assert np.array_equal(old.labels, new.labels)
        own = {data.concepts.categories[c.category]: c.labels for c in after}
        for name, (colour, thing) in data.pairs.items():
            if "color" in own and "object" in own:
                both = (own["color"] == number[colour]) & (own["object"] == number[thing])
            else:
                both = np.zeros((48, 48), bool)
            told = own.get("composed", np.zeros((48, 48), np.uint16)) == number[name]
            assert np.array_equal(told, both)
            found += bool(both.any())
    assert found > 20


def _words() -> tuple[dict[str, tuple[str, str]], tuple[str, ...]]:
    colours, things = [f"c{i}" for i in range(5)], [f"t{i}" for i in range(4)]
    pairs = {f"{c} {t}": (c, t) for c, t in itertools.product(colours, things)}
    return pairs, (*colours, *things, "other", "more")


def test_planted_sums_are_found_and_shuffled_names_are_not(tutorial: Any) -> None:
    pairs, words = _words()
    rng = np.random.default_rng(0)
    base = dict(zip(words, np.linalg.qr(rng.normal(size=(24, 24)))[0], strict=False))
    made = {name: base[c] + base[t] + 0.02 * rng.normal(size=24) for name, (c, t) in pairs.items()}
    found = make_embedding([*base.values(), *made.values()], [*base, *made])
    told = tutorial.likeness.composed_sums(found, pairs, words)
    assert told.pairs == 11 * 10 // 2
    assert (told.rank == 0).all()
    assert told.first == told.colour == told.thing == 1
    assert told.p < 0.01
    assert told.first_by_chance < 0.2
    for name, pair in zip(told.names, told.found, strict=True):
        assert set(pair) == set(pairs[name])
        one = make_embedding([*base.values(), made[name]], [*base, name])
        row = best_sums(one).set_index("concept").loc[name]
        assert {row["first"], row["second"]} == set(pair)  # the package's own table says the same

    other = list(pairs)[1:] + list(pairs)[:1]
    wrong = {new: pairs[old] for new, old in zip(pairs, other, strict=True)}
    assert tutorial.likeness.composed_sums(found, wrong, words).first == 0


def test_the_rank_of_the_right_pair_is_the_number_of_better_pairs(tutorial: Any) -> None:
    pairs, words = _words()
    rng = np.random.default_rng(1)
    vectors = {name: rng.normal(size=6) for name in (*words, *pairs)}
    found = make_embedding(list(vectors.values()), list(vectors))
    told = tutorial.likeness.composed_sums(found, pairs, words)
    unit = {name: v / np.linalg.norm(v) for name, v in vectors.items()}

    def cosine(name: str, two: tuple[str, str]) -> float:
        total = unit[two[0]] + unit[two[1]]
        return float(unit[name] @ total / np.linalg.norm(total))

    for name, rank in zip(told.names, told.rank.tolist(), strict=True):
        right = cosine(name, pairs[name])
        assert rank == sum(cosine(name, two) > right + 1e-9 for two in itertools.combinations(words, 2))
    assert tutorial.likeness.composed_sums(found, {"c0 t0": ("c0", "t0")}, words) is None


def test_equal_sets_are_not_apart_and_random_ones_as_far_as_shuffled_names(tutorial: Any) -> None:
    rng = np.random.default_rng(2)
    names = [f"n{i}" for i in range(40)]
    one = make_embedding(rng.normal(size=(40, 8)), names)
    turned = make_embedding(one.vectors @ np.linalg.qr(rng.normal(size=(8, 8)))[0], names)
    other = make_embedding(rng.normal(size=(40, 8)), names)
    count, mean, share = tutorial.likeness.relabelled_share(one, turned)
    assert count == 40
    assert mean == pytest.approx(0, abs=1e-12)
    assert share == pytest.approx(0, abs=1e-12)
    assert tutorial.likeness.relabelled_share(one, other)[2] == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def small() -> tuple[Any, Any]:
    data = Shapes(40, size=64, seed=1)
    return fd.dissect("builtin:shapes", data, ["conv4"]), data


def test_shared_pixels_are_those_of_the_labels(tutorial: Any, small: tuple[Any, Any]) -> None:
    d, data = small
    planes = planes_of(d, data, cache=None)
    told = tutorial.labels.overlaps(planes, d.concepts)
    height, width = planes.size
    count, every = len(d.concepts), [np.zeros((height * width,), bool)]
    shared, either = np.zeros((count, count)), np.zeros((count, count))
    for image in range(planes.images):
        shown: dict[int, Any] = {}
        for plane in range(*planes.plane_start[image : image + 2]):
            row = planes.word_row[plane]
            bits = (
                np.ones(height * width, bool)
                if row < 0
                else np.unpackbits(planes.words[row].view(np.uint8), bitorder="little")[: height * width] > 0
            )
            shown[int(planes.concept[plane])] = bits
        carried = {int(d.concepts.category[c]) for c in shown}
        for a, b in itertools.product(range(count), repeat=2):
            if {int(d.concepts.category[a]), int(d.concepts.category[b])} <= carried:
                one, other = shown.get(a, every[0]), shown.get(b, every[0])
                shared[a, b] += (one & other).sum()
                either[a, b] += (one | other).sum()
    assert np.array_equal(told.shared, shared)
    assert np.allclose(told.jaccard, np.divide(shared, either, out=np.zeros_like(shared), where=either > 0))


def test_a_filter_alone_with_half_a_bias_is_the_single_filter(tutorial: Any, small: tuple[Any, Any]) -> None:
    d, data = small
    planes, train = planes_of(d, data, cache=None), splits_of(data, d.image_names).train
    vectors = segmentation_vectors(d["conv4"], planes, train, settings=SegmentationSettings(epochs=1))
    columns = [d.concepts.names.index(name) for name in vectors.names]
    same = tutorial.labels.one_filter(vectors, d["conv4"], planes, columns, -0.5)
    known = ~vectors.table["no_val"].to_numpy()
    assert known.any()
    assert np.array_equal(same[known], vectors.table["single_iou_val"].to_numpy()[known])
    masks = predicted_masks(vectors, d["conv4"])
    told = tutorial.labels.marked(vectors, planes, columns)
    assert vectors.images is not None
    row = int(np.flatnonzero(known)[0])
    own = vectors.images.image[(vectors.images.concept == row) & ~vectors.images.train]
    seen = sum(int(masks(row, image).sum()) for image in own)
    shown = sum(
        int(planes.pixels[plane])
        for image in own
        for plane in range(*planes.plane_start[image : image + 2])
        if planes.concept[plane] == columns[row]
    )
    assert told.times[row] == pytest.approx(seen / shown)
    assert told.everywhere[row] == pytest.approx(shown / (len(own) * planes.size[0] * planes.size[1]))
    wider = tutorial.labels.one_filter(vectors, d["conv4"], planes, columns, 0.0)
    assert not np.array_equal(wider[known], same[known])


def test_trained_networks_are_found_before_new_ones_are_trained(tutorial: Any, tmp_path: Path) -> None:
    usual, own, given = tmp_path / "usual", tmp_path / "own", tmp_path / "given"
    folder = tutorial.trained.networks_folder
    assert folder(None, usual, own) == own
    usual.mkdir()
    for name in tutorial.trained.NAMES:
        assert folder(None, usual, own) == own
        (usual / f"{name}.safetensors").touch()
    assert folder(None, usual, own) == usual
    assert folder(given, usual, own) == given


@pytest.mark.slow
def test_one_command_does_all_of_it_and_its_figures_are_the_pages(tmp_path: Path) -> None:
    out = tmp_path / "concepts"
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--quick", "--jobs", "1", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", "PYTHONSAFEPATH": "", "PYTHONWARNINGS": "error"},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    commands = re.findall(r"^\$ fastdissect (\S+)", done.stdout, re.MULTILINE)
    assert set(commands) == {"run", "net2vec", "semantics", "explain"}
    pages = re.findall(r"(\S+index\.html)$", done.stdout.partition("Open in a browser:")[2], re.MULTILINE)
    assert len(pages) == 5
    assert all(Path(page).is_file() for page in pages)
    gaps = re.findall(r"parts and score differ by at most (\S+),", done.stdout)
    assert gaps
    assert all(float(gap) < 1e-5 for gap in gaps if gap != "nan")
    assert "largest difference of a single filter and a combination of it alone: 0" in done.stdout
    drawn = {file.name for file in (out / "figures").iterdir()}
    assert drawn == set(re.findall(r"\(concepts/([^)]+)\)", TUTORIAL.read_text(encoding="utf-8")))
