"""`fastdissect net2vec`: trains, keeps, finds again, prints and writes the page."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

import fastdissect
from fastdissect.cli.failing import Commands
from fastdissect.cli.net2vec import net2vec
from fastdissect.errors import OutputError, SettingError
from fastdissect.methods.chance import planes_of, run_images, splits_of
from fastdissect.methods.net2vec import ConceptVectors, SegmentationSettings, segmentation_vectors
from fastdissect.methods.vectors import arithmetic, neighbours
from fastdissect.methods.vectors.kept import find_vectors, kept_vectors, vectors_folder
from fastdissect.methods.vectors.predicted import predicted_masks

pytest.importorskip("sklearn")

DATA = "shapes:images=80,size=64"
SHORT = ("--epochs", 4, "--pictures", 1, "--concepts", "sky,sea,grass,red-c,blue-c,car")
COMMANDS = typer.Typer(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
COMMANDS.command()(net2vec)
COMMANDS.command()(lambda: None)  # a group has more than one command


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    patch = pytest.MonkeyPatch()
    patch.setenv("FASTDISSECT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(COMMANDS, ["net2vec", *(str(a) for a in arguments)])


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def failure(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    return " ".join(result.stderr.replace("│", " ").split())


def dissected(out: Path, **more: Any) -> Path:
    layers = more.pop("layers", ["conv3", "conv5"])
    fastdissect.dissect(
        "builtin:shapes", DATA, layers, out=out, progress=False, quantile=0.01, device="cpu", **more
    )
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dissected(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def done(run: Path) -> str:
    """What the command said of conv5."""
    return said(
        call(
            run,
            *("--layer", "conv5", *SHORT, "--device", "cpu", "--filters", "1,4"),
            *("--neighbours", "sky", "--arithmetic", "sky + red-c - blue-c"),
        )
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_kept_is_what_the_library_trains(run: Path, done: str) -> None:
    d = fastdissect.load(run)
    kept = ConceptVectors.load(vectors_folder(run, "conv5"))
    names = SHORT[-1].split(",")  # type: ignore[union-attr]
    train = splits_of(run_images(d), d.image_names).train
    trained = segmentation_vectors(
        d["conv5"], planes_of(d), train, SegmentationSettings(epochs=4), concepts=names
    )
    assert kept.names == trained.names
    assert set(kept.names) | {name for name, _ in kept.skipped} == set(names)
    np.testing.assert_array_equal(kept.weights, trained.weights)
    assert kept.table.equals(trained.table)
    assert f"segmentation vectors of {len(kept):,} concepts over 96 units" in done


def test_what_is_printed_is_what_the_page_has(run: Path, done: str) -> None:
    kept = ConceptVectors.load(vectors_folder(run, "conv5"))
    assert "Nearest to sky" in done
    for name, cosine in neighbours(kept, "sky")[["concept", "cosine"]].itertuples(index=False):
        assert name in done
        assert f"{cosine:.3f}" in done
    folder = vectors_folder(run, "conv5") / "page"
    answers = rows_of(folder / "arithmetic-1.csv")
    expected = arithmetic(kept, "sky + red-c - blue-c")
    assert [row["concept"] for row in answers] == expected["concept"].tolist()
    np.testing.assert_allclose([float(row["score"]) for row in answers], expected["score"])
    scores = rows_of(folder / "filter-scores.csv")
    assert sorted({int(row["filters"]) for row in scores}) == [1, 4, 96]
    assert "Fewer filters, on val" in done
    text = (folder / "index.html").read_text(encoding="utf-8")
    for name in kept.names:  # the concepts asked for have sections of their own
        assert f"<h2>{name} (" in text
    assert str(folder / "index.html") in done.replace(" ", "")


def test_the_predicted_masks_are_those_that_were_scored(run: Path, done: str) -> None:
    d = fastdissect.load(run)
    kept = ConceptVectors.load(vectors_folder(run, "conv5"))
    scores, planes = kept.images, planes_of(d)
    assert scores is not None
    masks = predicted_masks(kept, d["conv5"])
    columns = {int(number): column for column, number in enumerate(d.concepts.numbers)}
    checked = 0
    for concept, image, shared, union in zip(
        scores.concept, scores.image, scores.intersection, scores.union, strict=True
    ):
        own = slice(*planes.plane_start[image : image + 2])
        plane = own.start + planes.concept[own].tolist().index(columns[int(kept.numbers[concept])])
        area = masks(int(concept), int(image)).sum()
        if planes.word_row[plane] >= 0:
            words = np.array(planes.words[planes.word_row[plane]]).view(np.uint8)
            bits = np.unpackbits(words, count=planes.size[0] * planes.size[1], bitorder="little")
            label = bits.reshape(planes.size).astype(bool)
            assert (masks(int(concept), int(image)) & label).sum() == shared
            checked += int(shared > 0)
        assert area + planes.pixels[plane] - shared == union
    assert checked > 20


def test_the_same_call_finds_them_again(run: Path, done: str) -> None:
    folder = vectors_folder(run, "conv5")
    before = {p.name: p.read_bytes() for p in folder.glob("vectors.*")}
    again = said(call(run, "-l", "conv5", *SHORT, "--device", "cpu"))
    assert "found again in" in again
    assert {p.name: p.read_bytes() for p in folder.glob("vectors.*")} == before
    assert not list(folder.glob("training-*"))  # what an interrupted call would go on from
    record = json.loads((folder / "vectors.json").read_text())["record"]
    assert kept_vectors(folder, "segmentation", "conv5", {"settings": record["settings"]}) is not None
    assert kept_vectors(folder, "segmentation", "conv3", {}) is None
    assert kept_vectors(folder, "segmentation", "conv5", {"settings": {}}) is None
    assert kept_vectors(folder / "nothing", "segmentation", "conv5", {}) is None


def test_other_settings_are_trained_anew_and_another_layer_compared(run: Path, done: str) -> None:
    first = said(call(run, "-l", "conv3", *SHORT, "--loss", "bce", "--positive", "--against", f"{run}@conv5"))
    assert "found again" not in first
    assert f"Against {run}@conv5: mean squared distance over 6 shared concepts" in first
    vectors = ConceptVectors.load(vectors_folder(run, "conv3"))
    assert vectors.record["settings"]["loss"] == "bce"
    assert vectors.weights.min() >= 0
    second = said(call(run, "-l", "conv3", *SHORT))
    assert "found again" not in second
    assert (ConceptVectors.load(vectors_folder(run, "conv3")).weights < 0).any()
    assert find_vectors(run, "conv3").layer == "conv3"
    assert find_vectors(f"{run}@conv5", "conv3").layer == "conv5"
    assert find_vectors(vectors_folder(run, "conv5"), "conv3").layer == "conv5"


def test_classification_has_a_folder_of_its_own(run: Path, done: str) -> None:
    options = (
        "-l",
        "conv5",
        "--classification",
        "--epochs",
        3,
        "--concepts",
        "beach-s,sea-s,sea,room-s",
    )
    text = said(call(run, *options, "--filters", "1,8"))
    assert "Accuracy on val: single filter and combination" in text
    vectors = find_vectors(run, "conv5", "classification")
    assert vectors.kind == "classification"
    assert vectors.bias is not None
    page = (vectors_folder(run, "conv5", "classification") / "page" / "index.html").read_text(
        encoding="utf-8"
    )
    assert "accuracy" in page
    assert "found again" in said(call(run, *options))
    assert find_vectors(run, "conv5").kind == "segmentation"
    for option in (("--loss", "bce"), ("--positive",), ("--bias",)):
        assert "segmentation" in failure(call(run, *options, *option), 2)


def test_what_cannot_be_done_is_said(run: Path, done: str, tmp_path: Path) -> None:
    assert "expected --layer, one of conv3, conv5" in failure(call(run))
    assert "conv9" in failure(call(run, "-l", "conv9"))
    assert "nearest: sky" in failure(call(run, "-l", "conv5", "--concepts", "skyy", "--out", tmp_path / "a"))
    assert "nearest: sky" in failure(call(run, "-l", "conv5", *SHORT, "--neighbours", "skyy"))
    assert "expected names with" in failure(call(run, "-l", "conv5", *SHORT, "--arithmetic", "sky +"))
    assert "--filters" in failure(call(run, "-l", "conv5", *SHORT, "--filters", "1,x"), 2)
    assert "1 to 96" in failure(call(run, "-l", "conv5", *SHORT, "--filters", "0,4"))
    assert "linear, bce" in failure(call(run, "-l", "conv5", *SHORT, "--loss", "square"))
    words = failure(call(run, "-l", "conv5", *SHORT, "--against", tmp_path))
    assert f"fastdissect net2vec {tmp_path} --layer conv5" in words
    with pytest.raises(OutputError, match="--classification"):
        find_vectors(tmp_path, "conv5", "classification")
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").iterdir())


def test_a_run_of_several_layers_vectors_needs_a_name(tmp_path: Path, run: Path, done: str) -> None:
    kept = ConceptVectors.load(vectors_folder(run, "conv5"))
    kept.save(vectors_folder(tmp_path, "only/one"))
    assert find_vectors(tmp_path, "conv9").names == kept.names  # the only one
    kept.save(vectors_folder(tmp_path, "b"))
    with pytest.raises(SettingError, match=r"b, only%2Fone"):
        find_vectors(tmp_path, "conv9")


def test_runs_without_activations_are_refused(tmp_path: Path) -> None:
    bare = dissected(tmp_path / "bare", activations=False, layers=["conv5"])
    assert "--no-activations" in failure(call(bare, *SHORT))
    assert "--no-activations" in failure(call(bare, *SHORT, "--classification"))
