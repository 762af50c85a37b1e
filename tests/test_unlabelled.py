"""Images without a label: run like all others, or no part of the run (`Profile.unlabelled`)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import (
    PLAIN,
    Labelled,
    Net,
    as_dense,
    assert_is,
    dissect_plainly,
    gather,
    permuted,
    same_results,
    vocabulary,
)

import fastdissect as fd
from fastdissect.datasets import Broden, open_dataset, write_broden
from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.errors import DataError
from fastdissect.reports import write_report

SIZE = 48
BARE = (0, 4, 5, 11)  # first, last, two in a row


def mixed() -> Labelled:
    """Twelve noisy images; some without a channel, one with a map that is empty throughout."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (12, SIZE, SIZE, 3), dtype=np.uint8)
    images[list(BARE)] = images[list(BARE)] // 8 + 224  # brighter: thresholds would show them
    maps = rng.integers(0, 4, (12, SIZE, SIZE), dtype=np.uint8)
    maps[7] = 0
    labels = [[] if i in BARE else [(0, maps[i])] for i in range(12)]
    labels[3] = [(1, 5)]
    return Labelled(images, labels, vocabulary("abc", "de"))


def run(data: Any, **options: Any) -> fd.Dissection:
    defaults = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 4, "progress": False}
    return fd.dissect(Net().eval(), data, ["second"], **{**defaults, **options})


def test_removed_is_the_run_on_the_labelled_images_alone() -> None:
    data = mixed()
    kept = [i for i in range(12) if i not in BARE]
    removed = run(data, unlabelled="removed", quantile=0.05)
    assert removed.image_names == tuple(data.image_name(i) for i in kept)
    same_results(removed, run(permuted(data, kept), quantile=0.05))
    maps = as_dense(gather(Net().eval(), permuted(data, kept), ["second"], 4, (SIZE, SIZE))["second"])
    layer = removed["second"]
    assert_is(layer, dissect_plainly(maps, permuted(data, kept), layer.profile, layer.upsampling))


def test_kept_counts_them_towards_the_thresholds() -> None:
    kept = run(mixed(), quantile=0.05)["second"]
    removed = run(mixed(), quantile=0.05, unlabelled="removed")["second"]
    assert (kept.shape[0], removed.shape[0]) == (12, 8)
    assert (kept.thresholds != removed.thresholds).any()


def test_images_counts_the_labelled_ones() -> None:
    data = mixed()
    found = run(data, unlabelled="removed", quantile=0.05, images=3)
    assert found.image_names == tuple(data.image_name(i) for i in (1, 2, 3))


def test_a_set_whose_images_all_have_labels_is_the_same_set() -> None:
    data = permuted(mixed(), [1, 2, 7])
    assert without_unlabelled(data) is data


def test_the_part_has_a_fingerprint_of_its_own() -> None:
    whole = mixed()
    other = permuted(whole, [1, 0, *range(2, 12)])  # fingerprints are equal here, what has labels is not
    prints = {d.fingerprint() for d in (whole, without_unlabelled(whole), without_unlabelled(other))}
    assert len(prints) == 3


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match=r'expected at least one image with a label \(unlabelled="removed"\)'):
        run(permuted(mixed(), BARE), unlabelled="removed")


def test_a_loaders_images_all_have_labels() -> None:
    images = torch.rand(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(6, SIZE, SIZE, dtype=torch.int64)
    labels[:3, :8] = 1
    data = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    options = {"concepts": ["a"], "profile": "netdissect-lite", "cache": None, "progress": False}
    same_results(
        fd.dissect(Net().eval(), data, ["second"], **options),
        fd.dissect(Net().eval(), data, ["second"], unlabelled="kept", **options),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Broden folder: labels as maps, as numbers, as the number 0 alone, and none."""
    path = tmp_path_factory.mktemp("unlabelled") / "broden"
    write_broden(open_dataset(f"shapes:images=24,size={SIZE}"), path)
    with (path / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, cell in ((rows[2], ""), (rows[5], "0"), (rows[9], "0;00")):
        row.update(dict.fromkeys(("color", "object", "part", "material", "scene", "texture"), ""), scene=cell)
    with (path / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_readers_know_it_without_decoding(folder: Path) -> None:
    data = Broden(folder)
    known = [data.is_labelled(i) for i in range(len(data))]
    assert known == [bool(data.read_labels(i)) for i in range(len(data))]
    assert not any(known[i] for i in (2, 5, 9))
    assert any(known)


def test_folders_know_it_too(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "images").mkdir()
    (tmp_path / "masks" / "object").mkdir(parents=True)
    for name in "abc":
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "masks" / "object" / "b.png")
    (tmp_path / "labels.csv").write_text("number,name,category\n1,cat,object\n")
    (tmp_path / "image_labels.csv").write_text("image,label\nc.png,cat\n")
    data = open_dataset(f"folder:{tmp_path}")
    assert [data.is_labelled(i) for i in range(3)] == [False, True, True]
    assert [bool(data.read_labels(i)) for i in range(3)] == [False, True, True]


def test_a_run_on_disk_goes_on_and_its_report_shows_the_right_images(folder: Path, tmp_path: Path) -> None:
    data = Broden(folder)
    out = tmp_path / "out"
    found = run(data, unlabelled="removed", quantile=0.05, out=out)
    assert len(found.image_names) < len(data)
    assert fd.load(out).profile.unlabelled == "removed"
    same_results(run(data, unlabelled="removed", quantile=0.05, out=out), found)  # the finished run
    page = write_report(fd.load(out), data, tmp_path / "report", top_images=2)
    assert page.is_file()
    with pytest.raises(fd.FastdissectError, match="belongs to another run"):
        run(data, quantile=0.05, out=out)


def test_another_index_of_the_same_folder(folder: Path) -> None:
    lines = (folder / "index.csv").read_text().splitlines(keepends=True)
    (folder / "index_sm.csv").write_text("".join([lines[0], lines[8], lines[2]]))
    whole, small = Broden(folder), Broden(folder, index_file="index_sm.csv")
    assert [small.image_name(i) for i in range(len(small))] == [whole.image_name(7), whole.image_name(1)]
    assert small.fingerprint() != whole.fingerprint()
    assert small.name == f"broden:{folder}?index_file=index_sm.csv"
    assert open_dataset(small.name).fingerprint() == small.fingerprint()
