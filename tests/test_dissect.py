"""dissect() against the plain computation: every activation gathered, every map upsampled, every pixel counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import (
    LAYERS,
    PLAIN,
    Labelled,
    Net,
    as_dense,
    assert_canonical,
    assert_is,
    dissect_plainly,
    gather,
    permuted,
    same_results,
    seen_by,
    vocabulary,
)

import fastdissect as fd
from fastdissect.conventions import PROFILES
from fastdissect.datasets import open_dataset
from fastdissect.models import TokenGrid, receptive_field

SIZE = 48


def run(model: Any, data: Any, layers: Any, **options: Any) -> Any:
    defaults = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 16, "progress": False}
    return fd.dissect(model, data, layers, **{**defaults, **options})


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("quantile", [None, 0.1])
def test_every_profile_equals_the_plain_computation(name: str, quantile: float | None) -> None:
    data = open_dataset(f"shapes:images=40,size={SIZE}")
    net = Net().eval()
    layers = LAYERS[:3] if name == "netdissect-caffe" else LAYERS
    options = {} if quantile is None else {"quantile": quantile}
    found = run(net, data, layers, profile=name, **options)
    data = seen_by(name, data)
    tensors = gather(net, data, layers, 16, (SIZE, SIZE))
    assert list(found) == list(layers)
    for layer in layers:
        maps = as_dense(tensors[layer])
        table = found[layer].upsampling
        assert table.size == (SIZE // 2, SIZE // 2)
        fields = None
        if table.mode == "receptive-field":
            field = receptive_field(net, layer, (SIZE, SIZE))
            fields = [(field.offset[a], field.size[a], field.stride[a]) for a in (0, 1)]
        plain = dissect_plainly(maps, data, found.profile, table, fields=fields, inputs=(SIZE, SIZE))
        assert_is(found[layer], plain)
        assert_canonical(found[layer], maps)
        assert found[layer].shape == maps.shape
        np.testing.assert_array_equal(found[layer].maxima, maps.max((2, 3)))
        np.testing.assert_allclose(found[layer].means, maps.mean((2, 3)), rtol=1e-5, atol=1e-7)
        for unit, image in ((0, 3), (1, 0), (2, len(data) - 1)):
            mask = found[layer].unit_mask(unit, image)
            np.testing.assert_array_equal(mask, plain.masks[image, unit])


def maps_model(*layers: torch.nn.Module, grain: int = 8) -> torch.nn.Module:
    """A network whose arithmetic cannot depend on the batch: pooling by sampling, then integers all the way."""
    return torch.nn.Sequential(Sample(grain), *layers).eval()


class Sample(torch.nn.Module):
    """Every `grain`-th pixel, as the integers that it was: [N, 3, h, w]."""

    def __init__(self, grain: int) -> None:
        super().__init__()
        self.grain = grain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(x[:, :, :: self.grain, :: self.grain] * 63.75)


class Mix(torch.nn.Module):
    """Sums of neighbours with whole weights: exact in float32 in any order."""

    def __init__(self, units: int = 6, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randint(-3, 4, (units, 3, 3, 3), generator=generator).float()
        self.convolution = torch.nn.Conv2d(3, units, 3, padding=1, bias=False)
        self.convolution.weight.data = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.convolution(x)
        return out


def shapes(images: int = 40, size: int = SIZE) -> Any:
    return open_dataset(f"shapes:images={images},size={size}")


def test_batch_size_changes_nothing() -> None:
    net, data = maps_model(Mix()), shapes()
    whole = run(net, data, "1", batch_size=40, quantile=0.05)
    plain = dissect_plainly(
        as_dense(gather(net, data, ["1"], 40, (SIZE, SIZE))["1"]), data, whole.profile, whole["1"].upsampling
    )
    assert_is(whole["1"], plain)
    for batch_size in (1, 7, 16, 64):
        same_results(run(net, data, "1", batch_size=batch_size, quantile=0.05), whole)


@pytest.mark.parametrize("name", PROFILES)
def test_image_order_permutes_means_and_maxima_and_nothing_else(name: str) -> None:
    net, data = maps_model(Mix()), seen_by(name, shapes(30))
    order = np.random.default_rng(0).permutation(len(data))
    options = {"quantile": 0.05, "profile": name}
    if name == "netdissect-caffe":
        options["upsampling"] = "half-pixel"  # `Sample` has no receptive field
    one, two = run(net, data, "1", **options)["1"], run(net, permuted(data, order), "1", **options)["1"]
    for field in ("thresholds", "seen", "intersection", "unit_area", "concept_area", "mask_area"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field), err_msg=field)
    np.testing.assert_array_equal(one.means[order], two.means)
    np.testing.assert_array_equal(one.maxima[order], two.maxima)
    assert one.intersection.any()


def test_a_part_of_the_images_is_the_run_on_that_part() -> None:
    net, data = maps_model(Mix()), shapes(30)
    same_results(run(net, data, "1", images=13), run(net, permuted(data, range(13)), "1"))


@pytest.mark.parametrize("profile", ["netdissect", "netdissect-lite", "dissect-2020"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_networks(dtype: torch.dtype, profile: str) -> None:
    net, data = maps_model(Mix()).to(dtype), shapes(30)
    for passes in (1,) if profile == "dissect-2020" else (1, 2, 3):
        found = run(net, data, "1", quantile=0.05, passes=passes, profile=profile)["1"]
        seen = seen_by(profile, data)
        tensor = gather(net, seen, ["1"], 16, (SIZE, SIZE), dtype=dtype)["1"]
        assert tensor.dtype == dtype
        assert found.activations.kind == str(dtype).removeprefix("torch.")
        assert found.activations.values.itemsize == 2
        maps = as_dense(tensor)
        assert_is(found, dissect_plainly(maps, seen, found.profile, found.upsampling))
        assert_canonical(found, maps)
        np.testing.assert_array_equal(found.maxima, maps.max((2, 3)))


class Wrap(torch.nn.Module):
    """Gives its input on in another wrapping."""

    def __init__(self, how: Any) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> Any:
        return self.how(x)


WRAPPINGS = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "tuple": lambda x: (x, x * 2),
    "dict": lambda x: {"out": x, "aux": x * 2},
    "list with none": lambda x: [None, x],
    "every second": lambda x: torch.stack([x, -x], 3)[:, :, :, 0],
    "expanded": lambda x: x[:, :1].expand_as(x),
}


@pytest.mark.parametrize("how", WRAPPINGS)
def test_outputs_in_any_wrapping_and_layout(how: str) -> None:
    data = shapes(30)
    plain = maps_model(Mix())
    net = torch.nn.Sequential(plain[0], plain[1], Wrap(WRAPPINGS[how])).eval()
    source = plain if how != "expanded" else net
    maps = as_dense(gather(source, data, ["1" if source is plain else "2"], 16, (SIZE, SIZE)).popitem()[1])
    found = run(net, data, "2", quantile=0.05)["2"]
    assert_is(found, dissect_plainly(maps, data, found.profile, found.upsampling))
    np.testing.assert_array_equal(found.maxima, maps.max((2, 3)))


def test_a_fully_connected_layer_is_a_map_of_one_cell() -> None:
    data = shapes(30)
    net = torch.nn.Sequential(Sample(16), torch.nn.Flatten(), Wrap(lambda x: x[:, :11] - x[:, 5:16])).eval()
    found = run(net, data, "2", quantile=0.1)["2"]
    maps = as_dense(gather(net, data, ["2"], 16, (SIZE, SIZE))["2"])
    assert found.shape == (30, 11, 1, 1) == maps.shape
    plain = dissect_plainly(maps, data, found.profile, found.upsampling)
    assert_is(found, plain)
    assert plain.masks.any()
    assert (plain.masks.all((2, 3)) == plain.masks.any((2, 3))).all()  # all of the image or nothing


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens(prefix: int) -> None:
    data = shapes(30)

    def tokens(x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(2).transpose(1, 2)
        return torch.cat([torch.full((len(x), prefix, x.shape[1]), 1e6), flat], 1)

    net = torch.nn.Sequential(*maps_model(Mix()), Wrap(tokens)).eval()
    given = None if prefix < 2 else TokenGrid(prefix=prefix)
    found = run(net, data, "2", quantile=0.05, tokens=given)["2"]
    maps = as_dense(gather(net, data, ["1"], 16, (SIZE, SIZE))["1"])
    assert_is(found, dissect_plainly(maps, data, found.profile, found.upsampling))
    assert_canonical(found, maps)


@pytest.mark.parametrize("profile", ["netdissect", "netdissect-lite", "dissect-2020"])
def test_maps_of_any_size_beside_the_mask(profile: str) -> None:
    data = shapes(12)
    for grain, mask in ((48, None), (4, (5, 7)), (1, (24, 24)), (16, (48, 48)), (3, (16, 16))):
        net = maps_model(grain=grain)
        found = run(net, data, "0", quantile=0.1, mask_size=mask, profile=profile)["0"]
        seen = seen_by(profile, data)
        maps = as_dense(gather(net, seen, ["0"], 16, (SIZE, SIZE))["0"])
        assert found.upsampling.cells == (-(-SIZE // grain),) * 2
        assert_is(found, dissect_plainly(maps, seen, found.profile, found.upsampling))
        assert_canonical(found, maps)


UNITS = {
    "dead": lambda x: x * 0,
    "minus zero": lambda x: x * -0.0,
    "constant": lambda x: torch.full_like(x, -3.5),
    "constant above": lambda x: torch.full_like(x, 2.0),
    "binary": lambda x: (x > 0).float(),
    "coarse": lambda x: torch.round(x / 100),
    "zeros of both signs": lambda x: torch.where(x > 0, 0.0, -0.0),
    "mostly zero": lambda x: torch.where(x > 150, x, 0.0),
    "all negative": lambda x: -x.abs() - 1,
    "tiny": lambda x: x * 2.0**-140,
    "huge": lambda x: x * 2.0**116,
}


@pytest.mark.parametrize("quantile", [0.005, 0.3])
@pytest.mark.parametrize("profile", ["netdissect", "netdissect-lite", "dissect-2020"])
def test_units_with_ties_zeros_and_extremes(profile: str, quantile: float) -> None:
    data = shapes(30)
    net = torch.nn.Sequential(
        *maps_model(Mix(1)), Wrap(lambda x: torch.cat([f(x) for f in UNITS.values()], 1))
    ).eval()
    seen = seen_by(profile, data)
    maps = as_dense(gather(net, seen, ["2"], 16, (SIZE, SIZE))["2"])
    for passes in (1,) if profile == "dissect-2020" else (1, 2, 3):
        found = run(net, data, "2", quantile=quantile, profile=profile, passes=passes)["2"]
        assert_is(found, dissect_plainly(maps, seen, found.profile, found.upsampling))
        assert_canonical(found, maps)
        share = (maps > found.thresholds[None, :, None, None]).mean((0, 2, 3))
        if found.profile.readout == "inverted-cdf":
            assert (share <= quantile).all()


def test_several_layers_together_are_each_layer_alone() -> None:
    net, data = Net().eval(), shapes(30)
    together = run(net, data, LAYERS, quantile=0.05)
    for layer in LAYERS:
        same_results(run(net, data, layer, quantile=0.05), {layer: together[layer]})
    assert list(run(net, data, ["third", "first"])) == ["first", "third"]  # the model's order
    same_results(run(net, data, "*", quantile=0.05), together)


def test_given_thresholds_are_counted_with() -> None:
    net, data = Net().eval(), shapes(30)
    maps = as_dense(gather(net, data, ["second"], 16, (SIZE, SIZE))["second"])
    given = np.linspace(-1, 2, 9, dtype=np.float32)
    given[0], given[1] = -np.inf, np.inf
    found = run(net, data, "second", thresholds={"second": given})["second"]
    assert_is(found, dissect_plainly(maps, data, found.profile, found.upsampling, thresholds=given))
    assert_canonical(found, maps)
    own = run(net, data, "second", quantile=0.05)["second"]
    again = run(net, data, "second", thresholds={"second": own.thresholds}, quantile=0.05)["second"]
    same_results({"second": own}, {"second": again})


def test_every_item_of_a_profile_can_be_set() -> None:
    net, data = Net().eval(), shapes(30)
    maps = as_dense(gather(net, data, ["first"], 16, (SIZE, SIZE))["first"])
    for items in (
        {"readout": "linear"},
        {"population": "upsampled"},
        {"population": "upsampled", "readout": "linear", "upsampling": "half-pixel-zero"},
        {"presence": "under-mask", "repeats": "per-channel"},
        {"presence": "all", "quantile": "5/999"},
    ):
        found = run(net, data, "first", **items)["first"]
        assert_is(found, dissect_plainly(maps, data, found.profile, found.upsampling))


def test_a_label_that_two_channels_carry_counts_once_or_twice() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    a, b = rng.integers(0, 4, (2, 20, 16, 16)).astype(np.uint16)
    labels = [[(0, a[i]), (0, b[i]), (1, 3), *([(1, 3)] if i % 2 else [])] for i in range(20)]
    data = Labelled(images, labels, vocabulary(["x", "y"], ["z"]))
    net = maps_model(grain=2)
    maps = as_dense(gather(net, data, ["0"], 16, (16, 16))["0"])
    for repeats in ("once", "per-channel"):
        found = run(net, data, "0", quantile=0.1, repeats=repeats, mask_size=16)["0"]
        assert_is(found, dissect_plainly(maps, data, found.profile, found.upsampling))
        drawn = (a == 3).sum() + (b == 3).sum()
        assert found.concept_area[2] == (20 * 256 if repeats == "once" else 30 * 256 + drawn)


def test_images_without_labels_count_towards_thresholds_alone() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    labels = [[(0, (images[i, ..., 0] > 200).astype(np.uint16))] if i % 3 else [] for i in range(20)]
    data = Labelled(images, labels, vocabulary(["red"], ["never"]))
    net = maps_model(grain=1)
    maps = as_dense(gather(net, data, ["0"], 16, (16, 16))["0"])
    found = run(net, data, "0", quantile=0.1, mask_size=16)["0"]
    plain = dissect_plainly(maps, data, found.profile, found.upsampling)
    assert_is(found, plain)
    labelled = plain.masks[[i for i in range(20) if i % 3]].sum((0, 2, 3))
    np.testing.assert_array_equal(found.unit_area[:, 0], labelled)
    assert (found.mask_area > labelled).all()
    assert not found.unit_area[:, 1].any()
    assert found.concept_area[1] == 0


# Planted truth: METHODS 1.9


def planted(seed: int, images: int = 40, size: int = 32) -> tuple[Labelled, np.ndarray[Any, Any]]:
    """Nine rare concepts in three categories, and for each a unit that is its mask, graded: [N, 9, size, size]."""
    rng = np.random.default_rng(seed)
    concepts = vocabulary(["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"])
    maps = np.zeros((images, 9, size, size), np.float32)
    labels = []
    for n in range(images):
        channels = [np.zeros((size, size), np.uint16) for _ in range(3)]
        c = n % 9
        y, x = rng.integers(0, size - 4, 2)
        channels[c // 3][y : y + 4, x : x + 4] = c + 1
        maps[n, c, y : y + 4, x : x + 4] = rng.uniform(1, 2, (4, 4))
        labels.append(list(enumerate(channels)))
    pixels = np.zeros((images, size, size, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(images)  # the image's number, which `Recall` reads
    return Labelled(pixels, labels, concepts), maps


class Recall(torch.nn.Module):
    """Gives back stored maps: a fixed table from the image's number to [K, h, w]."""

    def __init__(self, maps: np.ndarray[Any, Any]) -> None:
        super().__init__()
        self.register_buffer("maps", torch.from_numpy(np.ascontiguousarray(maps)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        number = torch.round((x[:, 0, 0, 0] * 0.25 + 0.5) * 255).long()
        return self.maps[number.clamp(max=len(self.maps) - 1)]  # an image of zeros has a number too


def recall(maps: np.ndarray[Any, Any]) -> torch.nn.Module:
    return torch.nn.Sequential(Recall(maps)).eval()


def test_planted_units_have_an_iou_of_one() -> None:  # 1.9.1
    data, maps = planted(0)
    found = run(recall(maps), data, "0", mask_size=32)["0"]
    iou = found.iou()
    np.testing.assert_array_equal(iou, np.eye(9))
    assert not found.thresholds.any()
    assert list(found.units()["label"]) == list("abcdefghi")
    assert found.summary().unique_detectors == 9


def test_a_rising_function_of_a_unit_changes_its_threshold_alone() -> None:  # 1.9.2
    rng = np.random.default_rng(3)
    data, _ = planted(3)
    maps = rng.normal(size=(40, 5, 32, 32)).astype(np.float32)
    plain = run(recall(maps), data, "0", mask_size=32)["0"]
    bent = run(recall(np.arctan(maps * 3)), data, "0", mask_size=32)["0"]
    np.testing.assert_array_equal(plain.intersection, bent.intersection)
    np.testing.assert_array_equal(plain.unit_area, bent.unit_area)
    np.testing.assert_array_equal(bent.thresholds, np.arctan(plain.thresholds * 3))
    small = maps[:, :, ::4, ::4]
    plain = run(recall(small), data, "0", mask_size=32)["0"]  # with interpolation: positive scaling
    scaled = run(recall(small * np.float32(8)), data, "0", mask_size=32)["0"]
    np.testing.assert_array_equal(plain.intersection, scaled.intersection)
    np.testing.assert_array_equal(plain.mask_area, scaled.mask_area)
    np.testing.assert_array_equal(plain.thresholds * 8, scaled.thresholds)


def test_permuting_units_permutes_rows() -> None:  # 1.9.3
    rng = np.random.default_rng(4)
    data, _ = planted(4)
    maps, order = rng.normal(size=(40, 6, 8, 8)).astype(np.float32), rng.permutation(6)
    one, two = (run(recall(m), data, "0", mask_size=32)["0"] for m in (maps, maps[:, order]))
    for field in ("thresholds", "intersection", "unit_area", "mask_area"):
        np.testing.assert_array_equal(getattr(one, field)[order], getattr(two, field))
    np.testing.assert_array_equal(one.concept_area, two.concept_area)


def test_images_without_a_category_do_not_touch_its_iou() -> None:  # 1.9.4
    rng = np.random.default_rng(5)
    data, _ = planted(5)
    maps = rng.normal(size=(40, 6, 8, 8)).astype(np.float32)
    cut = {"0": np.full(6, 1.5, np.float32)}
    before = run(recall(maps[:27]), data, "0", mask_size=32, thresholds=cut, images=27)["0"].iou()
    fewer = Labelled(
        [data.read_image(i)[0] for i in range(40)],
        [
            [(q, m) for q, m in data._labels[i] if i < 27 or (q != 1 and not (q == 0 and (m > 0).any()))]
            for i in range(40)
        ],
        data.concepts,
    )
    after = run(recall(maps), fewer, "0", mask_size=32, thresholds=cut)["0"].iou()
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    assert (before[:, 6:] != after[:, 6:]).any()


def test_half_an_overlap_is_an_iou_of_a_third() -> None:  # 1.9.5
    maps = np.zeros((1, 1, 32, 32), np.float32)
    maps[0, 0, 4:8, 4:8] = 1
    labels = np.zeros((32, 32), np.uint16)
    labels[4:8, 6:10] = 1
    data = Labelled(np.zeros((1, 32, 32, 3), np.uint8), [[(0, labels)]], vocabulary(["a"]))
    found = run(recall(maps), data, "0", mask_size=32, quantile=0.1)["0"]
    assert found.iou()[0, 0] == pytest.approx(1 / 3, abs=1e-15)


def test_a_layer_with_too_few_values_is_undetermined(caplog: pytest.LogCaptureFixture) -> None:
    net, data = Net().eval(), shapes(30)
    found = run(net, data, "head")
    assert found["head"].undetermined
    assert found["head"].summary().undetermined
    assert not found["head"].mask_area.any()
    assert "200 values are needed" in caplog.text
    assert "200 images" in caplog.text
