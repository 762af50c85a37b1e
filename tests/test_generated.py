"""Networks that make their images: samples, pictures, masks of what was made, and the layers that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import assert_is, dissect_plainly, same_results
from segmenter_cases import COLOURS, Colours
from torch import Tensor, nn

import fastdissect as fd
from fastdissect.conventions import profile
from fastdissect.datasets.segmented.generated import Generated, with_network
from fastdissect.datasets.segmented.pictured import as_pixels
from fastdissect.datasets.segmented.samples import Samples
from fastdissect.errors import DataError, SettingError
from fastdissect.reports.writing import write_report

PAINTS = 2 * torch.tensor(list(COLOURS.values())).float() / 255 - 1  # [4, 3], -1..1


class Painter(nn.Module):
    """Samples [n, 32] -> images of 32 x 32: four by four fields, each of a colour.

    Channel k of `fields` is how much of colour k there is, times a strength of the field's own: its mask is colour k.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fields = nn.Identity()
        self.spread = nn.Upsample(scale_factor=8)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, z: Tensor) -> Tensor:
        chosen = (z[:, :16].abs() * 2).long().clamp(max=3).view(-1, 4, 4)
        strength = 1 + torch.sigmoid(z[:, 16:]).view(-1, 1, 4, 4)
        fields = self.fields(
            nn.functional.one_hot(chosen, 4).permute(0, 3, 1, 2).float() * strength * self.scale
        )
        places = nn.functional.one_hot(fields.argmax(1), 4).permute(0, 3, 1, 2).float()
        return self.spread(torch.einsum("nkhw,kc->nchw", places, PAINTS))


def generated(images: int = 30, **options: Any) -> Generated:
    return Generated(Colours(), z=32, images=images, **{"batch": 4, **options}).of(Painter())


def test_sample_i_depends_on_the_seed_and_i_alone() -> None:
    data = generated(50, seed=7)
    expected = np.random.Generator(np.random.PCG64([7, 49])).standard_normal(32, np.float32)
    for _ in range(2):
        found, digest = data.read_input(49)
        np.testing.assert_array_equal(found, expected)
    assert generated(300, seed=7).read_input(49)[1] == digest
    assert data.read_image(49)[1] == digest
    others = [data.read_input(48)[1], generated(50, seed=8).read_input(49)[1]]
    assert len({digest, *others}) == 3
    assert Generated(Colours(), z="8x2x1").read_input(0)[0].shape == (8, 2, 1)


def test_pictures_are_what_the_network_makes() -> None:
    data, network = generated(), Painter()
    for index in (29, 0, 13):
        made = network(torch.from_numpy(data.read_input(index)[0])[None])[0].permute(1, 2, 0)
        np.testing.assert_array_equal(data.read_image(index)[0], ((made + 1) * 127.5).round().numpy())
    assert data.image_size() == (32, 32)
    assert (data.image_name(3), data.files(3)) == ("generated/0_00000003.png", ())


def test_each_unit_paints_its_colour() -> None:
    """Planted truth, and bit for bit the plain computation: maps gathered, labels read one by one."""
    network = Painter()
    data = Generated(Colours(), z=32, images=30, batch=4).of(network)
    d = fd.dissect(network, data, "fields", quantile=0.1, batch_size=7, cache=None)
    layer = d["fields"]
    assert layer.units()["label"].tolist() == list(COLOURS)
    maps: list[Any] = []
    handle = network.fields.register_forward_hook(lambda _m, _a, output: maps.append(output.numpy()))
    with torch.inference_mode():
        for first in range(0, 30, 7):
            samples = [data.read_input(i)[0] for i in range(first, min(30, first + 7))]
            network(torch.from_numpy(np.stack(samples)))
    handle.remove()
    settings = profile("netdissect", quantile=0.1)
    assert_is(layer, dissect_plainly(np.concatenate(maps), data, settings, layer.upsampling))


def test_labels_do_not_depend_on_the_run_s_batches(tmp_path: Path) -> None:
    results = []
    for batch_size in (3, 8, 30):
        network, segmenter = Painter(), Colours()
        data = Generated(segmenter, z=32, images=30, batch=4).of(network)
        results.append(
            fd.dissect(network, data, "fields", quantile=0.2, batch_size=batch_size, cache=None, workers=2)
        )
        assert segmenter.batches == [4] * 7 + [2]
    same_results(results[0], results[1])
    same_results(results[0], results[2])


def test_a_second_run_neither_segments_nor_generates_twice(tmp_path: Path) -> None:
    calls = []
    options = {"quantile": 0.2, "batch_size": 10, "cache": tmp_path / "cache"}
    for run in range(2):
        network, segmenter = Painter(), Colours()
        network.register_forward_hook(lambda *_: calls.append("whole"))
        data = Generated(segmenter, z=32, images=30, batch=10).of(network)
        fd.dissect(network, data, "fields", out=tmp_path / str(run), **options)
        assert sum(segmenter.batches) == (0 if run else 30)
    one, two = (fd.load(tmp_path / str(run)) for run in range(2))
    same_results(one, two)
    # once to meet the network, the first batch to its end, one block for the image's size; then the labels' three
    assert calls.count("whole") <= 2 * 3 + 3
    other = Painter()
    other.scale.data *= 2
    assert Generated(Colours(), z=32, images=30, batch=10).of(other).fingerprint() != data.fingerprint()


def test_the_page_shows_what_was_generated(tmp_path: Path) -> None:
    network = Painter()
    data = Generated(Colours(), z=32, images=30).of(network)
    d = fd.dissect(network, data, "fields", quantile=0.2, out=tmp_path / "out", cache=None)
    page = write_report(d, data, tmp_path / "out" / "report")
    assert page.exists()
    assert any((page.parent / "images").rglob("*.jp*g"))


def test_it_is_bound_by_the_network_that_is_dissected() -> None:
    network, loose = Painter().train(), Generated(Colours(), z=32)
    with pytest.raises(DataError, match="made by the network that is dissected"):
        loose.read_image(0)
    bound = with_network(loose, network)
    assert (bound.network is network, network.training, loose.network) == (True, False, None)
    assert with_network(bound, Painter()) is bound
    assert with_network("shapes:images=3", network) == "shapes:images=3"


class Steps(nn.Module):
    """A diffusion model in small: a noisy latent at one time step -> the noise in it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(4, 6, 3, padding=1)
        self.noise = nn.Conv2d(6, 4, 1)

    def forward(self, latent: Tensor) -> Tensor:
        return self.noise(torch.relu(self.body(latent)))


def test_samples_of_one_s_own() -> None:
    """A latent comes in, the picture is what steps of one's own make of it."""
    torch.manual_seed(0)
    network = Steps().eval()
    asked = []

    def latent(index: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng([3, index]).standard_normal((4, 8, 8), np.float32))

    def decoded(latents: Tensor) -> Tensor:
        asked.append(len(latents))
        for _ in range(3):
            latents = latents - 0.1 * network(latents)
        return nn.functional.interpolate(latents[:, :3], scale_factor=4).clamp(0, 1)

    data = Samples(Colours(), latent, decoded, 10, content="steps of three", span=(0, 1), batch=4)
    d = fd.dissect(network, data, ["body", "noise"], batch_size=5, quantile=0.1, cache=None)
    assert d["body"].shape == (10, 6, 8, 8)
    assert set(asked) == {4, 2}
    np.testing.assert_array_equal(data.read_image(9)[0].shape, (32, 32, 3))
    same = Samples(Colours(), latent, decoded, 10, content="steps of three", span=(0, 1), batch=4)
    other = Samples(Colours(), latent, decoded, 10, content="steps of four", span=(0, 1), batch=4)
    assert data.fingerprint() == same.fingerprint() != other.fingerprint()


def test_what_is_no_image() -> None:
    image = torch.zeros(2, 3, 4, 4)
    for made, message in (
        ((image,), "got tuple"),
        (image.int(), r"got a tensor of torch\.int32"),
        (image[0], r"expected 2 images.*got \[3, 4, 4\]"),
        (image.permute(0, 2, 3, 1), r"got \[2, 4, 4, 3\]"),
        (image[:1], r"got \[1, 3, 4, 4\]"),
        (image / 0, "finite values; got NaN or infinity"),
        (image[:, :, :0], r"got \[2, 3, 0"),
        (image + 255, r"values from 255 to 255; say what black and white are \(range="),
    ):
        with pytest.raises(DataError, match=message):
            as_pixels(made, 2, (-1, 1))
    grey = as_pixels(torch.full((2, 1, 4, 4), 0.5), 2, (0, 1))
    assert grey.shape == (2, 4, 4, 3)
    assert set(grey.ravel().tolist()) == {128}


def test_bad_input() -> None:
    for options, message in (
        ({"z": "0"}, "z is '0'; expected how many numbers"),
        ({"z": "12y"}, "512x1x1"),
        ({"seed": -1}, "seed is -1"),
        ({"images": 0}, "images is 0"),
        ({"range": "-1,1"}, "range is '-1,1'"),
        ({"range": "1..0"}, "range is '1..0'; expected the values of black and white"),
        ({"z": "99999x99999"}, "at most 134,217,728"),
        ({"cut": 0.5}, "a Segmenter has its own"),
    ):
        with pytest.raises(SettingError, match=message):
            Generated(Colours(), **options)
    with pytest.raises(SettingError, match="generator:segmenter=MODEL,z=128"):
        Generated()
    with pytest.raises(DataError, match=r"fails on samples \[4, 16\].*z=512x1x1"):
        Generated(Colours(), z=16, images=4).of(nn.Linear(32, 3)).read_image(0)
    with pytest.raises(DataError, match=r"fails on samples \[4, 16\]: AssertionError"):
        Generated(Colours(), z=16, images=4).of(Refusing()).read_image(0)
    with pytest.raises(DataError, match=r"got \[8, 3\]"):
        Generated(Colours(), z=16).of(nn.Linear(16, 3)).read_image(0)
    with pytest.raises(SettingError, match="content is empty"):
        Samples(Colours(), lambda i: np.zeros(3), lambda x: x, 3, content="")
    uneven = Samples(Colours(), lambda i: np.zeros(3 + i), lambda x: x, 3, content="uneven")
    with pytest.raises(DataError, match="sample 1: expected finite numbers of one shape"):
        uneven.read_image(0)
    bad = Samples(Colours(), lambda i: np.full(3, np.nan), lambda x: x, 3, content="NaN")
    with pytest.raises(DataError, match="with NaN or infinity"):
        bad.read_input(0)


class Refusing(nn.Module):
    """A generator that asserts the shape of its input, as many do."""

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim != 4:
            raise AssertionError
        return z
