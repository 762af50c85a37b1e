"""The drop-in for NetDissect-Lite against the slow way of netdissect_lite_cases: thresholds, tables, masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from netdissect_lite_cases import (
    Array,
    LiteNet,
    PlainBroden,
    all_activations,
    assert_same_rows,
    exact_thresholds,
    lite_settings,
    rewrite_index,
    tally_plainly,
)
from PIL import Image

from fastdissect.compat.netdissect_lite import FeatureOperator
from fastdissect.compat.netdissect_lite.recounting import checked_thresholds
from fastdissect.datasets import open_dataset, write_broden
from fastdissect.errors import ActivationError, SettingError

IMAGES = 70
LAYERS = ["early", "late"]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Packed masks are not kept in the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDISSECT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def broden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Broden: maps, numbers, zeros among them, images with numbers alone, images without any label."""
    folder = tmp_path_factory.mktemp("lite") / "broden"
    write_broden(open_dataset(f"shapes:images={IMAGES},size=48,seed=2"), folder)

    def change(i: int, row: dict[str, str]) -> None:
        if i % 3 == 1:  # no maps
            row.update(object="", part="", color="", scene=("102", "0", "102;107")[i // 3 % 3], material="")
            row["texture"] = ("", "305;0", "301")[i // 3 % 3]
        elif i % 10 == 0:
            row.update(texture="0;305", scene="0")
        elif i % 7 == 0:
            row["texture"] = "0"
        if i in (5, 6, 33):
            row.update(dict.fromkeys(("object", "part", "scene", "texture", "color"), ""), material="81")

    rewrite_index(folder, change)
    return folder


@pytest.fixture(scope="module")
def run(broden: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One extraction of two layers, and the same activations gathered plainly."""
    data, net = PlainBroden(broden), LiteNet().eval()
    maps = all_activations(net, data, LAYERS, 16)
    out = tmp_path_factory.mktemp("lite") / "out"
    fo = FeatureOperator(lite_settings(out, broden, FEATURE_NAMES=LAYERS))
    features, maxima = fo.feature_extraction(model=net)
    return SimpleNamespace(fo=fo, features=features, maxima=maxima, data=data, maps=maps, net=net)


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest, run: SimpleNamespace) -> SimpleNamespace:
    i = LAYERS.index(request.param)
    return SimpleNamespace(
        name=request.param, handle=run.features[i], maxima=run.maxima[i], maps=run.maps[request.param]
    )


def test_images_without_a_label_of_these_categories_are_left_out(run: SimpleNamespace) -> None:
    own = [
        Path(run.fo.data.filename(i)).relative_to(run.data.folder / "images")
        for i in range(run.fo.data.size())
    ]
    assert [path.as_posix() for path in own] == [row["image"] for row in run.data.rows]
    assert len(own) < IMAGES


def test_thresholds_are_the_exact_quantile_at_lites_level(
    run: SimpleNamespace, layer: SimpleNamespace
) -> None:
    found = run.fo.quantile_threshold(layer.handle)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, exact_thresholds(layer.maps).astype(np.float32))
    np.testing.assert_array_equal(found, layer.handle.thresholds)


def test_maxima_are_every_images_maximum(layer: SimpleNamespace) -> None:
    np.testing.assert_array_equal(layer.maxima, layer.maps.max((2, 3)))


def test_the_table_is_the_plain_one(run: SimpleNamespace, layer: SimpleNamespace) -> None:
    thresholds = run.fo.quantile_threshold(layer.handle)
    plain = tally_plainly(layer.maps, run.data, thresholds)
    assert_same_rows(run.fo.tally(layer.handle, thresholds), plain.rows)
    assert max(row["score"] for row in plain.rows) > 0.02
    ties = sum(row["score"] == 0 for row in plain.rows)  # rows that rest on the rules of ties
    assert ties >= (2 if layer.name == "late" else 0)


def elsewhere(layer: SimpleNamespace, how: str) -> Array:
    """Thresholds as from another program: float64, near the exact ones."""
    rng = np.random.default_rng(len(how))
    exact = exact_thresholds(layer.maps)
    spread = layer.maps.std((0, 2, 3)).astype(np.float64)
    noise = rng.random(len(exact)) * spread / 2
    return {"higher": exact + noise, "lower": exact - noise, "mixed": exact + noise - spread / 4}[how]


@pytest.mark.parametrize("how", ["higher", "lower", "mixed"])
def test_thresholds_from_elsewhere_are_honoured(
    run: SimpleNamespace, layer: SimpleNamespace, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    cuts = elsewhere(layer, how)
    with caplog.at_level("WARNING", "fastdissect"):
        rows = run.fo.tally(layer.handle, cuts)
    assert ("running the network once more" in caplog.text) == (how != "higher")
    assert_same_rows(rows, tally_plainly(layer.maps, run.data, cuts).rows)


def test_every_iou_is_within_a_ten_thousandth(run: SimpleNamespace, layer: SimpleNamespace) -> None:
    cuts = elsewhere(layer, "mixed")
    found, plain = run.fo.layer_of(layer.handle, cuts), tally_plainly(layer.maps, run.data, cuts)
    numbers = found.concepts.numbers
    assert np.abs(found.iou() - plain.iou[:, numbers]).max() <= 1e-4
    assert plain.iou.max() > 0.02


@pytest.mark.parametrize("how", ["exact", "mixed"])
def test_strict_counts_label_0_and_what_is_left_over(
    run: SimpleNamespace, layer: SimpleNamespace, how: str, tmp_path: Path
) -> None:
    cuts = exact_thresholds(layer.maps).astype(np.float32) if how == "exact" else elsewhere(layer, how)
    fo = FeatureOperator(
        lite_settings(tmp_path / "out", run.data.folder, FEATURE_NAMES=[layer.name]), strict=True
    )
    (handle,), _ = fo.feature_extraction(model=run.net)
    strict, plain = fo.tally(handle, cuts), tally_plainly(layer.maps, run.data, cuts, strict=True)
    assert_same_rows(strict, plain.rows)
    right = tally_plainly(layer.maps, run.data, cuts)
    assert plain.truth[0] > 0
    assert (plain.area != right.area).any()
    assert plain.intersection[:, 0].any()
    zero = [row for row in strict if row["texture-label"] == "" and row["texture-iou"] > 0]
    assert bool(zero) == (layer.name == "early")  # where label 0 wins its category
    assert strict != run.fo.tally(layer.handle, cuts)


@pytest.mark.parametrize("kind", ["float32", "float64 memory map", "torch"])
def test_arrays_of_a_scripts_own_are_counted_too(
    run: SimpleNamespace, layer: SimpleNamespace, kind: str, tmp_path: Path
) -> None:
    features: Any = layer.maps
    if kind == "torch":
        features = torch.from_numpy(layer.maps)
    if kind == "float64 memory map":
        features = np.memmap(tmp_path / "own.mmap", np.float64, "w+", shape=layer.maps.shape)
        features[:] = layer.maps
    thresholds = run.fo.quantile_threshold(features)
    np.testing.assert_array_equal(thresholds, run.fo.quantile_threshold(layer.handle))
    assert run.fo.tally(features, thresholds) == run.fo.tally(layer.handle, thresholds)
    lower = thresholds - np.float64(0.1)
    assert run.fo.tally(features, lower) == run.fo.tally(layer.handle, lower)


def test_arrays_that_cannot_be_counted(run: SimpleNamespace) -> None:
    maps = run.maps["late"]
    with pytest.raises(ActivationError, match=r"float64 values that no float32 has .*astype"):
        run.fo.quantile_threshold(maps.astype(np.float64) + 1e-12)
    bad = maps.copy()
    bad[3, 1, 2, 2] = np.nan
    with pytest.raises(ActivationError, match="unit 1, image 3"):
        run.fo.quantile_threshold(bad)
    with pytest.raises(ActivationError, match=f"the data set's {len(maps)} images"):
        run.fo.tally(maps[1:], np.zeros(maps.shape[1]))
    with pytest.raises(ActivationError, match="expected features from feature_extraction"):
        run.fo.quantile_threshold([])
    with pytest.raises(ActivationError, match="float32, float16 or bfloat16"):
        run.fo.quantile_threshold(np.zeros(maps.shape, np.int64))


def test_fully_connected_layers(run: SimpleNamespace, tmp_path: Path) -> None:
    maps = all_activations(run.net, run.data, ["head"], 16)["head"]
    settings = lite_settings(tmp_path, run.data.folder, FEATURE_NAMES=["head"], QUANTILE=0.1)
    fo = FeatureOperator(settings)
    (handle,), (maxima,) = fo.feature_extraction(model=run.net)
    assert handle.shape == (*maps.shape[:2], 1, 1)
    np.testing.assert_array_equal(maxima, maps[:, :, 0, 0])
    thresholds = fo.quantile_threshold(handle)
    np.testing.assert_array_equal(thresholds, exact_thresholds(maps, 0.1).astype(np.float32))
    assert_same_rows(fo.tally(handle, thresholds), tally_plainly(maps, run.data, thresholds).rows)
    assert fo.tally(maps[:, :, 0, 0], thresholds) == fo.tally(handle, thresholds)


def test_a_handle_gives_every_cell_that_matters(run: SimpleNamespace, layer: SimpleNamespace) -> None:
    maps, handle, cut = layer.maps, layer.handle, layer.handle.thresholds
    dense = handle[:]
    assert (dense.dtype, dense.shape, len(handle)) == (np.float32, handle.shape, len(maps))
    assert handle.shape == maps.shape
    above = maps > cut[None, :, None, None]
    near = above.copy()
    for axis, step in ((2, 1), (2, -1), (3, 1), (3, -1)):  # rows, then columns: corners too
        moved = np.roll(near, step, axis)
        moved[(slice(None),) * axis + (0 if step > 0 else -1,)] = False
        near |= moved
    np.testing.assert_array_equal(dense[near], maps[near])
    assert (dense[~near] <= np.broadcast_to(cut[None, :, None, None], maps.shape)[~near]).all()
    np.testing.assert_allclose(dense.mean((2, 3)), maps.mean((2, 3)), rtol=1e-3, atol=1e-5)
    assert above.any()


@pytest.mark.parametrize("size", [(24, 24), (48, 48), (31, 17)])
def test_report_code_of_ones_own_finds_the_masks(layer: SimpleNamespace, size: tuple[int, int]) -> None:
    handle, found = layer.handle, 0
    for image in np.argsort(np.asarray(layer.maxima), 0)[-3:].ravel()[:20].tolist():
        for unit in range(handle.shape[1]):
            masks = [
                np.asarray(Image.fromarray(m).resize(size[::-1], Image.Resampling.BILINEAR))
                > handle.thresholds[unit]
                for m in (handle[image][unit], layer.maps[image, unit])
            ]
            np.testing.assert_array_equal(*masks)
            found += masks[0].any()
    assert found > 10


def test_a_handle_indexes_as_an_array(layer: SimpleNamespace) -> None:
    handle, dense = layer.handle, layer.handle[:]
    n = len(handle)
    np.testing.assert_array_equal(handle[np.int64(4)], dense[4])
    np.testing.assert_array_equal(handle[-1], dense[-1])
    np.testing.assert_array_equal(handle[4, 2], dense[4, 2])
    np.testing.assert_array_equal(handle[2:7, 1:3], dense[2:7, 1:3])
    np.testing.assert_array_equal(handle[3][2, 1], dense[3, 2, 1])
    assert handle[n:].shape == (0, *handle.shape[1:])
    assert len(list(handle)) == n
    for wrong in (n, -n - 1):
        with pytest.raises(IndexError, match=f"0 to {n - 1}"):
            handle[wrong]
    for odd in ("late", np.array([1, 2]), 1.5, None):
        with pytest.raises(SettingError, match="an image's number or a slice"):
            handle[odd]
    with pytest.raises(ActivationError, match=r"handle on the retained cells.*features\[3:7\]"):
        np.asarray(handle)
    with pytest.raises(AttributeError, match="maxfeature has the images' maxima"):
        handle.max()


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((14, 1)), "high", None, np.full(14, np.nan)])
def test_thresholds_that_do_not_fit(run: SimpleNamespace, wrong: Any) -> None:
    with pytest.raises(SettingError, match=r"expected thresholds \[14\], one a unit, without NaN"):
        run.fo.tally(run.features[1], wrong)


@given(st.floats(allow_nan=False, width=64), st.integers(-3, 3))
def test_rounding_down_keeps_every_comparison(threshold: float, steps: int) -> None:
    with np.errstate(over="ignore"):
        pixel = np.float32(threshold)
        for _ in range(abs(steps)):
            pixel = np.nextafter(pixel, np.float32(np.copysign(np.inf, steps)))
        cut = checked_thresholds([threshold], 1, "a")
    assert (float(pixel) > threshold) == (pixel > cut[0])


def test_the_network_gets_lites_inputs_and_keeps_no_hook(run: SimpleNamespace, tmp_path: Path) -> None:
    net = LiteNet().eval()
    seen: list[torch.Tensor] = []
    handle = net.early.register_forward_pre_hook(lambda _m, args: seen.append(args[0].clone()))
    fo = FeatureOperator(lite_settings(tmp_path, run.data.folder, BATCH_SIZE=3))
    fo.feature_extraction(model=net)
    from netdissect_lite_cases import network_inputs

    own = network_inputs(np.stack([run.data.image(i) for i in range(3)]))
    assert any(batch.shape == own.shape and np.array_equal(batch.numpy(), own) for batch in seen)
    handle.remove()
    assert not net._forward_pre_hooks
    assert not any(m._forward_hooks for m in net.modules())
