"""SegFormer, UPerNet, BEiT, DPT and others: a score for each label at each pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from fastdissect.datasets.segmented.label_names import concepts_of_labels
from fastdissect.datasets.segmented.pretrained import Pretrained
from fastdissect.datasets.segmented.segmenter import Size
from fastdissect.errors import DataError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Semantic", "best_labels"]


class Semantic(Pretrained):
    """One channel: at each pixel the label whose logit, bilinearly resized, is greatest.

    With a cut above 0 a pixel whose probability (softmax over the labels) is not above it has no label.
    """

    def find_concepts(self) -> Concepts:
        self.refuse("prompts", "masks")
        if self.options.task not in (None, "semantic"):
            self.refuse("task")
        return concepts_of_labels(self.name, self.config, self.options)

    def labels(self, images: torch.Tensor, sizes: Sequence[Size]) -> list[tuple[LabelChannel, ...]]:
        logits = self.network(pixel_values=images).logits
        expected = (len(images), len(self.config.id2label))
        if logits.ndim != 4 or tuple(logits.shape[:2]) != expected:
            raise DataError(
                f"segmenter {self.name!r}: expected logits [{expected[0]}, {expected[1]} labels, height, width]; got "
                f"{list(logits.shape)}; mend id2label in its config.json"
            )
        found: list[tuple[LabelChannel, ...]] = []
        for one, size in zip(self.usable(logits), sizes, strict=True):
            resized = F.interpolate(one[None], size=size, mode="bilinear", align_corners=False)[0]
            confidence = resized.softmax(0) if self.cut > 0 else resized
            found.append((best_labels(confidence, self.concepts, self.cut if self.cut > 0 else None),))
        return found


def best_labels(scores: torch.Tensor, concepts: Concepts, cut: float | None) -> LabelChannel:
    """At each pixel the label of the greatest score, ties to the first; those that are no concept are none.

    Args:
        scores: [labels, height, width]. cut: the score must be above; None: any.
    """
    best, labels = scores.max(0)
    labels = labels + 1
    known = torch.zeros(len(scores) + 1, dtype=torch.bool, device=scores.device)
    known[torch.as_tensor(concepts.numbers, device=scores.device)] = True
    kept = known[labels] if cut is None else known[labels] & (best > cut)
    return LabelChannel(0, (labels * kept).cpu().numpy().astype("uint16"))
