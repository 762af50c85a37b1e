"""Quantiles by condition: each as if it were alone, within one memory; states there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quantile_cases import feed, quantiles, ranks_off, stream

from fastdissect.compat.netdissect.quantile import RunningConditionalQuantile, RunningQuantile
from fastdissect.errors import OutputError, SettingError

LEVELS = torch.linspace(0, 1, 51)


def conditions(count: int, units: int = 3) -> dict[int, torch.Tensor]:
    """Condition c has 300 (c + 1) samples."""
    return {c: stream(300 * (c + 1), units, seed=c) + c for c in range(count)}


def conditional(parts: dict[int, torch.Tensor], **arguments: Any) -> RunningConditionalQuantile:
    """Batches of 100 samples, the conditions in turn."""
    cq = RunningConditionalQuantile(**arguments)
    for first in range(0, max(len(x) for x in parts.values()), 100):
        for c, x in parts.items():
            if first < len(x):
                cq.add(c, x[first : first + 100])
    return cq


def test_each_condition_as_if_alone() -> None:
    parts = conditions(4)
    cq = conditional(parts)
    assert cq.exact
    assert list(cq.keys()) == [0, 1, 2, 3]
    assert cq.sizes() == {c: len(x) for c, x in parts.items()}
    assert cq.most_common_conditions(2) == [3, 2]
    assert cq.has_conditional(3)
    assert not cq.has_conditional(4)
    for c, x in parts.items():
        assert torch.equal(cq.conditional(c).quantiles(LEVELS), quantiles(x, LEVELS.numpy()))
    read = cq.collected_quantiles([2, 9, 0], [0.5, 0.9])
    assert read.shape == (3, 3, 2)
    assert torch.equal(read[0], cq.conditional(2).quantiles([0.5, 0.9]))
    assert (read[1] == 0).all()
    probes = stream(3, 7)
    read = cq.collected_normalize([1, 9], probes)
    assert read.shape == (2, 3, 7)
    assert torch.equal(read[0], cq.conditional(1).normalize(probes))
    cq.to_("cpu", [0, 99])
    cq.collected_add([0, 5], probes.t())
    assert cq.sizes()[0] == 307
    assert cq.conditional(5).batchcount == 1


def test_the_largest_gives_way() -> None:
    parts = conditions(6)
    memory = sum(x.nbytes for x in parts.values()) // 2
    cq = conditional(parts, memory=memory, r=64)
    assert not cq.exact
    exact = {c: cq.conditional(c).exact for c in parts}
    assert exact[0]
    assert not exact[5]
    assert sum(parts[c].nbytes for c in parts if exact[c]) <= memory
    assert cq.conditional(5).exact_from < 1
    for c, x in parts.items():
        rq = cq.conditional(c)
        off = ranks_off(x, rq.quantiles(LEVELS), LEVELS.numpy())
        assert off.max() <= 5 * rq.rank_error + 1 / len(x)
        assert rq.count == len(x)


@pytest.mark.parametrize("memory", [1 << 30, 40000, 0])
def test_there_and_back(memory: int, tmp_path: Path) -> None:
    cq = conditional(conditions(4), memory=memory, r=64, seed=3)
    np.savez(tmp_path / "c.npz", **cq.state_dict())
    for state in (tmp_path / "c.npz", str(tmp_path / "c.npz"), cq.state_dict()):
        loaded = RunningConditionalQuantile(state=state, memory=memory)
        assert loaded.rq_args == {"r": 64, "buffersize": None, "seed": 3}
        assert loaded.sizes() == cq.sizes()
        assert loaded.first_rq is loaded.conditional(0)
        for c in cq.sizes():
            assert torch.equal(loaded.conditional(c).quantiles(LEVELS), cq.conditional(c).quantiles(LEVELS))
            assert loaded.conditional(c).exact == cq.conditional(c).exact
    assert list(np.load(tmp_path / "c.npz")["conditions"]) == [0, 1, 2, 3]


def test_a_peers_arguments_are_plain(tmp_path: Path) -> None:
    """What a peer hands to its own class: nothing that it does not know."""
    state = conditional(conditions(1)).state_dict()
    assert set(state["rq_args"].item()) == {"r", "buffersize", "seed"}
    assert state["constructor"] == "netdissect.runningstats.RunningConditionalQuantile()"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"rq_args": {"r": 3, "evil": 1}},
            "field 'rq_args': expected a dictionary of r, buffersize and seed",
        ),
        ({"rq_args": 3}, "field 'rq_args'"),
        ({"constructor": "netdissect.runningstats.RunningQuantile()"}, "field 'constructor'"),
        ({"conditions": [0, 1]}, "part '1', field 'resolution'"),
    ],
)
def test_states_that_are_wrong(fields: dict[str, Any], message: str) -> None:
    state = {**conditional(conditions(1)).state_dict(), **fields}
    with pytest.raises(OutputError, match=message):
        RunningConditionalQuantile(state=state)
    with pytest.raises(OutputError, match="RunningQuantile"):
        RunningQuantile(state=conditional(conditions(1)).state_dict())


def test_bad_arguments() -> None:
    with pytest.raises(SettingError):
        RunningConditionalQuantile(r=0)
    with pytest.raises(SettingError, match="expected a condition"):
        RunningConditionalQuantile().collected_quantiles([0], [0.5])


def test_a_single_batch_beyond_the_memory() -> None:
    x = stream(5000, 2)
    cq = RunningConditionalQuantile(memory=8000, r=64)
    cq.add("all", x)
    alone = feed(RunningQuantile(r=64), x)
    assert not cq.exact
    top = LEVELS[cq.conditional("all").exact_from <= LEVELS]
    assert torch.equal(cq.conditional("all").quantiles(top), alone.quantiles(top))
