"""dissect(directions=...): virtual layers against a network that computes the same maps as layers of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, same_results
from torch import nn

import fastdissect as fd
from fastdissect.directions import Directions
from fastdissect.errors import FastdissectError, LayerError, SettingError

SHAPES = "shapes:images=24,size=32"


class Mixed(nn.Module):
    """A layer, and beside it the same maps mixed by a matrix, as a module of its own."""

    def __init__(self, matrix: np.ndarray, bias: np.ndarray, nhwc: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 5, stride=4)
        self.outer = _Mix(matrix, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outer(self.conv(x))


class _Mix(nn.Module):
    def __init__(self, matrix: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.matrix, self.bias = torch.from_numpy(matrix), torch.from_numpy(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = torch.matmul(self.matrix, x.flatten(2)) + self.bias[:, None]
        return mixed.relu().view(len(x), len(self.matrix), *x.shape[2:])


def run(model: Any, layers: Any, **options: Any) -> fd.Dissection:
    fixed = {"preprocessing": PLAIN, "cache": None, "workers": 0, "progress": False, "batch_size": 5}
    return fd.dissect(model, SHAPES, layers, **{**fixed, **options})


def drawn(units: int = 9, channels: int = 6) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(5)
    return draws.normal(size=(units, channels)).astype(np.float32), draws.normal(size=units).astype(
        np.float32
    )


def test_a_virtual_layer_is_what_a_layer_of_the_mixed_maps_would_be() -> None:
    matrix, bias = drawn()
    found = run(
        Mixed(matrix, bias).eval(),
        ["conv", "outer"],
        directions={"conv@mix": Directions("conv", matrix, bias, rectify=True)},
    )
    assert list(found) == ["conv", "outer", "conv@mix"]
    same_results({"x": found["outer"]}, {"x": found["conv@mix"]})


def test_the_identity_gives_the_layer_bit_for_bit_and_alone_too() -> None:
    network = Mixed(*drawn()).eval()
    eye = {"conv@same": Directions("conv", np.eye(6))}
    both = run(network, "conv", directions=eye)
    alone = run(network, [], directions=eye)
    same_results({"x": both["conv"]}, {"x": both["conv@same"]})
    same_results({"x": both["conv"]}, {"x": alone["conv@same"]})
    assert list(alone) == ["conv@same"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_mixed_in_single_precision(dtype: str) -> None:
    matrix, _ = drawn()
    network = Mixed(*drawn()).eval().to(getattr(torch, dtype))
    network.outer = nn.Identity()
    seen: list[torch.Tensor] = []
    network.conv.register_forward_hook(lambda _m, _a, out: seen.append(out.clone()))
    found = run(network, [], directions={"m": Directions("conv", matrix)})["m"]
    assert found.activations is not None
    assert found.activations.kind == "float32"
    maps = torch.cat(seen[1:]).float().flatten(2)  # the first call was the probe
    expected = (torch.from_numpy(matrix) @ maps).amax(2).numpy()
    np.testing.assert_allclose(np.asarray(found.maxima), expected, rtol=1e-5, atol=1e-6)


def test_a_run_on_disk_keeps_what_was_asked_and_belongs_to_its_matrix(tmp_path: Path) -> None:
    network = Mixed(*drawn()).eval()
    matrix, _ = drawn()
    out = tmp_path / "out"
    directions = {"m/x": Directions("conv", matrix)}
    found = run(network, "conv", directions=directions, activations=["conv"], out=out)
    assert found["conv"].activations is not None
    assert found["m/x"].activations is None
    assert found["m/x"].maxima is None
    record = found.run["directions"]["m/x"]
    assert (record["layer"], record["units"], record["channels"]) == ("conv", 9, 6)
    before = (out / "layers" / "m%2Fx" / "counts.npz").read_bytes()
    again = run(network, "conv", directions=directions, activations=["conv"], out=out)
    same_results({"x": found["conv"]}, {"x": again["conv"]})
    assert (out / "layers" / "m%2Fx" / "counts.npz").read_bytes() == before
    with pytest.raises(FastdissectError, match="another run"):
        run(
            network, "conv", directions={"m/x": Directions("conv", matrix * 2)}, activations=["conv"], out=out
        )


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_passes_make_no_difference(passes: int) -> None:
    matrix, _ = drawn()
    network = Mixed(*drawn()).eval()
    directions = {"m": Directions("conv", matrix), "n": Directions("conv", -matrix)}
    same_results(
        run(network, "conv", directions=directions),
        run(network, "conv", directions=directions, passes=passes),
    )


def test_the_receptive_field_is_that_of_the_layer() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.ReLU()).eval()
    found = run(
        network,
        "0",
        directions={"m": Directions("0", np.eye(6))},
        profile="netdissect-caffe",
        mask_size=16,
    )
    same_results({"x": found["0"]}, {"x": found["m"]})


@pytest.mark.parametrize(
    ("name", "directions", "error", "words"),
    [
        ("conv", Directions("conv", np.eye(6)), SettingError, "no layer of the network has; got 'conv'"),
        ("", Directions("conv", np.eye(6)), SettingError, "conv@directions"),
        ("m", Directions("conv", np.ones(6)), SettingError, r"matrix \[units, channels\]; got shape \(6,\)"),
        ("m", Directions("conv", np.ones((0, 6))), SettingError, r"got shape \(0, 6\)"),
        ("m", Directions("conv", [["a"]]), SettingError, "expected numbers as its matrix"),
        ("m", Directions("conv", np.full((2, 6), np.nan)), SettingError, "finite float32"),
        ("m", Directions("conv", np.full((2, 6), 1e300)), SettingError, "finite float32"),
        ("m", Directions("conv", np.eye(6) * 1j), SettingError, "matrix; got: complex"),
        ("m", Directions("conv", torch.eye(6) * 1j), SettingError, "matrix; got: complex"),
        ("m", Directions("conv", np.eye(6), np.ones(6) * 1j), SettingError, "bias; got: complex"),
        ("m", np.eye(6), SettingError, r"expected Directions\(layer, matrix\); got ndarray"),
        ("m", Directions("conv", np.eye(6), np.ones(5)), SettingError, r"bias of shape \(6,\)"),
        ("m", Directions("conv", np.eye(7)), LayerError, "each of the 6 channels of layer 'conv'; got 7"),
        ("m", Directions("conf", np.eye(6)), LayerError, "nearest: conv"),
        ("m", Directions("*", np.eye(6)), LayerError, r"fits one layer; '\*' fits conv, outer"),
    ],
)
def test_what_is_refused(
    name: str, directions: Directions, error: type[FastdissectError], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(Mixed(*drawn()).eval(), "conv", directions={name: directions})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([Directions("conv", np.eye(6))], "expected .name: Directions.; got list"),
        ({"m": Directions(None, np.eye(6))}, "a layer's name, in text; got layer None"),
        ({5: Directions("conv", np.eye(6))}, "directions 5: expected a name"),
    ],
)
def test_what_is_no_mapping_of_names_is_refused(given: Any, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        run(Mixed(*drawn()).eval(), "conv", directions=given)


def test_activations_of_an_unknown_layer_are_refused() -> None:
    with pytest.raises(SettingError, match="names of dissected layers; got 'konv'; nearest: conv"):
        run(Mixed(*drawn()).eval(), "conv", activations=["konv"])


def test_no_layers_and_no_directions_are_refused() -> None:
    with pytest.raises(LayerError, match="at least one layer"):
        run(Mixed(*drawn()).eval(), [], directions={})
