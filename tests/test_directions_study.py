"""`methods.linear.directions()`: linear maps of a finished run's layer, over its own network and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Labelled, Net, assert_is, dissect_plainly, gather, vocabulary
from torch.utils.data import DataLoader

import fastdissect
from fastdissect import Dissection
from fastdissect.directions import Directions
from fastdissect.errors import DataError, FastdissectError, LayerError, ModelError, SettingError
from fastdissect.methods.linear import directions
from fastdissect.methods.rotation import random_rotation
from fastdissect.models import load_model

QUIET: dict[str, Any] = {"cache": None, "progress": False}
OPTIONS: dict[str, Any] = {**QUIET, "preprocessing": PLAIN, "batch_size": 5, "nan": "omit"}


def data(images: int = 12, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    words = vocabulary([f"a{c}" for c in range(5)], [f"b{c}" for c in range(3)])
    pixels = rng.integers(0, 256, (images, 48, 64, 3), dtype=np.uint8)
    labels = [
        [(0, rng.integers(0, 6, (48, 64)).astype(np.uint16)), (1, int(rng.integers(6, 9)))]
        for _ in range(images)
    ]
    return Labelled(pixels, labels, words)


@pytest.fixture(scope="module")
def run() -> Dissection:
    return fastdissect.dissect(
        Net(), data(), ["second", "third"], mask_size=(20, 30), quantile="1/50", **OPTIONS
    )


def again(run: Dissection, matrix: Any, **more: Any) -> Dissection:
    return directions(run, matrix, **{"layer": "second", "model": Net(), "data": data(), **QUIET, **more})


def test_rows_of_the_identity_are_the_units(run: Dissection) -> None:
    found = again(run, np.eye(9)[[4, 0, 7]], name="some")
    assert list(found) == ["some"]
    some, layer = found["some"], run["second"]
    rows = [4, 0, 7]
    np.testing.assert_array_equal(some.thresholds, layer.thresholds[rows])
    np.testing.assert_array_equal(some.intersection, layer.intersection[rows])
    np.testing.assert_array_equal(some.unit_area, layer.unit_area[rows])
    np.testing.assert_array_equal(some.maxima, layer.maxima[:, rows])
    assert some.profile == layer.profile
    assert some.upsampling.size == (20, 30)
    assert found.image_names == run.image_names


class Turned(torch.nn.Module):
    """The built-in network up to a layer, whose output is then rotated in float32."""

    def __init__(self, q: np.ndarray) -> None:
        super().__init__()
        loaded = load_model("builtin:shapes")
        self.network, self.preprocessing = loaded.module, loaded.preprocessing
        self.turn = torch.nn.Conv2d(len(q), len(q), 1, bias=False)
        with torch.no_grad():
            self.turn.weight.copy_(torch.from_numpy(q)[:, :, None, None])
        self.network.conv5.register_forward_hook(lambda _module, _inputs, output: self.turn(output))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.network(x)
        return out


def test_rotating_there_and_back_gives_the_layer() -> None:
    """Q f(x) is a layer of this network, and Q^T of that its directions: two roundings to float32."""
    q = random_rotation(96, 0)
    layer = fastdissect.dissect("builtin:shapes", "shapes:images=80", "conv5", **QUIET)["conv5"]
    network = Turned(q)
    run = fastdissect.dissect(network, "shapes:images=80", "turn", **QUIET)
    back = directions(run, q.T, model=network, **QUIET)["turn@directions"]
    assert np.abs(run["turn"].intersection - layer.intersection).sum() > 0.5 * layer.intersection.sum()
    np.testing.assert_allclose(back.thresholds, layer.thresholds, rtol=1e-4, atol=1e-4)
    difference = np.abs(back.intersection - layer.intersection)
    assert difference.sum() <= 1e-3 * layer.intersection.sum()
    np.testing.assert_allclose(back.iou(), layer.iou(), atol=1e-3)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_a_positive_scale_and_a_bias_change_no_mask(run: Dissection, scale: float) -> None:
    matrix = np.random.default_rng(0).normal(size=(4, 9))
    plain = again(run, matrix)["second@directions"]
    moved = again(run, scale * matrix, bias=[0.0, 1.0, -2.0, 50.0])["second@directions"]
    np.testing.assert_allclose(moved.thresholds, scale * plain.thresholds + [0, 1, -2, 50], rtol=1e-5)
    assert np.abs(moved.mask_area - plain.mask_area).max() <= 2  # the last bits of the sums
    np.testing.assert_allclose(moved.iou(), plain.iou(), atol=1e-3)


def test_an_encoder_is_its_plain_computation(run: Dissection) -> None:
    """relu(W f(x) + b), computed from the gathered maps."""
    rng = np.random.default_rng(1)
    matrix, bias = rng.normal(size=(20, 9)).astype(np.float32), rng.normal(size=20).astype(np.float32)
    maps = gather(Net().eval(), data(), ["second"], 5, (48, 64))["second"]
    parts = [torch.matmul(torch.from_numpy(matrix), own.flatten(2)) for own in maps.split(5)]
    mixed = (torch.cat(parts) + torch.from_numpy(bias)[:, None]).clamp(min=0).view(12, 20, *maps.shape[2:])
    found = again(run, matrix, bias=bias, rectify=True)["second@directions"]
    assert_is(found, dissect_plainly(mixed.numpy(), data(), run.profile, found.upsampling))


def test_the_runs_own_options_are_kept(run: Dissection) -> None:
    found = again(run, np.eye(9))
    ours, theirs = run.run["key"], found.run["key"]
    differ = {name for name in ours if ours[name] != theirs.get(name)}
    assert differ == {"layers"}
    assert theirs["nan"] == "omit"
    assert found.run["directions"]["second@directions"]["layer"] == "second"


@pytest.mark.parametrize(
    "options",
    [
        {"unlabelled": "removed", "images": 10},
        {"profile": "netdissect-lite"},
        {"profile": "dissect-2020", "images": 11},
        {"channels_last": True, "dtype": "bfloat16"},
        {"size": (40, 40), "mask_size": (17, 19), "readout": "linear"},
        {"population": "upsampled"},
        {"passes": 2},
    ],
    ids=str,
)
def test_the_identity_is_the_layer_under_any_options(options: dict[str, Any]) -> None:
    whole = data(24)
    whole._labels = [own if n % 4 else [] for n, own in enumerate(whole._labels)]
    run = fastdissect.dissect(
        Net(), whole, "second", **{**OPTIONS, "nan": "error", "quantile": "1/30", **options}
    )
    found = directions(run, np.eye(9), model=Net(), data=whole, **QUIET)["second@directions"]
    layer = run["second"]
    assert (found.shape, found.profile) == (layer.shape, layer.profile)
    for name in ("thresholds", "seen", "intersection", "unit_area", "concept_area", "mask_area"):
        np.testing.assert_array_equal(getattr(found, name), getattr(layer, name), name)


def test_the_run_is_opened_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Conv2d(3, 6, 5, 4, 2)\n"
    )
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), nn.ReLU())\n"
    )
    monkeypatch.chdir(tmp_path)
    fastdissect.dissect("net.py:build", "shapes:images=30,size=32", "1", out="run", **QUIET)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = fastdissect.load(tmp_path / "run")
    found = directions(run, np.eye(6), out="out", **QUIET)
    np.testing.assert_array_equal(found["1@directions"].intersection, run["1"].intersection)
    loaded = fastdissect.load(tmp_path / "elsewhere" / "out")
    np.testing.assert_array_equal(loaded["1@directions"].thresholds, run["1"].thresholds)


def test_a_loader_is_given_again() -> None:
    rng = torch.Generator().manual_seed(0)
    pairs = [
        (torch.rand(3, 32, 32, generator=rng), torch.randint(0, 3, (32, 32), generator=rng)) for _ in range(7)
    ]
    loader = DataLoader(pairs, batch_size=3)
    run = fastdissect.dissect(Net(), loader, "first", concepts=["a", "b"], quantile="1/20", **QUIET)
    found = directions(run, np.eye(7), model=Net(), data=loader, **QUIET)["first@directions"]
    np.testing.assert_array_equal(found.intersection, run["first"].intersection)
    with pytest.raises(FastdissectError, match="data="):
        directions(run, np.eye(7), model=Net(), **QUIET)


def test_the_only_layer_needs_no_name() -> None:
    run = fastdissect.dissect(Net(), data(), "third", **OPTIONS)
    assert list(directions(run, np.eye(5), model=Net(), data=data(), **QUIET)) == ["third@directions"]


@pytest.mark.parametrize(
    ("matrix", "more", "error", "said"),
    [
        (np.eye(9), {"layer": None}, LayerError, "second, third; got none: give layer="),
        (np.eye(9), {"layer": "secnd"}, LayerError, "got 'secnd'.*nearest: second"),
        (np.eye(8), {}, SettingError, r"\[directions, 9\].* got shape \(8, 8\)"),
        (np.ones(9), {}, SettingError, r"got shape \(9,\)"),
        (np.empty((0, 9)), {}, SettingError, r"got shape \(0, 9\)"),
        ([[1], [1, 2]], {}, SettingError, r"got shape \(\)"),
        (np.full((1, 9), np.nan), {}, SettingError, "finite"),
        ([["x"] * 9], {}, SettingError, "numbers as its matrix"),
        (np.eye(9), {"bias": [1.0]}, SettingError, r"bias of shape \(9,\)"),
        (np.eye(9), {"name": "third"}, SettingError, "a name that no layer of the network has"),
        (np.eye(9), {"quantile": 0.1}, SettingError, "got quantile: the run decides everything else"),
        (np.eye(9), {"batch_size": 1, "size": 3}, SettingError, "got batch_size, size"),
        (np.eye(9), {"model": Net(seed=1)}, ModelError, "expected the network that was dissected"),
        (np.eye(9), {"data": data(11)}, DataError, "12 images of the run"),
    ],
)
def test_what_is_refused(
    run: Dissection, matrix: Any, more: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        again(run, matrix, **more)


def test_directions_do_not_start_from_directions(run: Dissection) -> None:
    both = fastdissect.dissect(
        Net(),
        data(),
        "second",
        directions={"mixed": Directions("second", np.eye(9))},
        **OPTIONS,
    )
    found = directions(both, np.eye(9), model=Net(), data=data(), **QUIET)
    assert list(found) == ["second@directions"]
    with pytest.raises(LayerError, match="'mixed': directions start from a layer of the network"):
        directions(both, np.eye(9), layer="mixed", model=Net(), data=data(), **QUIET)
