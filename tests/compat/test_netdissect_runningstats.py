"""netdissect's running statistics: shapes, read-outs, and states in files of either side's making."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastdissect.compat.netdissect.runningstats import (
    GatherTensor,
    RunningAllIntersectionAndUnion,
    RunningBincount,
    RunningConditionalTopK,
    RunningConditionalVariance,
    RunningTopK,
    RunningVariance,
)
from fastdissect.errors import ActivationError, OutputError, SettingError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def saved(path: Path, statistic: Any) -> str:
    """As the peers write: numpy pickles what is no plain array."""
    np.savez(path, **statistic.state_dict())
    return str(path)


def top_k() -> RunningTopK:
    top = RunningTopK(k=3)
    top.add(normal(20, 4))
    return top


def variance() -> RunningVariance:
    moments = RunningVariance()
    moments.add(normal(20, 4))
    return moments


def bincount() -> RunningBincount:
    counts = RunningBincount()
    counts.add(torch.tensor([0, 3, 3, 1]))
    return counts


def intersections() -> RunningAllIntersectionAndUnion:
    pairs = RunningAllIntersectionAndUnion()
    pairs.add(normal(20, 4) > 0, normal(20, 2, seed=1) > 0)
    return pairs


def gathered() -> GatherTensor:
    tensors = GatherTensor(data_shape=(2,), k=2)
    tensors.add(1, 0, torch.tensor([7, 8]))
    return tensors


def conditional_variance() -> RunningConditionalVariance:
    moments = RunningConditionalVariance()
    moments.collected_add([0, 5], normal(20, 4))
    moments.add(5, normal(3, 4, seed=1))
    return moments


def conditional_top_k() -> RunningConditionalTopK:
    top = RunningConditionalTopK(k=2)
    top.add("sky", normal(20, 4), torch.arange(100, 120))
    top.add("sea", normal(5, 4, seed=1), torch.arange(5))
    return top


ALL = {
    RunningTopK: (top_k, lambda s: s.result()),
    RunningVariance: (variance, lambda s: (s.mean(), s.variance(), s.sum())),
    RunningBincount: (bincount, lambda s: (s.bincount(), s.mean())),
    RunningAllIntersectionAndUnion: (
        intersections,
        lambda s: (s.intersection, s.total_a, s.total_b, s.iou()),
    ),
    GatherTensor: (gathered, lambda s: (s.result(),)),
    RunningConditionalVariance: (
        conditional_variance,
        lambda s: (s.conditional(5).mean(), s.conditional(0).variance()),
    ),
    RunningConditionalTopK: (
        conditional_top_k,
        lambda s: (*s.conditional("sky").result(), torch.tensor(s.k)),
    ),
}
EACH = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)


@EACH
def test_states_come_back(cls: Any, tmp_path: Path) -> None:
    make, read = ALL[cls]
    first = make()
    path = saved(tmp_path / "a.npz", first)
    with np.load(path, allow_pickle=True) as opened:
        sources: list[Any] = [path, Path(path), opened, first.state_dict()]
        for source in sources:
            for again in (cls(state=source), ALL[cls][0]()):
                again.set_state_dict(source)
                for found, wanted in zip(read(again), read(first), strict=True):
                    assert found.dtype == wanted.dtype
                    assert torch.equal(found, wanted)


@EACH
def test_a_foreign_class_is_named(cls: Any, tmp_path: Path) -> None:
    other = variance() if cls is not RunningVariance else bincount()
    path = saved(tmp_path / "other.npz", other)
    theirs = f"netdissect.runningstats.{type(other).__name__}()"
    with pytest.raises(
        OutputError,
        match=f"{re.escape(path)}, field 'constructor': expected {cls.__name__}.*{re.escape(theirs)}",
    ):
        cls(state=path)


@EACH
def test_a_missing_field_is_named(cls: Any, tmp_path: Path) -> None:
    fields = ALL[cls][0]().state_dict()
    unread = {"constructor", "largest", "linear_index", "perm"}
    for name in fields:
        prefix, _, last = name.rpartition(".")
        ours = f"{prefix}.fastdissect_{last}" if prefix else f"fastdissect_{last}"
        if last in unread or last.startswith("fastdissect") or (ours in fields and last != "intersection"):
            continue
        path = tmp_path / "less.npz"
        np.savez(path, **{key: value for key, value in fields.items() if key != name})
        with pytest.raises(OutputError, match=rf"less\.npz.*field '{last}': expected"):
            cls(state=str(path))


@EACH
def test_a_truncated_file_is_named(cls: Any, tmp_path: Path) -> None:
    path = Path(saved(tmp_path / "cut.npz", ALL[cls][0]()))
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(OutputError, match=r"cut\.npz"):
            cls(state=str(path))


@pytest.mark.parametrize(
    ("make", "name", "value", "said"),
    [
        (top_k, "k", np.float64(3.5), "a whole number of at least 1; got 3.5"),
        (top_k, "next", 99, "3 to 15, as count, k and top_data say; got 99"),
        (top_k, "top_index", np.zeros((4, 3), np.int64), r"shape \(4, 15\)"),
        (top_k, "data_shape", (5,), r"shape \(5, 15\)"),
        (top_k, "largest", "yes", "True or False; got 'yes'"),
        (variance, "mean", np.zeros((4, 1), np.float32), "1 dimensions"),
        (variance, "fastdissect_total", np.zeros(3), r"shape \(4,\)"),
        (variance, "count", 0, "at least 1; got 0"),
        (bincount, "bincount", np.zeros(3), "integer or unsigned"),
        (intersections, "fastdissect_intersection", np.zeros((2, 2), np.int64), r"shape \(4, 2\)"),
        (gathered, "grid", np.zeros((3, 2)), r"begins with \(2, 2\)"),
        (conditional_variance, "conditions", np.zeros((1, 2)), "the list of conditions"),
    ],
)
def test_fields_that_do_not_fit(make: Any, name: str, value: Any, said: str, tmp_path: Path) -> None:
    statistic = make()
    path = tmp_path / "odd.npz"
    np.savez(path, **{**statistic.state_dict(), name: value})
    with pytest.raises(OutputError, match=rf"odd\.npz, field '\w+': expected.*{said}"):
        type(statistic)(state=path)


def test_a_top_k_of_the_peer(tmp_path: Path) -> None:
    """A buffer of 5 k columns of which `next` are filled, in no order, ties in any order."""
    data = np.zeros((2, 10), np.float32)
    data[:, :4] = [[1, 5, 5, 2], [9, 8, 7, 8]]
    index = np.zeros((2, 10), np.int64)
    index[:, :4] = [[0, 7, 3, 1], [4, 6, 5, 2]]
    path = tmp_path / "peer.npz"
    fields: dict[str, Any] = {
        "constructor": "util.runningstats.RunningTopK()",
        "k": 2,
        "count": 8,
        "largest": True,
        "data_shape": (2,),
        "top_data": data,
        "top_index": index,
        "next": 4,
        "linear_index": np.array([[0], [10]]),
        "perm": None,
    }
    np.savez(path, **fields)
    top = RunningTopK(state=path)
    assert top.result()[0].tolist() == [[5, 5], [9, 8]]
    assert top.result()[1].tolist() == [[3, 7], [4, 2]]
    top.add(torch.tensor([[6.0, 8.5], [5.0, 1.0]]))
    assert top.result()[1].tolist() == [[8, 3], [4, 8]]
    assert (top.k, top.size(), top.data_shape) == (2, 10, (2,))


def test_our_top_k_leaves_the_peer_room_to_go_on() -> None:
    """It fills columns from `next` on, and empties a buffer that is full into its first k columns."""
    fields = top_k().state_dict()
    assert fields["top_data"].shape == fields["top_index"].shape == (4, 15)
    assert fields["next"] == 3
    assert fields["linear_index"].tolist() == [[0], [15], [30], [45]]
    assert (fields["top_data"].dtype, fields["top_index"].dtype) == (np.float32, np.int64)


def test_a_variance_of_the_peer(tmp_path: Path) -> None:
    path = tmp_path / "peer.npz"
    mean, cmom2 = np.array([2.0, 4.0], np.float32), np.array([2.0, 0.0], np.float32)
    np.savez(path, count=2, batchcount=1, mean=mean, cmom2=cmom2)
    moments = RunningVariance(state=str(path))
    assert moments.mean().tolist() == [2, 4]
    assert moments.variance().tolist() == [2, 0]
    moments.add(torch.tensor([[5.0, 4.0]]))
    assert (moments.size(), moments.batchcount) == (3, 2)
    assert moments.mean().tolist() == [3, 4]
    assert moments.variance().tolist() == [4, 0]


def test_counts_of_the_peer_that_may_have_stalled_are_told(tmp_path: Path) -> None:
    path = tmp_path / "peer.npz"
    one = np.array([[2.0**24]], np.float32)
    np.savez(path, count=2**24 + 5, intersection=one, total_a=one[0], total_b=one[0])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        RunningAllIntersectionAndUnion(state=path)
    assert len(told) == 3
    assert "peer.npz: field 'intersection' has counts of 2^24 and more" in str(told[0].message)
    np.savez(path, count=3, intersection=0 * one + 0.5, total_a=one[0], total_b=one[0])
    with pytest.raises(OutputError, match="field 'intersection': expected counts"):
        RunningAllIntersectionAndUnion(state=path)


def test_counts_go_on_above_2_to_the_24() -> None:
    pairs = RunningAllIntersectionAndUnion()
    fields = intersections().state_dict()
    for name in ("intersection", "total_a", "total_b"):
        fields[f"fastdissect_{name}"] = np.full_like(fields[f"fastdissect_{name}"], 1 << 24)
    pairs.set_state_dict(fields)
    pairs.add(torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool))
    assert (pairs.state_dict()["fastdissect_intersection"] == (1 << 24) + 1).all()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_top_k_has_the_shape_of_a_sample(shape: tuple[int, ...]) -> None:
    data = normal(9, *shape)
    top = RunningTopK(k=4)
    top.add(data)
    values, index = top.result()
    assert values.shape == index.shape == (*shape, 4)
    assert torch.equal(values, data.movedim(0, -1).sort(dim=-1, descending=True)[0][..., :4])
    flat = top.result(flat=True)[0]
    assert torch.equal(flat.reshape(values.shape), values)
    assert torch.equal(top.top_data, flat)
    assert RunningTopK(state=top.state_dict()).result()[1].shape == index.shape


def test_top_k_refuses_other_samples() -> None:
    top = RunningTopK(k=2)
    top.add(torch.zeros(3, 2, 2))
    with pytest.raises(ActivationError, match=r"samples of shape \(2, 2\) as in the first batch; got \(4,\)"):
        top.add(torch.zeros(3, 4))
    with pytest.raises(ActivationError, match="expected a torch tensor; got list"):
        top.add([1.0])  # type: ignore[arg-type]
    with pytest.raises(ActivationError, match=r"expected real numbers; got torch\.complex64"):
        RunningTopK().add(torch.zeros(2, 2, dtype=torch.complex64))


def test_a_graph_is_not_kept() -> None:
    top, moments = RunningTopK(k=1), RunningVariance()
    data = torch.ones(2, 2, requires_grad=True)
    top.add(data)
    moments.add(data)
    assert not top.result()[0].requires_grad
    assert not moments.mean().requires_grad


def test_variance_takes_vectors_and_maps() -> None:
    maps = normal(3, 4, 5, 6)
    rows = maps.permute(0, 2, 3, 1).reshape(-1, 4)
    of_maps, of_vectors = RunningVariance(), RunningVariance()
    of_maps.add(maps)
    for row in rows:
        of_vectors.add(row)
    for moments in (of_maps, of_vectors):
        assert moments.size() == 90
        torch.testing.assert_close(moments.mean(), rows.double().mean(0).float(), rtol=3e-7, atol=1e-7)
        torch.testing.assert_close(moments.stdev(), rows.double().std(0).float(), rtol=3e-7, atol=0)


def test_conditionals() -> None:
    moments = conditional_variance()
    assert list(moments.keys()) == [0, 5]
    assert moments.has_conditional(5)
    assert not moments.has_conditional(1)
    assert moments.conditional(5).size() == 23
    assert moments.running_var[0] is moments.conditional(0)
    moments.to_("cpu")
    moments.to_("cpu", [0, 77])
    with pytest.raises(KeyError):
        moments.conditional(1)
    top = conditional_top_k()
    assert top.running_topk.keys() == {"sky", "sea"}
    assert top.count == 25
    assert int(top.conditional("sky").result()[1].min()) >= 100


@pytest.mark.parametrize("conditions", [[(1, 2)], [1, "sky"]])
def test_conditions_that_no_file_can_hold(conditions: list[Any]) -> None:
    moments = RunningConditionalVariance()
    for condition in conditions:
        moments.add(condition, torch.zeros(1, 1))
    with pytest.raises(SettingError, match="numbers or strings"):
        moments.state_dict()


def test_bincount_of_several_labels_a_sample() -> None:
    counts = RunningBincount()
    counts.add(torch.tensor([[1, 1], [0, 2]]), size=2)
    counts.cpu_()
    assert counts.bincount().tolist() == [1, 2, 1]
    assert counts.mean().tolist() == [0.5, 1.0, 0.5]
    assert counts.size() == 2


def test_intersections_take_bool_alone() -> None:
    with pytest.raises(ActivationError, match=r"expected bool; got torch\.float32 and torch\.bool"):
        RunningAllIntersectionAndUnion().add(torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.bool))


@pytest.mark.parametrize(
    "make", [RunningTopK, RunningVariance, RunningBincount, RunningAllIntersectionAndUnion]
)
def test_an_empty_statistic_has_no_state(make: Any) -> None:
    with pytest.raises(ActivationError, match="at least one batch"):
        make().state_dict()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@EACH
def test_on_a_gpu(cls: Any) -> None:
    make, read = ALL[cls]
    moved = make()
    moved.to_("cuda")
    for found, wanted in zip(read(moved), read(make()), strict=True):
        assert torch.equal(found.cpu(), wanted)
