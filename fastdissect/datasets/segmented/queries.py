"""MaskFormer, Mask2Former, OneFormer: a number of queries, each with a label and a mask.

Source of the three ways to read them: Cheng, Schwing, Kirillov, "Per-Pixel Classification is Not All You Need for
Semantic Segmentation", NeurIPS 2021, sections 3.4 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from fastdissect.datasets.regions.overlapping import stack_masks
from fastdissect.datasets.segmented.label_names import concepts_of_labels
from fastdissect.datasets.segmented.library import from_library
from fastdissect.datasets.segmented.pretrained import Pretrained
from fastdissect.datasets.segmented.segmenter import Size
from fastdissect.datasets.segmented.semantic import best_labels
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Queries"]

_OWN_SHARE = 0.8  # of its mask that a panoptic segment must keep beside the others


class Queries(Pretrained):
    """Labels of queries: p(label) of each, and a mask m = sigmoid(logits) at the size of the label maps.

    semantic (default): at each pixel the label with the greatest sum over queries of p m; one channel. A cut above 0
        asks for a greater sum.
    panoptic: queries whose p is above the cut (0.5) share the pixels out: each goes to the greatest p m; a query that is
        left with less than 0.8 of its mask (p m >= 0.5) is dropped; one channel.
    instance: each query whose p times the mean of m over its mask (m > 0.5) is above the cut (0.5) keeps its whole mask;
        masks of several labels overlap, in as many channels as that needs.
    """

    _task_tokens: torch.Tensor | None = None

    @property
    def task(self) -> str:
        return self.options.task or "semantic"

    def find_concepts(self) -> Concepts:
        self.refuse("prompts", "masks")
        if self.options.cut is None:
            self.cut = 0.0 if self.task == "semantic" else 0.5
        return concepts_of_labels(self.name, self.config, self.options)

    def labels(self, images: torch.Tensor, sizes: Sequence[Size]) -> list[tuple[LabelChannel, ...]]:
        outputs = self.network(pixel_values=images, **self._task_inputs(len(images)))
        chances = self.usable(outputs.class_queries_logits).softmax(-1)[
            ..., :-1
        ]  # the last label is "nothing"
        found = []
        for own, logits, size in zip(chances, self.usable(outputs.masks_queries_logits), sizes, strict=True):
            masks = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0].sigmoid()
            found.append(self._read(own, masks, size))
        return found

    def _read(self, chances: torch.Tensor, masks: torch.Tensor, size: Size) -> tuple[LabelChannel, ...]:
        """chances [queries, labels], masks [queries, height, width]."""
        if self.task == "semantic":
            scores = torch.einsum("ql,qhw->lhw", chances, masks)
            return (best_labels(scores, self.concepts, self.cut if self.cut > 0 else None),)
        best, labels = chances.max(1)
        kept = self._panoptic(best, masks) if self.task == "panoptic" else self._instances(best, masks)
        known = set(self.concepts.numbers.tolist())
        numbered = [(int(labels[query]) + 1, mask.cpu().numpy()) for query, mask in kept]
        channels = stack_masks(((number, mask) for number, mask in numbered if number in known), size, 0)
        return channels or (LabelChannel(0, np.zeros(size, np.uint16)),)

    def _panoptic(self, best: torch.Tensor, masks: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
        queries = (best > self.cut).nonzero()[:, 0]
        if not len(queries):
            return []
        weighted = masks[queries] * best[queries, None, None]
        owner = weighted.argmax(0)
        found = []
        for number, query in enumerate(queries.tolist()):
            own, whole = owner == number, int((weighted[number] >= 0.5).sum())
            if whole and int(own.sum()) > _OWN_SHARE * whole:
                found.append((query, own))
        return found

    def _instances(self, best: torch.Tensor, masks: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
        inside = masks > 0.5
        area = inside.sum((1, 2))
        scores = best * (masks * inside).sum((1, 2)) / area.clamp(min=1)
        order = scores.argsort(descending=True, stable=True)
        return [(q, inside[q]) for q in order.tolist() if scores[q] > self.cut and area[q]]

    def _task_inputs(self, images: int) -> dict[str, Any]:
        """OneFormer is told its task in words."""
        if "OneFormer" not in self.kind:
            return {}
        if self._task_tokens is None:
            tokenizer = from_library("AutoTokenizer", self.name, self.options.download)
            length = int(self.config.task_seq_len)
            text = f"the task is {self.task}"
            self._task_tokens = tokenizer(
                text, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
            ).input_ids
        return {"task_inputs": self._task_tokens.to(self.network.device).expand(images, -1)}
