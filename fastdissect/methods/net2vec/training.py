"""All concepts together: epochs of the kernel, with progress and a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError, SettingError
from fastdissect.interruption import hold_interrupts
from fastdissect.kernels import get_num_threads
from fastdissect.kernels.concept_masks import ConceptImages, Descent
from fastdissect.kernels.selection import host_backend
from fastdissect.methods.net2vec.problem import Problem
from fastdissect.methods.net2vec.sealed_file import array_digest, read_sealed, write_sealed
from fastdissect.methods.net2vec.settings import SegmentationSettings

__all__ = ["Trained", "predict", "train_tasks"]

_EVERY = 60.0  # seconds between checkpoints
_STATE = ("weights", "velocity", "bias", "bias_velocity")


class Trained(NamedTuple):
    weights: NDArray[np.float32]  # [tasks, units]
    bias: NDArray[np.float32] | None  # [tasks]


def train_tasks(
    problem: Problem,
    settings: SegmentationSettings,
    concept: NDArray[np.int64],
    kept: NDArray[np.bool_],
    start: NDArray[np.float32],
    *,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train tasks, each a concept and the units that it may use.

    Each task sees its concept's images in file order and steps by itself, so its weights do not depend on the other
    tasks. On the CPU they depend on neither backend, nor threads: to the bit.

    Args:
        concept: int64 [tasks], rows of the problem.
        kept: bool [tasks, units].
        start: float32 [tasks, units].
        device: "cpu" (the kernel), or a torch device (`torch_training`).
        progress: is told the number of epochs done.
        checkpoint: file in which the state is kept, once a minute, at Ctrl-C (which waits for the epoch; a second one
            does not) and at the end; the same call goes on from it.

    Memory: the problem's (`make_problem`), 13 bytes a task and unit, and some 100 KB a thread, whatever the number of
    images and pixels.

    Raises:
        SettingError: torch has no such device here.
        OutputError: the checkpoint cannot be written, or is damaged or another training's.
    """
    device = _checked_device(device)
    inside, outside = problem.targets.weights()
    state = Descent(
        np.ascontiguousarray(concept, np.int64),
        np.ascontiguousarray(kept, np.bool_),
        inside[concept],
        outside[concept],
        np.where(kept, start, np.float32(0)).astype(np.float32),
        np.zeros(start.shape, np.float32),
        np.zeros(len(concept), np.float32),
        np.zeros(len(concept), np.float32),
    )
    text = {
        "problem": problem.digest,
        "settings": repr(settings),
        "tasks": array_digest(concept, kept, start),
        "device": device,
    }
    done = _resume(checkpoint, state, text) if checkpoint is not None else 0
    if progress is not None and done:
        progress(done)
    run = _epoch(problem, settings, state, device)
    written = time.monotonic()

    def keep() -> None:
        nonlocal written
        if checkpoint is not None:
            arrays = {name: getattr(state, name) for name in _STATE}
            write_sealed(checkpoint, arrays, {**text, "epochs": str(done)})
        written = time.monotonic()

    whole = True  # the state is that after an epoch
    try:
        while done < settings.epochs:
            with hold_interrupts():
                whole = False
                run()
                done, whole = done + 1, True
            if progress is not None:
                progress(1)
            if done == settings.epochs or time.monotonic() - written > _EVERY:
                keep()
    except KeyboardInterrupt:
        if whole:
            keep()
        raise
    return Trained(state.weights, state.bias if settings.bias else None)


def _epoch(
    problem: Problem, settings: SegmentationSettings, state: Descent, device: str
) -> Callable[[], None]:
    rule = settings.rule(problem.targets.mask_pixels)
    if device != "cpu":
        from fastdissect.methods.net2vec.torch_training import TorchDescent

        return TorchDescent(problem, state, rule, device).epoch
    images = problem.targets.counts(True)[state.concept]
    units = np.count_nonzero(state.kept, axis=1)
    order = np.lexsort((-units, -images)).astype(np.int64)
    kernels = host_backend()

    def epoch() -> None:
        kernels.descend_masks(
            problem.cells, problem.targets.train, problem.upsampling, state, rule, order, get_num_threads()
        )

    return epoch


def predict(
    problem: Problem, concept: NDArray[np.int64], trained: Trained, *, train: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Masks M > 0.5 of every task in its concept's images of one split.

    Returns:
        start, int64 [tasks + 1]; intersection and union, int64 [pairs]: task t owns start[t] : start[t + 1].
    """
    targets = problem.targets
    shown: ConceptImages = targets.train if train else targets.val
    pixels = targets.train_pixels if train else targets.val_pixels
    counts = np.diff(shown.concept_start)[concept]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    area, shared = np.zeros(start[-1], np.int64), np.zeros(start[-1], np.int64)
    host_backend().predict_masks(
        problem.cells, shown, problem.upsampling, np.ascontiguousarray(concept, np.int64), start,
        np.ascontiguousarray(trained.weights),
        None if trained.bias is None else np.ascontiguousarray(trained.bias), area, shared, get_num_threads(),
    )  # fmt: skip
    offset = np.arange(start[-1]) - np.repeat(start[:-1] - shown.concept_start[concept], counts)
    return start, shared, area + pixels[offset] - shared


def _checked_device(device: str) -> str:
    given: object = device
    if not isinstance(given, str):
        raise SettingError(f'expected a device\'s name, such as "cpu" or "cuda"; got {given!r}')
    if device != "cpu":
        import torch

        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise SettingError(
                f'expected a device that torch has here, such as "cpu" or "cuda"; got {device!r}: {reason}'
            ) from error
    return device


def _resume(path: Path, state: Descent, text: dict[str, str]) -> int:
    """Put a checkpoint's state into `state`; return the epochs that it has seen."""
    if not path.exists():
        return 0
    arrays, found = read_sealed(path)
    epochs = found.pop("epochs", "")
    if found != text or not epochs.isdecimal() or {*arrays} != {*_STATE}:
        raise OutputError(
            f"{path}: expected the checkpoint of this training; it is another's (other images, concepts or settings); "
            "delete it, or choose another folder"
        )
    for name in _STATE:
        getattr(state, name)[...] = arrays[name]
    return int(epochs)
