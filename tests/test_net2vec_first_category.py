"""Masks of a label's first category: the released code's, against loops over the channels; refused where they do not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from dissect_cases import Labelled, vocabulary
from net2vec_cases import layer_of_cells
from numpy.typing import NDArray
from PIL import Image

from fastdissect.datasets import Broden, Dataset
from fastdissect.errors import DataError, SettingError
from fastdissect.masks import image_planes
from fastdissect.methods.net2vec import (
    SegmentationSettings,
    classification_vectors,
    first_category_planes,
    retrain_top_filters,
    segmentation_vectors,
)
from fastdissect.methods.net2vec.problem import make_problem
from fastdissect.packing import columns_of, join_planes
from fastdissect.types import Planes

SHORT = SegmentationSettings(epochs=2, batch=4)
FIRST = dataclasses.replace(SHORT, first_category=True)


def planes_of(data: Dataset, size: tuple[int, int], *, once: bool = True) -> Planes:
    columns = columns_of(data.concepts)
    own = [image_planes(data.read_labels(i), columns, size, once=once) for i in range(len(data))]
    return join_planes(own, size)


def mask_of(planes: Planes, image: int, concept: int) -> NDArray[np.bool_] | None:
    """OR over the planes of a concept; None: it has none."""
    found = None
    for p in range(*planes.plane_start[image : image + 2]):
        if planes.concept[p] == concept:
            own = np.ones(planes.size, bool)
            if planes.word_row[p] >= 0:
                bits = np.unpackbits(planes.words[planes.word_row[p]].view(np.uint8), bitorder="little")
                own = bits[: own.size].reshape(own.shape).astype(bool)
            assert own.sum() == planes.pixels[p]
            found = own if found is None else found | own
    return found


def mixed(images: int = 30, size: int = 8) -> Labelled:
    """5 concepts in 3 categories; any channel can carry any of them; now and then a number for the whole image."""
    rng = np.random.default_rng(0)
    labels: list[list[tuple[int, object]]] = []
    for _ in range(images):
        own: list[tuple[int, object]] = []
        for q in range(3):
            for _ in range(rng.integers(0, 3)):
                whole = rng.random() < 0.15
                map_ = rng.integers(0, 6, (size, size)).astype(np.uint8)
                own.append((q, int(rng.integers(1, 6)) if whole else map_))
        labels.append(own)
    pixels = rng.integers(0, 255, (images, size, size, 3)).astype(np.uint8)
    return Labelled(pixels, labels, vocabulary(("a", "b"), ("c",), ("d", "e")))


@pytest.mark.parametrize("once", [True, False])
def test_masks_are_those_of_the_first_category_that_an_image_has(once: bool) -> None:
    data = mixed()
    planes = planes_of(data, (8, 8), once=once)
    before = [a.copy() for a in (planes.concept, planes.pixels, planes.word_row, planes.words)]
    done: list[int] = []
    found = first_category_planes(data, planes, done.append)
    assert sum(done) == 30
    assert found.whole is planes
    for a, b in zip(before, (planes.concept, planes.pixels, planes.word_row, planes.words), strict=True):
        np.testing.assert_array_equal(a, b)
    empty = 0
    for image in range(30):
        channels = data.read_labels(image)
        for c, primary in enumerate(data.concepts.category):
            order = [primary, *(q for q in range(3) if q != primary)]
            first = next((q for q in order if any(one.category == q for one in channels)), None)
            expected = np.zeros((8, 8), bool)
            for one in channels:
                if one.category == first:
                    expected |= np.broadcast_to(np.asarray(one.labels) == c + 1, (8, 8))
            whole, got = mask_of(planes, image, c), mask_of(found, image, c)
            assert (whole is None) == (got is None)  # an image that shows it keeps showing it
            if got is not None:
                np.testing.assert_array_equal(got, expected)
                empty += not expected.any()
    assert empty > 10
    for image in range(30):
        own = found.concept[slice(*found.plane_start[image : image + 2])]
        assert (np.diff(own) >= (1 if once else 0)).all()


def test_images_with_an_empty_target_count() -> None:
    data = mixed()
    whole = planes_of(data, (8, 8))
    labels = np.stack([[m if (m := mask_of(whole, i, c)) is not None else np.zeros((8, 8), bool)
                        for c in range(5)] for i in range(30)])  # fmt: skip
    active = np.random.default_rng(1).random((30, 6, 4, 4)) < 0.2
    layer, planes = layer_of_cells(active, labels, concepts=data.concepts)
    train = np.arange(30) < 20
    first = first_category_planes(data, planes)
    ours = make_problem(layer, first, train, FIRST).targets
    theirs = make_problem(layer, planes, train, SHORT).targets
    np.testing.assert_array_equal(
        ours.train.image, theirs.train.image
    )  # METHODS 3.1: the target may be empty
    assert (ours.train_pixels <= theirs.train_pixels).all()
    assert (ours.train_pixels == 0).any()
    assert (ours.alpha() >= theirs.alpha()).all()
    found = segmentation_vectors(layer, first, train, FIRST)
    assert found.record["settings"]["first_category"] is True
    assert (found.table["train_images"] == theirs.counts(True)).all()
    counts = retrain_top_filters(found, layer, first, train, filters=[2])
    assert counts.filters == (2, 6)
    means = np.random.default_rng(2).random((30, 6)).astype(np.float32)
    with_means = dataclasses.replace(layer, means=means)
    np.testing.assert_array_equal(
        classification_vectors(with_means, first, train).weights,
        classification_vectors(with_means, planes, train).weights,
    )


def test_planes_and_setting_must_agree() -> None:
    data = mixed()
    labels = np.ones((30, 5, 8, 8), bool)
    layer, planes = layer_of_cells(np.ones((30, 3, 2, 2), bool), labels, concepts=data.concepts)
    train = np.arange(30) < 20
    with pytest.raises(SettingError, match=r"first_category_planes\(dataset, planes\)"):
        segmentation_vectors(layer, planes, train, FIRST)
    first = first_category_planes(data, planes)
    with pytest.raises(SettingError, match="got those of first categories"):
        segmentation_vectors(layer, first, train, SHORT)
    with pytest.raises(DataError, match="30 images; labelled has 3"):
        first_category_planes(mixed(3), planes)
    with pytest.raises(DataError, match="label planes of the run's 30 images"):
        segmentation_vectors(
            layer, first_category_planes(mixed(30), planes_of(mixed(), (8, 8))), train, FIRST
        )


def save(path: Path, labels: NDArray[np.int64]) -> None:
    rgb = np.zeros((*labels.shape, 3), np.uint8)
    rgb[:, :, 0] = labels
    Image.fromarray(rgb).save(path)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("part(1);object(2)", "part"),
        ("object(2);part(1)", "object"),
        ("object;part", "object"),
        ("part(7)", "part"),
        ("shape(3);part(7);object", "part"),
        ("", "object"),  # without a cell: the primary category, which covers most
    ],
)
def test_the_order_of_a_broden_label_is_that_of_its_cell(tmp_path: Path, cell: str, expected: str) -> None:
    home = tmp_path / "broden"
    (home / "images").mkdir(parents=True)
    masks = {"object": np.array([[1, 1], [0, 0]]), "part": np.array([[0, 1], [0, 0]])}
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(home / "images" / "0.png")
    for name, mask in masks.items():
        save(home / "images" / f"{name}.png", mask)
    (home / "index.csv").write_text(
        "image,split,ih,iw,sh,sw,object,part\n0.png,train,4,4,2,2,object.png,part.png\n"
    )
    (home / "category.csv").write_text("name,first,last,count,frequency\nobject,1,1,1,1\npart,1,1,1,1\n")
    (home / "label.csv").write_text(
        f"number,name,category,frequency,coverage,syns\n1,glass,{cell},1,1,\n2,no such,object(1),0,0,\n"
    )
    (home / "c_object.csv").write_text(
        "code,number,name,frequency,coverage\n0,1,glass,1,2.0\n1,2,no such,0,0\n"
    )
    (home / "c_part.csv").write_text("code,number,name,frequency,coverage\n0,1,glass,1,1.0\n")
    data = Broden(home)
    found = first_category_planes(data, planes_of(data, (2, 2)))
    got = mask_of(found, 0, 0)
    assert got is not None
    np.testing.assert_array_equal(got, masks[expected] == 1)
