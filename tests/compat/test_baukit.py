"""baukit's running statistics: read-outs, states in files of either side's making, tally and its cache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import TensorDataset

from fastdissect.compat import baukit
from fastdissect.compat.baukit import (
    Bincount,
    CombinedStat,
    Covariance,
    CrossIoU,
    History,
    IoU,
    Mean,
    Quantile,
    Stat,
    TopK,
    Variance,
    cache_load_enabled,
    tally,
)
from fastdissect.compat.netdissect import runningstats
from fastdissect.compat.running.state_files import box_nulls
from fastdissect.errors import ActivationError, OutputError, SettingError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


DATA = normal(40, 3)

READ: dict[Any, Any] = {
    Mean: lambda s: (s.mean(),),
    Variance: lambda s: (s.mean(), s.variance(), s.stdev(unbiased=False)),
    Covariance: lambda s: (s.mean(), s.covariance(), s.correlation(), s.variance(), s.stdev()),
    TopK: lambda s: s.topk(),
    IoU: lambda s: (s.iou(), s.intersection(), s.union()),
    History: lambda s: (s.history(),),
    Quantile: lambda s: (s.quantiles([0.1, 0.5]), s.min(), s.max()),
    Bincount: lambda s: (s.bincount(),),
    CrossIoU: lambda s: (s.iou(), s.total_a, s.total_b),
}
EACH = pytest.mark.parametrize("cls", READ, ids=lambda cls: cls.__name__)


def filled(cls: Any, data: Tensor = DATA) -> Any:
    stat = cls()
    if cls is Bincount:
        stat.add(data.abs().round().long())
    elif cls is CrossIoU:
        stat.add(data, data[:, :2] > 0.5)
    else:
        stat.add(data)
    return stat


def equal(a: Any, b: Any) -> bool:
    pairs = zip(READ[type(a)](a), READ[type(b)](b), strict=True)
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


@EACH
def test_states_come_back(cls: Any, tmp_path: Path) -> None:
    stat, path = filled(cls), tmp_path / "new" / "stat.npz"
    assert isinstance(stat, Stat)
    stat.save(path)
    loaded = cls()
    loaded.load(path)
    with np.load(path) as opened:  # no pickle is needed to read it
        boxed = dict(opened)
        assert equal(cls(state=opened), stat)
    for again in (loaded, cls(state=str(path)), cls(state=stat.state_dict()), cls(state=boxed)):
        assert equal(again, stat)
    if cls not in (Bincount, CrossIoU):
        again, more = cls(state=path), filled(cls)
        for each in (again, more):
            each.add(normal(7, 3, seed=5))
        assert equal(again, more)
    stat.cpu_()
    assert equal(stat, again) or cls not in (Bincount, CrossIoU)


@EACH
def test_bad_files_are_named(cls: Any, tmp_path: Path) -> None:
    path = tmp_path / "stat.npz"
    with pytest.raises(OutputError, match=r"stat\.npz: expected a saved state"):
        cls().load(path)
    other = Mean if cls is not Mean else TopK
    filled(other).save(path)
    said = rf"stat\.npz, field 'constructor': expected (Running)?{cls.__name__}.*baukit\.runningstats\.{other.__name__}\(\)"
    with pytest.raises(OutputError, match=said):
        cls().load(path)
    filled(cls).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(OutputError, match=r"stat\.npz"):
        cls(state=path)
    fields = filled(cls).state_dict()
    last = {Quantile: "extremes", TopK: "top_data", History: "data", Bincount: "bincount"}.get(cls)
    last = last or ("intersection" if cls in (IoU, CrossIoU) else "mean")
    np.savez(path, **box_nulls({key: value for key, value in fields.items() if key != last}))
    with pytest.raises(OutputError, match=rf"stat\.npz, field '{last}': expected"):
        cls(state=path)


@pytest.mark.parametrize("cls", [Mean, Variance, Covariance, IoU, CrossIoU])
def test_states_of_baukit(cls: Any, tmp_path: Path) -> None:
    """Its files have rounded sums alone."""
    stat, path = filled(cls), tmp_path / "theirs.npz"
    fields = {name: value for name, value in stat.state_dict().items() if "fastdissect" not in name}
    np.savez(path, **box_nulls(fields))
    again = cls(state=path)
    for found, wanted in zip(READ[cls](again), READ[cls](stat), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_results_have_the_shape_of_a_sample(shape: tuple[int, ...]) -> None:
    data = normal(30, *shape)
    flat = data.reshape(30, -1).double()
    moments, pairs, top = filled(Variance, data), filled(Covariance, data), filled(TopK, data)
    assert moments.mean().shape == moments.stdev().shape == pairs.variance().shape == shape
    assert pairs.covariance().shape == shape * 2
    assert top.topk()[0].shape == (*shape, 30)
    torch.testing.assert_close(moments.variance().reshape(-1), flat.var(0).float())
    wanted = flat.t().cov().float().reshape(flat.shape[1], -1)
    torch.testing.assert_close(pairs.covariance().reshape(wanted.shape), wanted, atol=1e-6, rtol=1e-6)
    with pytest.raises(ActivationError, match=re.escape(f"samples of shape {shape}")):
        moments.add(normal(2, 9))
    for stat in (moments, pairs, top):
        again = type(stat)(state=stat.state_dict())
        assert equal(again, stat)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (TopK, runningstats.RunningTopK),
        (Variance, runningstats.RunningVariance),
        (Bincount, runningstats.RunningBincount),
    ],
)
def test_netdissect_s_states_load_too(ours: Any, theirs: Any, tmp_path: Path) -> None:
    stat = filled(ours)
    stat.save(tmp_path / "a.npz")
    other = theirs(state=tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **other.state_dict())
    assert equal(ours(state=tmp_path / "b.npz"), stat)


def test_plain_numbers_are_samples() -> None:
    mean = Mean()
    mean.add(3.0)
    mean.add([1.0, 2.0])
    assert mean.mean().item() == 2.0
    assert (mean.size(), mean.batchcount) == (3, 2)


@given(sizes=st.lists(st.integers(0, 9), max_size=4))
def test_variance_does_not_depend_on_the_batches(sizes: list[int]) -> None:
    """baukit's misses most of what lies between small batches: 0.0002 for 2,000 batches of one sample."""
    data, stat, first = DATA * 4 + 7, Variance(), 0
    for size in sizes:
        stat.add(data[first : first + size])
        first += size
    for row in data[first:]:
        stat.add(row[None])
    torch.testing.assert_close(stat.variance(), data.double().var(0).float(), rtol=3e-7, atol=0)


def test_correlation() -> None:
    data = torch.cat([DATA, DATA[:, :1] * -2], 1)
    found = filled(Covariance, data).correlation()
    torch.testing.assert_close(found, data.double().t().corrcoef().float())


@given(st.data())
def test_iou_is_that_of_counted_samples(data: st.DataObject) -> None:
    seed, ends = data.draw(st.integers(0, 99)), sorted(data.draw(st.lists(st.integers(0, 40), max_size=3)))
    values, other = normal(40, 4, seed=seed).round(), normal(40, 2, seed=seed + 1) > 0
    own, cross = IoU(), CrossIoU()
    for a, b in zip([0, *ends], [*ends, 40], strict=True):
        own.add(values[a:b])
        cross.add(values[a:b], other[a:b])
    true = values > 0
    for stat, right in ((own, true), (cross, other)):
        both = (true[:, :, None] & right[:, None, :]).sum(0)
        either = (true[:, :, None] | right[:, None, :]).sum(0)
        assert torch.equal(stat.intersection(), both.float())
        assert torch.equal(stat.union(), either.float())
        assert torch.equal(stat.iou(), (both.double() / either.clamp(min=1)).float())
        assert stat.size() == 40


def test_iou_of_float64_is_float64() -> None:
    assert filled(IoU, DATA.double()).iou().dtype == torch.float64
    assert filled(IoU, DATA.half()).iou().dtype == torch.float32


def test_history_of_nothing(tmp_path: Path) -> None:
    History().save(tmp_path / "none.npz")
    assert History(state=tmp_path / "none.npz").history() is None
    begun = History(torch.arange(2))
    begun.add(torch.arange(2, 4))
    begun.to_("cpu")
    assert begun.history().tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]


def combined() -> CombinedStat:
    return CombinedStat(m=Mean(), v=Variance(), t=TopK(4), q=Quantile(), h=History())


def test_combined(tmp_path: Path) -> None:
    both = combined()
    both.add(DATA)
    both.to_("cpu")
    assert torch.equal(both.h.history(), DATA)
    assert torch.equal(both.m.mean(), both.v.mean())
    both.save(tmp_path / "all.npz")
    again = combined()
    again.load(tmp_path / "all.npz")
    for name in "mvtqh":
        assert equal(getattr(again, name), getattr(both, name))
    state = CombinedStat(m=Mean(), state=tmp_path / "all.npz")
    assert torch.equal(state.m.mean(), both.m.mean())
    with pytest.raises(AttributeError, match="this CombinedStat has m, v, t, q, h; not 'x'"):
        both.x  # noqa: B018
    with pytest.raises(OutputError, match=r"all\.npz, field 'i\.\*': expected the fields of IoU"):
        CombinedStat(i=IoU(), state=tmp_path / "all.npz")
    with pytest.raises(OutputError, match=r"all\.npz, part 'm', field 'constructor': expected TopK"):
        CombinedStat(m=TopK(), state=tmp_path / "all.npz")
    with pytest.raises(SettingError, match=r"without a dot; got 'a\.b'"):
        CombinedStat(**{"a.b": Mean()}).state_dict()


def run(stat: Stat, dataset: Any = DATA, **kwargs: Any) -> int:
    """How many batches tally gave."""
    count = 0
    for [batch] in tally(stat, dataset, **kwargs):
        stat.add(batch)
        count += 1
    return count


@pytest.mark.parametrize(
    "dataset", [DATA, TensorDataset(DATA), lambda: DATA], ids=["tensor", "dataset", "function"]
)
def test_tally(dataset: Any, tmp_path: Path) -> None:
    stat, path = combined(), tmp_path / "new" / "cache.npz"
    assert run(stat, dataset, batch_size=16, cache=str(path)) == 3
    again = combined()
    assert run(again, dataset, cache=path) == 0
    assert all(equal(getattr(again, name), getattr(stat, name)) for name in "mvtqh")
    assert torch.equal(stat.h.history(), DATA)


def test_a_function_is_called_only_if_needed(tmp_path: Path) -> None:
    def never() -> Tensor:
        raise AssertionError("the cache should have been used")

    run(Mean(), cache=tmp_path / "a.npz")
    assert run(Mean(), never, cache=tmp_path / "a.npz") == 0


def test_a_dictionary_as_cache() -> None:
    cache: dict[str, Any] = {}
    assert run(Mean(), cache=cache, sample_size=5) == 5
    stat = Mean()
    assert run(stat, cache=cache, sample_size=5) == 0
    assert torch.equal(stat.mean(), DATA[:5].double().mean(0).float())
    with pytest.warns(UserWarning, match="the given cache was made with sample_size = 5 instead of 6"):
        assert run(Mean(), cache=cache, sample_size=6) == 6


def test_cache_load_enabled(tmp_path: Path) -> None:
    assert run(Mean(), cache=tmp_path / "a.npz") == 40
    with cache_load_enabled(False):
        assert run(Mean(), cache=tmp_path / "a.npz") == 40
        with cache_load_enabled():
            assert run(Mean(), cache=tmp_path / "a.npz") == 0
        assert run(Mean(), cache=tmp_path / "a.npz") == 40
    assert run(Mean(), cache=tmp_path / "a.npz") == 0


def test_samples(tmp_path: Path) -> None:
    first, some, same, other = History(), History(), History(), History()
    run(first, sample_size=9)
    run(some, sample_size=9, random_sample=1)
    run(same, sample_size=9, random_sample=1, cache=tmp_path / "s.npz")
    run(other, sample_size=9, random_sample=2)
    assert torch.equal(first.history(), DATA[:9])  # type: ignore[arg-type]
    assert torch.equal(some.history(), same.history())  # type: ignore[arg-type]
    assert not torch.equal(some.history(), other.history())  # type: ignore[arg-type]
    assert len({tuple(row) for row in some.history().tolist()} & {tuple(row) for row in DATA.tolist()}) == 9  # type: ignore[union-attr]
    for kwargs, said in (
        ({"sample_size": 9, "random_sample": 2}, "random_sample = 1 instead of 2"),
        ({"sample_size": 9}, "random_sample = 2 instead of None"),
        ({}, "sample_size = 9 instead of None"),
    ):
        with pytest.warns(UserWarning, match=said):
            assert run(History(), cache=tmp_path / "s.npz", **kwargs) > 0
    assert run(History(), cache=tmp_path / "s.npz", sample_size=3, quiet=True) == 3
    with pytest.warns(UserWarning, match="at most the data set's 40 items; got 50"):
        assert run(Mean(), sample_size=50) == 40
    with pytest.raises(SettingError, match="sample_size or a sampler; got both"):
        run(Mean(), sample_size=5, sampler=range(3))


def test_a_seed_s_items_are_baukit_s() -> None:
    """Its items 0 to 4 of 40 for seed 1, as `random.Random(1)` shuffles."""
    some = History()
    run(some, torch.arange(40), sample_size=5, random_sample=1)
    assert some.history().tolist() == ITEMS  # type: ignore[union-attr]


ITEMS = [23, 2, 11, 1, 37]


def test_a_stopped_loop_leaves_no_cache(tmp_path: Path) -> None:
    stat = Mean()
    for [batch] in tally(stat, DATA, cache=tmp_path / "a.npz"):
        stat.add(batch)
        break
    assert not list(tmp_path.iterdir())


def test_bad_caches_and_statistics(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(b"junk")
    with pytest.raises(OutputError, match=r"bad\.npz.*delete the file to have it computed again"):
        run(Mean(), cache=path)
    run(TopK(), cache=tmp_path / "top.npz")
    with pytest.raises(OutputError, match=r"top\.npz, field 'constructor': expected Mean.*delete the file"):
        run(Mean(), cache=tmp_path / "top.npz")
    with pytest.raises(SettingError, match="expected a Stat to tally; got list"):
        tally([], DATA)  # type: ignore[arg-type]


class Longest(Stat):
    """A statistic of a user's own."""

    def __init__(self, state: Any = None) -> None:
        self.longest = 0
        if state is not None:
            super().__init__(state)

    def add(self, x: Any) -> None:  # type: ignore[override]
        self.longest = max(self.longest, int(x.norm(dim=1).max() * 1000))

    def state_dict(self) -> dict[str, Any]:
        return {"longest": self.longest}

    def load_state_dict(self, state: Any) -> None:
        self.longest = int(state["longest"])


def test_a_statistic_of_one_s_own(tmp_path: Path) -> None:
    stat = Longest()
    run(stat, cache=tmp_path / "own.npz")
    assert stat.longest == int(DATA.norm(dim=1).max() * 1000)
    assert Longest(state=tmp_path / "own.npz").longest == stat.longest
    again = CombinedStat(a=Longest(), m=Mean())
    again.add(DATA)
    again.save(tmp_path / "two.npz")
    both = CombinedStat(a=Longest(), m=Mean(), state=str(tmp_path / "two.npz"))
    assert both.a.longest == stat.longest


@pytest.mark.parametrize("name", ["Trace", "TraceDict", "show", "Reservoir", "CrossCovariance", "pbar"])
def test_what_is_not_offered_says_what_is(name: str) -> None:
    with pytest.raises(AttributeError, match=f"^fastdissect.compat.baukit does not offer '{name}': "):
        getattr(baukit, name)
    with pytest.raises(ImportError, match=f"^fastdissect.compat.baukit does not offer '{name}': "):
        exec(f"from fastdissect.compat.baukit import Mean, {name}")  # noqa: S102
    with pytest.raises(AttributeError, match="runningstats does not offer 'Reservoir': tally"):
        baukit.runningstats.Reservoir  # noqa: B018
    with pytest.raises(AttributeError, match="'Varience'; did you mean 'Variance'"):
        baukit.Varience  # noqa: B018
