"""conditional_samples against brute force, and the scores made of them against counted pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import TensorDataset

from fastdissect.compat.netdissect import tally
from fastdissect.compat.netdissect.runningstats import RunningConditionalQuantile, RunningConditionalVariance
from fastdissect.errors import ActivationError, SettingError

Pair = tuple[Tensor, Tensor]


def planted(
    seed: int, images: int = 6, units: int = 4, channels: int = 2, side: int = 5, labels: int = 7
) -> Pair:
    """Activations, of which unit 0 is high under label 1 alone and the last unit is always 0; and labels."""
    rng = np.random.default_rng(seed)
    acts = torch.from_numpy(rng.normal(size=(images, units, side, side))).float()
    segs = torch.from_numpy(rng.integers(0, labels, (images, channels, side, side)))
    acts[:, 0] = (segs == 1).any(1) * 9.0 + acts[:, 0] / 100
    acts[:, -1] = 0
    return acts, segs


def counted(masks: Tensor, segs: Tensor, label: int) -> tuple[Tensor, int, Tensor]:
    """(pixels of both a unit's mask and the label, the label's, the mask's), pixel by pixel."""
    here = (segs == label).any(1)
    both = (masks.bool() & here[:, None]).sum((0, 2, 3))
    return both, int(here.sum()), masks.bool().sum((0, 2, 3))


@given(
    seed=st.integers(0, 99),
    images=st.integers(1, 3),
    channels=st.integers(1, 3),
    labels=st.integers(1, 5),
    dtype=st.sampled_from([torch.uint8, torch.int32, torch.int64]),
)
def test_samples_against_brute_force(
    seed: int, images: int, channels: int, labels: int, dtype: torch.dtype
) -> None:
    acts, segs = planted(seed, images, 3, channels, 4, labels)
    wanted: dict[int, list[Tensor]] = {0: []}
    for n in range(images):
        for y in range(4):
            for x in range(4):
                wanted[0].append(acts[n, :, y, x])
                for label in set(segs[n, :, y, x].tolist()) - {0}:
                    wanted.setdefault(label, []).append(acts[n, :, y, x])
    found = list(tally.conditional_samples(acts, segs.to(dtype)))
    assert [label for label, _ in found] == sorted(wanted)
    assert all(torch.equal(rows, torch.stack(wanted[label])) for label, rows in found)
    assert all(type(label) is int for label, _ in found)


@given(
    seed=st.integers(0, 99),
    images=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.bool, torch.uint8]),
)
def test_the_short_cut_counts_the_same(seed: int, images: int, dtype: torch.dtype) -> None:
    acts, segs = planted(seed, images)
    masks = (acts > 0.5).to(dtype)
    counts = tally.conditional_samples(masks, segs).indicator_counts()
    assert counts is not None
    rows = [(label, len(rows), rows.long().sum(0)) for label, rows in tally.conditional_samples(masks, segs)]
    assert [entry[:2] for entry in counts] == [entry[:2] for entry in rows]
    assert all(torch.equal(a[2], b[2]) for a, b in zip(counts, rows, strict=True))


@pytest.mark.parametrize("odd", [0.5, -1.0, 2.0, math.nan, math.inf, -math.inf, 1e-45, 1 - 2**-24, -1e-45])
def test_no_short_cut_for_what_is_no_mask(odd: float) -> None:
    acts, segs = planted(0)
    masks = (acts > 0.5).float()
    masks[2, 1, 3, 3] = odd
    assert tally.conditional_samples(masks, segs).indicator_counts() is None


def test_no_short_cut_for_integers_above_one_or_a_begun_iterator() -> None:
    masks, segs = torch.full((1, 1, 2, 2), 2), torch.ones(1, 1, 2, 2, dtype=torch.int64)
    assert tally.conditional_samples(masks, segs).indicator_counts() is None
    begun = tally.conditional_samples(masks > 0, segs)
    next(begun)
    assert begun.indicator_counts() is None
    assert [label for label, _ in begun] == [1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_iou_of_masks_is_the_quotient_of_counted_pixels(batch_size: int, dtype: torch.dtype) -> None:
    acts, segs = planted(1)
    masks = acts > 0.5
    moments = tally.tally_conditional_mean(
        lambda a, s: tally.conditional_samples((a > 0.5).to(dtype), s),
        TensorDataset(acts, segs),
        batch_size=batch_size,
    )
    iou = tally.iou_from_conditional_indicator_mean(moments)
    assert iou.shape == (7, 4)
    assert iou.dtype == torch.float32
    for label in range(1, 7):
        both, there, active = counted(masks, segs, label)
        assert torch.equal(iou[label], (both.double() / (active + there - both)).float())
        assert moments.conditional(label).size() == there
    assert torch.equal(iou[0], (counted(masks, segs, 0)[2].double() / segs[:, 0].numel()).float())
    assert iou[1, 0] == 1.0
    assert iou.max(0)[1][0] == 1
    assert moments.conditional(1).mean().dtype == (torch.float32 if dtype == torch.bool else dtype)


def test_a_dead_unit_and_an_absent_label_have_0() -> None:
    """The peer's 0 / 0 is NaN there, and NaN is what its `max` then finds."""
    segs = torch.tensor([[[[1, 1], [3, 3]]]])
    moments = RunningConditionalVariance()
    for label, rows in tally.conditional_samples(torch.zeros(1, 1, 2, 2), segs):
        moments.add(label, rows)
    assert tally.iou_from_conditional_indicator_mean(moments).flatten().tolist() == [0, 0, 0, 0]


def test_a_loaded_peer_s_means_do_too() -> None:
    """Its file has rounded means alone."""
    acts, segs = planted(2)
    moments = tally.tally_conditional_mean(
        lambda a, s: tally.conditional_samples((a > 0).float(), s), TensorDataset(acts, segs)
    )
    theirs = {key: value for key, value in moments.state_dict().items() if "fastdissect" not in key}
    again = RunningConditionalVariance(state=theirs)
    torch.testing.assert_close(
        tally.iou_from_conditional_indicator_mean(again),
        tally.iou_from_conditional_indicator_mean(moments),
        rtol=1e-6,
        atol=1e-7,
    )


def quantiles_of(
    acts: Tensor, segs: Tensor, batch_size: int = 2, **options: Any
) -> RunningConditionalQuantile:
    return tally.tally_conditional_quantile(
        tally.conditional_samples, TensorDataset(acts, segs), batch_size=batch_size, **options
    )


@pytest.mark.parametrize("cutoff", [0.5, 0.9])
def test_iou_of_quantiles_is_that_of_counted_pixels(cutoff: float) -> None:
    """Distinct values; levels are read between two samples, so up to a pixel of a label or of all is in between."""
    rng = np.random.default_rng(3)
    acts = torch.from_numpy(rng.permutation(12 * 3 * 64).astype(np.float32)).view(12, 3, 8, 8)
    segs = torch.from_numpy(rng.integers(0, 4, (12, 1, 8, 8)))
    condq = quantiles_of(acts, segs)
    iou = tally.iou_from_conditional_quantile(condq, cutoff)
    level = condq.conditional(0).quantiles(cutoff)
    assert iou.shape == (3, 4)
    for label in range(1, 4):
        both, there, active = counted(acts > level[None, :, None, None], segs, label)
        least = (both - 1) / (active + 1 + there - both + 1)
        most = (both + 1) / (active - 1 + there - both - 1)
        assert ((iou[:, label] > least) & (iou[:, label] < most)).all()
    assert (iou[:, 0] == 0).all()


def test_several_cutoffs_and_few_batches() -> None:
    acts, segs = planted(4)
    segs[segs == 6] = 0
    segs[0, 0] = 6
    condq = quantiles_of(acts, segs)
    both = tally.iou_from_conditional_quantile(condq, [0.5, 0.9])
    assert both.shape == (4, 7, 2)
    for i, cutoff in enumerate((0.5, 0.9)):
        one = tally.iou_from_conditional_quantile(condq, cutoff)
        torch.testing.assert_close(both[..., i], one)
        torch.testing.assert_close(tally.iou_from_conditional_quantile(condq, torch.tensor(cutoff)), one)
    assert (both[:, 6] == 0).all()
    assert (tally.iou_from_conditional_quantile(condq, 0.5, min_batches=1)[1:3, 6] > 0).all()


def test_scores_against_their_definitions() -> None:
    """A joint distribution of two bits; information from entropies."""
    p = torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=torch.float64)
    arr = torch.stack(
        [p, torch.tensor([[0.0, 0.5], [0.5, 0.0]]).double(), torch.tensor([[1.0, 0], [0, 0]]).double()], -1
    )

    def entropy(*shares: float) -> float:
        return -sum(x * math.log(x) for x in shares if x)

    joint = [entropy(0.1, 0.2, 0.3, 0.4), entropy(0.5, 0.5), 0.0]
    mutual = [entropy(0.3, 0.7) + entropy(0.4, 0.6) - joint[0], math.log(2), 0.0]
    assert tally.intersection_over_union(arr).tolist() == pytest.approx([0.1 / 0.6, 0, 1])
    assert tally.joint_entropy(arr).tolist() == pytest.approx(joint)
    assert tally.mutual_information(arr).tolist() == pytest.approx(mutual, abs=1e-15)
    ratio = [mutual[0] / joint[0], 1.0, 0.0]
    assert tally.information_quality_ratio(arr).tolist() == pytest.approx(ratio, abs=1e-15)


def test_the_statistic_is_given_shares_of_all_pixels() -> None:
    acts, segs = planted(5)
    condq = quantiles_of(acts, segs)
    seen: list[Tensor] = []

    def total(arr: Tensor) -> Tensor:
        seen.append(arr)
        return arr.sum((0, 1))

    scores = tally.intersection_from_conditional_quantile(condq, total, 0.9)
    torch.testing.assert_close(scores[:, 1:], torch.ones(4, 6))
    for label, arr in enumerate(seen, start=1):
        there = counted(acts > 0, segs, label)[1] / segs[:, 0].numel()
        torch.testing.assert_close(arr[:, 0].sum(0), torch.full((4,), there, dtype=torch.float64))
        torch.testing.assert_close(arr[0].sum(0), torch.full((4,), 0.1, dtype=torch.float64))
    assert torch.equal(
        tally.intersection_from_conditional_quantile(condq, cutoff=0.9)[:, 1], seen[0][0, 0].float()
    )
    there = counted(acts > 0, segs, 1)[1] / segs[:, 0].numel()
    for name in ("mi", "iqr"):
        found = getattr(tally, f"{name}_from_conditional_quantile")(condq, 1 - there)
        assert found[0].argmax() == 1


def test_conditions_are_labels_with_0_for_all() -> None:
    moments, condq = RunningConditionalVariance(), RunningConditionalQuantile()
    moments.add("sky", torch.ones(2, 2))
    condq.add(3, torch.ones(2, 2))
    with pytest.raises(
        SettingError, match="expected conditions to be whole numbers from 0, the labels; got 'sky'"
    ):
        tally.iou_from_conditional_indicator_mean(moments)
    with pytest.raises(SettingError, match=r"expected a condition 0 with all pixels.*got \[3\]"):
        tally.iou_from_conditional_quantile(condq)


@pytest.mark.parametrize(
    ("acts", "segs", "said"),
    [
        (torch.zeros(1, 2, 3), torch.zeros(1, 1, 3, 3).long(), r"got \(1, 2, 3\) and"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3).long(), r"and \(1, 3, 3\)"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 6, 6).long(), "upsample the activations"),
        (torch.zeros(2, 2, 3, 3), torch.zeros(1, 1, 3, 3).long(), "of the same images"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 3, 3), r"integer labels; got torch\.float32"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 3, 3).long() - 1, "labels from 0 .*; got -1"),
    ],
)
def test_what_does_not_fit(acts: Tensor, segs: Tensor, said: str) -> None:
    with pytest.raises(ActivationError, match=said):
        tally.conditional_samples(acts, segs)
