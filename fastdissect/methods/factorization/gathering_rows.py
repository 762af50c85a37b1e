"""What the rows of a pass are: names, copies, classes, shares of concepts, right answers."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.gathering_answers import Answers, right_answers
from fastdissect.methods.factorization.gathering_examples import ClassTable, Examples, classes_from
from fastdissect.methods.factorization.gathering_plan import Gathering
from fastdissect.methods.factorization.perturbation import CLEAN
from fastdissect.packing import ImagePlanes

__all__ = ["example_name", "examples_of", "shares_of", "with_answers"]


def shares_of(opened: Gathering, planes: tuple[ImagePlanes, ...]) -> NDArray[np.float32]:
    """float32 [images, concepts]: the share of an image's mask pixels that shows a concept."""
    height, width = opened.source.batches.mask_size
    found = np.zeros((len(planes), len(opened.source.vocabulary)), np.float64)
    for row, own in zip(found, planes, strict=True):
        np.add.at(row, own.concept, own.pixels)
    return (found / (height * width)).astype(np.float32)


def examples_of(opened: Gathering, images: int, shares: list[NDArray[np.float32]]) -> Examples:
    """What the rows of a pass over so many images are."""
    source, copies = opened.source, 1 + len(opened.perturbations)
    names = [source.batches.image_name(i) for i in range(images)]
    classes, superclasses = classes_from(opened.given, source.dataset, names)
    labels = source.labels(images)
    if classes is None and labels is not None:
        classes, _ = classes_from(labels, None, names)  # type: ignore[arg-type]

    def repeated(table: ClassTable | None) -> ClassTable | None:
        return None if table is None else ClassTable(table.names, np.repeat(table.numbers, copies))

    groups = None
    if copies > 1:
        kinds = (CLEAN, *(how.name for how in opened.perturbations))
        groups = ClassTable(kinds, np.tile(np.arange(copies, dtype=np.int64), images))
    return Examples(
        tuple(example_name(name, opened, number) for name in names for number in range(copies)),
        np.repeat(np.arange(images, dtype=np.int64), copies),
        groups,
        repeated(classes),
        repeated(superclasses),
        source.vocabulary if shares else None,
        np.repeat(np.concatenate(shares), copies, axis=0) if shares else None,
    )


def with_answers(
    opened: Gathering, examples: Examples, answers: Answers | None, said: list[NDArray[np.int64]]
) -> Examples:
    """The same, with whether the network is right about each, where its answers and their classes are known."""
    if answers is None or examples.classes is None or sum(map(len, said)) != len(examples):
        return examples
    correct = right_answers(opened.loaded.module, answers.outputs, examples.classes, np.concatenate(said))
    return dataclasses.replace(examples, correct=correct)


def example_name(image: str, opened: Gathering, number: int) -> str:
    """The image's name, with the perturbation behind it."""
    return f"{image} ({opened.perturbations[number - 1].name})" if number else image
