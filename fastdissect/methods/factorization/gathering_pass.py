"""The forward pass: batches through the network, clean and perturbed, and their rows appended to the files."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.batches import Batch
from fastdissect.errors import DataError, DeviceMemoryError
from fastdissect.methods.factorization.gathering_answers import Answers
from fastdissect.methods.factorization.gathering_copies import copies_of, small_pixels
from fastdissect.methods.factorization.gathering_examples import Examples
from fastdissect.methods.factorization.gathering_files import MatrixFile
from fastdissect.methods.factorization.gathering_plan import Gathering
from fastdissect.methods.factorization.gathering_pooling import FeatureError, features_of, map_of
from fastdissect.methods.factorization.gathering_rows import (
    example_name,
    examples_of,
    shares_of,
    with_answers,
)
from fastdissect.progress import progress_bar
from fastdissect.types import ActivationView

__all__ = ["gather_into"]


def gather_into(
    opened: Gathering, paths: Mapping[str, Path], progress: bool | None
) -> tuple[dict[str, NDArray[np.float32]], Examples]:
    """Run all batches once.

    Args:
        paths: {matrix: its file}.

    Returns:
        {matrix: float32 [examples, features], mapped}, and what the examples are. After an error or an interruption no
        file of this pass is left.
    """
    files: dict[str, MatrixFile] = {}
    shares: list[NDArray[np.float32]] = []
    said: list[NDArray[np.int64]] = []
    images = 0
    answers = Answers(opened.loaded.module) if opened.answers else None
    try:
        for one in opened.shapes:
            files[one.name] = MatrixFile(paths[one.name], opened.examples, math.prod(one.shape))
        with (
            contextlib.nullcontext() if answers is None else answers.listening(),
            progress_bar("gathering", opened.images, show=progress) as advance,
        ):
            for batch in opened.source.batches.batches(0, opened.masks):
                for name, rows in _rows(opened, batch, answers, said).items():
                    files[name].append(rows)
                if batch.planes is not None:
                    shares.append(shares_of(opened, batch.planes))
                images += len(batch.images)
                advance(len(batch.images))
        if not images:
            raise DataError(f"{opened.source.batches.name}: expected at least one image; got none")
        examples = with_answers(opened, examples_of(opened, images, shares), answers, said)
        return {name: file.finish() for name, file in files.items()}, examples
    except BaseException:
        for file in files.values():
            file.discard()
            file.path.unlink(missing_ok=True)
        raise


def _rows(
    opened: Gathering, batch: Batch, answers: Answers | None, said: list[NDArray[np.int64]]
) -> dict[str, NDArray[np.float32]]:
    """{matrix: float32 [images * copies, features]}: an image's copies right behind it."""
    copies = 1 + len(opened.perturbations)
    heard: list[NDArray[np.int64]] = []
    found = {
        one.name: np.empty((len(batch.images), copies, math.prod(one.shape)), np.float32)
        for one in opened.shapes
    }
    try:
        images = batch.images.to(opened.device)
        for number, (inputs, pixels) in enumerate(copies_of(opened, images, batch.first)):
            if opened.pixels is not None:
                small = small_pixels(pixels(), opened.pixels).cpu().numpy()
                colours = [one.name for one in opened.shapes if one.kind == "pixels"]
                for channel, colour in enumerate(colours):
                    found[colour][:, number] = small[:, channel].reshape(len(small), -1)
            _run(opened, inputs, batch.first, number, found)
            if answers is not None and answers.latest is not None:
                heard.append(answers.latest)
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceMemoryError(
            f"expected memory on {opened.device} for the network and {len(batch.images)} images; "
            f"{str(error).partition(chr(10))[0]}; use a smaller batch (batch_size=, --batch-size)"
        ) from error
    if len(heard) == copies:
        said.append(np.stack(heard, 1).reshape(-1))
    return {name: rows.reshape(-1, rows.shape[2]) for name, rows in found.items()}


def _run(
    opened: Gathering, inputs: Tensor, first: int, number: int, found: dict[str, NDArray[np.float32]]
) -> None:
    """The layers' rows of one copy of a batch."""

    def on_layer(name: str, view: ActivationView) -> None:
        try:
            rows = features_of(map_of(view), opened.pools[name], opened.rectify)
        except FeatureError as error:
            image = opened.source.batches.image_name(first + error.image)
            raise error.at(name, example_name(image, opened, number)) from error
        found[name][:, number] = rows.cpu().numpy()

    opened.hooks.run(inputs, on_layer)
