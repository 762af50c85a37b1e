"""`fastdissect net2vec`: trains, keeps, finds again, prints and writes the page."""

from __future__ import annotations

import csv
import importlib
import json
import signal
from pathlib import Path
from types import SimpleNamespace
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
from fastdissect.methods.net2vec import (
    ConceptVectors,
    FilterCounts,
    SegmentationSettings,
    segmentation_vectors,
)
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
    layers, data = more.pop("layers", ["conv3", "conv5"]), more.pop("data", DATA)
    fastdissect.dissect(
        "builtin:shapes", data, layers, out=out, progress=False, quantile=0.01, device="cpu", **more
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
    for name in kept.names:
        assert name in text
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


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has tests of its own, and takes longer than all else."""
    module = importlib.import_module("fastdissect.cli.net2vec")
    monkeypatch.setattr(
        module, "_page", lambda study, run, dissection, images, folder, shown, pictures: folder
    )


def folder_of(run: Path, target: Path) -> tuple[object, ...]:
    """The call of `done`, into a folder of its own."""
    return (run, "-l", "conv5", *SHORT, "--device", "cpu", "--pictures", 0, "--out", target)


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


class _Counted:
    """How many epochs `fastdissect net2vec` trains, and Ctrl-C after so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop: int = 0) -> None:
        from fastdissect.kernels.selection import host_backend
        from fastdissect.methods.net2vec import training

        self.epochs, self.stop, kernels = 0, stop, host_backend()

        def descend(*arguments: Any) -> None:
            kernels.descend_masks(*arguments)
            self.epochs += 1
            if self.epochs == self.stop:
                signal.raise_signal(signal.SIGINT)  # held until the epoch is counted

        fake = SimpleNamespace(descend_masks=descend, predict_masks=kernels.predict_masks, name=kernels.name)
        monkeypatch.setattr(training, "host_backend", lambda: fake)


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("stop", [1, 4, 5, 8])
def test_ctrl_c_at_any_epoch_then_the_same_call_gives_the_same_bytes(
    run: Path, done: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """4 epochs of vectors, then 4 of the vectors with fewer filters; what is trained is not trained again."""
    call_ = (*folder_of(run, tmp_path / "a"), "--filters", "1,4")
    with monkeypatch.context() as patch:
        counted = _Counted(patch, stop)
        assert "interrupted" in failure(call(*call_), 130)
        assert counted.epochs == stop
    with monkeypatch.context() as patch:
        counted = _Counted(patch)
        said(call(*call_))
        assert counted.epochs == 8 - stop
    assert files_of(tmp_path / "a") == files_of(vectors_folder(run, "conv5"))


@pytest.mark.usefixtures("no_page")
def test_scores_with_fewer_filters_are_found_again(
    run: Path, done: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_ = folder_of(run, tmp_path / "a")
    said(call(*call_, "--filters", "1,4"))
    before = files_of(tmp_path / "a")
    with monkeypatch.context() as patch:
        counted = _Counted(patch)
        assert "Fewer filters" in said(call(*call_, "--filters", "4,1"))
        assert "Fewer filters" in said(call(*call_, "--filters", "4"))
        assert "Fewer filters" not in said(call(*call_))
        assert counted.epochs == 0
        assert files_of(tmp_path / "a") == before
        said(call(*call_, "--filters", "1,2,4"))
        assert counted.epochs == 4  # F = 2 alone
    assert FilterCounts.load(tmp_path / "a").filters == (1, 2, 4, 96)
    other = tmp_path / "b"
    said(call(*folder_of(run, other), "--filters", "1,2,4"))
    assert files_of(other) == files_of(tmp_path / "a")


@pytest.mark.usefixtures("no_page")
def test_what_is_replaced_is_said_before_it_is_and_its_filters_go_with_it(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    first = said(call(*folder_of(run, folder), "--filters", "1"))
    assert "Replaces" not in first
    assert (folder / "filter-counts.safetensors").exists()
    text = said(call(*folder_of(run, folder), "--loss", "bce"))
    assert f"Replaces the vectors of 6 concepts in {folder} (loss linear); --out keeps both." in text
    assert not (folder / "filter-counts.safetensors").exists()
    text = said(call(*folder_of(run, folder), "--loss", "bce", "--concepts", "sky,sea", "--epochs", 2))
    assert "(epochs 4, other concepts, images or split)" in text
    text = said(call(*folder_of(run, folder), "--classification"))
    assert "(segmentation vectors of layer conv5, other concepts, images or split)" in text


@pytest.mark.usefixtures("no_page")
def test_names_are_looked_up_before_anything_is_trained(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "a", tmp_path / "other"
    said(call(*folder_of(run, other), "--concepts", "sky"))
    counted = _Counted(monkeypatch)
    for options, words in (
        (("--neighbours", "skyy"), "nearest: sky"),
        (("--neighbours", "tree"), "'tree' was left out: --concepts has not named it"),
        (("--neighbours", "99999"), "got 99999"),
        (("--arithmetic", "sky + gras"), "nearest: grass"),
        (("--arithmetic", "sky - sky"), "'sky' is on both"),
        (("--arithmetic", "sky+sea"), "nearest: sky"),
        (("--arithmetic", "sky +"), "expected names with"),
        (("--filters", "97"), "from 1 to 96; got [97]"),
        (("--against", other), "at least two concepts that --against has, too; got 1 of 6"),
        (("--against", tmp_path), "there are none"),
        (("--loss", "square"), "linear, bce"),
        (("--device", "gpu"), "expected a device"),
        (("--layer", "conv9"), "no layer 'conv9'"),
    ):
        for kind in ((), ("--classification",)):
            if not (kind and options[0] == "--loss"):
                assert words in failure(call(*folder_of(run, folder), *options, *kind)), options
    assert counted.epochs == 0
    assert not folder.exists()


@pytest.mark.usefixtures("no_page")
def test_concepts_without_images_are_listed_and_marked(tmp_path: Path) -> None:
    small = dissected(tmp_path / "small", layers=["conv5"], data="shapes:images=14,size=64")
    text = said(call(small, "--epochs", 1, "--pictures", 0))
    assert "no images for training show it" in text
    assert "Marked" in text
    vectors = ConceptVectors.load(vectors_folder(small, "conv5"))
    marked = [name for name, none in zip(vectors.names, vectors.table["no_val"], strict=True) if none]
    assert f"Marked {len(marked)}: {marked[0]}" in text
    alone = next(name for name, reason in vectors.skipped if "none at all" in reason)
    words = failure(call(small, "--epochs", 1, "--concepts", alone))
    assert f"a concept that can be trained; got none of 1: {alone}: no images for training" in words
    assert f"{alone!r} was left out: no images" in failure(call(small, "--epochs", 1, "--neighbours", alone))


@pytest.mark.usefixtures("no_page")
def test_a_number_stands_for_a_concept(run: Path, tmp_path: Path) -> None:
    concepts = fastdissect.load(run).concepts
    number = int(concepts.numbers[concepts.names.index("sky")])
    text = said(call(*folder_of(run, tmp_path / "a"), "--concepts", f"{number},sea", "--neighbours", number))
    assert "vectors of 2 concepts" in text
    assert set(ConceptVectors.load(tmp_path / "a").names) == {"sky", "sea"}


@pytest.mark.usefixtures("no_page")
def test_first_categories(run: Path, tmp_path: Path) -> None:
    said(call(*folder_of(run, tmp_path / "a"), "--first-category"))
    assert ConceptVectors.load(tmp_path / "a").record["settings"]["first_category"] is True
    assert "segmentation" in failure(call(run, "-l", "conv5", "--classification", "--first-category"), 2)


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize(
    "name", ["vectors.json", "vectors.csv", "vectors.safetensors", "filter-counts.safetensors"]
)
def test_damaged_files_are_told_in_one_line_and_what_to_do(run: Path, tmp_path: Path, name: str) -> None:
    call_ = (*folder_of(run, tmp_path / "a"), "--filters", "1", "--concepts", "sky,sea", "--epochs", 1)
    said(call(*call_))
    path = tmp_path / "a" / name
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (
        b"",
        b"text",
        whole[:middle],
        bytes(len(whole)),
        whole[:middle] + b"\xff" + whole[middle + 1 :],
    ):
        path.write_bytes(damaged)
        words = failure(call(*call_))
        assert words.startswith("error: ")
        assert str(path) in words
        assert "delete" in words
        assert len(words) < 700
    path.unlink()
    path.mkdir()
    words = failure(call(*call_))
    assert words.startswith("error: ")
    path.rmdir()
    if name.endswith(".json") or name.startswith("filter"):
        said(call(*call_))  # missing: made anew
        assert path.read_bytes() == whole
    else:
        assert "delete" in failure(call(*call_))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--epochs", "0"), 2), (("--epochs", "x"), 2), (("--seed", "-1"), 2), (("--pictures", "-1"), 2),
        (("--filters", ""), 2), (("--filters", "1,,2"), 2), (("--filters", "1.5"), 2), (("--filters", "-1"), 2),
        (("--filters", "99999999999"), 2), (("--filters", "\u0663"), 2), (("--filters", "ALL"), 2), (("--filters", "0"), 1),
        (("--loss", ""), 1), (("--device", ""), 1), (("--device", "cuda:99"), 1), (("--concepts", ""), 1),
        (("--concepts", ","), 1), (("--concepts", "sky,-1"), 1), (("--concepts", "\x1b[31m"), 1),
        (("--neighbours", ""), 1), (("--neighbours", "\x1b[31m"), 1), (("--arithmetic", ""), 1), (("--arithmetic", "+"), 1),
        (("--arithmetic", "- - sky"), 1), (("--arithmetic", "+ sky -"), 1), (("--against", ""), 1), (("--against", "@"), 1),
        (("--against", "x" * 5000), 1), (("--data", ""), 1), (("--data", "nothing:x"), 1), (("--data", "broden:/no"), 1),
        (("--data", "shapes:images=3,size=64"), 1), (("--data", "shapes:images=80,size=64,seed=9"), 1),
        (("--layer", ""), 1), (("--unknown",), 2), (("again",), 2),
    ],
)  # fmt: skip
def test_hostile_options_end_in_one_clear_line(
    run: Path, tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    for kind in ((), ("--classification",)):
        if not (kind and options[0] == "--loss"):
            words = failure(call(*folder_of(run, tmp_path / "a"), *options, *kind), code)
            assert "Traceback" not in words
            assert "\x1b[31m" not in words
    assert not (tmp_path / "a").exists()


def test_an_out_that_is_no_folder_is_told_before_training(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = _Counted(monkeypatch)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "a"):
        assert "expected a folder for the vectors" in failure(call(*folder_of(run, out)))
    assert counted.epochs == 0
