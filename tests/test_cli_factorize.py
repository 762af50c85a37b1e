"""`fastdissect factorize`: gathers, factorises, keeps, finds again, projects, writes the page; and its command line."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from fastdissect.cli.factorize import factorize
from fastdissect.cli.factorize_tables import say_study
from fastdissect.cli.failing import Commands
from fastdissect.datasets import open_dataset
from fastdissect.methods.factorization.factorizing import factorize as by_hand
from fastdissect.methods.factorization.factorizing_kept import FactorizationStudy
from fastdissect.methods.factorization.gathering_examples import Examples
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.settings import FactorizationSettings

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

DATA = "shapes:images=24,size=48"
SHORT = (
    "--layers",
    "conv4,conv5",
    "--rank",
    4,
    "--pixels",
    8,
    "--set",
    "iterations=15",
    "--device",
    "cpu",
    "--no-pictures",
)
COMMANDS = typer.Typer(
    cls=Commands, rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]}
)
COMMANDS.command()(factorize)
COMMANDS.command()(lambda: None)  # a group has more than one command


def call(*arguments: object) -> Result:
    return CliRunner().invoke(COMMANDS, ["factorize", *(str(a) for a in arguments)])


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return " ".join(result.output.replace("│", " ").split())


def failure(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture
def pageless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is not what the test is of, and its figures take seconds."""
    where = "fastdissect.reports.studies.factorization_page.write_factorization_study"
    monkeypatch.setattr(where, lambda _f, folder, **_: folder / "index.html")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("factors") / "out"


@pytest.fixture(scope="module")
def done(out: Path) -> str:
    return said(call("builtin:shapes", DATA, *SHORT, "--pool", "max", "--pool", "conv5=full", "--out", out))


def test_what_is_kept_is_what_the_library_finds(out: Path, done: str) -> None:
    kept = Factorization.load(out)
    settings = FactorizationSettings(rank=4, iterations=15)
    f = by_hand(
        "builtin:shapes", DATA, ["conv4", "conv5"], pool={"**": "max", "conv5": "full"}, pixels=8, settings=settings,
        device="cpu", progress=False,
    )  # fmt: skip
    np.testing.assert_array_equal(kept.mixtures, f.mixtures)
    assert kept["conv5"].shape == (96, 14, 14)
    assert kept["conv4"].shape == (64, 1, 1)
    assert kept.example_names == f.example_names
    size = 4 * 24 * (3 * 64 + 64 + 96 * 14 * 14) / 1e6
    assert f"Gathering 24 examples of 5 matrices: {size:,.0f} MB in temporary files" in done
    fit = float(f.restarts["fit"][f.restarts["kept"]].iloc[0])
    assert f"4 factors of 24 examples: fit {fit:.4f}" in done


def test_the_summary_names_classes_examples_and_neurons(out: Path, done: str) -> None:
    f = Factorization.load(out)
    told = f.reported_mixtures()
    first = int(told.sum(0).argmax())
    assert f.example_names[int(f.mixtures[:, first].argmax())].rpartition("/")[2][-12:-4] in done.replace(
        " ", ""
    )
    unit, place = divmod(int(f["conv5"].values[:, first].argmax()), 196)
    assert f"{unit}@{place // 14},{place % 14}" in done
    assert any(name in done for name in open_dataset(DATA).classes)
    assert (out / "page" / "index.html").is_file()
    with (out / "page" / "profiles-class.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} <= set(open_dataset(DATA).classes)
    assert (out / "page" / "profiles-concept.csv").is_file()


@pytest.mark.usefixtures("pageless")
def test_the_same_command_finds_them_again_and_another_replaces_them(
    out: Path, done: str, tmp_path: Path
) -> None:
    before = {p.name: p.read_bytes() for p in out.glob("*.*")}
    same = ("--pool", "max", "--pool", "conv5=full")
    again = said(call("builtin:shapes", DATA, *SHORT, *same, "--out", out, "--batch-size", 5))
    assert "found again in" in again
    assert "Gathering" not in again
    assert {p.name: p.read_bytes() for p in out.glob("*.*")} == before
    other = tmp_path / "other"
    copied = said(call("builtin:shapes", DATA, *SHORT, "--out", other, "--images", 12))
    assert "found again" not in copied
    assert "found again" not in said(
        call("builtin:shapes", DATA, *SHORT, "--out", other, "--images", 12, "--seed", 1)
    )


def test_what_is_dead_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).random((9, 12), np.float32)
    x[:, [2, 5]] = 0
    layer = FeatureMatrix("layer", "neurons", (3, 2, 2), x)
    f = factorize_matrices([layer], FactorizationSettings(rank=2, iterations=30))
    dead = dataclasses.replace(f, mixtures=np.stack([f.mixtures[:, 0], 0 * f.mixtures[:, 0]], 1))
    say_study(FactorizationStudy(dead, Examples(tuple("abcdefghi"), np.arange(9))), "")
    text = " ".join(capsys.readouterr().out.split())
    assert "Dead factors, which no example has: 1." in text
    assert "layer: 2 of 12 features are 0 in every example." in text
    assert "nan" not in text


@pytest.mark.usefixtures("pageless")
def test_kept_matrices_serve_other_ranks(tmp_path: Path) -> None:
    kept = ("--matrices", tmp_path / "m", "--out", tmp_path / "out", "--images", 12)
    said(call("builtin:shapes", DATA, *SHORT, *kept))
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "m").iterdir()}
    assert "00-red.npy" in before
    found = said(call("builtin:shapes", DATA, *SHORT, *kept, "--rank", "auto", "--ranks", "2,3"))
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "m").iterdir()} == before
    chosen = Factorization.load(tmp_path / "out").rank
    assert f"Chosen by the curve: {chosen}." in found
    assert chosen in (2, 3)


def test_a_folder_of_photos_without_any_label_perturbed(tmp_path: Path) -> None:
    data = open_dataset(DATA)
    for i in range(10):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(data.read_image(i)[0]).save(tmp_path / "photos" / f"{i}.png")
    found = said(
        call(
            "builtin:shapes", f"folder:{tmp_path / 'photos'}", *SHORT[:-1], "--perturb", "noise=0.3", "--out", tmp_path / "out"
        )
    )  # fmt: skip
    f = Factorization.load(tmp_path / "out")
    assert f.mixtures.shape == (20, 4)
    assert "copies" in found
    assert "classes" not in found
    assert (tmp_path / "out" / "page" / "profiles-group.csv").is_file()
    assert not (tmp_path / "out" / "page" / "profiles-class.csv").exists()
    assert list((tmp_path / "out" / "page").rglob("*.jpg")) + list(
        (tmp_path / "out" / "page" / "pictures").glob("*")
    )
    new = said(call("--project", tmp_path / "out", tmp_path / "photos" / "3.png", "--device", "cpu"))
    assert "New images" in new
    with (tmp_path / "out" / "projected.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["image", "factor 0", "factor 1", "factor 2", "factor 3"]
    assert rows[1][0].endswith("3.png")
    np.testing.assert_allclose([float(v) for v in rows[1][1:]], f.mixtures[6], rtol=1e-3, atol=1e-4)
    whole = said(
        call(
            "--project", tmp_path / "out", tmp_path / "photos", "--device", "cpu", "--model", "builtin:shapes"
        )
    )
    assert "9.png" in whole
    words = failure(
        call("--project", tmp_path / "out", tmp_path / "photos", "--model", "builtin:shapes-random")
    )
    assert "expected the network that was factorised" in words


@pytest.mark.usefixtures("pageless")
def test_classes_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    names = [open_dataset(DATA).image_name(i) for i in range(12)]
    table.write_text(
        "image,class\n" + "".join(f"{name},{'odd' if i % 2 else 'even'}\n" for i, name in enumerate(names))
    )
    found = said(
        call("builtin:shapes", DATA, *SHORT, "--images", 12, "--classes", table, "--out", tmp_path / "out")
    )
    assert "odd" in found
    assert "even" in found


@pytest.mark.usefixtures("pageless")
def test_layers_that_can_be_negative(tmp_path: Path) -> None:
    arguments: tuple[Any, ...] = (
        "builtin:shapes",
        DATA,
        *SHORT[2:],
        "--layers",
        "evidence",
        "--images",
        8,
        "--out",
        tmp_path,
    )
    words = failure(call(*arguments))
    assert "layer 'evidence', image 'shapes/0_00000000.png'" in words
    assert "(--rectify)" in words
    assert not list(tmp_path.iterdir())
    said(call(*arguments, "--rectify", "--pixels", "none"))
    f = Factorization.load(tmp_path)
    assert f.record["rectify"] is True
    assert [one.name for one in f.loadings] == ["evidence"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("builtin:shapes",), 2, "expected a network and a data set; got 1"),
        (("builtin:shapes", DATA, "third"), 2, "got 3"),
        (("builtin:shapes", DATA, "--layers", ""), 2, "expected at least one layer"),
        (("--rank", "0"), 2, "a whole number of at least 1, or auto"),
        (("--rank", "9" * 5000), 2, "or auto"),
        (("--ranks", "5,x"), 2, "numbers with commas"),
        (("--pixels", "-3"), 2, "or none"),
        (("--pool", "conv5=median"), 1, "expected pool to be one of mean, max, full"),
        (("--pool", "=full"), 2, "expected LAYER=HOW"),
        (("--pool", "max", "--pool", "mean"), 2, "all layers: expected once; got twice"),
        (("--pool", "conv1=max"), 1, "is none of the layers"),
        (("--set", "rank=3"), 2, "expected one of block, groups"),
        (("--set", "groups=1.5"), 1, "expected groups to be a whole number"),
        (("--penalty", "ridge"), 1, "expected a penalty of elastic-net, group-sparse"),
        (("--perturb", "rain"), 1, "unknown perturbation"),
        (("--rank", "25"), 1, "expected at most as many factors as examples, 24; got rank 25"),
        (("--layers", "nowhere"), 1, "nowhere"),
        (("--layout", "odd"), 2, "expected auto, NCHW"),
        (("--model", "builtin:shapes"), 2, "expected with --project only"),
        (("--images", "0"), 2, "--images"),
    ],
)
def test_bad_command_lines(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    own = arguments if arguments[0] == "builtin:shapes" else ("builtin:shapes", DATA, *SHORT, *arguments)
    extra = () if "--layers" in own else ("--layers", "conv5")
    assert words in failure(call(*own, *extra, "--out", tmp_path / "out"), code)
    assert not (tmp_path / "out").exists()


def test_out_and_project_folders(tmp_path: Path) -> None:
    assert "expected a folder for the factors" in failure(
        call("builtin:shapes", DATA, "--layers", "conv5"), 2
    )
    assert "which holds a factorisation; it is missing" in failure(call("--project", tmp_path, "a.png"))


@pytest.mark.parametrize(
    "option", [("--rank", 20), ("--layers", "conv4"), ("--out", "x"), ("--faithful",), ("--pool", "max")]
)
def test_a_projection_takes_no_options_of_a_fit(tmp_path: Path, option: tuple[object, ...]) -> None:
    words = failure(call("--project", tmp_path, "a.png", *option), 2)
    assert f"'{option[0]}'" in words
    assert "does not go with --project" in words


def test_an_empty_name_of_new_images(out: Path, done: str) -> None:
    assert done
    assert "got an empty name" in failure(call("--project", out, "", "--device", "cpu"))


@pytest.mark.parametrize("name", ["history.csv", "examples.npz", "examples.json", "study.json"])
def test_what_was_kept_and_is_damaged_is_said_and_how_to_begin_again(
    out: Path, done: str, tmp_path: Path, name: str
) -> None:
    assert done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    data = (copy / name).read_bytes()
    at = data.rindex(b"3") if name.endswith(".json") else len(data) // 2
    (copy / name).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    arguments = ("builtin:shapes", DATA, *SHORT, "--pool", "max", "--pool", "conv5=full", "--out", copy)
    words = failure(call(*arguments))
    assert name in words
    assert "damaged" in words
    assert "begin again" in words
    (copy / "study.json").unlink()
    said(call(*arguments))
    assert Factorization.load(copy).mixtures.tobytes() == Factorization.load(out).mixtures.tobytes()


def test_help_has_examples() -> None:
    text = said(call("--help"))
    assert "fastdissect factorize --project factors new-photos/" in text
    assert "folder:PATH of images alone" in text
