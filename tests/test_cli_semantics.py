"""`semantics` on the command line: vectors kept, pages, classes, images, and what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_cases import call, failure
from explanation_cases import pixels
from PIL import Image
from typer.testing import Result

import fastdissect
from fastdissect.methods.semantics import SemanticVectors, explain_by_concepts

NET = """
import torch
from torch import nn

class Net(nn.Module):
    classes = ["kitchen", "bath room", "class\\x1b[31m", "attic", "cellar"]

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.features = nn.Sequential(nn.Conv2d(3, 12, 5, 4, 2), nn.ReLU())
        self.fc, self.other = nn.Linear(12, 5), nn.Linear(12, 3)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))

class Pair(Net):
    def forward(self, x):
        x = self.features(x).mean((2, 3))
        return {"kind": self.fc(x), "other": self.other(x)}

def build():
    return Net()

def pair():
    return Pair()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("semantics")
    (home / "net.py").write_text(NET)
    for name in ("build", "pair"):
        result = call(
            *("run", f"{home / 'net.py'}:{name}", "shapes:images=60,size=32", "-l", "features"),
            *("-o", home / name, "--cache", "none", "--no-report", "--size", "32"),
        )
        assert result.exit_code == 0, result.output
    Image.fromarray(pixels(1)[0]).save(home / "photo.png")
    return home


def semantics(home: Path, *more: object, run: str = "build") -> Result:
    return call("semantics", home / run, "--cache", "none", *more)


def test_the_global_page(home: Path) -> None:
    result = semantics(home)
    assert result.exit_code == 0, result.output
    folder = home / "build" / "semantics" / "features"
    study = SemanticVectors.load(folder)
    text = " ".join(result.output.split())
    assert (
        f"{len(study.vectors)} concepts in a space of 12 units; {study.vectors.table['represented'].sum()} represented"
        in text
    )
    assert "Strongest concepts of each class" in text
    assert "\x1b[31m" not in result.output
    page = (folder / "page" / "index.html").read_text()
    assert "our formulation" in page
    assert "Gu and Tresp" in page
    for name in ("concepts", "filters", "nearest", "cosines", "classes", "skipped"):
        assert (folder / "page" / f"{name}.csv").is_file(), name
    concepts = pd.read_csv(folder / "page" / "concepts.csv", keep_default_na=False, na_values=[""])
    assert concepts["concept"].tolist() == list(study.vectors.names)
    cosines = pd.read_csv(folder / "page" / "cosines.csv", index_col=0)
    np.testing.assert_allclose(np.diag(cosines.to_numpy()), 1, atol=1e-5)
    for name in ("quality", "concepts", "classes"):
        assert (folder / "page" / "figures" / f"{name}.svg").is_file()
    before = (folder / "vectors.safetensors").stat().st_mtime_ns
    again = semantics(home, "--class", "attic")
    assert again.exit_code == 0, again.output
    assert "found again in" in again.output
    assert (folder / "vectors.safetensors").stat().st_mtime_ns == before
    assert "attic" in again.output
    assert "kitchen" not in again.output.split("Page:")[0]


def test_an_image(home: Path) -> None:
    out = home / "elsewhere"
    result = semantics(
        home,
        "-i",
        home / "photo.png",
        "-i",
        3,
        "--versus",
        "cellar",
        "--removals",
        5,
        "-o",
        out,
        "--positions",
        500,
    )
    assert result.exit_code == 0, result.output
    assert "\x1b[31m" not in result.output
    assert "Parts add up to every score" in result.output
    assert (out / "images" / "index.html").is_file()
    table = pd.read_csv(out / "images" / "images.csv", keep_default_na=False)
    assert len(table) == 2
    parts = pd.read_csv(out / "images" / "001-photo.csv", keep_default_na=False, na_values=[""])
    d, study = fastdissect.load(home / "build"), SemanticVectors.load(out)
    found = next(explain_by_concepts(d, study, home / "photo.png", removals=5))
    own = parts[parts["view"] == "predicted"]
    assert own["part"].tolist() == found.views[0].table()["part"].tolist()
    np.testing.assert_allclose(own["contribution"], found.views[0].table()["contribution"])
    assert own["contribution"].sum() == pytest.approx(found.views[0].evidence.score, abs=1e-5)
    versus = parts[parts["view"] == "difference"]
    assert found.views[0].name == "cellar" or set(versus["versus"]) == {"cellar"}


def test_no_pictures_no_removals(home: Path) -> None:
    result = semantics(home, "-i", 1, "--pictures", 0, "--removals", 0, "--all-concepts", "--most", 3)
    assert result.exit_code == 0, result.output
    folder = home / "build" / "semantics" / "features" / "images"
    assert list((folder / "pictures").iterdir()) == []
    parts = pd.read_csv(next(folder.glob("001-*.csv")))
    assert parts["without"].isna().all()
    assert (parts.groupby(["view", "class"])["beta"].count() <= 3).all()


def test_a_head_that_cannot_be_found(home: Path) -> None:
    result = semantics(home, run="pair")
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "The classes are left out" in told
    assert "fc (float32 [4, 5]), other (float32 [4, 3])" in told
    page = (home / "pair" / "semantics" / "features" / "page" / "index.html").read_text()
    assert "The classes are left out" in page
    assert semantics(home, "--class", "attic", run="pair").exit_code == 1
    refused = semantics(home, "-i", 0, run="pair")
    assert refused.exit_code == 1
    assert "--head NAME" in refused.output
    assert semantics(home, "--head", "fc", run="pair").exit_code == 0


def test_an_evaluation(home: Path) -> None:
    out = home / "evaluated"
    arguments = ("--evaluate", "--seeds", 1, "--images", 6, "--removals", 3, "--positions", 300, "-o", out)
    result = semantics(home, *arguments)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    for words in ("pointing game, hits", "best single unit", "random directions", "residual share", "0.95"):
        assert words in text
    folder = out / "evaluation"
    assert len(pd.read_csv(folder / "decisions.csv")) == 6
    concepts = SemanticVectors.load(out).vectors.names
    for name in ("pointing", "stability"):
        assert pd.read_csv(folder / f"{name}.csv", keep_default_na=False)["concept"].tolist() == list(
            concepts
        )


def test_an_evaluation_without_a_head(home: Path) -> None:
    result = semantics(home, "--evaluate", "--seeds", 0, "--images", 3, "-o", home / "headless", run="pair")
    assert result.exit_code == 0, result.output
    assert "Decisions are left out: the network's output: expected logits" in " ".join(result.output.split())
    assert not (home / "headless" / "evaluation" / "decisions.csv").exists()


def test_one_concept_has_a_page(home: Path) -> None:
    result = semantics(home, "--concept", "sky", "-o", home / "one")
    assert result.exit_code == 0, result.output
    assert (home / "one" / "page" / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--class", "kitchn"), "unknown class 'kitchn'"),
        (("--among", "kitchn"), "unknown class 'kitchn'"),
        (("-i", 0, "--versus", "kitchn"), "unknown class 'kitchn'"),
        (("-i", 0, "--class", "kitchn"), "unknown class 'kitchn'"),
        (("--head", "nothing"), "unknown layer 'nothing'"),
        (("-i", 0, "--head", "nothing"), "unknown layer 'nothing'"),
        (("--evaluate", "--head", "nothing"), "unknown layer 'nothing'"),
        (("--concept", "skyy"), "unknown concept 'skyy'"),
        (("-i", 99), "0 to 59; got 99"),
        (("-i", "nothing.png"), "is missing"),
        (("-i", "{home}/torn.png"), "is truncated"),
        (("--classes", "{home}/two.txt"), "expected 5 class names"),
        (("--model", "builtin:shapes"), "expected the network that was dissected"),
        (("--data", "shapes:images=60,size=32,seed=9"), "expected the 60 images of the run"),
        (("-o", "{home}/net.py"), "is no folder"),
        (("-o", "{home}/taken"), "vectors.json cannot be written"),
    ],
)
def test_questions_are_checked_before_the_vectors_are_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], words: str
) -> None:
    (home / "torn.png").write_bytes((home / "photo.png").read_bytes()[:200])
    (home / "two.txt").write_text("a\nb\n")
    (home / "taken" / "vectors.json").mkdir(parents=True, exist_ok=True)

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the long part began")

    monkeypatch.setattr("fastdissect.methods.semantics.vectors.planes_of", never)
    monkeypatch.setattr("fastdissect.methods.semantics.vectors.gather_features", never)
    given = [str(a).replace("{home}", str(home)) for a in arguments]
    assert words in failure(semantics(home, "--seed", 123, *given))


@pytest.mark.parametrize(
    "arguments", [("-i", 0), ("--class", "attic"), ("--among", "attic"), ("-i", 0, "--versus", "attic")]
)
def test_a_missing_head_is_said_before_the_vectors_are_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...]
) -> None:
    monkeypatch.setattr("fastdissect.methods.semantics.vectors.reopen", None)
    assert "--head NAME" in failure(semantics(home, "--seed", 123, *arguments, run="pair"))


def test_damaged_vectors_are_said(home: Path) -> None:
    out = home / "damaged"
    assert semantics(home, "--positions", 300, "-o", out).exit_code == 0
    good = (out / "vectors.json").read_bytes()
    (out / "vectors.json").write_bytes(good[:400])
    assert str(out) in failure(semantics(home, "--positions", 300, "-o", out))
    (out / "vectors.json").unlink()  # as the message says
    assert semantics(home, "--positions", 300, "-o", out).exit_code == 0
    assert (out / "vectors.json").read_bytes() == good


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--versus", "attic"), 2, "expected with --image only"),
        (("--evaluate", "-i", "0"), 2, "expected without --image"),
        (("--evaluate", "--class", "attic"), 2, "expected without --image"),
        (("--seeds", "2"), 2, "expected with --evaluate only"),
        (("--images", "2"), 2, "expected with --evaluate only"),
        (("--evaluate", "--images", "0"), 2, "greater than or equal to 1"),
        (("--class", "kitchn"), 1, "unknown class 'kitchn'; nearest: kitchen"),
        (("--concept", "skyy"), 1, "unknown concept 'skyy'; nearest: sky"),
        (("--layer", "feature"), 1, "nearest: features"),
        (("-i", "99"), 1, "0 to 59; got 99"),
        (("-i", "nothing.png"), 1, "image 'nothing.png' is missing"),
        (("--ridge", "0"), 1, "expected a ridge above 0"),
        (("--positions", "3"), 2, "greater than or equal to 20"),
        (("--model", "builtin:shapes"), 1, "expected the network that was dissected"),
        (("--model", "builtin:shapes", "--seed", "5"), 1, "expected the network that was dissected"),
    ],
)
def test_what_is_wrong_is_said(home: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = semantics(home, *arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.replace("│", " ").split())
    assert "Traceback" not in result.output
