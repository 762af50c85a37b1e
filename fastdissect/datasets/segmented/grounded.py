"""Grounding DINO and SAM: boxes for words, and a mask for each box.

Sources: Liu et al., "Grounding DINO", ECCV 2024; Kirillov et al., "Segment Anything", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from fastdissect.datasets.regions.overlapping import stack_masks
from fastdissect.datasets.segmented.label_names import concepts_of_prompts
from fastdissect.datasets.segmented.library import from_library
from fastdissect.datasets.segmented.loading import load_network, torch_device
from fastdissect.datasets.segmented.pretrained import Pretrained
from fastdissect.datasets.segmented.resizing import Processor, read_processor
from fastdissect.datasets.segmented.segmenter import Size
from fastdissect.datasets.segmented.weights import state_digest
from fastdissect.errors import SettingError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Grounded"]


class _Text(NamedTuple):
    inputs: dict[str, torch.Tensor]  # [1, tokens] each
    tokens: list[list[int]]  # of each prompt


class Grounded(Pretrained):
    """The detector sees "cat. dog."; a box belongs to the prompt with the greatest score at one of its tokens, and counts
    where that is above the cut (0.3). The other model draws each box's mask; masks may overlap, in several channels.
    """

    cut = 0.3
    masks_processor: Processor
    _masks: Any = None
    _text: _Text | None = None

    def find_concepts(self) -> Concepts:
        self.refuse("task", "void")
        if self.options.masks is None:
            raise SettingError(
                f"segmenter {self.name!r} finds boxes; expected masks=MODEL, a SAM that turns them into masks."
            )
        self.masks_name = self.options.masks
        self.masks_processor = read_processor(self.masks_name, self.options.download)
        return concepts_of_prompts(self.name, self.options)

    @property
    def masks(self) -> Any:
        if self._masks is None:
            found = load_network("SamModel", self.masks_name, self.options.download)
            self._masks = found.to(torch_device(self.options.device))
        return self._masks

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return pixels  # the two networks want other sizes

    def segment(
        self, images: Sequence[NDArray[np.uint8]], sizes: Sequence[Size]
    ) -> list[tuple[LabelChannel, ...]]:
        with torch.inference_mode():
            return [self._one(image, size) for image, size in zip(images, sizes, strict=True)]

    def labels(self, images: torch.Tensor, sizes: Sequence[Size]) -> list[tuple[LabelChannel, ...]]:
        raise NotImplementedError  # `segment` is our own

    def settings(self) -> list[str]:
        return [*super().settings(), state_digest(self.masks), repr(self.masks_processor.record())]

    def record(self) -> dict[str, Any]:
        return {**super().record(), "masks": {"model": self.masks_name, "weights": state_digest(self.masks)}}

    def _one(self, image: NDArray[np.uint8], size: Size) -> tuple[LabelChannel, ...]:
        boxes, numbers = self._boxes(image)
        none = (LabelChannel(0, np.zeros(size, np.uint16)),)
        if not len(numbers):
            return none
        masks = self._drawn(image, boxes, size).cpu().numpy()
        return stack_masks(zip(numbers, masks, strict=True), size, 0) or none

    def _boxes(self, image: NDArray[np.uint8]) -> tuple[torch.Tensor, list[int]]:
        """Boxes [n, 4] as fractions of the image (left, top, right, bottom), best first, and their labels."""
        text, at = self._tokens(), self.network.device
        pixels = self._input(self.processor, image)
        outputs = self.network(pixel_values=pixels, **{k: v.to(at) for k, v in text.inputs.items()})
        scores = self.usable(outputs.logits[0]).sigmoid()  # [queries, tokens]
        by_prompt = torch.stack([scores[:, own].amax(1) for own in text.tokens], 1)
        best, prompt = by_prompt.max(1)
        order = best.argsort(descending=True, stable=True)
        order = order[best[order] > self.cut]
        centre, extent = outputs.pred_boxes[0].float()[order].split(2, 1)
        boxes = torch.cat([centre - extent / 2, centre + extent / 2], 1).clamp(0, 1)
        return boxes, (prompt[order] + 1).tolist()

    def _drawn(self, image: NDArray[np.uint8], boxes: torch.Tensor, size: Size) -> torch.Tensor:
        """Masks of boxes, bool [n, height, width]."""
        pixels = self._input(self.masks_processor, image)
        height, width = pixels.shape[-2:]
        side = int(self.masks.config.vision_config.image_size)
        if max(height, width) > side:
            raise SettingError(
                f"segmenter {self.masks_name!r}: expected a processor that resizes images to at most {side} pixels; it gives "
                f"{height} x {width}; mend its preprocessor_config.json"
            )
        padded = F.pad(pixels, (0, side - width, 0, side - height))
        scale = torch.tensor([width, height, width, height], device=boxes.device)
        outputs = self.masks(
            pixel_values=padded.to(self.masks.device),
            input_boxes=(boxes * scale)[None].to(self.masks.device),
            multimask_output=False,
        )
        found = self.usable(outputs.pred_masks[0])  # [n, 1, h, w] of the padded square
        whole = F.interpolate(found, size=(side, side), mode="bilinear", align_corners=False)
        own = whole[..., :height, :width]
        return F.interpolate(own, size=size, mode="bilinear", align_corners=False)[:, 0] > 0

    def _input(self, processor: Processor, image: NDArray[np.uint8]) -> torch.Tensor:
        resized = torch.from_numpy(processor.resize(image).copy()).to(self.network.device)
        return processor.normalised(resized[None])

    def _tokens(self) -> _Text:
        """The prompts as the detector reads them, and where each lies."""
        if self._text is None:
            tokenizer = from_library("AutoTokenizer", self.name, self.options.download)
            prompts = [prompt.lower().strip() for prompt in self.options.prompts]
            found = tokenizer(". ".join(prompts) + ".", return_offsets_mapping=True, return_tensors="pt")
            places = found.pop("offset_mapping")[0].tolist()
            limit, count = int(self.config.max_text_len), len(places)
            if count > limit:
                raise SettingError(
                    f"prompts are {count} tokens long; segmenter {self.name!r} reads at most {limit}; name fewer."
                )
            tokens, first = [], 0
            for prompt in prompts:
                last = first + len(prompt)
                tokens.append([i for i, (a, b) in enumerate(places) if first <= a < b <= last])
                first = last + 2
            if not all(tokens):
                raise SettingError(
                    f"segmenter {self.name!r}: expected prompts of words; it reads nothing in "
                    f"{prompts[tokens.index([])]!r}."
                )
            self._text = _Text(dict(found), tokens)
        return self._text

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_masks": None, "_text": None}
