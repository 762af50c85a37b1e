"""Semantic vectors on layers of every kind: tokens with a class token, pooled features, directions, maps that are not square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import Labelled, vocabulary
from numpy.typing import NDArray
from semantics_cases import CELL, NAMES, UNITS, Planted, blocks, dissected, orthonormal, planted_data
from torch import Tensor, nn

import fastdissect as fd
from fastdissect.errors import LayerError
from fastdissect.methods.semantics import (
    evaluate_vectors,
    explain_by_concepts,
    global_view,
    semantic_vectors,
)
from fastdissect.models import Preprocessing, TokenGrid

QUIET: dict[str, Any] = {"cache": None, "progress": False}


class Mixing(nn.Module):
    """x + a little attention of every token to all: what a block of a vision transformer does."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, tokens: Tensor) -> Tensor:
        share = (tokens @ tokens.transpose(1, 2) / UNITS**0.5).softmax(-1)
        return tokens + self.amount * share @ tokens


class Vit(Planted):
    """The planted features as patches behind a class token; the head reads the class token, or the patches' mean."""

    def __init__(self, reads: str = "class") -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, UNITS))  # far from every patch: it would be seen
        self.blocks = nn.ModuleList([Mixing(0.0), Mixing(0.5)])
        self.reads = reads

    def forward(self, images: Tensor) -> Any:
        patches = self.features(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), patches], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.fc(tokens[:, 0] if self.reads == "class" else tokens[:, 1:].mean(1))


@pytest.mark.parametrize("tokens", [TokenGrid(1, (8, 8)), TokenGrid(1)])
def test_a_class_token_is_no_position(tokens: TokenGrid) -> None:
    net, data = Vit().eval(), planted_data()
    d = dissected(net, data, "blocks.0", tokens=tokens)
    assert d["blocks.0"].shape[1:] == (UNITS, 8, 8)
    study = semantic_vectors(d, model=net, data=data, **QUIET)
    assert ((study.vectors.weights * orthonormal(3, UNITS)).sum(1) > 0.99).all()
    assert abs(study.space.mean).max() < 0.3


def test_a_head_that_reads_the_class_token_is_explained_through_gradients() -> None:
    net, data = Vit().eval(), planted_data()
    layers = ["blocks.0", "blocks.1"]
    d = fd.dissect(net, data, layers, tokens=TokenGrid(1), cache=None, progress=False, workers=0)
    study = semantic_vectors(d, "blocks.0", model=net, data=data, **QUIET)
    view = global_view(d, study, model=net, data=data, draws=100, progress=False)
    assert view.reading is not None
    assert view.reading.head.kind == "gradient"
    one = next(explain_by_concepts(d, study, 0, model=net, data=data, removals=3))
    own = one.views[0].evidence
    assert own.maps.shape[1:] == (8, 8)
    assert own.contributions.sum() + own.residual + own.rest == pytest.approx(own.score, abs=1e-6)
    last = semantic_vectors(d, "blocks.1", model=net, data=data, **QUIET)
    with pytest.raises(LayerError, match=r"class token alone\); explain by an earlier layer"):
        explain_by_concepts(d, last, 0, model=net, data=data)
    left_out = global_view(d, last, model=net, data=data, progress=False)
    assert left_out.classes is None
    assert "class token alone" in left_out.reason


def test_patches_behind_a_class_token_are_read_linearly() -> None:
    net, data = Vit("patches").eval(), planted_data()
    d = dissected(net, data, "blocks.1", tokens=TokenGrid(1))
    study = semantic_vectors(d, model=net, data=data, **QUIET)
    one = next(explain_by_concepts(d, study, 3, model=net, data=data, removals=3))
    assert one.head.kind == "linear"
    assert one.views[0].evidence.error < 1e-5
    found = evaluate_vectors(d, study, model=net, data=data, seeds=0, removals=2, images=5, **QUIET)
    assert found.pointing is not None
    assert (found.pointing["vector"] > found.pointing["blind"]).all()


def wide_data(images: int = 60) -> tuple[Labelled, NDArray[np.bool_]]:
    """Images of 32 x 20, the left part of the blocks."""
    pixels, masks = blocks(images)
    masks = masks[..., : 5 * CELL]
    labels = [[(0, np.where(m, c + 1, 0).astype(np.uint8)) for c, m in enumerate(own)] for own in masks]
    return Labelled(pixels[:, :, : 5 * CELL], labels, vocabulary(NAMES)), masks  # type: ignore[arg-type]


class Wide(Planted):
    preprocessing = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (32, 20))


def test_maps_that_are_not_square() -> None:
    net, (data, masks) = Wide().eval(), wide_data()
    d = dissected(net, data, size=(32, 20))
    assert d["norm"].shape[2:] == (8, 5)
    study = semantic_vectors(d, model=net, data=data, **QUIET)
    assert ((study.vectors.weights * orthonormal(3, UNITS)).sum(1) > 0.99).all()
    assert (study.vectors.table["iou_val"] > 0.95).all()
    for i in range(3):
        one = next(explain_by_concepts(d, study, i, model=net, data=data, removals=0))
        for name, own in zip(one.views[0].names, one.views[0].evidence.maps, strict=True):
            inside = masks[i, NAMES.index(name)][::CELL, ::CELL]
            assert own.shape == inside.shape == (8, 5)
            if inside.any():  # a transposed map would point elsewhere
                assert inside.ravel()[own.argmax()]
    found = evaluate_vectors(d, study, model=net, data=data, seeds=1, removals=0, **QUIET)
    assert found.pointing is not None
    assert (found.pointing["vector"] == 1).all()


class Flat(nn.Module):
    """A fully connected layer behind the pooled features: every unit sees the whole image."""

    preprocessing = Planted.preprocessing

    def __init__(self) -> None:
        super().__init__()
        inner = Planted()
        self.features, self.fc = inner.features, inner.fc
        self.hidden = nn.Linear(UNITS, UNITS, bias=False)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.eye(UNITS))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.hidden(self.features(images).mean((2, 3))))


def test_fully_connected_layers() -> None:
    net, data = Flat().eval(), planted_data(150)
    d = dissected(net, data, "hidden")
    assert d["hidden"].shape[2:] == (1, 1)
    study = semantic_vectors(d, model=net, data=data, **QUIET)
    assert (study.vectors.table["ap_val"] > 0.95).all()
    assert (study.vectors.table["single_iou_unit"] == -1).all()
    found = evaluate_vectors(d, study, model=net, data=data, seeds=1, removals=3, images=20, **QUIET)
    assert found.pointing is None
    assert found.decisions is not None
    assert len(found.decisions) == 20
    one = next(explain_by_concepts(d, study, 0, model=net, data=data, removals=2))
    assert one.head.kind == "linear"
    assert one.views[0].evidence.error < 1e-5


def test_directions_are_evaluated_without_decisions() -> None:
    net, data = Planted().eval(), planted_data()
    given = {"mixed": fd.Directions("norm", orthonormal(8, UNITS, seed=5))}
    d = dissected(net, data, "norm", directions=given)
    options: dict[str, Any] = {"model": net, "data": data, "directions": given, **QUIET}
    study = semantic_vectors(d, "mixed", **options)
    found = evaluate_vectors(d, study, seeds=1, **options)
    assert found.decisions is None
    assert "directions, which its head does not read" in found.reason
    assert found.pointing is not None
    assert (found.pointing["vector"] > 0.9).all()
    assert found.stability is not None
    with pytest.raises(LayerError, match="got directions"):
        explain_by_concepts(d, study, 0, model=net, data=data)
