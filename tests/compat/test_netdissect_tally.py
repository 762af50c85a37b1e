"""netdissect's tallies: what they compute, how much of a data set they read, and when a cache file is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from fastdissect.compat.netdissect import runningstats, tally
from fastdissect.errors import ActivationError, OutputError, SettingError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


DATA = normal(50, 3)


def same(batch: Tensor) -> Tensor:
    return batch


def never(*_: Any) -> Any:
    raise AssertionError("the cache file should have been used")


def by_sign(batch: Tensor) -> list[tuple[int, Tensor]]:
    return [(0, batch), *((c, batch[batch[:, 0].sign() == sign]) for c, sign in ((1, -1), (2, 1)))]


def by_sign_numbered(batch: Tensor, index: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    return [(c, batch[batch[:, 0].sign() == s], index[batch[:, 0].sign() == s]) for c, s in ((1, -1), (2, 1))]


Read = Callable[[Any], Tensor]
TALLIES: dict[str, tuple[Any, Read, Read]] = {
    # name: (compute, what is read out, the same of all data)
    "tally_topk": (same, lambda s: s.result()[0], lambda x: x.sort(dim=0, descending=True)[0].t()),
    "tally_mean": (same, lambda s: s.mean(), lambda x: x.double().mean(0).float()),
    "tally_quantile": (same, lambda s: s.quantiles(1.0), lambda x: x.amax(0)),
    "tally_cat": (same, lambda s: s, lambda x: x),
    "tally_cat_dict": (lambda b: {"a": b}, lambda s: s["a"], lambda x: x),
    "tally_bincount": (
        lambda b: b.abs().round().long(),
        lambda s: s.bincount(),
        lambda x: torch.bincount(x.abs().round().long().reshape(-1)),
    ),
    "tally_conditional_mean": (
        by_sign,
        lambda s: s.conditional(2).mean(),
        lambda x: x[x[:, 0] > 0].double().mean(0).float(),
    ),
    "tally_conditional_quantile": (
        by_sign,
        lambda s: s.conditional(1).quantiles(1.0),
        lambda x: x[x[:, 0] < 0].amax(0),
    ),
    "tally_conditional_topk": (
        by_sign_numbered,
        lambda s: s.conditional(2).result()[1][:, 0],
        lambda x: (x - 9.0 * (x[:, :1] <= 0)).argmax(0),
    ),
    "tally_topk_and_quantile": (
        lambda b: (b, b),
        lambda s: torch.stack([s[0].result()[0][:, 0], s[1].quantiles(0.0)]),
        lambda x: torch.stack([x.amax(0), x.amin(0)]),
    ),
    "tally_extremek": (
        lambda b: (b, b),
        lambda s: torch.stack([s[0].result()[0][:, 0], s[1].result()[0][:, 0]]),
        lambda x: torch.stack([x.amax(0), x.amin(0)]),
    ),
    "tally_extremek_and_quantile": (
        lambda b: (b, b, b),
        lambda s: torch.stack([s[0].result()[0][:, 0], s[1].result()[0][:, 0], s[2].quantiles(1.0)]),
        lambda x: torch.stack([x.amax(0), x.amin(0), x.amax(0)]),
    ),
    "tally_all_intersection_and_union": (
        lambda b: (b > 0, b[:, :1] > 1),
        lambda s: s.intersection,
        lambda x: (x > 0).float().t() @ (x[:, :1] > 1).float(),
    ),
}
EACH = pytest.mark.parametrize("name", TALLIES)


@EACH
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_computes(name: str, batch_size: int) -> None:
    compute, read, wanted = TALLIES[name]
    run = getattr(tally, name)
    assert torch.equal(read(run(compute, DATA, batch_size=batch_size)), wanted(DATA))
    few = run(compute, TensorDataset(DATA), batch_size=batch_size, sample_size=20)
    assert torch.equal(read(few), wanted(DATA[:20]))
    odd = run(compute, TensorDataset(DATA), batch_size=batch_size, sampler=range(1, 50, 2))
    if name != "tally_conditional_topk":  # whose numbers are those of the run
        assert torch.equal(read(odd), wanted(DATA[1::2]))


@EACH
def test_a_cache_file_is_used(name: str, tmp_path: Path) -> None:
    compute, read, wanted = TALLIES[name]
    run = getattr(tally, name)
    path = tmp_path / "folder" / "cache.npz"
    run(compute, DATA, cachefile=str(path))
    again = run(never, DATA, cachefile=path)
    assert torch.equal(read(again), wanted(DATA))
    assert [entry.name for entry in path.parent.iterdir()] == ["cache.npz"]


@EACH
def test_a_cache_file_of_other_arguments_is_replaced(name: str, tmp_path: Path) -> None:
    compute, read, wanted = TALLIES[name]
    run = getattr(tally, name)
    path = tmp_path / "cache.npz"
    run(compute, DATA, cachefile=path, sample_size=20)
    said = f"{re.escape(str(path))} was made with sample_size = 20 instead of None"
    with pytest.warns(UserWarning, match=said) as told:
        again = run(compute, DATA, cachefile=path)
    assert Path(told[0].filename).name in {
        Path(__file__).name,
        "tally.py",
        "tally_quantiles.py",
        "tally_tensors.py",
    }
    assert torch.equal(read(again), wanted(DATA))
    assert torch.equal(read(run(never, DATA, cachefile=path)), wanted(DATA))


@EACH
def test_a_bad_cache_file_is_an_error(name: str, tmp_path: Path) -> None:
    compute, _, _ = TALLIES[name]
    run = getattr(tally, name)
    path = tmp_path / "bad.npz"
    run(compute, DATA, cachefile=path)
    whole = path.read_bytes()
    for content in (b"", b"junk", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(OutputError, match=r"bad\.npz.*; delete the file to have it computed again"):
            run(never, DATA, cachefile=path)
        assert path.read_bytes() == content
    np.savez(path, sample_size=np.array(None), k=100, r=4096, **{"0.k": 100})
    if name == "tally_conditional_quantile":
        np.savez(path, sample_size=np.array(None), r=1024)
    if name != "tally_cat_dict":  # any array may be in one
        with pytest.raises(OutputError, match=r"bad\.npz.*field .*; delete the file"):
            run(never, DATA, cachefile=path)


def test_another_tally_s_cache_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mean.npz"
    tally.tally_mean(same, DATA, cachefile=path)
    with pytest.raises(OutputError, match=r"field 'constructor': expected RunningTopK\(\).*RunningVariance"):
        tally.tally_topk(same, DATA, cachefile=path)


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [
        ("tally_topk", {"k": 3}, {"k": 4}),
        ("tally_conditional_topk", {"k": 3}, {"k": 4}),
        ("tally_quantile", {"r": 100}, {"r": 200}),
        ("tally_conditional_quantile", {"r": 100}, {"r": 200}),
        ("tally_topk_and_quantile", {"k": 3, "r": 100}, {"k": 4, "r": 200}),
    ],
)
def test_each_argument_is_checked(
    name: str, first: dict[str, int], then: dict[str, int], tmp_path: Path
) -> None:
    compute, _, _ = TALLIES[name]
    run = getattr(tally, name)
    run(compute, DATA, cachefile=tmp_path / "a.npz", **first)
    run(never, DATA, cachefile=tmp_path / "a.npz", **first)
    words = [f"{key} = {first[key]} instead of {then[key]}" for key in then]
    with pytest.warns(UserWarning, match=words[0]) as told:
        run(compute, DATA, cachefile=tmp_path / "a.npz", **then)
    assert all(word.removeprefix("0.") in str(told[0].message) for word in words)
    run(never, DATA, cachefile=tmp_path / "a.npz", **then)


def test_a_name_without_npz(tmp_path: Path) -> None:
    """As numpy names what it saves; the peer then never finds it again."""
    tally.tally_mean(same, DATA, cachefile=tmp_path / "mean")
    assert [entry.name for entry in tmp_path.iterdir()] == ["mean.npz"]
    tally.tally_mean(never, DATA, cachefile=tmp_path / "mean")


def test_sample_size_beyond_the_data_set_is_told() -> None:
    with pytest.warns(UserWarning, match="at most the data set's 50 items; got 80"):
        assert tally.tally_mean(same, DATA, sample_size=80).size() == 50


def test_batches_of_several_parts_and_of_names() -> None:
    pair = TensorDataset(DATA, 2 * DATA)
    assert torch.equal(tally.tally_cat(lambda a, b: b - a, pair), DATA)

    class Named(Dataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return len(DATA)

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {"image": DATA[index], "number": torch.tensor(index)}

    assert torch.equal(tally.tally_cat(lambda image, number: image, Named(), batch_size=7), DATA)
    rq = tally.tally_quantile(lambda image, number: image, Named(), batch_size=7)
    assert rq.exact
    assert rq.size() == 50


class Stream(IterableDataset[Tensor]):
    """A data set without a length."""

    def __iter__(self) -> Iterator[Tensor]:
        yield from DATA


def test_a_data_set_without_a_length() -> None:
    assert torch.equal(tally.tally_cat(same, Stream()), DATA)
    assert tally.tally_quantile(same, Stream()).size() == 50


def test_rows_may_differ_between_batches_and_total_is_a_bound() -> None:
    """Two rows for each of the first items, three for the later ones."""
    numbers = torch.arange(12.0)[:, None]

    def rows(batch: Tensor) -> Tensor:
        return batch.repeat(2 if batch[0] < 6 else 3, 1)

    top, rq = tally.tally_topk_and_quantile(lambda b: (b, rows(b)), numbers, batch_size=3, k=2, total=30)
    assert rq.size() == 6 * 2 + 6 * 3
    assert rq.quantiles(1.0).tolist() == [11]
    assert top.size() == 12
    assert top.result()[1].tolist() == [[11, 10]]
    for run in (
        tally.tally_quantile,
        lambda c, *a, **k: tally.tally_topk_and_quantile(lambda b: (b, c(b)), *a, **k),
    ):
        with pytest.raises(ActivationError, match="expected at most total = 24 samples"):
            run(rows, numbers, batch_size=3, total=24)


def test_tally_quantile_uses_r_and_memory() -> None:
    data = normal(4000, 2)
    rq = tally.tally_quantile(same, data, batch_size=100, r=50, memory=4000)
    assert not rq.exact
    assert rq.resolution == 100
    assert torch.equal(rq.quantiles(1.0), data.amax(0))
    found = rq.quantiles([0.9999])[:, 0].double().numpy()
    wanted = [
        np.interp(0.9999, (np.arange(4000) + 0.5) / 4000, np.sort(x)) for x in data.t().double().numpy()
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_tally_each(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def run(compute: Any) -> Any:
        return tally.tally_each(
            compute, DATA, summarize=lambda: {"sum": torch.cat(seen).sum()}, cachefile=tmp_path / "each.npz"
        )

    first = run(seen.append)
    assert torch.equal(torch.cat(seen), DATA)
    assert torch.equal(run(never)["sum"], first["sum"])
    assert tally.tally_each(seen.append, DATA[:3]) is None
    assert len(torch.cat(seen)) == 53


def test_bincount_of_several_labels_a_sample() -> None:
    labels = torch.tensor([[0, 2], [2, 2], [1, 0]])
    assert tally.tally_bincount(same, labels, multi_label_axis=1).size() == 3
    assert tally.tally_bincount(same, labels, multi_label_axis=0, batch_size=3).size() == 2
    assert tally.batch_bincount(labels, 4).tolist() == [[1, 0, 1, 0], [0, 0, 2, 0], [1, 1, 0, 0]]


def test_gather_topk(tmp_path: Path) -> None:
    images = torch.arange(50.0)[:, None, None].expand(50, 2, 2)
    top = tally.tally_topk(same, DATA, k=4)

    def compute(
        ranks: list[list[tuple[int, int]]], batch: Tensor
    ) -> Iterator[tuple[tuple[int, int], Tensor]]:
        assert len(ranks) == len(batch)
        for pairs, image in zip(ranks, batch, strict=True):
            for pair in pairs:
                yield pair, image

    path = tmp_path / "top.npz"
    found = tally.gather_topk(compute, TensorDataset(images), top, k=3, cachefile=path, batch_size=4)
    assert found.result().shape == (3, 3, 2, 2)
    assert torch.equal(found.result()[:, :, 0, 0].long(), top.result()[1][:, :3])
    again = tally.gather_topk(never, TensorDataset(images), top, k=3, cachefile=path)
    assert torch.equal(again.result(), found.result())


def test_top_ks_that_count() -> None:
    one = tally.range_topk(1, 4)
    assert one.result()[1].tolist() == [[0, 1, 2, 3]]
    many = tally.expand_topk(one, 3)
    assert many.result()[1].tolist() == [[0, 1, 2, 3]] * 3
    assert tally.range_topk(2, 3, largest=False).result()[1].tolist() == [[2, 1, 0]] * 2
    with pytest.raises(SettingError, match="top k of one unit"):
        tally.expand_topk(many, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "from fastdissect.compat.netdissect import nethook",
        "from fastdissect.compat.netdissect import tally, imgviz",
        "from fastdissect.compat.netdissect.runningstats import RunningCovariance",
        "from fastdissect.compat.netdissect.tally import tally_covariance",
    ],
)
def test_what_is_not_offered_says_what_is(statement: str) -> None:
    with pytest.raises(ImportError, match=r"^fastdissect\.compat\.netdissect.* does not offer '.*': \w+"):
        exec(statement)  # noqa: S102


def test_attributes_that_are_not_offered() -> None:
    from fastdissect.compat import netdissect

    with pytest.raises(
        AttributeError, match=r"does not offer 'upsample': torch\.nn\.functional\.interpolate"
    ):
        netdissect.upsample  # noqa: B018
    with pytest.raises(AttributeError, match="'tally_meen'; did you mean 'tally_mean'"):
        tally.tally_meen  # noqa: B018
    assert not hasattr(runningstats, "RunningCovariance")
