"""dissect(directions={name: Codes(...)}): held against a network whose layer gives the same codes as dense maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, same_files, same_results
from torch import nn

import fastdissect as fd
from fastdissect.codes import CodeMix, Codes
from fastdissect.datasets.shapes import Shapes
from fastdissect.errors import ActivationError, FastdissectError, LayerError, OutputError, SettingError
from fastdissect.merging import merge
from fastdissect.sharding import dissect_shard, pilot
from fastdissect.top_k_encoding import PLACES, TopKCodes, top_k_codes

IMAGES, SIZE, UNITS = 16, 32, 40
DATA = f"shapes:images={IMAGES},size={SIZE}"
OPTIONS: dict[str, Any] = {
    "preprocessing": PLAIN,
    "cache": None,
    "workers": 0,
    "progress": False,
    "batch_size": 5,
}


class DenseCodes(nn.Module):
    """The encoder's codes as maps of all units."""

    def __init__(self, encoder: Any, units: int) -> None:
        super().__init__()
        self.encoder, self.units = encoder, units

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, channels, h, w = x.shape
        indices, values = self.encoder(x.permute(0, 2, 3, 1).reshape(-1, channels))
        dense = torch.zeros(n * h * w, self.units)
        for j in range(indices.shape[1]):
            named = (values[:, j] != 0).nonzero()[:, 0]
            dense[named, indices[named, j].long()] = values[named, j]
        return dense.view(n, h, w, self.units).permute(0, 3, 1, 2)


class Net(nn.Module):
    def __init__(self, stride: int = 4, outer: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 5, stride=stride)
        if outer is not None:
            self.outer = outer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.outer(x) if hasattr(self, "outer") else x


def encoder(k: int = 3, units: int = UNITS, channels: int = 6) -> TopKCodes:
    draws = np.random.default_rng(5)
    return top_k_codes(
        draws.normal(size=(units, channels)),
        draws.normal(size=units) - 1,
        k,
        center=draws.normal(size=channels) * 0.1,
    )


def run(model: Any, layers: Any, **options: Any) -> fd.Dissection:
    return fd.dissect(model.eval(), DATA, layers, **{**OPTIONS, **options})


def dense_run(encode: Any, units: int = UNITS, stride: int = 4, **options: Any) -> fd.Dissection:
    return run(Net(stride, DenseCodes(encode, units)), "outer", **options)


@pytest.fixture(autouse=True)
def never_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(CodeMix, "__call__")


def codes_run(encode: Any, units: int = UNITS, stride: int = 4, **options: Any) -> fd.Dissection:
    return run(Net(stride), [], directions={"outer": Codes("conv", encode, units)}, **options)


@pytest.mark.parametrize("profile", ["netdissect", "netdissect-caffe", "netdissect-lite", "dissect-2020"])
def test_codes_are_what_a_layer_of_dense_codes_would_be_file_by_file(tmp_path: Path, profile: str) -> None:
    changes = {"profile": profile, "mask_size": 16}
    if profile == "netdissect-caffe":
        changes["upsampling"] = "half-pixel"  # the dense module has no static receptive field
    one = dense_run(encoder(), out=tmp_path / "dense", **changes)
    two = codes_run(encoder(), out=tmp_path / "codes", **changes)
    same_results(one, two)
    same_files(tmp_path / "dense", tmp_path / "codes")
    assert (
        np.asarray(one["outer"].thresholds) > 0
    ).any()  # some units are active in more than 0.5 % of the places
    assert (np.asarray(one["outer"].thresholds) == 0).any()  # others are not: their threshold is 0


@pytest.mark.parametrize("stride", [1, 32])
@pytest.mark.parametrize("k", [1, 4])
def test_large_maps_and_single_cells(stride: int, k: int) -> None:
    same_results(dense_run(encoder(k), stride=stride), codes_run(encoder(k), stride=stride))


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_passes_make_no_difference(passes: int) -> None:
    expected = dense_run(encoder(), quantile=0.02)
    found = codes_run(encoder(), quantile=0.02, passes=passes)
    same_results(expected, found)
    assert found.run["passes"]["outer"] == min(passes, 2)


def test_memory_that_runs_out_makes_no_difference() -> None:
    """One pass that outgrows its memory goes on as two."""
    from fastdissect import planning

    before, planning.FLOOR = planning.FLOOR, 1 << 12
    try:
        found = codes_run(encoder(), quantile=0.05, passes=1, memory=1 << 15)
    finally:
        planning.FLOOR = before
    assert found.run["passes"]["outer"] == 2
    same_results(dense_run(encoder(), quantile=0.05), found)


@pytest.mark.parametrize("name", ["reference", "numba", "cpp-base"])
def test_backends_make_no_difference(name: str, force_backend: Any) -> None:
    expected = dense_run(encoder())
    force_backend(name)
    same_results(expected, codes_run(encoder()))


def test_given_thresholds_below_zero_keep_everything() -> None:
    given = {"outer": np.linspace(-1, 1, UNITS)}
    same_results(dense_run(encoder(), thresholds=given), codes_run(encoder(), thresholds=given))


def test_any_callable_and_entries_of_zero() -> None:
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unequal numbers of codes a place: the rest of the row names unit 0, with 0."""
        values, indices = (x @ torch.linspace(-1, 1, 6 * 7).view(6, 7)).relu().topk(5)
        few = torch.arange(5) < (torch.arange(len(x)) % 6)[:, None]
        return torch.where(few, indices, 0).int(), torch.where(few, values, 0)

    same_results(dense_run(encode, 7), codes_run(encode, 7))
    record = codes_run(encode, 7).run["directions"]["outer"]
    assert record["digest"] == "unknown"
    assert record["encoder"].endswith("encode")


def test_equal_values_everywhere() -> None:
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (torch.arange(len(x)) % 3)[:, None], torch.ones(len(x), 1)

    same_results(dense_run(encode, 4), codes_run(encode, 4))


@pytest.mark.parametrize("nan", ["error", "omit"])
def test_unusable_values_are_those_of_the_dense_maps(nan: str) -> None:
    calls = []

    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        indices, values = encoder()(x)
        calls.append(len(x))
        values[len(x) // 2, 0] = torch.nan
        return indices, values

    if nan == "omit":
        same_results(dense_run(encode, nan=nan), codes_run(encode, nan=nan))
        return
    errors = []
    for made in (dense_run, codes_run):
        with pytest.raises(ActivationError, match="expected a finite activation; got NaN at cell") as caught:
            made(encode)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("passes", [1, 2])
def test_an_interrupted_run_goes_on(tmp_path: Path, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    own, calls = TopKCodes.__call__, [0]

    def interrupted(self: TopKCodes, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls[0] += 1
        if calls[0] in (3, 6):  # the first call is the probe
            raise KeyboardInterrupt
        return own(self, x)

    options = {"quantile": 0.05, "passes": passes, "checkpoint_seconds": 0}
    codes_run(encoder(), out=tmp_path / "whole", **options)
    monkeypatch.setattr(TopKCodes, "__call__", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            codes_run(encoder(), out=tmp_path / "resumed", **options)
    found = codes_run(encoder(), out=tmp_path / "resumed", **options)
    assert found.run["resumed"] == 2
    same_files(tmp_path / "whole", tmp_path / "resumed")


def is_merged(out: Path) -> bool:
    """Merge; False: units must be sifted again."""
    try:
        merge(out, progress=False)
    except OutputError:
        return False
    return True


@pytest.mark.parametrize("quantile", [0.005, 0.1])
@pytest.mark.parametrize("piloted", [False, True])
def test_shards_give_the_files_of_one_process(tmp_path: Path, quantile: float, piloted: bool) -> None:
    given = {"outer": Codes("conv", encoder(), UNITS)}
    options = {**OPTIONS, "quantile": quantile, "directions": given, "batch_size": 4}
    net, data = Net().eval(), Shapes(IMAGES, size=SIZE)
    fd.dissect(net, data, [], out=tmp_path / "whole", **options)
    out = tmp_path / "out"
    if piloted:
        pilot(net, data, [], out=out, sample=12, **{k: v for k, v in options.items() if k != "cache"})
    for _ in range(6 if piloted else 1):  # a small pilot guesses too high: some units are sifted again
        for number in (2, 1, 3):
            dissect_shard(net, data, [], f"{number}/3", out=out, **options)
        if is_merged(out):
            break
    same_files(tmp_path / "whole", out)


def test_run_json_says_which_codes_and_another_encoder_is_refused(tmp_path: Path) -> None:
    found = codes_run(encoder(), out=tmp_path / "out")
    record = found.run["directions"]["outer"]
    assert (record["layer"], record["units"], record["k"], record["encoder"]) == ("conv", UNITS, 3, "top-k")
    assert "40 codes in it" in found.run["maps"]["outer"]
    codes_run(encoder(), out=tmp_path / "out")
    with pytest.raises(FastdissectError, match="another run"):
        codes_run(encoder(k=4), out=tmp_path / "out")


class Sae(nn.Module):
    units = UNITS

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Linear(6, UNITS)
        self.register_buffer("steps", torch.tensor(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        top = self.inner(x).relu().topk(2)
        return top.indices, top.values

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self(x)


def test_a_module_is_known_by_its_state(tmp_path: Path) -> None:
    records = [codes_run(Sae(seed), None).run["directions"]["outer"] for seed in (0, 0, 1)]  # type: ignore[arg-type]
    assert records[0] == records[1]
    assert records[0]["digest"] != records[2]["digest"]
    assert records[0]["encoder"].endswith("Sae")
    method = codes_run(Sae(0).encode, UNITS).run["directions"]["outer"]
    assert method["digest"] == records[0]["digest"]
    assert method["encoder"].endswith("Sae.encode")


def test_top_k_codes_are_the_largest_of_the_rectified() -> None:
    torch.manual_seed(1)
    encode, features = encoder(k=25), torch.randn(2 * PLACES + 3, 6)
    indices, values = encode(features)
    assert encode.bias is not None
    assert encode.center is not None
    dense = np.maximum((features.numpy() - encode.center) @ encode.matrix.T + encode.bias, 0)
    np.testing.assert_allclose(values.numpy(), -np.sort(-dense, axis=1)[:, :25], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        np.take_along_axis(dense, indices.numpy(), 1), values.numpy(), rtol=1e-5, atol=1e-6
    )
    assert (values[:, -1] == 0).any()  # fewer than k are positive


def _gives(*given: Any) -> Any:
    return lambda x: tuple(own(x) if callable(own) else own for own in given)


def _rows(*numbers: float, dtype: torch.dtype = torch.float32) -> Any:
    return lambda x: torch.tensor([numbers], dtype=dtype).expand(len(x), -1)


INDEX, VALUE = _rows(1, 2, dtype=torch.int64), _rows(1.0, 2.0)


@pytest.mark.parametrize(
    ("encode", "error", "words"),
    [
        (_gives(INDEX), ActivationError, "two tensors; got tuple"),
        (lambda x: x, ActivationError, "two tensors; got Tensor"),
        (
            _gives(INDEX, _rows(1.0)),
            ActivationError,
            r"a row a place; got \[2, 2\]|a row a place; got \[98, 2\]",
        ),
        (
            _gives(lambda x: torch.zeros(3, 2).long(), lambda x: torch.zeros(3, 2)),
            ActivationError,
            "a row a place",
        ),
        (_gives(VALUE, INDEX), ActivationError, "got float32 and int64; torch.topk gives values first"),
        (_gives(INDEX, _rows(1, 2, dtype=torch.float64)), ActivationError, "got int64 and float64"),
        (_gives(_rows(1, 40, dtype=torch.int64), VALUE), ActivationError, "unit numbers 0 to 39; got 40"),
        (_gives(_rows(1, -1, dtype=torch.int64), VALUE), ActivationError, "unit numbers 0 to 39; got -1"),
        (
            _gives(INDEX, _rows(1, -2.5)),
            ActivationError,
            "values of 0 or more; got -2.5 for unit 2 at place 0",
        ),
        (_gives(_rows(7, 7, dtype=torch.int64), VALUE), ActivationError, "got unit 7 twice at place 0"),
        (
            encoder(channels=5),
            LayerError,
            "codes 'outer': expected a matrix with a column for each of the layer's 6",
        ),
    ],
)
def test_what_an_encoder_must_not_give(encode: Any, error: type[FastdissectError], words: str) -> None:
    with pytest.raises(error, match=words):
        codes_run(encode)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (Codes("conv", 5, 3), "an encoder that can be called, such as top_k_codes.*; got int"),  # type: ignore[arg-type]
        (Codes("conv", _gives(INDEX, VALUE)), "the number of units, 1 or more .*; got None"),
        (Codes("conv", _gives(INDEX, VALUE), 0), "the number of units, 1 or more .*; got 0"),
        (Codes("conv", _gives(INDEX, VALUE), 2.5), "got 2.5"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_code_is_refused(codes: Codes, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        run(Net(), [], directions={"outer": codes})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"matrix": np.ones(3)}, r"a matrix \[units, channels\]; got shape \(3,\)"),
        ({"matrix": np.full((2, 2), np.nan)}, "finite float32 numbers as its matrix"),
        ({"bias": np.ones(3)}, r"a bias of shape \(2,\); got \(3,\)"),
        ({"center": np.ones(2)}, r"a center of shape \(3,\), one number a channel; got \(2,\)"),
        ({"k": 0}, "k from 1 to 2, the number of units; got 0"),
        ({"k": 3}, "k from 1 to 2, the number of units; got 3"),
        ({"k": 1.0}, "k from 1 to 2"),
    ],
)
def test_what_top_k_codes_refuses(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        top_k_codes(**{"matrix": np.ones((2, 3)), "k": 1, **given})


class Tokens(nn.Module):
    """A small transformer's likeness: patches, one block of attention, tokens [N, T, C] with a class token."""

    def __init__(self, channels: int = 48) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.patches = nn.Conv2d(3, channels, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(channels, 4, 96, batch_first=True, norm_first=True)
        self.token = nn.Parameter(torch.randn(1, 1, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.block(torch.cat([self.token.expand(len(x), -1, -1), x], dim=1))


@pytest.mark.slow
def test_an_autoencoder_of_32768_latents_on_tokens_against_a_dense_slice(tmp_path: Path) -> None:
    """Counts of 512 latents, spread over all, held against their dense maps dissected as a layer of their own."""
    draws = np.random.default_rng(0)
    encode = top_k_codes(draws.normal(size=(32768, 48)), draws.normal(size=32768) * 0.1, 32)
    network = Tokens().eval()
    options = {**OPTIONS, "batch_size": 8, "activations": False}
    found = fd.dissect(
        network, "shapes:images=60,size=56", [], directions={"sae": Codes("block", encode)}, **options
    )["sae"]
    some = np.unique(
        np.concatenate([draws.choice(32768, 500, replace=False), np.argsort(-found.mask_area)[:100]])
    )

    class Slice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, tokens, channels = x[:, 1:].shape
            dense = DenseCodes(encode, 32768)(x[:, 1:].transpose(1, 2).reshape(n, channels, 14, tokens // 14))
            return dense[:, torch.from_numpy(some)]

    plain = nn.Sequential(network, Slice()).eval()
    expected = fd.dissect(plain, "shapes:images=60,size=56", "1", **options)["1"]
    assert expected.counts.intersection.sum() > 1000
    for field in ("thresholds", "intersection", "unit_area", "mask_area"):
        np.testing.assert_array_equal(
            np.asarray(getattr(found, field))[some], np.asarray(getattr(expected, field))
        )
