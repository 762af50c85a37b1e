"""A batch's logits: with the network as it is, then with units changed, as often as asked."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastdissect.activations import input_dtype
from fastdissect.errors import ActivationError, LayerError
from fastdissect.forward_options import ForwardOptions
from fastdissect.methods.ablation.edit import LayerReading, Mode, edited_output
from fastdissect.methods.ablation.replay import Recording
from fastdissect.methods.logits import logits_of, near
from fastdissect.models import get_layer

__all__ = ["EditedPasses"]

log = logging.getLogger("fastdissect")


class EditedPasses:
    """Runs batches intact and with units changed.

    Args:
        module: the network, in eval mode, on `device`.
        means: float64 [units] on the CPU, for mode "mean".
        replay: run again only what comes behind the layer, where that gives the same bits (`Recording`).
    """

    def __init__(
        self,
        module: nn.Module,
        reading: LayerReading,
        mode: Mode,
        device: torch.device,
        *,
        means: Tensor | None = None,
        options: ForwardOptions | None = None,
        replay: bool = True,
    ) -> None:
        self.module, self.reading, self.mode, self.device = module, reading, mode, device
        self.means = means
        self.options = options or ForwardOptions()
        self.dtype = input_dtype(module)
        self.recording = Recording(module, reading.layer) if replay else None

    def logits(self, images: Tensor, groups: Sequence[Sequence[int]]) -> Iterator[Tensor]:
        """Yield float64 [n, classes] on the CPU: of the network as it is, then of each group of units changed.

        Raises:
            LayerError: a layer that is not called once, or an output that is no [n, classes].
            ActivationError: logits that are NaN or infinite.
        """
        images = images.to(self.device)
        with self.options.precision(images.device):
            self.reading.watch(self.module, images)
        recording = self.recording
        whole = self._run(images, None, contextlib.nullcontext() if recording is None else recording.taken())
        if recording is not None and not self._replays(recording, images, whole):
            log.info("layer %s: every group is a whole forward pass", self.reading.layer)
            recording = self.recording = None
            self._warn_of_chance(images, whole)
        yield _checked(whole, "the network as it is")
        for units in groups:
            way = contextlib.nullcontext() if recording is None else recording.replayed()
            chosen = torch.tensor(list(units), device=self.device)
            yield _checked(self._run(images, chosen, way), f"units {', '.join(map(str, units))[:60]} changed")
        if recording is not None:
            recording.forget()

    def _replays(self, recording: Recording, images: Tensor, whole: Tensor) -> bool:
        """Whether a replay without a change gives the same bits."""
        if not recording.usable:
            return False
        try:
            again = self._run(images, None, recording.replayed())
        except Exception as error:  # noqa: BLE001 - a stranger's forward, which may need what was left out
            log.debug("a replay failed: %s", error)
            return False
        return torch.equal(again, whole)

    def _warn_of_chance(self, images: Tensor, whole: Tensor) -> None:
        """Say that the network itself decides by chance; what units change cannot be told from that."""
        again = self._run(images, None, contextlib.nullcontext())
        if not near(again, whole):
            log.warning(
                "the network gives the same images other logits each time, by up to %.3g: the changes measured hold that "
                "too; switch its randomness off, in eval mode",
                float((again - whole).abs().max()),
            )

    def _run(
        self, images: Tensor, units: Tensor | None, way: contextlib.AbstractContextManager[None]
    ) -> Tensor:
        calls = 0

        def hook(_module: nn.Module, arguments: Any, output: Any) -> Any:
            nonlocal calls
            calls += 1
            if units is None or not len(units):
                return None
            return edited_output(
                output, self.module, images, self.reading, units, self.mode, self.means, arguments
            )

        given = images.to(self.dtype) if images.is_floating_point() else images
        handle = get_layer(self.module, self.reading.layer).register_forward_hook(hook)
        try:
            with torch.inference_mode(), self.options.precision(images.device), way:
                found = logits_of(self.module(given))
        finally:
            handle.remove()
        if calls != 1:
            raise LayerError(
                f"layer {self.reading.layer!r}: expected one call a forward pass; got {calls or 'none'}; ablate a "
                "layer that is used once, in eval mode"
            )
        return found


def _checked(logits: Tensor, what: str) -> Tensor:
    """Logits as float64 on the CPU."""
    wide = logits.detach().cpu().double()
    if not bool(torch.isfinite(wide).all()):
        raise ActivationError(f"expected finite logits; {what}: got NaN or infinity")
    return wide
