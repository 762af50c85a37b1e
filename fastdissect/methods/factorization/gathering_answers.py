"""The network's answers, read in the pass that gathers: is it right about an example?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastdissect.activations import LayerHooks
from fastdissect.errors import LayerError
from fastdissect.methods.classes import UNKNOWN, class_names, decision_classes
from fastdissect.methods.factorization.gathering_examples import ClassTable
from fastdissect.methods.logits import logits_of

__all__ = ["Answers", "WholePass", "right_answers"]


class WholePass(LayerHooks):
    """The same hooks, and the pass goes on to the network's output."""

    @property
    def _last(self) -> str | None:
        return None


class Answers:
    """The class that the network says, for each batch of a pass.

    Attributes:
        outputs: number of logits; 0: the network gives none (`problem` says why), and nothing is kept.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, self.outputs, self.problem = module, 0, ""
        self.latest: NDArray[np.int64] | None = None
        self._among: NDArray[np.int64] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, `latest` is the answers of the last pass, int64 [n], numbers of logits."""
        handle = self.module.register_forward_hook(self._hear)
        try:
            yield
        finally:
            handle.remove()

    def _hear(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        self.latest = None
        try:
            logits: Tensor = logits_of(output)
        except LayerError as error:
            self.problem = str(error)
            return
        if self._among is None:
            self.outputs = int(logits.shape[1])
            self._among = decision_classes(self.module, class_names(self.module, self.outputs))
        among = torch.from_numpy(self._among).to(logits.device)
        self.latest = self._among[logits[:, among].argmax(1).cpu().numpy()]


def right_answers(
    module: nn.Module, outputs: int, classes: ClassTable, said: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    """Return whether the network is right about each example, bool [examples].

    Its classes are found by their names; where it has none, by the numbers that `classes` is named by, or one by one where
    there are as many.

    Returns:
        None: an example's class is not known, or is none of the network's.
    """
    own = class_names(module, outputs)
    number = {name: n for n, name in enumerate(own)}
    if all(name == f"class {n}" for n, name in enumerate(own)):
        if all(name.isascii() and name.isdecimal() and len(name) < 19 for name in classes.names):
            number = {name: int(name) for name in classes.names if int(name) < outputs}
        elif len(classes.names) == outputs:
            number = {name: n for n, name in enumerate(classes.names)}
    column = np.array([number.get(name, UNKNOWN) for name in classes.names], np.int64)
    if (classes.numbers == UNKNOWN).any() or (column[classes.numbers] == UNKNOWN).any():
        return None
    found: NDArray[np.bool_] = column[classes.numbers] == said
    return found
