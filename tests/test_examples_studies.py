"""The tutorial's networks and its one command (examples/studies)."""

from __future__ import annotations

import csv
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

import pytest
import torch
from safetensors import safe_open

from fastdissect.datasets.shapes import Shapes
from fastdissect.models import load_model

FOLDER = Path(__file__).parents[1] / "examples" / "studies"
TUTORIAL = Path(__file__).parents[1] / "docs" / "studies.md"
NAMES = ("plain", "narrow", "wide", "dropout", "batch_norm")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="examples/ is not beside the tests")


@pytest.fixture(scope="module")
def studies() -> Iterator[Any]:
    """The scripts as modules; their names are too common to stay in sys.modules."""
    own = ("networks", "painting", "learning", "train")
    before = {name: sys.modules.pop(name, None) for name in own}
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in own})
    finally:
        sys.path.remove(str(FOLDER))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


@pytest.mark.parametrize("name", NAMES)
def test_a_logit_is_a_weighted_sum_of_the_units_means(name: str) -> None:
    """What makes explanations complete: nothing stands between conv5's means and the logits."""
    loaded = load_model(f"{FOLDER / 'networks.py'}:{name}")
    network: Any = loaded.module
    maps = []
    handle = network.conv5.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    images = torch.randn(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(images)
    handle.remove()
    (features,) = maps
    assert features.shape[2:] == (14, 14)
    assert features.min() == 0 < features.max()
    weighted = features.mean((2, 3)) @ network.head.weight.T + network.head.bias
    assert torch.allclose(logits, weighted, rtol=1e-5, atol=1e-6)
    assert logits.shape == (3, len(network.classes))
    assert network.classes == Shapes.classes
    assert loaded.preprocessing == network.preprocessing


def test_the_networks_differ_as_their_names_say(studies: Any) -> None:
    built = {name: builder() for name, builder in studies.networks.VARIANTS.items()}
    assert tuple(built) == NAMES
    width = {name: network.head.in_features for name, network in built.items()}
    assert width["narrow"] < width["plain"] < width["wide"]
    assert width["plain"] == width["dropout"] == width["batch_norm"]
    normalised = {n for n, net in built.items() for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert normalised == {"batch_norm"}
    images = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    dropped = {name for name, net in built.items() if not torch.equal(net.train()(images), net(images))}
    assert dropped == {"dropout"}


@pytest.mark.parametrize("steps", [1, 5, 11, 12, 100, 1750, 10**6])
def test_snapshots_run_from_no_step_to_the_last(studies: Any, steps: int) -> None:
    wanted = studies.learning.snapshot_steps(steps)
    assert wanted[0] == 0
    assert wanted[-1] == steps
    assert wanted == sorted(set(wanted))
    assert len(wanted) <= studies.learning.SNAPSHOTS
    if steps >= 100:  # a log grid: each about as many times the one before
        assert len(wanted) == studies.learning.SNAPSHOTS
        ratios = [b / a for a, b in itertools.pairwise(wanted[1:])]
        assert max(ratios) < 1.25 * min(ratios)


def test_the_same_seed_gives_the_same_weights_and_what_exists_is_kept(studies: Any, tmp_path: Path) -> None:
    own = {"images": 64, "held_out": Shapes(images=20, seed=1), "epochs": 2, "seed": 3}
    for folder in ("one", "two"):
        studies.train.train_all(tmp_path / folder, ["plain", "narrow"], **own)
    studies.train.train_all(tmp_path / "other", ["plain"], **dict(own, seed=4))
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "one").rglob("*.safetensors")}
    studies.train.train_all(tmp_path / "one", ["plain", "narrow"], **own)
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "one").rglob("*.safetensors")}
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*.safetensors"))
    assert [str(f) for f in files if f.parent.name != "snapshots"] == [
        "narrow.safetensors",
        "plain.safetensors",
    ]
    for file in files:
        assert _contents(tmp_path / "one" / file) == _contents(tmp_path / "two" / file)
    plain, other_plain = (_contents(tmp_path / f / "plain.safetensors")[0] for f in ("one", "other"))
    assert plain != other_plain

    with (tmp_path / "one" / "snapshots.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [int(row["step"]) for row in rows] == studies.learning.snapshot_steps(2 * 2)
    snapshots = {file.stem for file in files if file.parent.name == "snapshots"}
    assert {row["name"] for row in rows} == snapshots
    digest = {row["name"]: _digest(tmp_path / "one" / "snapshots" / row["name"], "plain") for row in rows}
    assert len(set(digest.values())) == len(rows)
    assert digest[rows[-1]["name"]] == _digest(tmp_path / "one" / "plain", "plain")
    stored = studies.train.stored_accuracy(tmp_path / "one" / "plain.safetensors")
    assert stored == float(rows[-1]["accuracy"])


def _contents(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Weights and metadata; safetensors writes the latter in any order."""
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118
        return weights, file.metadata()


def _digest(stem: Path, builder: str) -> str:
    return load_model(f"{FOLDER / 'networks.py'}:{builder}?weights={stem}.safetensors").weights_digest


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--only", "plain,wyde"), "expected some of plain, narrow, wide, dropout, batch_norm; got wyde"),
        (("--images", "31"), "expected at least 32, one batch; got 31"),
    ],
)
def test_bad_options_are_refused_before_anything_is_painted(
    option: tuple[str, str], said: str, tmp_path: Path
) -> None:
    done = _run("train.py", *option, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_one_command_does_every_study_and_its_pages_are_there(tmp_path: Path) -> None:
    out = tmp_path / "studies"
    done = _run("run.py", "--quick", "--jobs", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(re.findall(r"of the held-out images are told$", done.stdout, re.MULTILINE)) == len(NAMES)
    listed = done.stdout.partition("Open in a browser:")[2]
    pages = re.findall(r"(\S+index\.html)$", listed, re.MULTILINE)
    assert len(pages) == 10
    assert all(Path(page).is_file() for page in pages)
    said = re.search(r"largest gap between a logit and its parts (\S+) of", done.stdout)
    assert said is not None
    assert float(said[1]) < 1e-5
    drawn = {file.name for file in (out / "figures").iterdir()}
    assert drawn == set(re.findall(r"\(studies/([^)]+)\)", TUTORIAL.read_text(encoding="utf-8")))


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        # the scripts import one another from their own folder, as they do from the shell
        env={**os.environ, "COLUMNS": "200", "PYTHONSAFEPATH": "", "PYTHONWARNINGS": "error"},
        timeout=500,
    )
