"""Net2Vec on layers of every kind: directions, one cell, tokens, maps that are not square or larger than the masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import Labelled, vocabulary
from net2vec_cases import layer_of_cells
from numpy.typing import NDArray
from torch import Tensor, nn

import fastdissect as fd
from fastdissect.directions import Directions
from fastdissect.kernels.reference import upsample
from fastdissect.methods.chance import planes_of
from fastdissect.methods.net2vec import (
    ClassificationSettings,
    SegmentationSettings,
    classification_top_filters,
    classification_vectors,
    retrain_top_filters,
    segmentation_vectors,
)
from fastdissect.methods.net2vec.baseline import single_filters
from fastdissect.methods.net2vec.one_concept import dense_features, train_concept
from fastdissect.methods.net2vec.problem import make_problem
from fastdissect.methods.net2vec.top_filters import largest
from fastdissect.methods.vectors import concept_tree, neighbours
from fastdissect.methods.vectors.predicted import predicted_masks
from fastdissect.models import Preprocessing
from fastdissect.results import Dissection

SHORT = SegmentationSettings(epochs=4, batch=4, loss="bce")
IMAGES, SIDE = 40, 24
NAMES = ("one", "two", "three")


class Net(nn.Module):
    """`see`: 7 units of 6 x 6, three of them concepts; `pooled`: one cell; `tokens`: a class token and 36 others."""

    preprocessing = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (SIDE, SIDE))

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 7, 4, 4, bias=False)
        self.tall = nn.AvgPool2d((1, 2))
        self.tokens, self.pooled, self.fc = nn.Identity(), nn.Identity(), nn.Linear(7, 4)
        torch.manual_seed(0)
        with torch.no_grad():
            self.see.weight.normal_(0, 0.02)
            self.see.weight[:3] = 0
            for unit in range(3):
                self.see.weight[unit, unit] = 1 / 16

    def forward(self, x: Tensor) -> Tensor:
        maps = self.see(x)
        self.tall(maps)
        flat = maps.flatten(2).transpose(1, 2)
        self.tokens(torch.cat([flat.mean(1, keepdim=True), flat], 1))
        return self.fc(self.pooled(maps.mean((2, 3))))


@pytest.fixture(scope="module")
def data() -> Labelled:
    """Each colour channel is lit in some blocks of 4 x 4 pixels, and these are its concept."""
    rng = np.random.default_rng(3)
    cells = rng.random((IMAGES, 3, 6, 6)) < 0.12
    masks = cells.repeat(4, 2).repeat(4, 3)
    pixels = np.clip(np.where(masks, 200, 30) + rng.normal(0, 8, masks.shape), 0, 255).astype(np.uint8)
    labels = [[(0, np.where(mask, c + 1, 0).astype(np.uint8)) for c, mask in enumerate(own)] for own in masks]
    return Labelled(pixels.transpose(0, 2, 3, 1), labels, vocabulary(NAMES))


@pytest.fixture(scope="module")
def run(data: Labelled) -> Dissection:
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(7, 7)))[0]
    return fd.dissect(
        Net().eval(),
        data,
        ["see", "tall", "tokens", "pooled", "fc"],
        directions={"see@turned": Directions("see", turn)},
        quantile=0.1,
        mask_size=(24, 24),
        device="cpu",
        cache=None,
        workers=0,
        progress=False,
    )


TRAIN = np.arange(IMAGES) < 28


@pytest.mark.parametrize("name", ["see", "tall", "tokens", "pooled", "fc", "see@turned"])
def test_every_kind_of_layer_is_trained_as_one_concept_alone(
    run: Dissection, data: Labelled, name: str
) -> None:
    layer, planes = run[name], planes_of(run, data, cache=None)
    problem = make_problem(layer, planes, TRAIN, SHORT)
    found = segmentation_vectors(layer, planes, TRAIN, SHORT)
    assert found.names == NAMES
    assert np.isfinite(found.weights).all()
    for row in range(3):
        weights, _ = train_concept(problem, SHORT, row)
        np.testing.assert_allclose(found.weights[row], weights, rtol=1e-4, atol=1e-6)
    counts = retrain_top_filters(found, layer, planes, TRAIN, filters=[1, 2])
    assert counts.filters == (1, 2, layer.units_count)
    assert neighbours(found, "one", unlearned=True)["concept"].tolist() != []
    assert len(concept_tree(found, unlearned=True).order()) == 3
    assert found.images is not None
    masks = predicted_masks(found, layer)
    for concept, image, union in zip(
        found.images.concept, found.images.image, found.images.union, strict=True
    ):
        assert masks(int(concept), int(image)).sum() <= union


def test_planted_units_are_found_in_maps_in_tokens_and_turned(run: Dissection, data: Labelled) -> None:
    settings, planes = (
        SegmentationSettings(batch=4, upsampling="half-pixel"),
        planes_of(run, data, cache=None),
    )
    maps, tokens, turned = (
        segmentation_vectors(run[name], planes, TRAIN, settings) for name in ("see", "tokens", "see@turned")
    )
    assert largest(maps.weights)[:, 0].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(tokens.weights, maps.weights)  # the same maps, told as tokens
    # blocks of one cell spread by bilinear upsampling: 0.4 is about what they can reach
    assert min(maps.table["iou_val"].min(), turned.table["iou_val"].min()) > 0.33


@pytest.mark.parametrize("name", ["see", "tall", "tokens", "pooled", "fc", "see@turned"])
def test_every_kind_of_layer_classifies(run: Dissection, data: Labelled, name: str) -> None:
    layer, planes = run[name], planes_of(run, data, cache=None)
    drop = np.arange(IMAGES) % 2 == 0  # a concept that half of the images show
    labels = np.zeros((IMAGES, 1, 24, 24), bool)
    labels[drop, 0, :12] = True
    other, own = layer_of_cells(np.zeros((IMAGES, layer.units_count, 2, 2), bool), labels, means=layer.means)
    found = classification_vectors(other, own, TRAIN, ClassificationSettings(epochs=2))
    counts = classification_top_filters(found, other, own, TRAIN, filters=[1])
    assert counts.filters == (1, layer.units_count)
    assert np.isfinite(found.weights).all()
    every = classification_vectors(layer, planes, TRAIN, ClassificationSettings(epochs=2))
    assert all("no negatives" in reason for _, reason in every.skipped) or len(every)


def test_one_cell_covers_all_of_an_image_or_nothing(run: Dissection, data: Labelled) -> None:
    layer, planes = run["pooled"], planes_of(run, data, cache=None)
    assert layer.shape[2:] == (1, 1)
    masks = predicted_masks(segmentation_vectors(layer, planes, TRAIN, SHORT), layer)
    for image in range(IMAGES):
        area = masks(0, image).sum()
        assert area in (0, 24 * 24)


@pytest.mark.parametrize(
    ("cells", "size"),
    [((1, 1), (9, 9)), ((1, 6), (12, 12)), ((3, 7), (21, 10)), ((16, 16), (8, 8)), ((31, 5), (7, 13)), ((9, 9), (1, 1))],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["align-corners", "half-pixel"])
def test_maps_of_any_shape_beside_masks_of_any_size(
    cells: tuple[int, int], size: tuple[int, int], mode: str
) -> None:
    rng = np.random.default_rng(5)
    active = rng.random((14, 5, *cells)) < 0.3
    labels = rng.random((14, 2, *size)) < 0.4
    labels[:, 0, 0, 0], labels[:, 1] = True, labels[:, 1] | ~labels[:, 1].any((1, 2), keepdims=True)
    layer, planes = layer_of_cells(active, labels)
    train = np.arange(14) < 9
    settings = SegmentationSettings(epochs=3, batch=4, upsampling=mode, bias=True)
    problem = make_problem(layer, planes, train, settings, ["concept 0", "concept 1"])
    found = segmentation_vectors(layer, planes, train, settings, concepts=["concept 0", "concept 1"])
    assert found.bias is not None
    for row in range(2):
        weights, bias = train_concept(problem, settings, row)
        np.testing.assert_allclose(found.weights[row], weights, rtol=1e-4, atol=1e-6)
        assert found.bias[row] == pytest.approx(bias, rel=1e-4, abs=1e-6)
    _assert_single(problem, labels, train)


def _assert_single(problem: Any, labels: NDArray[np.bool_], train: NDArray[np.bool_]) -> None:
    masks = upsample(dense_features(problem, list(range(len(labels)))), problem.upsampling) > 0.5
    got = single_filters(problem)
    for c in range(2):
        own = train & labels[:, c].any((1, 2))
        both = (masks[own] & labels[own, c][:, None]).sum((0, 2, 3))
        either = (masks[own] | labels[own, c][:, None]).sum((0, 2, 3))
        np.testing.assert_allclose(got.train[:, c], both / (either + 1e-20), rtol=1e-12)
