"""On a CUDA device: the same numbers as on the CPU, on the device of the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantile_cases import DTYPES, feed, levels, quantiles, stream

from fastdissect.compat.netdissect.quantile import RunningConditionalQuantile, RunningQuantile

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
LEVELS = np.float32([0, 0.25, 0.5, 0.99, 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact(dtype: torch.dtype) -> None:
    x = stream(5000, 7, "relu", 1, dtype)
    rq = feed(RunningQuantile(), x.cuda(), 1000)
    found = rq.quantiles(torch.from_numpy(LEVELS))
    assert found.device.type == "cuda"
    assert torch.equal(found.cpu(), quantiles(x, LEVELS))
    probes = x[:50].t()
    assert torch.equal(rq.normalize(probes.cuda()).cpu(), levels(x, probes))
    rq.to_("cpu")
    assert torch.equal(rq.quantiles(torch.from_numpy(LEVELS)), quantiles(x, LEVELS))
    assert torch.equal(rq.minmax(), torch.stack([x.amin(0), x.amax(0)], dim=1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sampled(dtype: torch.dtype) -> None:
    x = stream(20000, 5, "normal", 2, dtype)
    memory = 2000 * 5 * x.element_size()
    here = feed(RunningQuantile(memory=memory, r=64), x, 3000, 100)
    there = feed(RunningQuantile(memory=memory, r=64), x.cuda(), 700)
    assert here.exact_from == there.exact_from < 1
    assert torch.equal(here.readout(301), there.readout(301).cpu())
    moved = feed(RunningQuantile(memory=memory, r=64), x[:9000])
    moved.to_("cuda")
    feed(moved, x[9000:].cuda())
    assert torch.equal(here.readout(301), moved.readout(301).cpu())
    torch.testing.assert_close(here.mean(), there.mean().cpu())


def test_conditions_move_with_their_batches() -> None:
    x = stream(100, 3)
    cq = RunningConditionalQuantile()
    cq.add(0, x)
    cq.add(0, x.cuda())
    assert cq.conditional(0).device == torch.device("cuda", 0)
    cq.to_("cpu")
    assert torch.equal(cq.conditional(0).median(), feed(RunningQuantile(), torch.cat([x, x])).median())
