"""davidbau/dissect, from an unchanged checkout: its tally functions on the case's arrays.

The loop is its experiment's: thresholds from tally_quantile over maps upsampled to the masks' size, then
tally_conditional_mean of the indicators "above the threshold" at each label, then IoU; the batches are the sizes that
its functions take by themselves (10 and 1). Labels come as tensors [images, channels, height, width], as its
segmenter gives them. bench/peers/README.md lists the stand-ins.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.quantiles import quantile_of
from fastdissect.benchmarks.standins import never, offer
from fastdissect.benchmarks.work import Found, Work

__all__ = ["pipeline", "quantile", "tally"]

RESOLUTION = 8192  # what its experiment asks of tally_quantile


def import_dissect(case: Case) -> tuple[Any, Any]:
    """Its tally and upsample modules."""
    transforms = ("Resize", "RandomCrop", "RandomResizedCrop", "CenterCrop")
    offer("torchvision.transforms", dict.fromkeys(transforms, never))
    offer("statsmodels.stats.correlation_tools", {"cov_nearest": never, "corr_nearest": never})
    sys.path.insert(0, case.settings["path"])
    vars(importlib.import_module("netdissect.pbar"))["default_verbosity"] = False
    tally_ = importlib.import_module("netdissect.tally")
    return tally_, importlib.import_module("netdissect.upsample")


def _rows(maps: Any) -> Any:
    """[values, units] of a batch of maps, as its experiment lays them out."""
    return maps.permute(0, 2, 3, 1).contiguous().view(-1, maps.shape[1])


class _Stages:
    """The stages of its experiment on saved activations; `run` gives what the case asks for."""

    def __init__(self, case: Case) -> None:
        import torch

        self.torch, self.case = torch, case
        torch.set_grad_enabled(False)
        torch.manual_seed(0)
        self.tally, upsample = import_dissect(case)
        self.activations = torch.from_numpy(case.activations)
        assert case.labels is not None
        labels = case.labels.thinned(case.settings.get("label step", 1))
        self.labels = torch.from_numpy(labels.dense())
        cells = tuple(case.activations.shape[2:])
        self.upsample = upsample.upsampler(labels.size, data_shape=cells)

    def thresholds(self) -> Any:
        sketch = self.tally.tally_quantile(
            lambda batch: _rows(self.upsample(batch)), self.activations, r=RESOLUTION
        )
        return sketch.quantiles(float(1 - quantile_of(self.case)))

    def scores(self, thresholds: Any) -> Any:
        """IoU [labels, units], row 0 unused."""
        level = thresholds[None, :, None, None]

        def indicators(maps: Any, labels: Any) -> Any:
            return self.tally.conditional_samples((self.upsample(maps) > level).float(), labels)

        pairs = self.torch.utils.data.TensorDataset(self.activations, self.labels)
        return self.tally.iou_from_conditional_indicator_mean(
            self.tally.tally_conditional_mean(indicators, pairs)
        )

    def found(self, scores: NDArray[Any]) -> Found:
        """IoU [units, concepts] in our columns; a label that no image shows has 0."""
        assert self.case.concepts is not None
        numbers = self.case.concepts.numbers
        iou = np.zeros((scores.shape[1], len(numbers)))
        held = numbers < len(scores)
        iou[:, held] = scores[numbers[held]].T
        scores[0] = 0  # the row of "everywhere"
        best = scores.argmax(0)
        return {"iou": np.nan_to_num(iou), "label": np.where(scores.max(0) > 0, best, 0)}


def quantile(case: Case) -> Work:
    """RunningQuantile of the raw maps through tally_quantile, which makes it with its own resolution (3,072)."""
    import torch

    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    tally_, _ = import_dissect(case)
    activations = torch.from_numpy(case.activations)

    def run(_: None) -> Found:
        sketch = tally_.tally_quantile(_rows, activations, r=RESOLUTION)
        return {"thresholds": sketch.quantiles(float(1 - quantile_of(case))).numpy()}

    return Work(run)


def tally(case: Case) -> Work:
    """The conditional indicator means and the IoU, with the case's thresholds."""
    import torch

    stages = _Stages(case)
    thresholds = torch.from_numpy(case.thresholds)

    def run(_: None) -> Found:
        return stages.found(stages.scores(thresholds).numpy())

    return Work(run)


def pipeline(case: Case) -> Work:
    """tally_quantile over upsampled maps, then the tally: two of the four passes of its experiment."""
    stages = _Stages(case)

    def run(_: None) -> Found:
        thresholds = stages.thresholds()
        return {"thresholds": thresholds.numpy(), **stages.found(stages.scores(thresholds).numpy())}

    return Work(run)
