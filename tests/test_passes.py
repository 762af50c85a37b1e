"""One, two or three passes, any memory, cache, threads, backend, with a folder or without: the same bits."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import (
    PLAIN,
    Net,
    as_dense,
    assert_is,
    dissect_plainly,
    gather,
    permuted,
    same_files,
    same_results,
    threshold_of,
)

import fastdissect as fd
from fastdissect import collecting, dissection, first_passes, planning, sifting
from fastdissect.datasets import open_dataset
from fastdissect.errors import SettingError

SIZE = 48
LAYERS = ("first", "second", "third")


def run(out: Path | None = None, layers: Any = LAYERS, **options: Any) -> Any:
    defaults = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 8, "progress": False}
    data = options.pop("data", None) or open_dataset(f"shapes:images=48,size={SIZE}")
    net = options.pop("net", None) or Net().eval()
    return fd.dissect(net, data, layers, out=out, **{"quantile": 0.02, **defaults, **options})


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one pass, in its folder."""
    out = tmp_path_factory.mktemp("once") / "out"
    run(out, passes=1)
    return out


@pytest.fixture
def small_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prune and switch at sizes that a test reaches."""
    for module in (sifting, first_passes):
        monkeypatch.setattr(module, "SMALLEST", 1 << 10)
    monkeypatch.setattr(planning, "FLOOR", 1 << 10)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_passes_give_the_same_files(once: Path, tmp_path: Path, passes: int) -> None:
    found = run(tmp_path / "out", passes=passes)
    same_files(once, tmp_path / "out")
    assert set(found.run["passes"].values()) == {passes}
    assert not (tmp_path / "out" / "unfinished").exists()


@pytest.mark.parametrize("readout", ["inverted-cdf", "linear"])
def test_passes_give_the_same_bits_in_memory(readout: str, small_stores: None) -> None:
    one = run(passes=1, readout=readout)
    for passes in (2, 3):
        same_results(run(passes=passes, readout=readout), one)


def test_with_and_without_a_folder(once: Path) -> None:
    same_results(fd.load(once), run())


def test_a_store_that_outgrows_its_memory_goes_on_as_two_passes(once: Path, small_stores: None) -> None:
    switched = set()
    for memory in (60_000, 30_000, 17_000):
        found = run(passes=1, memory=memory)
        switched |= {name for name, passes in found.run["passes"].items() if passes == 2}
        same_results(found, fd.load(once))
    assert switched == set(LAYERS)


def test_cells_of_known_thresholds_are_spilled_to_disk(
    once: Path, small_stores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilled = []
    write = sifting.write_part
    monkeypatch.setattr(sifting, "write_part", lambda part, at: spilled.append(at) or write(part, at))
    run(tmp_path / "out", passes=2, memory=17_000)
    assert len({at.parent for at in spilled}) == 3  # all layers
    assert len(spilled) > 6
    same_files(once, tmp_path / "out")
    thresholds = {name: layer.thresholds for name, layer in fd.load(once).items()}
    same_results(run(thresholds=thresholds, memory=17_000), fd.load(once))


def test_memory_is_never_passed(small_stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every batch, what is retained fits the layer's share; the shares fit --memory."""
    seen: list[tuple[str, int, float]] = []
    count = collecting.LayerCollector._count

    def watched(self: Any, sifted: Any, images: int) -> None:
        count(self, sifted, images)
        seen.append((self.layer, self.nbytes, self.memory))

    monkeypatch.setattr(collecting.LayerCollector, "_count", watched)
    for memory in (17_000, 30_000, 100_000):
        for passes in (1, 2):
            seen.clear()
            found = run(passes=passes, memory=memory)
            assert seen
            assert all(held <= share for _, held, share in seen)
            assert sum({name: share for name, _, share in seen}.values()) <= memory
            assert found.run["planner memory"] <= memory


def test_too_little_memory_is_refused_with_the_figures(small_stores: None) -> None:
    with pytest.raises(
        SettingError, match=r"some 15\.2 kB .* 100 bytes is what may be taken; give more with --memory"
    ):
        run(memory=100)


def test_a_quantile_over_upsampled_maps_takes_one_pass(small_stores: None) -> None:
    with pytest.raises(SettingError, match="takes one pass; got passes = 2"):
        run(profile="dissect-2020", passes=2)
    with pytest.raises(SettingError, match="give more with --memory"):
        run(profile="dissect-2020", memory=20_000, quantile=0.01)


def test_upsampled_cells_that_outgrow_the_memory_are_an_error(
    small_stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "RETAINED", 0.01)  # an estimate far too low
    with pytest.raises(SettingError, match="takes one pass; give more with --memory"):
        run(profile="dissect-2020", memory=20_000, quantile=0.2)


def test_the_plan_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fastdissect"):
        found = run(layers="second")
    assert "layer second: 1 pass(es), its cells fit" in caplog.text
    assert found.run["plan"] == {"second": "1 pass(es): its cells fit"}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_kernel_threads_change_nothing(once: Path, threads: int, unset_threads: None) -> None:
    fd.set_num_threads(threads)
    same_results(run(), fd.load(once))


def test_backends_change_nothing(once: Path, force_backend: Any) -> None:
    for name in fd.backends():
        force_backend(name)
        for passes in (1, 3):
            found = run(passes=passes)
            assert found.run["backend"] == name
            same_results(found, fd.load(once))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(once: Path, workers: int) -> None:
    same_results(run(workers=workers), fd.load(once))


def test_cache_cold_warm_and_none(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    run(tmp_path / "cold", cache=cache)
    assert len(list((cache / "planes").iterdir())) == 1
    packed: list[Any] = []
    monkeypatch.setattr("fastdissect.batches.image_planes", lambda *a, **k: packed.append(a))
    run(tmp_path / "warm", cache=cache)
    assert not packed  # the masks were not read again
    same_files(once, tmp_path / "cold")
    same_files(once, tmp_path / "warm")


def test_activations_can_be_left_out(tmp_path: Path, once: Path) -> None:
    found = run(tmp_path / "out", activations=False)
    assert not list((tmp_path / "out").rglob("activations*"))
    for name, layer in fd.load(once).items():
        assert found[name].activations is None
        assert found[name].maxima is None
        np.testing.assert_array_equal(found[name].intersection, layer.intersection)
        np.testing.assert_array_equal(found[name].thresholds, layer.thresholds)


def test_a_finished_run_is_not_run_again(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(once, tmp_path / "out")
    monkeypatch.setattr(dissection, "Run", None)
    same_results(run(tmp_path / "out", passes=1), fd.load(once))


class Holes(torch.nn.Module):
    """The largest values of three units are of no use."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        for unit, value in ((1, float("nan")), (2, float("inf")), (3, -3e38)):
            y[:, unit][x[:, unit] > 0.3] = value
        return y


@pytest.mark.parametrize("readout", ["inverted-cdf", "linear"])
def test_unusable_cells_are_left_out_in_every_pass(small_stores: None, readout: str) -> None:
    data = open_dataset(f"shapes:images=48,size={SIZE}")
    net = torch.nn.Sequential(Net().eval().first, Net().eval().second, Holes()).eval()
    options = {"net": net, "layers": "2", "nan": "omit", "readout": readout}
    one = run(passes=1, **options)
    maps = as_dense(gather(net, data, ["2"], 8, (SIZE, SIZE))["2"])
    maps[~(np.abs(maps) < 1.7e38)] = np.nan
    layer = one["2"]
    np.testing.assert_array_equal(layer.seen, np.isfinite(maps).sum((0, 2, 3)))
    assert (layer.seen[1:4] < layer.seen[0]).all()
    thresholds = [threshold_of(own[np.isfinite(own)], layer.profile) for own in maps.transpose(1, 0, 2, 3)]
    np.testing.assert_array_equal(layer.thresholds, thresholds)
    with np.errstate(invalid="ignore"):
        assert_is(
            layer, dissect_plainly(maps, data, layer.profile, layer.upsampling, thresholds=layer.thresholds)
        )
    np.testing.assert_array_equal(layer.maxima, np.nanmax(maps, (2, 3)))
    for passes in (2, 3):
        same_results(run(passes=passes, **options), one)
    switched = run(passes=1, memory=9_000, **options)
    assert switched.run["passes"] == {"2": 2}
    same_results(switched, one)


def test_permuted_images_in_two_passes_and_spilled(small_stores: None) -> None:
    data = open_dataset(f"shapes:images=24,size={SIZE}")
    order = np.random.default_rng(0).permutation(24)
    net = torch.nn.Sequential(Exact(), torch.nn.Identity()).eval()
    one = run(net=net, layers="0", data=data)["0"]
    two = run(net=net, layers="0", data=permuted(data, order), passes=2, memory=9_000)["0"]
    for field in ("thresholds", "seen", "intersection", "unit_area", "concept_area", "mask_area"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    np.testing.assert_array_equal(one.maxima[order], two.maxima)


class Exact(torch.nn.Module):
    """Whole numbers, whatever the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(x[:, :, ::4, ::4] * 63.75)
