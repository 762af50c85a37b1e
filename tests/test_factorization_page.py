"""The page of a factorisation: what it shows and says, with labels and without, and names that are markup."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from factorization_reading_cases import factorization, matrices_of, planted
from numpy.typing import NDArray
from PIL import Image

from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.factorization.baselines import factorization_baselines
from fastdissect.methods.factorization.rank_curve import RankCurve
from fastdissect.methods.factorization.reading import read_factorization
from fastdissect.reports.studies.factorization_bars import sample
from fastdissect.reports.studies.factorization_page import write_factorization_study

NASTY = '</p><script>alert(1)</script> $x_1$ & "red" \x1b[31m'


def picture(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (8, 12, 3), dtype=np.uint8)


def linked(page: Path) -> set[str]:
    """Every file that the page asks for."""
    found = re.findall(r'(?:src|href)="([^"]+)"', page.read_text())
    return {unquote(name) for name in found if not name.startswith(("data:", "#"))}


def test_a_page_with_all_there_is(tmp_path: Path) -> None:
    f, group = planted(rank=3, each=8, dead=(1,))
    names = (NASTY, "two", "three", "without examples")
    table = pd.DataFrame({
        "rank": [2, 3], "fit_mean": [0.3, 0.2], "fit_min": [0.2, 0.1], "fit_max": [0.4, 0.3],
        "stability": [0.99, 0.95], "stable": [True, True], "dead_factors": [0, 1], "chosen": [False, True],
    })  # fmt: skip
    baselines = factorization_baselines(f, matrices_of(f), group, names)
    labels = {
        "images": picture, "classes": (group, names), "superclasses": (group // 2, (NASTY, "b")),
        "groups": (np.arange(24) % 2, ("clean", NASTY)), "concepts": (np.eye(4)[group] / 2, names),
        "correct": group > 0, "curve": RankCurve(table, 3, f"because {NASTY}", f), "baselines": baselines,
    }  # fmt: skip
    page = write_factorization_study(f, tmp_path / "page", **labels)
    text = page.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    for name in linked(page):
        assert (page.parent / name).is_file(), name
    for svg in [*(page.parent / "figures").glob("*.svg"), *(page.parent / "pictures").glob("*.svg")]:
        assert "<script>" not in svg.read_text(), svg
    assert "Dead factors" in text
    assert "No example has a weight on factor 1" in text
    assert text.index("Factor 0") < text.index("Dead factors")
    assert "released code also counts the diagonal" in text.replace("\n", " ")
    for name in ("Latent image", "NMF of all matrices", "The objective", "Lift (ours)", "our formulation"):
        assert name in text, name
    for name in (
        "factors",
        "profiles-class",
        "neurons",
        "mixtures",
        "lift",
        "distances",
        "accuracy",
        "baselines",
    ):
        assert (
            not pd.read_csv(page.parent / f"{name}.csv", keep_default_na=False).isin(["nan", ""]).any().any()
        ), name
    assert pd.read_csv(page.parent / "profiles-class.csv")["class"][0] == NASTY
    sheet = Image.open(io.BytesIO((page.parent / "pictures" / "factor-0-masked.jpg").read_bytes()))
    assert sheet.width == 2 * sheet.height + 4  # a row of two squares and a gap of 4


def test_a_page_without_any_label_or_picture(tmp_path: Path) -> None:
    f, _ = planted(rank=2, each=4)
    layers = factorization(
        f.mixtures, {"layer": f["early"].values}, names=tuple(NASTY + str(i) for i in range(8))
    )
    page = write_factorization_study(layers, tmp_path / "page")
    text = page.read_text()
    assert "By class" not in text
    assert "Its strongest examples" in text
    assert "<script>alert" not in text
    assert not list((page.parent / "pictures").iterdir())
    assert "as many as there are examples a factor" in text
    again = write_factorization_study(layers, tmp_path / "again")
    for name in ("index.html", "figures/mixtures.svg", "figures/history.png", "mixtures.csv"):
        assert (again.parent / name).read_bytes() == (page.parent / name).read_bytes(), name


def test_one_class_and_one_factor_are_said_to_be_trivial(tmp_path: Path) -> None:
    f, group = planted(rank=1, each=4)
    page = write_factorization_study(
        f, tmp_path / "page", classes=(np.zeros(len(group), int), ("all", "none"))
    )
    text = page.read_text()
    assert "There is but one class: every profile is trivial" in text
    assert "needs two live factors" in text
    assert "No two matrices can be compared" in text
    assert "<h1>Latent factors of network</h1>" in text
    assert not (page.parent / "figures" / "profiles-class.svg").exists()


def test_all_factors_dead_and_no_class_known(tmp_path: Path) -> None:
    f, group = planted(rank=2, each=4, dead=(0, 1))
    page = write_factorization_study(
        f, tmp_path / "page", images=picture, classes=(np.full(8, -1), ("a", "b"))
    )
    text = page.read_text()
    assert "No example has a class." in text
    assert "factor 0, 1" in text
    assert "NaN" not in text
    assert len(group) == 8


def test_examples_are_sampled_across_the_classes_and_it_is_said_how() -> None:
    f, group = planted(rank=4, each=30)
    chosen, how = sample(read_factorization(f, classes=(group, "abcd")))
    assert np.bincount(group[chosen]).tolist() == [9] * 4
    assert chosen[:9].tolist() == list(range(9))
    assert "first 9 examples of each class" in how
    chosen, how = sample(read_factorization(f))
    assert chosen.tolist() == list(range(0, 120, 4))
    assert "One example in 4" in how
    few, said = sample(read_factorization(planted(rank=2, each=3)[0]))
    assert (few.tolist(), said) == (list(range(6)), "All examples.")


def test_bad_pictures_and_folders_are_refused(tmp_path: Path) -> None:
    f, _ = planted(rank=2, each=4)
    with pytest.raises(
        SettingError, match=r"images\(\d+\): expected uint8 \[height, width, 3\]; got shape \[4, 4\]"
    ):
        write_factorization_study(f, tmp_path / "page", images=lambda _: np.zeros((4, 4), np.uint8))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="something else there"):
        write_factorization_study(f, tmp_path / "mine")
    assert not (tmp_path / "page").exists()
