"""The sift of one layer: any cut of the stream, any backend, in memory or on disk, with checkpoints between."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dissect_cases import threshold_of, upsample_plainly
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import KINDS, VALUES, assert_same, values, view_of
from numpy.typing import NDArray

from fastdissect import sifting
from fastdissect.collecting import LayerCollector
from fastdissect.conventions import profile
from fastdissect.errors import ActivationError, SettingError
from fastdissect.kernels.keys import from_keys, widen
from fastdissect.kernels.reference import Reference
from fastdissect.sifting import LayerSifter, Sieved
from fastdissect.types import ActivationView, Profile, Upsampling
from fastdissect.upsampling import make_upsampling

Array = NDArray[Any]
MASK = (11, 9)


@pytest.fixture(autouse=True)
def small_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sifting, "SMALLEST", 200)


@st.composite
def layers(draw: st.DrawFn) -> Any:
    """(view [N, K, h, w], where it is cut, profile, tables)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = tuple(draw(st.integers(1, top)) for top in (24, 4, 6, 6))
    data = values(rng, shape, draw(st.sampled_from([v for v in VALUES if v != "huge"])))
    view = view_of(data, draw(st.sampled_from(KINDS)), draw(st.sampled_from(["nchw", "nhwc"])))
    own = profile(
        quantile=draw(st.sampled_from([0.01, 0.05, 0.2, 0.5])),
        readout=draw(st.sampled_from(["inverted-cdf", "linear"])),
        population=draw(st.sampled_from(["raw", "upsampled"])),
        upsampling=draw(st.sampled_from(["half-pixel", "half-pixel-zero", "pil"])),
    )
    cuts = sorted(draw(st.lists(st.integers(0, shape[0]), max_size=4)))
    return view, cuts, own, make_upsampling(own.upsampling, shape[2:], MASK)


def pieces(view: ActivationView, cuts: list[int]) -> list[ActivationView]:
    ends = [0, *cuts, len(view.data)]
    return [ActivationView(view.data[a:b], view.kind) for a, b in itertools.pairwise(ends) if b > a]


def true_thresholds(maps: Array, own: Profile, table: Upsampling) -> Array:
    population = upsample_plainly(maps, table) if own.population == "upsampled" else maps
    return np.array([threshold_of(x.ravel(), own) for x in population.transpose(1, 0, 2, 3)], np.float32)


def expected(view: ActivationView, own: Profile, table: Upsampling) -> Sieved:
    """By sorting everything, and the reference kernel's dilation."""
    maps = np.ascontiguousarray(widen(view.data, view.kind))
    thresholds = true_thresholds(maps, own, table)
    from fastdissect.kernels.keys import keys

    cells = Reference().sift(view, keys(thresholds), table.reach, table.ring, False, 1).cells
    n, _, h, w = maps.shape
    values = MASK[0] * MASK[1] if own.population == "upsampled" else h * w
    return Sieved(thresholds, np.full(maps.shape[1], n * values), cells)


def sifter_of(
    view: ActivationView, own: Profile, table: Upsampling, beyond: int = 0, **options: Any
) -> LayerSifter:
    n, k, h, w = view.data.shape
    return LayerSifter("x", (k, h, w), view.kind, n + beyond, own, table, **options)


@given(layers(), st.sampled_from([0, 1, 30]))
def test_any_cut_and_total_gives_thresholds_and_cells(layer: Any, beyond: int) -> None:
    view, cuts, own, table = layer
    sifter = sifter_of(view, own, table, beyond)
    for piece in pieces(view, cuts):
        sifter.add(piece)
        seen = ActivationView(view.data[: sifter.images], view.kind)
        true = true_thresholds(np.ascontiguousarray(widen(seen.data, seen.kind)), own, table)
        held = sifter.store.bounds > 0
        assert (
            from_keys(sifter.store.bounds[held]) <= true[held]
        ).all()  # the bound never passes the threshold
    assert_same(sifter.finish(), expected(view, own, table))


@given(layers(), st.data())
def test_a_checkpoint_at_any_cut_changes_nothing(layer: Any, data: st.DataObject) -> None:
    view, cuts, own, table = layer
    sifter = sifter_of(view, own, table)
    for piece in pieces(view, cuts):
        sifter.add(piece)
        if data.draw(st.booleans()):
            arrays = {name: np.array(array) for name, array in sifter.state().items()}
            sifter = sifter_of(view, own, table)
            sifter.restore(arrays, Path("nowhere"))
    assert_same(sifter.finish(), expected(view, own, table))


@given(layers())
def test_known_thresholds_spilled_or_not(layer: Any) -> None:
    from tempfile import TemporaryDirectory

    view, cuts, own, table = layer
    wanted = expected(view, own, table)
    for spills in (False, True):
        with TemporaryDirectory() as folder:
            sifter = sifter_of(view, own, table, thresholds=wanted.thresholds)
            for i, piece in enumerate(pieces(view, cuts)):
                sifter.add(piece)
                if spills and i % 2 == 0:
                    sifter.spill(Path(folder))
                    assert sifter.nbytes == 0
                if i == 1:
                    arrays = {name: np.array(array) for name, array in sifter.state().items()}
                    sifter = sifter_of(view, own, table, thresholds=wanted.thresholds)
                    sifter.restore(arrays, Path(folder))
            assert_same(sifter.finish(Path(folder) if spills else None), wanted)


def collector_of(
    view: ActivationView, own: Profile, table: Upsampling, folder: Path, passes: int, **options: Any
) -> LayerCollector:
    n, k, h, w = view.data.shape
    options = {"memory": 1e9, **options}
    return LayerCollector("x", (k, h, w), view.kind, n, own, table, passes=passes, spill=folder, **options)


@pytest.mark.parametrize("passes", [1, 2, 3])
@given(layers(), st.data())
def test_collectors_restored_at_any_batch_of_any_pass(passes: int, layer: Any, data: st.DataObject) -> None:
    from tempfile import TemporaryDirectory

    view, cuts, own, table = layer
    if own.population == "upsampled" and passes > 1:
        return
    with TemporaryDirectory() as folder:
        collector = collector_of(view, own, table, Path(folder), passes)
        more = True
        while more:
            for piece in pieces(view, cuts):
                collector.add(piece)
                if data.draw(st.booleans()):
                    record, arrays = collector.state()
                    arrays = {name: np.array(array) for name, array in arrays.items()}
                    collector = collector_of(view, own, table, Path(folder), passes)
                    collector.restore(record, arrays)
            more = collector.end_pass()
        assert collector.pass_ == passes - 1
        assert_same(collector.finish(), expected(view, own, table))


def bumps(seed: int, images: int = 60) -> Array:
    """Smooth maps, whose large values lie together."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:8, :8]
    centre, width = rng.uniform(0, 8, (2, images, 5, 1, 1)), rng.uniform(0.5, 2, (images, 5, 1, 1))
    bump = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / width)
    return np.asarray(bump * rng.exponential(size=(images, 5, 1, 1)), np.float32)


@pytest.mark.parametrize("memory", [30_000, 9_000, 5_000, 3_000])
@pytest.mark.parametrize("readout", ["inverted-cdf", "linear"])
def test_a_collector_never_holds_more_than_its_memory(tmp_path: Path, memory: int, readout: str) -> None:
    own, table = profile(quantile=0.02, readout=readout), make_upsampling("half-pixel", (8, 8), (16, 16))
    view = ActivationView(bumps(0), "float32")
    collector = collector_of(view, own, table, tmp_path, 1, memory=memory)
    more = True
    while more:
        for piece in pieces(view, list(range(4, 60, 4))):
            collector.add(piece)
            assert collector.nbytes <= memory
        more = collector.end_pass()
    assert collector.passes == (1 if memory == 30_000 else 2)
    assert_same(collector.finish(), expected(view, own, table))


def test_ties_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Constant and quantised units: whole bins of equal values fall away with every prune."""
    own, table = profile(quantile=0.02), make_upsampling("half-pixel", (8, 8), (16, 16))
    maps = np.round(bumps(1, 200) * 2)
    maps[:, 0], maps[:, 1] = -3, 0
    view = ActivationView(maps, "float32")
    sifter, most = sifter_of(view, own, table), 0
    for piece in pieces(view, list(range(4, 200, 4))):
        sifter.add(piece)
        most = max(most, sifter.nbytes)
    assert most < maps.nbytes / 8
    assert_same(sifter.finish(), expected(view, own, table))


@pytest.mark.parametrize("population", ["raw", "upsampled"])
def test_constant_units_are_forgotten_on_the_way(population: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pivot has enough above it, so the bound must rise to the exact rank."""
    monkeypatch.setattr(sifting, "SMALLEST", 0)
    own, table = (
        profile(quantile=0.02, population=population),
        make_upsampling("half-pixel", (8, 8), (16, 16)),
    )
    view = ActivationView(np.ones((60, 5, 8, 8), np.float32), "float32")
    sifter = sifter_of(view, own, table)
    for piece in pieces(view, list(range(4, 60, 4))):
        sifter.add(piece)
        assert sifter.nbytes < view.data.nbytes / 4
    assert sifter.finish().thresholds.tolist() == [1] * 5


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_what_a_collector_refuses(tmp_path: Path, passes: int) -> None:
    own, table = profile(quantile=0.1), make_upsampling("half-pixel", (8, 8), (16, 16))
    view = ActivationView(bumps(2, 12), "float32")
    half = ActivationView(view.data[:6], "float32")
    collector = collector_of(view, own, table, tmp_path, passes)
    with pytest.raises(ActivationError, match=r"expected maps .* = \(5, 8, 8\) of float32.*got \(5, 7, 8\)"):
        collector.add(ActivationView(view.data[:, :, 1:], "float32"))
    with pytest.raises(ActivationError, match="of float16"):
        collector.add(ActivationView(view.data.astype(np.float16), "float16"))
    collector.add(half)
    with pytest.raises(ActivationError, match="expected at most 12 images, as announced; got 18"):
        collector.add(view)
    poisoned = half.data.copy()
    poisoned[3, 2, 1, 0] = np.nan
    assert collector.add(ActivationView(poisoned, "float32")).fault[:3] == (
        3,
        2,
        8,
    )  # reported; nothing is taken
    collector.add(ActivationView(view.data[6:], "float32"))
    more = collector.end_pass()
    assert more == (passes > 1)
    if more:
        with pytest.raises(ActivationError, match="batch 0 differs"):
            collector.add(ActivationView(view.data[6:], "float32"))
    with pytest.raises(SettingError, match=r"expected 5 thresholds, one a unit; got shape \(4,\)"):
        collector_of(view, own, table, tmp_path, 1, thresholds=np.zeros(4, np.float32))


def test_a_pass_that_ends_early(tmp_path: Path) -> None:
    own, table = profile(quantile=0.1), make_upsampling("half-pixel", (8, 8), (16, 16))
    view = ActivationView(bumps(3, 12), "float32")
    collector = collector_of(view, own, table, tmp_path, 2)
    for piece in pieces(view, [6]):
        collector.add(piece)
    assert collector.end_pass()
    collector.add(pieces(view, [6])[0])
    with pytest.raises(ActivationError, match="it had 2 batches, this one 1"):
        collector.end_pass()


def test_spilled_files_that_were_cut(tmp_path: Path) -> None:
    from fastdissect.errors import OutputError

    own, table = profile(quantile=0.1), make_upsampling("half-pixel", (8, 8), (16, 16))
    view = ActivationView(bumps(4, 12), "float32")
    sifter = sifter_of(view, own, table, thresholds=np.full(5, 0.5, np.float32))
    sifter.add(view)
    sifter.spill(tmp_path)
    arrays = sifter.state()
    for name in ("values", "cells", "images", "unit_start", "cell_start"):
        path = tmp_path / "part-0" / f"{name}.raw"
        whole = path.read_bytes()
        for cut in (whole[:-8], None):
            path.unlink()
            if cut is not None:
                path.write_bytes(cut)
            with pytest.raises(OutputError, match="--fresh"):
                sifter_of(view, own, table, thresholds=np.full(5, 0.5, np.float32)).restore(arrays, tmp_path)
        path.write_bytes(whole)
