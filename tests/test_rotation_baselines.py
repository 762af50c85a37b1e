"""Baselines of a rotation study: parameters drawn anew, another network given, permuted images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Labelled, Net, same_results, vocabulary
from rotation_cases import SIDE, Planted, plant
from torch import nn
from torch.utils.data import DataLoader

import fastdissect
from fastdissect.errors import LayerError, ModelError, SettingError
from fastdissect.methods.chance.level import chance_level
from fastdissect.methods.chance.planes import planes_of
from fastdissect.methods.rotation import random_weights, rotate
from fastdissect.models import load_model

OPTIONS: dict[str, Any] = {"cache": None, "progress": False, "seeds": 1, "alphas": (0, 1)}
SHAPES = "shapes:images=60,size=64"


def trained() -> Net:
    """A network whose every parameter and running statistic differs from those of a new one."""
    net = Net()
    with torch.no_grad():
        for number, tensor in enumerate([*net.parameters(), *net.buffers()]):
            tensor.copy_(torch.full_like(tensor, 7 + number))
    return net


def test_every_parameter_is_drawn_anew() -> None:
    net = trained()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    drawn = random_weights(net, seed=1)
    assert type(drawn) is Net
    assert not drawn.training
    for name, tensor in drawn.state_dict().items():
        assert not (tensor == before[name]).any(), name
        assert torch.isfinite(tensor).all(), name
    for name, tensor in net.state_dict().items():  # the network itself is as it was
        assert torch.equal(tensor, before[name])
    assert torch.equal(drawn.second[1].running_var, torch.ones(9))


def test_the_seed_fixes_the_parameters_and_disturbs_no_other() -> None:
    net = trained()
    state = torch.get_rng_state()
    one, two, other = (random_weights(net, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(one.head.weight.detach(), two.head.weight.detach())
    assert not (one.head.weight == other.head.weight).any()


class Scaled(nn.Module):
    """A parameter of its own, that nothing resets."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x) * self.scale
        return out


class Halfway(nn.Linear):
    """Its reset forgets the bias."""

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (Scaled(), "scale"),
        (nn.Sequential(Halfway(2, 2)), "0.bias"),
        (nn.Sequential(nn.MultiheadAttention(4, 2)), "0.in_proj_weight"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), "original"),
    ],
)
def test_parameters_that_nothing_sets_are_named(module: nn.Module, named: str) -> None:
    with pytest.raises(ModelError, match=rf"(?s)reset_parameters.*{named}.*random_model="):
        random_weights(module)


def test_a_network_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("refused only after the network ran")

    monkeypatch.setattr("fastdissect.running.Run.collect", never)
    with pytest.raises(ModelError, match="scale"):
        rotate(Scaled(), SHAPES, "conv", random_weights=True, **OPTIONS)
    with pytest.raises(LayerError, match="conv"):
        rotate(Scaled(), SHAPES, "conv", random_model=Net(), **OPTIONS)
    wider = Scaled()
    wider.conv, wider.scale = nn.Conv2d(3, 5, 3), nn.Parameter(torch.ones(5, 1, 1))
    with pytest.raises(SettingError, match=r"4 units in layer 'conv'.* got 5"):
        rotate(Scaled(), SHAPES, "conv", random_model=wider, **OPTIONS)
    with pytest.raises(SettingError, match="seed"):
        rotate(Net(), SHAPES, "first", random_weights=True, random_seed=-1, **OPTIONS)


def test_random_weights_are_dissected_over_the_same_images() -> None:
    study = rotate("builtin:shapes", SHAPES, "conv5", random_weights=True, random_seed=2, **OPTIONS)
    loaded = load_model("builtin:shapes")
    alone = fastdissect.dissect(
        random_weights(loaded.module, 2),
        SHAPES,
        "conv5",
        preprocessing=loaded.preprocessing,
        activations=False,
        cache=None,
        progress=False,
    )["conv5"]
    assert study.random is not None
    np.testing.assert_array_equal(study.random.intersection, alone.intersection)
    np.testing.assert_array_equal(study.random.concept_area, study.dissection["conv5"].concept_area)
    table = study.baselines().set_index("baseline")
    assert list(table.index) == ["own basis", "random weights"]
    assert table.loc["random weights", "mean_iou"] == alone.iou().max(1).mean()
    assert table.loc["own basis", "mean_iou"] > 2 * table.loc["random weights", "mean_iou"]


def test_another_network_as_the_baseline() -> None:
    study = rotate("builtin:shapes", SHAPES, "conv5", random_model="builtin:shapes-random", **OPTIONS)
    alone = fastdissect.dissect(
        "builtin:shapes-random", SHAPES, "conv5", cache=None, progress=False, activations=False
    )
    assert study.random is not None
    np.testing.assert_array_equal(study.random.intersection, alone["conv5"].intersection)


def test_permuted_images() -> None:
    study = rotate("builtin:shapes", SHAPES, "conv5", permutations=20, **OPTIONS)
    d = study.dissection
    expected = chance_level(d["conv5"], planes_of(d, cache=None), permutations=20)
    assert study.chance is not None
    np.testing.assert_array_equal(study.chance.null, expected.null)
    row = study.baselines().set_index("baseline").loc["permuted images"]
    assert row["mean_iou"] == expected.null.mean()
    assert row["detectors"] == (expected.null > 0.04).sum(1).mean()
    assert np.isnan(row["unique_detectors"])
    strict = study.with_cut(1.0).baselines().set_index("baseline").loc["permuted images"]
    assert (strict["detectors"], strict["mean_iou"]) == (0, row["mean_iou"])


def test_a_planted_basis_is_far_from_chance() -> None:
    options = {**OPTIONS, "size": SIDE, "mask_size": SIDE}
    study = rotate(Planted(8), plant(0, 8), "read", permutations=50, **options)
    assert study.chance is not None
    assert study.chance.null.max() < 0.1
    assert (study.chance.p == 1 / 51).all()


def test_permutations_need_a_data_set() -> None:
    dataset = _small()
    loader = DataLoader(
        [(torch.zeros(3, 32, 32), torch.ones(32, 32, dtype=torch.int64)) for _ in range(4)], batch_size=2
    )
    options = {**OPTIONS, "concepts": ["a"], "preprocessing": PLAIN}
    with pytest.raises(SettingError, match=r"a data set for permutations=.*DataLoader"):
        rotate(Net(), loader, "first", permutations=5, **options)
    study = rotate(Net(), loader, "first", **options)  # the study itself takes one
    assert study.dissection["first"].shape == (4, 7, 8, 8)
    with pytest.raises(SettingError, match="permutations of 1 or more"):
        rotate(Net(), dataset, "first", permutations=True, preprocessing=PLAIN, **OPTIONS)


def _small() -> Labelled:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    return Labelled(pixels, [[(0, 1)]] * 4, vocabulary(["a"]))


def test_baselines_do_not_touch_the_layers_own_result() -> None:
    options = {**OPTIONS, "preprocessing": PLAIN}
    with_them = rotate(Net(), SHAPES, "first", random_weights=True, permutations=3, **options)
    alone = fastdissect.dissect(Net(), SHAPES, "first", preprocessing=PLAIN, cache=None, progress=False)
    same_results({"first": with_them.dissection["first"]}, dict(alone))
