"""dissect(directions=...): virtual layers against a network that computes the same maps as layers of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host.tensors import on_cuda
from dissect_cases import PLAIN, same_files, same_results
from torch import nn

import fastdissect as fd
import fastdissect.activations
import fastdissect.directions
from fastdissect.activations import LayerHooks
from fastdissect.arrays import activation_view
from fastdissect.codes import Codes
from fastdissect.directions import UNITS, Directions, LinearMix, checked_directions
from fastdissect.errors import ActivationError, FastdissectError, LayerError, OutputError, SettingError
from fastdissect.kernels.views import CodesView
from fastdissect.merging import merge
from fastdissect.sharding import dissect_shard, pilot
from fastdissect.top_k_encoding import top_k_codes
from fastdissect.types import ActivationView

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
        ("m", np.eye(6), SettingError, r"expected Directions\(layer, matrix\) or Codes\(.*\); got ndarray"),
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
        ([Directions("conv", np.eye(6))], "expected .name: Directions or Codes.; got list"),
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


MANY = 2 * UNITS + 77  # directions: three blocks, the last one small


class Blocks(nn.Module):
    """A convolution, and a layer that mixes its maps 4,096 rows of the matrix at a time, and gives all of them at once."""

    def __init__(self, matrix: np.ndarray | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 5, stride=8)
        if matrix is not None:
            self.outer = _BlockMix(matrix)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.outer(x) if hasattr(self, "outer") else x


class _BlockMix(nn.Module):
    def __init__(self, matrix: np.ndarray, rows: int = 4096) -> None:
        super().__init__()
        self.matrix, self.rows = torch.from_numpy(matrix), rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [torch.matmul(rows, x.flatten(2)) for rows in self.matrix.split(self.rows)]
        return torch.cat(parts, 1).view(len(x), len(self.matrix), *x.shape[2:])


def run_many(**options: Any) -> fd.Dissection:
    given = {"outer": Directions("conv", drawn(MANY)[0])}
    return run(Blocks(None).eval(), [], directions=given, **options)


@pytest.fixture(scope="module")
def many() -> fd.Dissection:
    return run(Blocks(drawn(MANY)[0]).eval(), "outer", quantile=0.05)


@pytest.mark.parametrize("passes", [1, 2])
def test_many_directions_are_mixed_in_blocks_and_change_nothing(
    many: fd.Dissection, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, own = [], LinearMix.block

    def block(self: LinearMix, flat: torch.Tensor, first: int, last: int) -> torch.Tensor:
        blocks.append(last - first)
        return own(self, flat, first, last)

    monkeypatch.setattr(LinearMix, "block", block)
    monkeypatch.delattr(LinearMix, "__call__")  # never all at once
    same_results(many, run_many(quantile=0.05, passes=passes))
    assert max(blocks) == UNITS == 4096
    assert min(blocks) == 77


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("nan", ["error", "omit"])
def test_blocks_of_any_size_and_passes(passes: int, nan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven directions, four at a time: the counters of many more would take gigabytes."""
    monkeypatch.setattr(fastdissect.directions, "UNITS", 4)
    matrix = drawn(11)[0]
    if nan == "omit":
        matrix[5] = 1e38  # finite, but not usable everywhere
    plain = Blocks(matrix)
    plain.outer = _BlockMix(matrix, 4)
    expected = run(plain.eval(), "outer", quantile=0.05, nan=nan)
    given = {"outer": Directions("conv", matrix)}
    same_results(
        expected, run(Blocks(None).eval(), [], directions=given, quantile=0.05, nan=nan, passes=passes)
    )


def test_many_directions_on_any_backend(many: fd.Dissection, force_backend: Any) -> None:
    force_backend("numba")
    same_results(many, run_many(quantile=0.05))


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_on_a_gpu_blocks_are_sifted_there_and_codes_on_the_host(
    cuda: Any, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastdissect.directions, "UNITS", 4)
    matrix = drawn(11)[0]
    given = {"m": Directions("conv", matrix), "c": Codes("conv", top_k_codes(matrix, k=3))}
    network = Blocks(None).eval()
    expected = run(network, "conv", directions=given, quantile=0.05)
    seen: list[int] = []

    def view(tensor: torch.Tensor) -> ActivationView:
        seen.append(tensor.shape[1])
        return activation_view(on_cuda(tensor, 0))

    monkeypatch.setattr(fastdissect.activations, "kernel_view", view)
    same_results(expected, run(network, "conv", directions=given, quantile=0.05, passes=passes))
    assert set(seen) == {6, 4, 3}


def test_a_fault_among_many_directions_names_the_unit() -> None:
    matrix = drawn(MANY)[0]
    matrix[5000] = 3e38
    matrix[8200] = 3e38
    with pytest.raises(
        ActivationError, match=r"layer 'outer', unit 5000, image .*00000000.png: expected a finite"
    ):
        run(Blocks(None).eval(), [], directions={"outer": Directions("conv", matrix)})


def test_methods_that_read_whole_maps_get_them() -> None:
    """Hooks that are not asked for views of their own hand on dense maps."""
    matrix = drawn(MANY)[0]
    mixes = checked_directions(
        {"m": Directions("conv", matrix), "c": Codes("conv", top_k_codes(matrix, k=2))}, {"conv": "conv"}, ()
    )
    found: dict[str, Any] = {}
    images = torch.randn(3, 3, 32, 32)
    LayerHooks(Blocks(None).eval(), ("m", "c"), mixes=mixes).run(images, found.__setitem__)
    views: dict[str, Any] = {}
    LayerHooks(Blocks(None).eval(), ("m", "c"), mixes=mixes, sparse=True).run(images, views.__setitem__)
    assert found["m"].data.tobytes() == views["m"].whole().data.tobytes()
    assert found["m"].data.shape == found["c"].data.shape == views["c"].data.shape == (3, MANY, 4, 4)
    assert (found["c"].data > 0).sum() == (views["c"].values > 0).sum() > 0


def test_a_view_without_an_array_tells_its_shape_alone() -> None:
    view = CodesView((2, 5, 1, 3), np.zeros((2, 3, 1), np.int64), np.ones((2, 3, 1), np.float32))
    assert (view.data.shape, len(view.data)) == ((2, 5, 1, 3), 2)
    with pytest.raises(TypeError):
        view.data[0]  # type: ignore[index]
    with pytest.raises(TypeError):
        np.asarray(view.data, np.float32)


def is_merged(out: Path) -> bool:
    """Merge; False: units must be sifted again."""
    try:
        merge(out, progress=False)
    except OutputError:
        return False
    return True


@pytest.mark.parametrize("piloted", [False, True])
def test_many_directions_in_shards(tmp_path: Path, piloted: bool) -> None:
    options = {
        "preprocessing": PLAIN, "cache": None, "workers": 0, "progress": False, "batch_size": 4, "quantile": 0.05,
        "directions": {"outer": Directions("conv", drawn(MANY)[0], rectify=True)}, "activations": False,
    }  # fmt: skip
    net, out = Blocks(None).eval(), tmp_path / "out"
    fd.dissect(net, SHAPES, [], out=tmp_path / "whole", **options)
    if piloted:
        pilot(net, SHAPES, [], out=out, sample=12, **{k: v for k, v in options.items() if k != "cache"})
    for _ in range(6 if piloted else 1):  # a small pilot guesses too high: some units are sifted again
        for number in (1, 2):
            dissect_shard(net, SHAPES, [], f"{number}/2", out=out, **options)
        if is_merged(out):
            break
    same_files(tmp_path / "whole", out)
