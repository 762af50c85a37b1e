"""Shards of one layer, without a network: whatever was guessed, and whatever each was told, merged they are the whole."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from dissect_cases import threshold_of, upsample_plainly
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import KINDS, VALUES, assert_same, values, view_of
from numpy.typing import NDArray

from fastdissect import sifting
from fastdissect.collecting import LayerCollector
from fastdissect.conventions import profile
from fastdissect.distributed import Exchange
from fastdissect.guesses import Guess
from fastdissect.kernels.keys import from_keys, keys, widen
from fastdissect.kernels.stores import value_starts
from fastdissect.merged_shards import MergedLayer
from fastdissect.pilot import Pilot
from fastdissect.resifting import NOTHING
from fastdissect.shard_files import LayerPart
from fastdissect.sifting import LayerSifter, Sieved
from fastdissect.types import ActivationView, Profile, Upsampling
from fastdissect.upsampling import make_upsampling

MASK = (11, 9)
FLAVOURS = [v for v in VALUES if v != "huge"]


@pytest.fixture(autouse=True)
def small_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sifting, "SMALLEST", 200)  # prune often
    monkeypatch.setattr("os.fsync", lambda _: None)


class Case(NamedTuple):
    view: ActivationView
    shards: list[tuple[int, int]]
    profile: Profile
    table: Upsampling
    beyond: int  # images announced that do not come
    omit: bool
    batch: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = tuple(draw(st.integers(1, top)) for top in (24, 4, 5, 5))
    data = np.concatenate(
        [values(rng, (shape[0], 1, *shape[2:]), draw(st.sampled_from(FLAVOURS))) for _ in range(shape[1])], 1
    )
    how = draw(st.sampled_from(["mixed", "rising", "one image", "dead"]))
    if how == "rising":  # all large values in the last shard
        data = np.ascontiguousarray(data[np.argsort(data.max((1, 2, 3)), kind="stable")])
    elif how == "one image":
        data[draw(st.integers(0, shape[0] - 1))] += np.float32(100)
    elif how == "dead":
        data[:, 0] = 0
    own = profile(
        quantile=draw(st.sampled_from(["0.005", "0.05", "0.2", "0.5"])),
        readout=draw(st.sampled_from(["inverted-cdf", "linear"])),
        population=draw(st.sampled_from(["raw", "raw", "upsampled"])),
        upsampling=draw(st.sampled_from(["half-pixel", "half-pixel-zero", "pil"])),
    )
    view = view_of(data, draw(st.sampled_from(KINDS)), draw(st.sampled_from(["nchw", "nhwc"])))
    omit = own.population == "raw" and draw(st.booleans())
    if omit:
        bad = rng.random(shape) < draw(st.sampled_from([0.0, 0.3]))
        bad[0] = False  # at least one usable value a unit
        nan = {"float32": np.float32(np.nan), "float16": np.float16(np.nan), "bfloat16": np.uint16(0x7FC0)}
        view = ActivationView(np.where(bad, nan[view.kind], view.data), view.kind)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, shape[0] - 1)), max_size=4)) - {shape[0]})
    table = make_upsampling(own.upsampling, shape[2:], MASK)
    ends = [0, *cuts, shape[0]]
    beyond, batch = draw(st.sampled_from([0, 1, 30])), draw(st.integers(1, 5))
    return Case(view, list(itertools.pairwise(ends)), own, table, beyond, omit, batch)


def expected(case: Case) -> Sieved:
    """By sorting everything; the cells by a sift that knows the thresholds."""
    maps = np.ascontiguousarray(widen(case.view.data, case.view.kind))
    pixels = case.profile.population == "upsampled"
    population = upsample_plainly(maps, case.table) if pixels else maps
    columns = [x.ravel()[~np.isnan(x.ravel())] for x in population.transpose(1, 0, 2, 3)]
    thresholds = np.array([threshold_of(x, case.profile) for x in columns], np.float32)
    alone = sifter_of(case, thresholds=thresholds)
    alone.add(case.view)
    return Sieved(thresholds, np.array([len(x) for x in columns]), alone.finish().cells)


def sifter_of(case: Case, **options: Any) -> LayerSifter:
    n, k, h, w = case.view.data.shape
    return LayerSifter(
        "x",
        (k, h, w),
        case.view.kind,
        n + case.beyond,
        case.profile,
        case.table,
        omit=case.omit,
        **options,
    )


def batches(case: Case, first: int, last: int) -> list[ActivationView]:
    steps = [(a, min(a + case.batch, last)) for a in range(first, last, case.batch)]
    return [ActivationView(case.view.data[a:b], case.view.kind) for a, b in steps]


def part_of(sifter: LayerSifter, folder: Path) -> LayerPart:
    guess = np.zeros(len(sifter.missing), np.uint32) if sifter.guess is None else sifter.guess.bounds
    cells = sifter.part(folder)
    bounds = np.array(sifter.store.bounds)
    return LayerPart(
        "x",
        cells,
        bounds,
        guess,
        sifter.at_least,
        sifter.missing,
        sifter.upsampling,
        None,
        None,
        sifter.known,
        np.zeros(0, np.int64),
    )


def sift(case: Case, guess: Guess, folder: Path, spill: Sequence[bool] = ()) -> list[LayerPart]:
    parts = []
    for number, (first, last) in enumerate(case.shards):
        sifter, own = sifter_of(case, guess=guess), folder / f"{number}"
        for i, batch in enumerate(batches(case, first, last)):
            sifter.add(batch)
            if spill and spill[i % len(spill)]:
                sifter.spill(own)
        parts.append(part_of(sifter, own))
    return parts


def some_guess(draw: st.DrawFn, case: Case, true: NDArray[np.float32], n: int) -> NDArray[np.uint32]:
    """Right, nearly right, and wrong in every way."""
    x = widen(case.view.data, case.view.kind)
    chosen = np.zeros(n, np.uint32)
    for unit in range(n):
        at = keys(true[unit : unit + 1])[0]
        own = np.sort(keys(x[:, unit][~np.isnan(x[:, unit])]))
        one = draw(
            st.sampled_from(
                [
                    at,
                    at - 1,
                    at + 1,
                    own[0],
                    own[0] - 1,
                    own[-1],
                    own[-1] + 1,
                    own[len(own) // 2],
                    0,
                    keys(np.zeros(1, np.float32))[0],
                    keys(np.float32([1e30]))[0],
                    keys(np.float32([-1e30]))[0],
                    NOTHING,
                ]
            )
        )
        if one not in (0, NOTHING):
            one = keys(from_keys(np.array([one], np.uint32)))[
                0
            ]  # the key below 0's is -0's, which no value has
        chosen[unit] = one
    return chosen


@settings(deadline=None, max_examples=150)
@given(cases(), st.data())
def test_whatever_is_guessed_merged_shards_are_the_whole(case: Case, data: st.DataObject) -> None:
    check_guesses(case, data, ())


@settings(deadline=None, max_examples=25)
@given(cases(), st.data())
def test_also_where_cells_go_to_disk(case: Case, data: st.DataObject) -> None:
    check_guesses(case, data, (False, True))


def check_guesses(case: Case, data: st.DataObject, spill: Sequence[bool]) -> None:
    wanted = expected(case)
    units = len(wanted.thresholds)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        bounds = some_guess(data.draw, case, wanted.thresholds, units)
        tied = np.array(data.draw(st.lists(st.booleans(), min_size=units, max_size=units)))
        parts = sift(case, Guess(bounds, tied & (bounds > 0)), folder / "0", spill)
        layer = MergedLayer("x", parts, case.profile, folder / "merge")
        rounds = 0
        while len(failed := layer.unproved()):
            rounds += 1
            assert rounds < 4
            if case.profile.readout == "inverted-cdf":  # never one that is above its guess
                assert (keys(wanted.thresholds[failed]) <= bounds[failed]).all()
            lower = (
                some_guess(data.draw, case, wanted.thresholds, units)
                if rounds < 3
                else np.zeros(units, np.uint32)
            )
            idle = np.ones(units, bool)
            idle[failed] = False
            bounds = np.where(idle, NOTHING, lower)
            tied = ~idle & (bounds > 0) & np.array(data.draw(st.booleans()))
            again = sift(case, Guess(bounds, tied), folder / f"{rounds}", spill)
            assert all(len(part.cells.images) <= 24 * len(failed) for part in again)
            layer.replace_units(failed, again)
        if not spill:
            found = layer.finish()
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("fastdissect.merged_shards.available_memory", lambda: 0)
                found = layer.finish()
        found = found._replace(cells=in_memory(found.cells))
    assert_same(found, wanted)


def in_memory(cells: Any) -> Any:
    arrays = {f.name: np.array(getattr(cells, f.name)) for f in dataclasses.fields(cells)[2:]}
    return dataclasses.replace(cells, **arrays)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_given_thresholds_need_no_guess(case: Case) -> None:
    wanted = expected(case)
    parts = []
    with tempfile.TemporaryDirectory() as work:
        for number, (first, last) in enumerate(case.shards):
            sifter = sifter_of(case, thresholds=wanted.thresholds, guess=Guess(*2 * (np.zeros(0),)))
            for batch in batches(case, first, last):
                sifter.add(batch)
            parts.append(part_of(sifter, Path(work) / f"{number}"))
        layer = MergedLayer("x", parts, case.profile, Path(work) / "merge")
        assert not len(layer.unproved())
        assert_same(layer.finish(), wanted)


class Together:
    """Ranks that are threads: each waits for what the others say."""

    def __init__(self, count: int) -> None:
        self.count, self.said = count, [None] * count
        self.barrier = threading.Barrier(count, timeout=60)

    def rank(self, number: int) -> Any:
        return _Rank(self, number)


class _Rank:
    def __init__(self, all_: Together, number: int) -> None:
        self.all, self.number, self.count = all_, number, all_.count

    def gather(self, value: Any) -> list[Any]:
        self.all.said[self.number] = value
        self.all.barrier.wait()
        found = list(self.all.said)
        self.all.barrier.wait()
        return found

    def gather_array(self, array: Any) -> Any:
        return np.stack(self.gather(array))


class _Run:
    """As much of a run as an exchange looks at."""

    def __init__(self, stage: LayerSifter) -> None:
        self.stage = stage
        collector = LayerCollector.__new__(LayerCollector)
        collector.stage, collector.shape = stage, stage.shape
        self.collectors = {"x": collector}

    def settle(self) -> None:
        pass

    def checkpoint(self) -> None:
        pass


@settings(deadline=None, max_examples=100)
@given(cases(), st.data())
def test_whatever_ranks_tell_each_other_merged_they_are_the_whole(case: Case, data: st.DataObject) -> None:
    """Some are complete already; some go on after a few of their batches, with the bounds of a checkpoint."""
    wanted = expected(case)
    true = keys(wanted.thresholds)
    count = len(case.shards)
    states = [data.draw(st.sampled_from(["new", "resumed", "complete"])) for _ in range(count)]
    parts: list[Any] = [None] * count
    together, failures = Together(count), []
    with tempfile.TemporaryDirectory() as work:

        def one(number: int) -> None:
            sifter = sifter_of(case, guess=Guess(np.zeros(len(true), np.uint32), np.zeros(len(true), bool)))
            own = batches(case, *case.shards[number])
            exchange = Exchange(together.rank(number), ("x",))
            done = {"new": 0, "resumed": len(own) // 2, "complete": len(own)}[states[number]]
            for batch in own[:done]:
                sifter.add(batch)
            if states[number] == "complete":
                sifter.part(Path(work) / f"{number}")
                exchange.begin(0)
                exchange.end(None)
            else:
                state = {name: np.array(array) for name, array in sifter.state().items()}
                sifter = sifter_of(case, guess=sifter.guess)
                sifter.restore(state, Path(work) / "nowhere")
                run: Any = _Run(sifter)
                exchange.begin(len(own) - done)
                for batch in own[done:]:
                    sifter.add(batch)
                    exchange.after_batch(run)
                exchange.end(run)
            parts[number] = part_of(sifter, Path(work) / f"{number}")

        def guarded(number: int) -> None:
            try:
                one(number)
            except BaseException as error:  # noqa: BLE001 - it is raised below
                failures.append(error)
                together.barrier.abort()

        threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        assert all((part.bounds <= true).all() for part in parts)
        layer = MergedLayer("x", parts, case.profile, Path(work) / "merge")
        assert not len(layer.unproved())
        assert_same(layer.finish(), wanted)


def test_ranks_forget_what_all_of_them_know_to_be_below() -> None:
    rng = np.random.default_rng(0)
    own, table = profile(), make_upsampling("half-pixel", (4, 4), MASK)
    maps = rng.normal(size=(4000, 3, 4, 4)).astype(np.float32)
    case = Case(ActivationView(maps, "float32"), [(0, 2000), (2000, 4000)], own, table, 0, False, 100)
    together, held = Together(2), [0, 0]

    def one(number: int) -> None:
        sifter = sifter_of(case, guess=Guess(np.zeros(3, np.uint32), np.zeros(3, bool)))
        exchange, run = Exchange(together.rank(number), ("x",)), _Run(sifter)
        exchange.begin(20)
        for batch in batches(case, *case.shards[number]):
            sifter.add(batch)
            exchange.after_batch(run)  # type: ignore[arg-type]
        exchange.end(run)  # type: ignore[arg-type]
        sifter.prune()
        starts, values = value_starts(sifter.store.parts[0]), sifter.store.parts[0].values
        above = from_keys(sifter.store.bounds)
        held[number] = sum(int((values[starts[k] : starts[k + 1]] > above[k]).sum()) for k in range(3))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exact = int(0.005 * maps.size)
    assert exact <= sum(held) <= 1.15 * exact


def test_a_deeper_guess_is_a_lower_one() -> None:
    bounds = np.array([[9, 9, 9, 9], [9, 7, 7, 9], [9, 7, 6, 8]], np.uint32)
    found = Pilot({"x": bounds}, "")
    assert found.deeper("x", np.zeros(4, np.int64)).tolist() == [3, 1, 1, 2]
    assert found.deeper("x", np.ones(4, np.int64)).tolist() == [3, 3, 2, 2]
    assert found.guess("x", np.array([3, 1, 2, 5])).bounds.tolist() == [0, 7, 6, 0]
    assert found.guess("x").tied.tolist() == [True, False, False, True]
    assert found.guess("x", np.array([3, 1, 2, 2])).tied.tolist() == [False, True, True, True]
