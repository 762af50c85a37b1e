"""CLIPSeg (Lüddecke, Ecker, "Image Segmentation Using Text and Image Prompts", CVPR 2022): a mask for each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from fastdissect.datasets.segmented.label_names import concepts_of_prompts
from fastdissect.datasets.segmented.library import from_library
from fastdissect.datasets.segmented.pretrained import Pretrained
from fastdissect.datasets.segmented.segmenter import Size
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Prompted"]


class Prompted(Pretrained):
    """One channel for each prompt: its label where the sigmoid of its logit, bilinearly resized, is above the cut (0.5).

    The network runs once for each prompt.
    """

    cut = 0.5
    _prompts: torch.Tensor | None = None  # float32 [prompts, embedding]

    def find_concepts(self) -> Concepts:
        self.refuse("task", "masks", "void")
        return concepts_of_prompts(self.name, self.options)

    def labels(self, images: torch.Tensor, sizes: Sequence[Size]) -> list[tuple[LabelChannel, ...]]:
        channels: list[list[LabelChannel]] = [[] for _ in sizes]
        for number, prompt in enumerate(self._embedded(), 1):
            own = prompt.to(images.device).expand(len(images), -1)
            logits = self.usable(self.network(pixel_values=images, conditional_embeddings=own).logits)
            logits = logits.reshape(
                len(images), 1, *logits.shape[-2:]
            )  # of one image older versions drop the first
            for one, size, found in zip(logits, sizes, channels, strict=True):
                resized = F.interpolate(one[None], size=size, mode="bilinear", align_corners=False)[0, 0]
                labels = (resized.sigmoid() > self.cut).cpu().numpy().astype("uint16") * number
                found.append(LabelChannel(0, labels.astype("uint16")))
        return [tuple(found) for found in channels]

    def _embedded(self) -> torch.Tensor:
        if self._prompts is None:
            tokenizer = from_library("AutoTokenizer", self.name, self.options.download)
            tokens = tokenizer(list(self.options.prompts), padding=True, return_tensors="pt")
            at = self.network.device
            self._prompts = self.network.get_conditional_embeddings(
                len(self.options.prompts),
                input_ids=tokens.input_ids.to(at),
                attention_mask=tokens.attention_mask.to(at),
            )
        return self._prompts

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_prompts": None}
