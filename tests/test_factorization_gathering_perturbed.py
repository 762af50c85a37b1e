"""Perturbed copies: what each kind does, by hand; drawn by image and seed alone; groups beside the clean ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Labelled, vocabulary
from torch import nn
from torch.nn import functional

from fastdissect.datasets.shapes import Shapes
from fastdissect.errors import SettingError
from fastdissect.methods.factorization.gathering import gather_matrices
from fastdissect.methods.factorization.gathering_copies import input_gradient
from fastdissect.methods.factorization.gathering_opening import open_gathering
from fastdissect.methods.factorization.gathering_pictures import example_pictures
from fastdissect.methods.factorization.perturbation import (
    Perturbation,
    parse_perturbations,
    perturbed,
)
from fastdissect.methods.factorization.perturbation_gradient import gradient_step

KINDS = ["noise=0.2", "blur=1", "brightness=-0.1", "contrast=0.5", "occlusion=0.5", "fgsm=0.05"]


def pixels(count: int = 3, size: tuple[int, int] = (6, 8)) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Mean colours as logits, of which the first is doubled; `seen` is a layer that gives its input."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.seen(x))
        return x.mean((2, 3)) * torch.tensor([2.0, 1, 1])


def data(count: int = 5) -> Labelled:
    images = np.random.default_rng(3).integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return Labelled(images, [[] for _ in range(count)], vocabulary("a"))


def test_brightness_contrast_and_nothing() -> None:
    x = pixels()
    torch.testing.assert_close(perturbed(x, Perturbation("brightness", 0.3)), (x + 0.3).clamp(0, 1))
    mean = x.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(perturbed(x, Perturbation("contrast", 0.5)), (x + mean) / 2)
    for kind, strength in (("contrast", 1.0), ("noise", 0.0), ("blur", 0.0), ("occlusion", 0.0)):
        torch.testing.assert_close(perturbed(x, Perturbation(kind, strength)), x)


@pytest.mark.parametrize("kind", [text for text in KINDS if "fgsm" not in text])
def test_pixels_stay_pixels_and_images_are_by_themselves(kind: str) -> None:
    how = parse_perturbations(kind)[0]
    x = pixels(5)
    whole = perturbed(x, how, first=10)
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert not torch.equal(whole, x)
    torch.testing.assert_close(torch.cat([perturbed(x[:2], how, 10), perturbed(x[2:], how, 12)]), whole)


def test_noise_has_its_strength_and_depends_on_seed_and_image() -> None:
    grey = torch.full((2, 3, 60, 60), 0.5)
    a, b = perturbed(grey, Perturbation("noise", 0.1)) - grey
    assert a.std().item() == pytest.approx(0.1, rel=0.03)
    assert abs(a.mean().item()) < 0.005
    assert not torch.equal(a, b)
    assert not torch.equal(perturbed(grey, Perturbation("noise", 0.1, seed=1))[0] - grey[0], a)
    assert torch.equal(perturbed(grey, Perturbation("noise", 0.1))[0] - grey[0], a)


def test_blur_is_the_gaussian() -> None:
    scipy = pytest.importorskip("scipy.ndimage")
    x = pixels(1, (9, 12))
    found = perturbed(x, Perturbation("blur", 1.5))[0]
    for channel in range(3):
        expected = scipy.gaussian_filter(x[0, channel].double().numpy(), 1.5, mode="nearest", radius=5)
        np.testing.assert_allclose(found[channel], expected, atol=1e-5)


def test_occlusion_is_one_grey_square_inside() -> None:
    x = pixels(20)
    found = perturbed(x, Perturbation("occlusion", 0.5))
    places = set()
    for before, after in zip(x, found, strict=True):
        changed = (before != after).any(0)
        rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        assert len(rows) == len(columns) == 3
        assert (after[:, rows[0] : rows[0] + 3, columns[0] : columns[0] + 3] == 0.5).all()
        places.add((int(rows[0]), int(columns[0])))
    assert len(places) > 5


def test_the_gradient_step_is_that_of_the_cross_entropy() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 6, 5))
    x = pixels()
    found = perturbed(x, Perturbation("fgsm", 0.01), gradient=gradient_step(net))
    at = x.clone().requires_grad_(True)
    logits = net(at)
    functional.cross_entropy(logits, logits.argmax(1)).backward()
    assert at.grad is not None
    torch.testing.assert_close(found, (x + 0.01 * at.grad.sign()).clamp(0, 1))
    top = 1000 * functional.one_hot(logits.argmax(1), 5)
    certain = net(x) + top  # so sure that the cross-entropy's own gradient vanishes
    assert functional.cross_entropy(certain, certain.argmax(1)) == 0
    sure = gradient_step(lambda p: net(p) + top)(x)
    assert torch.equal(sure.sign(), at.grad.sign())
    with pytest.raises(SettingError, match="switches gradients off"):
        gradient_step(lambda p: p.detach().flatten(1))(x)


def test_the_top_class_is_one_that_the_network_decides_among() -> None:
    opened = open_gathering("builtin:shapes", "shapes:images=3", "conv5", device="cpu", workers=0)
    dataset, module = opened.source.dataset, opened.loaded.module
    assert isinstance(dataset, Shapes)
    x = next(opened.source.batches.batches(0, False)).images
    found = input_gradient(opened)(opened.source.scale.pixels(x, "shapes"))
    at = x.clone().requires_grad_(True)
    logits = module(at)
    columns = [dataset.concepts.names.index(name) for name in dataset.classes]
    assert not torch.equal(
        logits.argmax(1), torch.tensor(columns)[logits[:, columns].argmax(1)]
    )  # colours are louder
    functional.cross_entropy(logits[:, columns], logits[:, columns].argmax(1)).backward()
    assert at.grad is not None
    assert (found.sign() == at.grad.sign()).float().mean() > 0.999  # but for rounding


def test_the_networks_own_top_class_is_pushed_down() -> None:
    found = gather_matrices(
        Net(), data(), "seen", pool="full", pixels=None, perturb="fgsm=0.02", progress=False, workers=0,
        preprocessing=PLAIN, rectify=True, device="cpu", batch_size=2,
    )  # fmt: skip
    opened = open_gathering(
        Net(),
        data(),
        "seen",
        pool="full",
        pixels=8,
        perturb="fgsm=0.02",
        preprocessing=PLAIN,
        rectify=True,
        device="cpu",
    )
    pictures = example_pictures(opened)
    assert pictures is not None
    rows = np.array(found.matrices[0].values).reshape(5, 2, 3, 6, 8)
    for image in range(5):
        clean, copy = pictures(2 * image), pictures(2 * image + 1)
        np.testing.assert_array_equal(clean, data().read_image(image)[0])
        means = np.maximum((clean / 255 - 0.5) / 0.25, 0).mean((0, 1)) * [2, 1, 1]
        top = int(means.argmax())
        moved = copy.astype(int) - clean
        lit = clean > 128 + 6  # where the ReLU lets a change through
        assert (moved[..., top][lit[..., top]] <= 0).all()
        assert (moved[..., top][lit[..., top]] < 0).any()
        others = [c for c in range(3) if c != top]
        assert (moved[..., others] >= 0).all()
        expected = np.maximum((copy / 255 - 0.5) / 0.25, 0).transpose(2, 0, 1)
        np.testing.assert_allclose(
            rows[image, 1], expected, atol=0.5 / 255 / 0.25 + 1e-6
        )  # pictures are 8-bit


def test_each_image_comes_clean_and_once_for_each_perturbation() -> None:
    options = {
        "pixels": 8, "progress": False, "workers": 0, "preprocessing": PLAIN, "device": "cpu", "size": (8, 8), "pool": "full",
    }  # fmt: skip
    plain = gather_matrices(Net(), data(), "relu", **options)  # type: ignore[arg-type]
    found = gather_matrices(Net(), data(), "relu", perturb=KINDS, batch_size=2, **options)  # type: ignore[arg-type]
    groups = found.examples.groups
    assert groups is not None
    assert groups.names == ("clean", *KINDS)
    assert groups.numbers.tolist() == [0, 1, 2, 3, 4, 5, 6] * 5
    assert found.examples.images.tolist() == [i for i in range(5) for _ in range(7)]
    assert found.example_names[:3] == ("0000", "0000 (noise=0.2)", "0000 (blur=1)")
    assert len(set(found.example_names)) == 35
    assert plain.examples.groups is None
    for one, clean in zip(found.matrices, plain.matrices, strict=True):
        np.testing.assert_array_equal(one.values[::7], clean.values)
    pixel = {one.name: np.array(one.values).reshape(5, 7, -1) for one in found.matrices}
    np.testing.assert_allclose(
        pixel["red"][:, 3], (pixel["red"][:, 0] - np.float32(0.1)).clip(0), atol=1e-6
    )  # brightness=-0.1
    for colour in ("red", "green", "blue"):  # what the network sees is what the pixels show
        seen = np.maximum((pixel[colour] - 0.5) / 0.25, 0)
        channel = ("red", "green", "blue").index(colour)
        layer = pixel["relu"].reshape(5, 7, 3, -1)[:, :, channel]
        np.testing.assert_allclose(layer, seen, atol=1e-5)
    with pytest.raises(SettingError, match=r"unknown perturbation 'nois'.*nearest: noise"):
        parse_perturbations("nois")
    with pytest.raises(SettingError, match="expected a strength from 0 to 10; got 'much'"):
        parse_perturbations("noise=much")
