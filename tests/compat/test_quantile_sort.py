"""Sorted rows equal numpy's, of any type, length and sign."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantile_cases import DTYPES

from fastdissect.compat.running import quantile_sort
from fastdissect.compat.running.quantile_sort import sort_rows_, transposed_into


@pytest.mark.parametrize("few", [0, 1 << 30])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 0), (5, 2), (7, 1000), (2, 70000)])
def test_sort(shape: tuple[int, int], dtype: torch.dtype, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantile_sort, "_FEW", few)
    monkeypatch.setattr(quantile_sort, "_MANY", 1000)
    rng = np.random.default_rng(shape[1])
    x = torch.from_numpy(rng.normal(size=shape) * 10.0 ** rng.integers(-40, 38, shape)).to(dtype)
    if shape[1] > 4:
        x[:, :4] = torch.tensor([np.inf, -np.inf, 0.0, 1e-45])
    wanted = torch.from_numpy(np.sort(x.double().numpy(), axis=1)).to(dtype)
    assert torch.equal(sort_rows_(x), wanted)
    assert torch.equal(x, wanted)


@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (1025, 70), (5000, 3)])
def test_transposed_into(shape: tuple[int, int]) -> None:
    x = torch.randn(shape)
    out = torch.zeros(shape[1], shape[0] + 5)
    transposed_into(out[:, 2 : 2 + shape[0]], x)
    assert torch.equal(out[:, 2 : 2 + shape[0]], x.t())
    assert (out[:, :2] == 0).all()
    assert (out[:, -3:] == 0).all()
