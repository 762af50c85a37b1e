"""All concepts together in torch, for a GPU: step by step, the batches of many concepts side by side.

Step s takes batch s of every concept that has one. With R [H, h] and C [W, w] the upsampling's matrices,

    z = sum of w over the active cells        one scatter for all images of the step
    s = R z C^T,  d = R^T g C                 two matrix products each; g is the loss's derivative, written out
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.kernels.concept_masks import Descent, Rule, map_tables
from fastdissect.methods.net2vec.problem import Problem

__all__ = ["TorchDescent"]

_ROOM = 256 << 20  # bytes of pixels at a time


class TorchDescent:
    """Epochs of all tasks on a device; the state on the host is renewed after each.

    Weights equal the kernel's within float32 rounding; on a GPU sums may be added in another order from run to run.
    Memory: the active cells and the concepts' packed masks on the device, and some 6 times 256 MB of pixels.
    """

    def __init__(self, problem: Problem, state: Descent, rule: Rule, device: str) -> None:
        self.problem, self.state, self.rule, self.device = problem, state, rule, torch.device(device)
        tables = map_tables(problem.upsampling)
        self.rows = self._matrix(tables.row_start, tables.row_fraction, problem.cells.shape[2])
        self.columns = self._matrix(tables.column_start, tables.column_fraction, problem.cells.shape[3])
        self.unit, self.cell = (self._there(a).long() for a in (problem.cells.unit, problem.cells.cell))
        self.words = self._there(problem.targets.train.words.astype("<u8").view(np.uint8))
        self.kept = self._there(state.kept)
        self.learnt = {
            name: self._there(getattr(state, name).copy())
            for name in ("weights", "velocity", "bias", "bias_velocity")
        }
        self.within, self.without = self._there(state.inside), self._there(state.outside)

    def _there(self, array: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)

    def _matrix(self, start: NDArray[np.int32], fraction: NDArray[np.float32], cells: int) -> torch.Tensor:
        matrix = np.zeros((len(start), max(cells, 2)), np.float32)
        at = np.arange(len(start))
        matrix[at, start] = 1 - fraction
        matrix[at, start + 1] = fraction
        return self._there(matrix[:, :cells])

    def epoch(self) -> None:
        """One pass of every task over its images."""
        shown, batch = self.problem.targets.train, self.rule.batch
        first, last = (shown.concept_start[self.state.concept + i] for i in (0, 1))
        pixels = self.problem.targets.mask_pixels
        most = max(1, _ROOM // (4 * pixels * batch))
        for step in range(int(-(-(last - first).max(initial=0) // batch))):
            begin = first + step * batch
            tasks = np.flatnonzero(begin < last)
            for at in range(0, len(tasks), most):
                own = tasks[at : at + most]
                self._step(own, begin[own], np.minimum(begin[own] + batch, last[own]))
        for name, tensor in self.learnt.items():
            getattr(self.state, name)[...] = tensor.cpu().numpy()

    def _step(self, tasks: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        size = end - begin
        of = np.repeat(np.arange(len(tasks)), size)  # row of `tasks` of each image
        pair = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size - begin, size)
        shown, cells = self.problem.targets.train, self.problem.cells
        image = shown.image[pair]
        length = cells.image_start[image + 1] - cells.image_start[image]
        entry = np.arange(length.sum()) - np.repeat(
            np.cumsum(length) - length - cells.image_start[image], length
        )
        at = self._there(np.repeat(np.arange(len(pair)), length))
        entries, task = self._there(entry), self._there(tasks)
        unit, cell = self.unit[entries], self.cell[entries]
        row = task[self._there(of)[at]]
        kept = self.kept[row, unit].float()
        height, width = cells.shape[2:]
        z = torch.zeros(len(pair), height * width, device=self.device)
        weights = self.learnt["weights"]
        z.index_put_((at, cell), weights[row, unit] * kept, accumulate=True)
        own = self._there(of)
        if self.rule.bias:
            z = z + self.learnt["bias"][task[own], None]
        s = self.rows @ z.reshape(-1, height, width) @ self.columns.T
        label = self._labels(shown.row[pair], s.shape[1:])
        share = self._there(size.astype(np.float32))[own][:, None, None]
        inside, outside = (w[task[own]][:, None, None] / share for w in (self.within, self.without))
        m = torch.sigmoid(s)
        if self.rule.cross_entropy:
            g = torch.where(label, inside * (m - 1), outside * m)
        else:
            g = torch.where(label, -inside, outside) * (m * (1 - m))
        d = (self.rows.T @ g @ self.columns).reshape(len(pair), height * width)
        gradient = torch.zeros(len(tasks), weights.shape[1], device=self.device)
        gradient.index_put_((own[at], unit), d[at, cell] * kept, accumulate=True)
        self._move(task, gradient)
        if self.rule.bias:
            slope = torch.zeros(len(tasks), device=self.device).index_add_(0, own, d.sum(1))
            velocity = self.rule.momentum * self.learnt["bias_velocity"][task] + slope
            self.learnt["bias_velocity"][task] = velocity
            self.learnt["bias"][task] -= self.rule.rate * velocity

    def _labels(self, row: NDArray[np.int64], size: torch.Size) -> torch.Tensor:
        """bool [images, H, W]."""
        pixels = size[0] * size[1]
        own = self._there(np.maximum(row, 0))
        if not len(self.words):
            return torch.ones((len(row), *size), dtype=torch.bool, device=self.device)
        bytes_ = self.words[own][:, : -(-pixels // 8), None]
        bits = bytes_ >> torch.arange(8, device=self.device, dtype=torch.uint8) & 1
        label = bits.reshape(len(row), -1)[:, :pixels].bool() | self._there(row < 0)[:, None]
        return label.reshape(len(row), *size)

    def _move(self, task: torch.Tensor, gradient: torch.Tensor) -> None:
        rule, weights = self.rule, self.learnt["weights"][task]
        slope = gradient + (rule.l1 * weights.sign() + rule.l2 * weights)
        velocity = rule.momentum * self.learnt["velocity"][task] + slope
        moved = weights - rule.rate * velocity
        kept = self.kept[task]
        self.learnt["velocity"][task] = torch.where(kept, velocity, 0)
        self.learnt["weights"][task] = torch.where(kept, moved.clamp(min=0) if rule.positive else moved, 0)
