"""The tutorial of coupled factorisation and its one command (examples/factorization)."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.result import Factorization, Loadings
from fastdissect.methods.factorization.settings import FactorizationSettings

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[1] / "examples" / "factorization"
TUTORIAL = Path(__file__).parents[1] / "docs" / "factorization.md"
OWN = ("comparing", "digits", "naming", "scenes")
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


def planted(mixtures: list[list[float]], loadings: list[list[float]]) -> Factorization:
    values = np.array(loadings, np.float32)
    return Factorization(
        settings=FactorizationSettings(rank=values.shape[1]),
        mixtures=np.array(mixtures, np.float32),
        loadings=(Loadings("layer", "neurons", (len(values), 1, 1), 1.0, values, 0.0),),
        history=pd.DataFrame(),
        restarts=pd.DataFrame(),
    )


def test_the_network_sees_none_of_the_digits_that_are_factorised_or_projected(tutorial: Any) -> None:
    parts = tutorial.digits.digits()
    names = [name for part in parts for name in part.names]
    assert len(set(names)) == len(names) == 1797
    for part in parts:
        assert part.images.shape == (len(part.names), 1, 8, 8)
        assert 0 <= part.images.min() < part.images.max() <= 1
        assert set(part.classes.tolist()) == set(range(10))


def test_what_is_gathered_is_what_the_network_computes(tutorial: Any) -> None:
    d = tutorial.digits
    images = d.digits()[1].images[:6]
    torch.manual_seed(0)
    network = d.DigitReader().eval()
    grey, conv1, conv2, hidden = d.matrices(network, images)
    np.testing.assert_array_equal(grey.values, images.flatten(1).numpy())
    with torch.no_grad():
        maps = network.conv1(images)
        np.testing.assert_array_equal(conv1.values, maps.flatten(1).numpy())
        np.testing.assert_array_equal(conv2.values, network.conv2(maps).flatten(1).numpy())
        logits = network.head(torch.from_numpy(hidden.values))
        assert torch.equal(logits, network(images))
    assert (grey.kind, conv1.kind, hidden.kind) == ("pixels", "neurons", "neurons")
    assert (conv1.shape, conv2.shape, hidden.shape) == ((16, 8, 8), (32, 4, 4), (64, 1, 1))
    assert all(one.values.min() >= 0 for one in (grey, conv1, conv2, hidden))
    pooled = d.pooled(conv2)
    assert pooled.shape == (32, 1, 1)
    np.testing.assert_allclose(pooled.values[3, 5], conv2.values[3].reshape(32, 4, 4)[5].mean(), rtol=1e-6)
    picture = d.picture(images, 2)
    assert picture.shape == (64, 64, 3)
    assert picture[8:16, 24:32].min() == picture[8:16, 24:32].max() == round(255 * float(images[2, 0, 1, 3]))


def test_the_gradient_leads_away_from_the_answer(tutorial: Any) -> None:
    d = tutorial.digits
    learned = d.digits()[0]
    network = d.train_reader(d.Digits(*(part[:200] for part in learned)), 2, 0)
    images = learned.images[200:240]
    with torch.no_grad():
        said = network(images).argmax(1)
        loss = torch.nn.functional.cross_entropy(network(images), said)
        moved = torch.nn.functional.cross_entropy(
            network(images + 0.02 * d.gradient(network, images).sign()), said
        )
    assert moved > loss


def test_sparse_training_leaves_fewer_active_units(tutorial: Any) -> None:
    d = tutorial.digits
    learned = d.Digits(*(part[:300] for part in d.digits()[0]))
    active = {}
    for sparse in (0.0, 0.01):
        network = d.train_reader(learned, 8, 0, sparse)
        (hidden,) = d.matrices(network, learned.images, ["hidden"], pixels=False)
        active[sparse] = (hidden.values > 0).mean()
        again = d.train_reader(learned, 8, 0, sparse)
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    assert active[0.01] < active[0.0] / 2


def test_unusual_activity_is_what_exceeds_mean_and_deviation_of_the_fitted_examples(tutorial: Any) -> None:
    c = tutorial.comparing
    values = np.array([[0, 5], [0, 5], [0, 5], [4, 5]], np.float32)
    layer = FeatureMatrix("layer", "neurons", (2, 1, 1), values)
    grey = FeatureMatrix("grey", "pixels", (1, 1, 2), values)
    levels = c.usual([grey, layer])
    assert list(levels) == ["layer"]
    same, found = c.unusual([grey, layer], levels)
    assert same is grey
    np.testing.assert_allclose(found.values, [[0, 0], [0, 0], [0, 0], [4 - 1 - np.sqrt(3), 0]], rtol=1e-6)
    new = FeatureMatrix("layer", "neurons", (2, 1, 1), np.array([[9, 7]], np.float32))
    np.testing.assert_allclose(c.unusual([new], levels)[0].values, [[8 - np.sqrt(3), 2]], rtol=1e-6)


def test_a_name_comes_from_the_fitted_examples_and_is_tested_on_others(tutorial: Any) -> None:
    n = tutorial.naming
    f = planted([[1, 0], [2, 0], [0, 1], [0, 1], [0.9, 0]], [[1, 0], [0, 10]])
    fitted = np.array([0, 0, 1, 1, 1])
    assert [(r, name) for r, name, _ in n.factor_names(f, fitted, ["a", "b"])] == [(1, "b"), (0, "a")]
    new = np.array([[3, 0.1], [1, 0.2], [0, 1]], np.float32)
    # The second factor's loadings are ten times as long: 0.2 of it is more than 1 of the first.
    assert n.strongest(f, new).tolist() == [0, 1, 1]
    assert n.told_by_name(f, new, np.array([0, 1, 1]), fitted, ["a", "b"]) == 1
    assert n.told_by_name(f, new, np.array([1, 0, 1]), fitted, ["a", "b"]) == pytest.approx(1 / 3)


def test_a_concept_too_small_is_not_what_a_factor_shows(tutorial: Any) -> None:
    f = planted([[1, 0], [1, 0], [0, 1], [0, 1]], [[1, 0], [0, 1]])
    shares = np.array([[0.5, 0.4, 0.01], [0.5, 0.4, 0.01], [0.9, 0, 0], [0.9, 0, 0]], np.float32)
    found = tutorial.naming.shown(f, shares, ["sky", "tree", "bird"])
    assert found[0][0] == "tree"  # the bird has the same lift, with a hundredth of the pixels
    assert found[0][1] == pytest.approx((0.4 / 0.91) / (0.8 / 3.62))
    assert found[1][0] == "sky"


def test_thirds_go_from_pure_neighbourhoods_to_mixed_ones(tutorial: Any) -> None:
    rng = np.random.default_rng(0)
    pure = np.repeat(np.eye(2), 10, axis=0) * 5
    mixed = 0.5 + 0.01 * rng.random((10, 2))
    f = planted(np.concatenate([mixed, pure]).tolist(), [[1, 0], [0, 1]])
    correct = np.concatenate([np.zeros(10, bool), np.ones(20, bool)])
    assert tutorial.naming.by_third(f, correct, 5) == [1, 1, 0]


def test_settings_are_compared_on_the_same_matrices(tutorial: Any) -> None:
    c = tutorial.comparing
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 60)
    values = (np.eye(3)[classes] @ rng.random((3, 8)) + 0.01 * rng.random((60, 8))).astype(np.float32)
    asked = []

    def gathered(source: str, seed: int) -> Any:
        asked.append((source, seed))
        return c.Gathered([FeatureMatrix("layer", "neurons", (8, 1, 1), values)], classes)

    cases = [c.Case("plain", "one"), c.Case("sorted", "two", by_class=True, settings={"rank": 4})]
    table = c.compare(cases, gathered, ["a", "b", "c"], rank=3, seeds=2)
    assert asked == [("one", 0), ("one", 1), ("two", 0), ("two", 1)]
    assert list(zip(table["case"], table["method"], strict=True)) == [
        (case.what, method)
        for case in cases
        for method in ("coupled factorisation", "K-means", "NMF of all matrices")
    ]
    hard = table[table["method"] == "K-means"].set_index("case")
    assert hard.loc["plain", "cluster_purity"] == 1  # planted classes
    assert hard.loc["plain", "factors"] == 3
    assert hard.loc["sorted", "factors"] == 4
    lines = c.spoken(table).splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r"\| plain \|( \d\.\d\d / \d\.\d\d / \d\.\d\d \|){4}", lines[2])


@pytest.mark.slow
def test_one_command_does_everything_and_its_pages_are_there(tmp_path: Path) -> None:
    out = tmp_path / "factorization"
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", "PYTHONSAFEPATH": "", "PYTHONWARNINGS": "error"},
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    listed = done.stdout.partition("Open in a browser:")[2]
    pages = re.findall(r"(\S+index\.html)$", listed, re.MULTILINE)
    assert len(pages) == 4
    assert all((tmp_path / page).is_file() for page in pages)
    assert "fitted digits again, largest difference 0.0e+00" in done.stdout
    assert done.stdout.count("\n| setting | purity |") == 2
    drawn = {file.name for file in (out / "figures").iterdir()}
    assert drawn == set(re.findall(r"\(factorization/([^)]+)\)", TUTORIAL.read_text(encoding="utf-8")))
