"""`explain` on the command line: images, folders, numbers, classes; what is printed, what is written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from cli_cases import call
from explanation_cases import pixels
from PIL import Image

import fastdissect
from fastdissect.methods.explanation import explain

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
    home = tmp_path_factory.mktemp("explain")
    (home / "net.py").write_text(NET)
    for name in ("build", "pair"):
        result = call(
            *(
                "run",
                f"{home / 'net.py'}:{name}",
                "shapes:images=20,size=32",
                "-l",
                "features",
                "-o",
                home / name,
            ),
            *("--cache", "none", "--no-report", "--set", "cut=0.01", "--size", "32"),
        )
        assert result.exit_code == 0, result.output
    for name, pixel in zip(("photo.png", "rooms/kitchen/1.png", "rooms/attic/2.png"), pixels(3), strict=True):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixel).save(home / name)
    return home


def test_an_image(home: Path) -> None:
    result = call("explain", home / "build", "--image", home / "photo.png")
    assert result.exit_code == 0, result.output
    found = explain(fastdissect.load(home / "build"), home / "photo.png")[0]
    view = found.views[0]
    lines = result.output.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[0] for row in rows if row[0]] == [str(unit) for unit in view.shown]
    assert [row[1] for row in rows if row[0]] == view.units["concept"].tolist()[: len(view.shown)]
    assert rows[-1][1] == "logit"
    assert rows[-1][6] == f"{view.logit:.4g}"
    assert rows[-2][1] == "bias"
    assert f"make {100 * view.covered:.1f} % of all that speaks in favour" in result.output
    assert "the run's only layer" in result.output
    assert f"the largest gap is {view.error:.1g}, relative" in result.output
    assert view.error < 1e-5
    assert (home / "build" / "explanations" / "index.html").is_file()
    assert (home / "build" / "explanations" / "001-photo.csv").is_file()


def test_a_folder_and_a_number(home: Path) -> None:
    out = home / "some"
    result = call(
        *("explain", home / "build", "-i", home / "rooms", "-i", 3, "--top", 2, "-o", out, "--pictures", 0),
        *("--class", "cellar", "--versus", "bath room", "--segmentation", "dataset"),
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "images.csv", keep_default_na=False)
    assert table["image"].tolist() == ["attic/2.png", "kitchen/1.png", "shapes/0_00000003.png"]
    assert table["true"].tolist() == ["attic", "kitchen", ""]
    first = pd.read_csv(out / "001-2.csv", keep_default_na=False)
    assert {("cellar", ""), ("cellar", "bath room")} <= set(zip(first["class"], first["versus"], strict=True))
    assert "cellar rather than bath room" in result.output
    assert "\x1b[31m" not in result.output


def test_a_class(home: Path) -> None:
    predicted = explain(fastdissect.load(home / "build"), 0)[0]
    name = predicted.names[predicted.predicted]
    result = call("explain", home / "build", "--class", predicted.predicted, "--top", 3)
    assert result.exit_code == 0, result.output
    assert "by mean contribution" in result.output
    assert "by weight" in result.output
    assert "of 20 images, predicted" in result.output
    pages = list((home / "build").glob("class-*/index.html"))
    assert len(pages) == 1
    assert name.split()[0].split("\x1b")[0] in pages[0].parent.name


def test_names_from_a_file(home: Path) -> None:
    (home / "names.txt").write_text("one\ntwo\nthree\nfour\nfive\n\n")
    result = call(
        *(
            "explain",
            home / "build",
            "-i",
            0,
            "--classes",
            home / "names.txt",
            "--among",
            "two",
            "--among",
            "five",
        ),
        *("-o", home / "named"),
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv(home / "named" / "images.csv")
    assert table["predicted"].item() in ("two", "five")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "expected --image, --class or both"),
        (("--class", "kitchn"), 1, "unknown class 'kitchn'; nearest: kitchen"),
        (("-i", "0", "--versus", "toilet"), 1, "unknown class 'toilet'"),
        (("-i", "99"), 1, "0 to 19; got 99"),
        (("-i", "nothing.png"), 1, "image 'nothing.png' is missing"),
        (("-i", "0", "--layer", "feature"), 1, "nearest: features"),
        (("-i", "0", "--head", "other"), 1, "head 'other': expected one call after the layer; got none"),
        (("-i", "0", "--segmentation", "both"), 2, "expected relative or dataset"),
        (("--class", "attic", "--by", "both"), 2, "expected predicted or true"),
        (("--class", "attic", "--versus", "cellar"), 2, "expected with --image only"),
        (("--class", "attic", "--class", "cellar"), 2, "expected one class"),
        (("-i", "0", "--classes", "missing.txt"), 1, "expected a text file with a class's name a line"),
        (("-i", "0", "--model", "builtin:shapes"), 1, "expected the network that was dissected"),
    ],
)
def test_what_is_wrong_is_said(home: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = call("explain", home / "build", *arguments)
    assert result.exit_code == code
    assert words in " ".join(result.output.replace("│", " ").split())
    assert "Traceback" not in result.output


def test_wrong_lists_of_names_are_refused(home: Path) -> None:
    for text in ("", "one\n\ntwo\n", "one\ntwo\n"):
        (home / "wrong.txt").write_text(text)
        result = call("explain", home / "build", "-i", 0, "--classes", home / "wrong.txt")
        assert result.exit_code == 1
    (home / "wrong.txt").write_bytes(b"\xff\xfe\x00")
    assert call("explain", home / "build", "-i", 0, "--classes", home / "wrong.txt").exit_code == 1


def test_a_head_that_cannot_be_found_is_asked_for(home: Path) -> None:
    result = call("explain", home / "pair", "-i", 0)
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    assert "--head NAME" in told
    assert "fc (float32 [1, 5]), other (float32 [1, 3])" in told
    assert call("explain", home / "pair", "-i", 0, "--head", "fc").exit_code == 0
