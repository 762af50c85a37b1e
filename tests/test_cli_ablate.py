"""`fastdissect ablate`: its tables, its page, its options, and what is wrong with a command line."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from cli_cases import call, failure

import fastdissect
from fastdissect.methods.ablation.ablating import ablate
from fastdissect.reports.studies.ablation_figures import class_map
from fastdissect.reports.studies.ablation_page import contrast_sentence, write_ablation

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    classes = ("<b>one</b>", "two", "three")
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), nn.ReLU())
        self.head = nn.Linear(6, 3)
    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))

def build():
    return Net()
"""
DATA = "shapes:images=40,size=32"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ablate")


@pytest.fixture(scope="module")
def done(home: Path) -> Path:
    (home / "net.py").write_text(CODE)
    out = home / "out"
    options = {"quantile": 0.05, "cut": 0.03, "cache": None}
    fastdissect.dissect(f"{home / 'net.py'}:build", DATA, ["conv", "conv.0"], out=out, **options)
    return out


@pytest.fixture(scope="module")
def targets(home: Path, done: Path) -> Path:
    names = fastdissect.load(done).image_names
    classes = [("<b>one</b>", "two", "2")[i % 3] for i in range(len(names))]
    pd.DataFrame({"image": names, "class": classes, "more": 1}).to_csv(home / "targets.csv", index=False)
    return home / "targets.csv"


def rows(text: str) -> list[list[str]]:
    return [
        [part.strip() for part in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")
    ]


class Words(HTMLParser):
    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_groups_and_each_unit(done: Path, targets: Path, home: Path) -> None:
    out = home / "page"
    result = call(
        *("ablate", done, "--layer", "conv", "--units", "0", "--units", "1,3-5", "--random-groups", 3),
        *("--each-unit", "--targets", targets, "--class", "two", "--seed", 5, "--out", out),
    )
    assert result.exit_code == 0, result.output
    found = ablate(
        fastdissect.load(done),
        layer="conv",
        groups={"units 0": [0], "units 1,3-5": [1, 3, 4, 5]},
        random_groups=3,
        seed=5,
        each_unit=True,
        class_asked="two",
        targets=[("<b>one</b>", "two", "three")[i % 3] for i in range(40)],
    )
    shown = [row for row in rows(result.output) if row[0].startswith("units")]
    for row, own in zip(shown, found.table.itertuples(), strict=True):
        assert row[:2] == [own.group, str(own.units)]
        assert float(row[2]) == pytest.approx(own.accuracy, abs=1e-4)
        assert float(row[3]) == pytest.approx(own.drop, abs=1e-4)
        assert float(row[-1]) == pytest.approx(own.asked_logit_change, abs=1e-4)
    assert found.contrast is not None
    assert contrast_sentence(found.contrast) in " ".join(result.output.split())
    assert (out / "index.html").as_uri() in result.output
    assert pd.read_csv(out / "members.csv")["unit"].tolist() == [0, 1, 3, 4, 5]
    for name, table in (("groups", found.table), ("classes", found.classes), ("units", found.units)):
        assert table is not None
        written = pd.read_csv(out / f"{name}.csv")
        written["class"] = written.get("class", pd.Series(dtype="str")).fillna("")  # no class loses
        written = written[table.columns]
        pd.testing.assert_frame_equal(written, table, check_dtype=False, check_exact=False)
    page = Words(out / "index.html")
    assert "b" not in page.tags  # the class's name is text
    assert "<b>one</b>" in page.text
    assert "drop of two" in page.text
    assert {p.name for p in (out / "figures").iterdir()} == {
        "classes.svg",
        "classes.png",
        "groups.svg",
        "groups.png",
        "units.svg",
        "units.png",
    }


def test_the_usual_groups_without_targets(done: Path) -> None:
    """The network's three classes are none of the data set's: the logits alone are measured, and that is said."""
    result = call("ablate", done, "-l", "conv", "--mode", "mean", "--random-groups", 2)
    assert result.exit_code == 0, result.output
    assert "no accuracy: " in result.output
    assert "accuracy" not in "".join(line for line in result.output.splitlines() if line.startswith("┃"))
    assert "are set to their means over the data set" in result.output
    found = ablate(fastdissect.load(done), layer="conv", mode="mean", random_groups=2)
    assert [row[0] for row in rows(result.output)] == found.table["group"].tolist()
    page = Words(done / "ablation" / "index.html")
    assert "whose mean logit changes most" in page.text
    assert not (done / "ablation" / "units.csv").exists()
    assert fastdissect.load(done)  # the run is as it was


def test_each_unit_alone(done: Path, home: Path) -> None:
    """Groups that do not exist are no error where units are asked for one by one."""
    d = fastdissect.load(done)
    found = ablate(d, layer="conv", groups={"all": range(6)}, each_unit=True, random_groups=0)
    page = Words(write_ablation(home / "all", found))
    assert "random" not in page.text.partition("By class")[0].lower().replace("random groups", "")
    assert found.table["random_shift"].isna().all()


def test_the_figure_of_classes_holds_what_each_group_costs_each(done: Path) -> None:
    """Also where two classes have one name, and only as many as fit."""
    given = {"groups": {"first": [0], "most": [1, 2, 3, 5]}, "random_groups": 0}
    names = ["same", "same", "other"]
    d = fastdissect.load(done)
    found = ablate(d, layer="conv", classes=names, targets=[i % 3 for i in range(40)], **given)
    text = re.findall(r"<text[^>]*>([^<]*)</text>", class_map(found).svg.decode())
    drops = [f"{100 * drop:.0f}" for drop in found.classes["drop"] if abs(drop) >= 0.005]
    assert len(drops) > 2
    assert sorted(words for words in text if re.fullmatch(r"-?\d+", words)) == sorted(drops)
    assert (text.count("same"), text.count("first (1)"), text.count("most (4)")) == (2, 1, 1)
    many = dataclasses.replace(
        found,
        class_names=tuple(f"c{n}" for n in range(30)),
        classes=pd.DataFrame({"group": ["first"] * 30 + ["most"] * 30, "drop": [0.0] * 59 + [1.0]}),
    )
    figure = class_map(many)
    assert "The 20 classes with the largest changes; classes.csv has 10 more." in figure.caption
    assert (figure.svg.count(b">c29<"), figure.svg.count(b">c18<"), figure.svg.count(b">c19<")) == (1, 1, 0)
    unknown = class_map(ablate(d, layer="conv", classes=["x", "y", "z"], **given))
    assert "Change of the mean logit by class" in unknown.caption


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--units", "1,x"), "expected units such as 1,2,5-9"),
        (("--units", "3-1"), "expected FIRST-LAST"),
        (("--units", ""), "expected units such as"),
        (("--mode", "median"), "expected zero, mean or a factor"),
        (("--from", "some"), "expected all or others"),
        (("--random-groups", "-1"), "--random-groups"),
    ],
)
def test_a_wrong_command_line(done: Path, more: tuple[str, ...], message: str) -> None:
    result = call("ablate", done, "-l", "conv", *more)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "expected a layer's name; the run has conv, conv.0"),
        (("-l", "cnov"), "nearest: conv"),
        (("-l", "conv", "--units", "6"), "0 to 5; got 6"),
        (("-l", "conv", "--units", "0-5"), "--random-groups 0"),
        (("-l", "conv", "--label", "no such thing"), "unknown label 'no such thing'"),
        (("-l", "conv", "--mode", "nan", "--units", "0"), "got nan"),
        (("-l", "conv", "--units", "0", "--class", "four"), "unknown class 'four'"),
        (
            ("-l", "conv", "--units", "0", "--targets", "nowhere.csv"),
            "the columns image and class; got No such file",
        ),
        (("-l", "conv", "--units", "0", "--classes", "nowhere.txt"), "a class's name a line"),
        (
            ("-l", "conv", "--units", "0", "--model", "builtin:shapes"),
            "expected the network that was dissected",
        ),
        (("-l", "conv", "--units", "0", "--data", "shapes:images=40,size=16"), "the run's own"),
    ],
)
def test_what_cannot_be_asked(done: Path, more: tuple[str, ...], message: str) -> None:
    assert message in failure(call("ablate", done, *more))


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("image,label\na,1\n", "got the columns image, label"),
        ("image,class\na,1\na,2\n", "'a' twice"),
        ("image,class\nnot-there.png,two\n", "no image 'not-there.png'"),
        ("image,class\nshapes/0_00000000.png,nine\n", "unknown class 'nine'"),
        ("image,class\n", "at least one image"),
    ],
)
def test_wrong_targets(done: Path, tmp_path: Path, text: str, got: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    arguments = ("ablate", done, "-l", "conv", "--units", "0", "--targets", tmp_path / "t.csv")
    assert got in failure(call(*arguments))


def test_wrong_names_of_classes(done: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\n\nb\n")
    arguments = ("ablate", done, "-l", "conv", "--units", "0", "--classes", tmp_path / "names.txt")
    assert "a class's name on every line" in failure(call(*arguments))
    (tmp_path / "names.txt").write_text("a\nb\n")
    assert "expected 3 class names" in failure(call(*arguments))
