"""Segmenters of transformers: loaded when the first image is segmented, always whole and from the same weights."""

from __future__ import annotations

import abc
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.datasets.files import digest
from fastdissect.datasets.segmented.library import library
from fastdissect.datasets.segmented.loading import load_network, torch_device
from fastdissect.datasets.segmented.options import SegmenterOptions
from fastdissect.datasets.segmented.resizing import Processor
from fastdissect.datasets.segmented.segmenter import Segmenter, Size
from fastdissect.datasets.segmented.weights import state_digest
from fastdissect.errors import DataError, SettingError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Pretrained"]


class Pretrained(Segmenter):
    """A model of transformers.

    Args:
        name: its folder, or its name in the cache. kind: its class there. config: its configuration.

    Attributes:
        cut: default of the option; a label counts where its confidence is above.
    """

    cut: float = 0.0

    def __init__(
        self, name: str, kind: str, config: Any, processor: Processor, options: SegmenterOptions
    ) -> None:
        self.name, self.kind, self.config, self.processor, self.options = (
            name,
            kind,
            config,
            processor,
            options,
        )
        if options.cut is not None:
            self.cut = options.cut
        self.concepts = self.find_concepts()
        self._network: Any = None
        self._fingerprint: str | None = None

    @abc.abstractmethod
    def find_concepts(self) -> Concepts:
        """The vocabulary, from configuration and options.

        Raises:
            SettingError: an option that the family needs is missing, or one that it does not have is given.
        """

    @abc.abstractmethod
    def labels(self, images: torch.Tensor, sizes: Sequence[Size]) -> list[tuple[LabelChannel, ...]]:
        """Labels of a batch, images float32 [n, 3, height, width] on the network's device."""

    @property
    def network(self) -> Any:
        if self._network is None:
            network = load_network(self.kind, self.name, self.options.download)
            self._network = network.to(torch_device(self.options.device))
        return self._network

    def usable(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores as they are, float32.

        Raises:
            DataError: NaN among them, which no comparison would show.
        """
        found = scores.float()
        if bool(found.isnan().any()):
            raise DataError(
                f"segmenter {self.name!r}: expected numbers as scores; got NaN; look at its weights, and at image_mean and "
                "image_std in preprocessor_config.json"
            )
        return found

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self.processor.resize(pixels)

    def segment(
        self, images: Sequence[NDArray[np.uint8]], sizes: Sequence[Size]
    ) -> list[tuple[LabelChannel, ...]]:
        """Images of one size go through the network together; of others one size after the other."""
        found: dict[int, tuple[LabelChannel, ...]] = {}
        for shape in dict.fromkeys(image.shape for image in images):
            members = [i for i, image in enumerate(images) if image.shape == shape]
            batch = torch.from_numpy(np.stack([images[i] for i in members])).to(self.network.device)
            with torch.inference_mode():
                labels = self.labels(self.processor.normalised(batch), [sizes[i] for i in members])
            found |= zip(members, labels, strict=True)
        return [found[i] for i in range(len(images))]

    def fingerprint(self) -> str:
        if self._fingerprint is None:
            parts = [state_digest(self.network), self.kind, self._configuration(), *self.settings()]
            self._fingerprint = digest("\0".join(parts).encode())
        return self._fingerprint

    def settings(self) -> list[str]:
        """Options and processor settings as text, without paths."""
        options = {**self.options.record(), "cut": self.cut, "masks": None}
        return [json.dumps(part, sort_keys=True) for part in (options, self.processor.record())]

    def _configuration(self) -> str:
        known = self.config.to_dict()
        for name in ("_name_or_path", "transformers_version"):
            known.pop(name, None)
        return json.dumps(known, sort_keys=True, default=str)

    def record(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "class": self.kind,
            "fingerprint": self.fingerprint(),
            "weights": state_digest(self.network),
            "options": {**self.options.record(), "cut": self.cut},
            "processor": self.processor.record(),
            "device": str(self.network.device),
            "threads": torch.get_num_threads(),
            "transformers": library(self.name).__version__,
        }

    def refuse(self, *names: str) -> None:
        """Refuse options that the family does not have."""
        for name in names:
            if getattr(self.options, name):
                raise SettingError(
                    f"segmenter {self.name!r} ({self.kind}) has no option {name}; leave it away, or take a model that has."
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}
