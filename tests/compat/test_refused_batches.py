"""Batches and arguments at the edges: none, one number, other types; each an error that says what was expected."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from fastdissect.compat.baukit import Quantile, TopK
from fastdissect.compat.netdissect import tally
from fastdissect.compat.netdissect.runningstats import (
    RunningConditionalQuantile,
    RunningQuantile,
    RunningTopK,
)
from fastdissect.errors import ActivationError

DATA = torch.randn(50, 3, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("cls", [RunningQuantile, Quantile])
def test_batches_without_units(cls: Any) -> None:
    with pytest.raises(ActivationError, match=r"1 unit or more.*got shape \(5, 0\)"):
        cls().add(torch.zeros(5, 0))


@pytest.mark.parametrize("cls", [RunningQuantile, Quantile])
@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_the_level_of_nan_is_nan(cls: Any, memory: int) -> None:
    quantile = cls(memory=memory)
    quantile.add(DATA)
    found = quantile.normalize(torch.tensor([[math.nan], [0.0], [math.nan]]))
    assert found.isnan().flatten().tolist() == [True, False, True]


def test_a_number_is_no_batch() -> None:
    with pytest.raises(ActivationError, match="got a single number"):
        RunningTopK(2).add(torch.tensor(5.0))


@pytest.mark.parametrize("cls", [RunningTopK, TopK])
def test_indices_are_whole_numbers(cls: Any) -> None:
    top = cls(2)
    with pytest.raises(
        ActivationError, match=r"whole numbers of shape \(50,\); got shape \(50,\), torch.float32"
    ):
        top.add(DATA, torch.arange(50) + 0.5)
    top.add(DATA, torch.arange(50, dtype=torch.int32) + 7)
    values, index = top.topk() if cls is TopK else top.result()
    assert torch.equal(values, DATA.topk(2, dim=0).values.t())
    assert torch.equal(index, DATA.topk(2, dim=0).indices.t() + 7)


def test_a_list_is_no_tensor() -> None:
    quantiles = RunningConditionalQuantile()
    quantiles.add(1, DATA)
    with pytest.raises(ActivationError, match="expected a torch tensor"):
        quantiles.add(1, DATA.tolist())  # type: ignore[arg-type]


def test_labels_of_any_size() -> None:
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    labels = torch.randint(0, 3, (2, 2, 4, 4), generator=torch.Generator().manual_seed(1))
    far = torch.where(labels == 2, 1 << 50, labels)
    near = dict(tally.conditional_samples(maps, labels))
    found = dict(tally.conditional_samples(maps, far))
    assert list(found) == [0, 1, 1 << 50]
    assert all(torch.equal(found[c], near[min(c, 2)]) for c in found)
    counts = tally.conditional_samples((maps > 0).float(), far).indicator_counts()
    assert counts is not None
    assert [count[:2] for count in counts] == [(c, len(found[c])) for c in found]


def test_tallies_of_nothing() -> None:
    def no_result(_batch: Tensor) -> Any:
        return None

    with pytest.raises(ActivationError, match="expected a torch tensor"):
        tally.tally_quantile(no_result, TensorDataset(DATA))
    with pytest.raises(ActivationError, match="got an empty data set"):
        tally.tally_cat(lambda batch: batch, TensorDataset(DATA[:0]))
    assert np.array_equal(tally.tally_cat(lambda batch: batch, TensorDataset(DATA)), DATA)
