"""Top k against sorting everything: any batches, dtype, k, direction; ties go to the lowest index."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fastdissect.compat.running import top_k
from fastdissect.compat.running.top_k import TopK
from fastdissect.errors import ActivationError, SettingError

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]


def sorted_out(data: Tensor, index: Tensor, k: int, largest: bool) -> tuple[Tensor, Tensor]:
    """The best k of each feature by value, then by index: Python's sort on keys. NaN is the greatest."""
    values, indices = [], []
    for column in data.t().tolist():
        keys = [(1, 0.0) if math.isnan(x) else (0, x) for x in column]
        sign = -1 if largest else 1
        order = sorted(
            range(len(column)), key=lambda i: (sign * keys[i][0], sign * keys[i][1], int(index[i]))
        )
        values.append([column[i] for i in order[:k]])
        indices.append([int(index[i]) for i in order[:k]])
    wide = torch.tensor(values, dtype=torch.float64)  # not torch's default, which would round a float64
    return wide.to(data.dtype), torch.tensor(indices, dtype=torch.int64)


def cut(data: Tensor, ends: list[int]) -> list[Tensor]:
    """Pieces of the rows, some of them empty."""
    edges = [0, *sorted(min(end, len(data)) for end in ends), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def same(a: Tensor, b: Tensor) -> bool:
    return (
        a.dtype == b.dtype
        and torch.equal(a.nan_to_num(7.25), b.nan_to_num(7.25))
        and torch.equal(a.isnan(), b.isnan())
    )


def draw(seed: int, rows: int, features: int, dtype: torch.dtype, flavour: str) -> Tensor:
    rng = np.random.default_rng(seed)
    data = torch.from_numpy(rng.normal(size=(rows, features)))
    if flavour == "ties":
        data = data.round()
    elif flavour == "rising":
        data = torch.arange(float(rows))[:, None].expand(rows, features) + data * 0.1
    elif flavour == "relu":
        data = (data - 1).clamp(min=0)
    elif flavour == "special" and dtype.is_floating_point:
        odd = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1.0], dtype=torch.float64)
        data = odd[torch.from_numpy(rng.integers(0, 6, size=(rows, features)))]
    return (data.abs() if dtype == torch.uint8 else data).to(dtype)


@given(
    seed=st.integers(0, 1000),
    rows=st.integers(0, 300),
    features=st.integers(1, 5),
    k=st.integers(1, 80),
    dtype=st.sampled_from(DTYPES),
    flavour=st.sampled_from(["plain", "ties", "rising", "relu", "special"]),
    largest=st.booleans(),
    ends=st.lists(st.integers(0, 300), max_size=6),
    given_index=st.booleans(),
)
def test_equals_sorting(
    seed: int,
    rows: int,
    features: int,
    k: int,
    dtype: torch.dtype,
    flavour: str,
    largest: bool,
    ends: list[int],
    given_index: bool,
) -> None:
    data = draw(seed, rows, features, dtype, flavour)
    index = torch.arange(rows)
    if given_index:
        index = torch.from_numpy(np.random.default_rng(seed).permutation(rows))
    top = TopK(k, largest)
    for part, numbers in zip(cut(data, ends), cut(index, ends), strict=True):
        top.add(part, numbers if given_index else None)
    values, found = top.result()
    wanted, at = sorted_out(data, index, k, largest)
    assert top.count == rows
    assert same(values, wanted.view(features, min(k, rows)))
    assert torch.equal(found, at.view(features, min(k, rows)))


@pytest.mark.parametrize("flavour", ["plain", "rising", "relu", "special"])
@pytest.mark.parametrize("largest", [True, False])
def test_many_merges(flavour: str, largest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_k, "PIECE", 64)
    monkeypatch.setattr(top_k, "FEWEST", 2)
    data = draw(3, 2000, 7, torch.float32, flavour)
    top = TopK(11, largest)
    for part in data.split(37):
        top.add(part)
        top.result()
    wanted, at = sorted_out(data, torch.arange(len(data)), 11, largest)
    values, found = top.result()
    assert same(values, wanted)
    assert torch.equal(found, at)


def test_little_waits_between_batches() -> None:
    """The bound rises: of 100,000 rows few wait, whatever was added at once."""
    top = TopK(10)
    top.add(torch.from_numpy(np.random.default_rng(0).normal(size=(100_000, 3))))
    assert sum(len(part[0]) for part in top._waiting) < 3 * 64


def test_strided_data_is_read_as_it_is() -> None:
    data = torch.arange(60.0).view(5, 12).t()
    top = TopK(2)
    top.add(data)
    assert top.result()[0].tolist() == [[data[11, j].item(), data[10, j].item()] for j in range(5)]


def test_restored_goes_on() -> None:
    data = draw(5, 500, 4, torch.float32, "ties")
    whole, first = TopK(20), TopK(20)
    whole.add(data)
    first.add(data[:260])
    values, index = first.result()
    second = TopK(20)
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    second.restore(260, values[:, shuffled], index[:, shuffled])
    second.add(data[260:])
    assert all(map(torch.equal, second.result(), whole.result()))


def test_restored_with_later_indices_goes_on() -> None:
    """Indices that were given may be above those to come: then they, not the positions, decide ties."""
    top = TopK(2)
    top.restore(2, torch.tensor([[1.0, 1.0]]), torch.tensor([[90, 80]]))
    top.add(torch.ones(1, 1))
    assert top.result()[1].tolist() == [[2, 80]]


def test_moving_keeps_everything() -> None:
    top = TopK(3)
    top.to_("cpu")
    top.add(torch.tensor([[1.0], [2.0]]))
    top.to_("cpu")
    top.add(torch.tensor([[5.0]]))
    assert top.result()[1].tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("k", [0, -1, 2.5, None, True])
def test_k_is_checked(k: Any) -> None:
    with pytest.raises(SettingError, match="at least 1"):
        TopK(k)


def test_errors_say_what_came() -> None:
    top = TopK(2)
    with pytest.raises(ActivationError, match="at least one batch"):
        top.result()
    top.add(torch.zeros(3, 2))
    with pytest.raises(ActivationError, match="expected 2 features as in the first batch; got 3"):
        top.add(torch.zeros(3, 3))
    with pytest.raises(
        ActivationError, match=r"expected torch\.float32 as in the first batch; got torch\.float64"
    ):
        top.add(torch.zeros(3, 2, dtype=torch.float64))
    with pytest.raises(ActivationError, match=r"shape \(3,\); got shape \(2,\)"):
        top.add(torch.zeros(3, 2), torch.zeros(2))
    assert top.count == 3
