"""A network's classes: their names, one of them by name or number, and the true class of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.datasets import Dataset
from fastdissect.errors import DataError, SettingError, nearest

__all__ = [
    "UNKNOWN",
    "class_columns",
    "class_names",
    "decision_classes",
    "find_class",
    "predictions",
    "targets_of",
]

UNKNOWN = -1
"""The target of an image whose class is not known."""


def class_names(module: Any, count: int, given: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names of a network's outputs, in their order.

    Args:
        module: the network; its attribute `classes` (names), or `config.id2label` (transformers), is read.
        count: its number of outputs.
        given: names to use instead.

    Returns:
        `given`; else what the network states, if it states `count` names; else "class 0", "class 1", ...

    Raises:
        SettingError: another number of names was given, or no names.

    >>> class_names(None, 2)
    ('class 0', 'class 1')
    """
    if given is not None:
        listed: Sequence[Any] = given
        if isinstance(given, str) or not all(isinstance(name, str) and name for name in listed):
            raise SettingError(f"expected a list of {count} class names; got {_short(given)}")
        if len(given) != count:
            raise SettingError(
                f"expected {count} class names, one for each output of the network; got {len(given)}; "
                "the order is that of the outputs"
            )
        return tuple(given)
    stated = _stated(module)
    return stated if len(stated) == count else tuple(f"class {number}" for number in range(count))


def _stated(module: Any) -> tuple[str, ...]:
    """What the network says of its own outputs, or ()."""
    from fastdissect.datasets.shapes.vocabulary import CONCEPTS
    from fastdissect.models.shapes import ShapesNet

    if isinstance(module, ShapesNet):
        return CONCEPTS.names  # it was trained to tell the built-in data set's concepts
    found = getattr(module, "classes", None)
    if isinstance(found, (list, tuple)) and all(isinstance(name, str) for name in found):
        return tuple(found)
    labels = getattr(getattr(module, "config", None), "id2label", None)
    if isinstance(labels, Mapping) and all(number in labels for number in range(len(labels))):
        return tuple(str(labels[number]) for number in range(len(labels)))
    return ()


def find_class(name: Any, names: Sequence[str]) -> int:
    """Return a class's number, from its name or its number.

    Args:
        name: text (a class of that name goes before a number), or a whole number.

    Raises:
        SettingError: no such class, or a name that several classes have; the message lists the nearest.

    >>> find_class("dog", ["cat", "dog"]), find_class("0", ["cat", "dog"]), find_class(1, ["cat", "dog"])
    (1, 0, 1)
    """
    if isinstance(name, str):
        found = [number for number, own in enumerate(names) if own == name]
        if len(found) > 1:
            raise SettingError(
                f"expected one class; {len(found)} are called {name!r}: give one of the numbers "
                f"{', '.join(map(str, found))}"
            )
        if found:
            return found[0]
        if not (name.isascii() and name.isdecimal()):
            raise SettingError(f"unknown class {name!r}{nearest(name, names) or _some(names)}")
        number = int(name) if len(name) < 19 else len(names)  # Python refuses thousands of digits
    elif isinstance(name, (int, np.integer)) and not isinstance(name, bool):
        number = int(name)
    else:
        raise SettingError(f"expected a class's name or number; got {type(name).__name__}")
    if not 0 <= number < len(names):
        raise SettingError(
            f"expected a class of 0 to {len(names) - 1}, or a name; got {name!s:.40}{_some(names)}"
        )
    return number


def decision_classes(
    module: Any, names: Sequence[str], among: Sequence[str | int] | None = None
) -> NDArray[np.int64]:
    """Return the classes of which a prediction is one: the network's decision is the largest of their logits.

    All classes, unless `among` says which. The built-in network tells 61 concepts at once, colours and parts too; its
    decision is taken among the 16 classes of its data set.

    Returns:
        int64 [classes], ascending.

    Raises:
        SettingError: an unknown class, or none.

    >>> decision_classes(None, ["cat", "dog", "sky"], ["dog", 0]).tolist()
    [0, 1]
    """
    from fastdissect.datasets.shapes.vocabulary import CLASSES, CONCEPTS
    from fastdissect.models.shapes import ShapesNet

    if among is None and isinstance(module, ShapesNet) and len(names) == len(CONCEPTS):
        return np.sort([CONCEPTS.names.index(name) for name in CLASSES])
    if among is None:
        return np.arange(len(names), dtype=np.int64)
    if isinstance(among, str) or not len(among):
        raise SettingError(f"expected a list of classes to decide among; got {_short(among)}")
    return np.unique([find_class(name, names) for name in among])


def predictions(logits: NDArray[np.float64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class of the largest logit among some classes, int64 [n]; of equals the lower number."""
    chosen: NDArray[np.int64] = among[logits[:, among].argmax(1)]
    return chosen


def targets_of(
    dataset: Dataset,
    images: int,
    names: Sequence[str],
    given: ArrayLike | Mapping[str, str | int] | None = None,
) -> NDArray[np.int64]:
    """Return the true class of every image.

    Args:
        dataset: where nothing is given: its `target(i)` and `classes`, as the built-in data set has them; the
            classes are found by their names (by number where the network's have no names and are as many).
        images: only the first so many.
        names: the network's classes.
        given: a number or name for each image, or {image name: class}; images that it lacks are unknown.

    Returns:
        int64 [images], numbers in `names`; -1: unknown.

    Raises:
        SettingError: nothing says what the classes are, a class is unknown, or the number of targets is wrong.
        DataError: `given` names an image that the data set has not.
    """
    if isinstance(given, Mapping):
        place = {dataset.image_name(i): i for i in range(images)}
        targets = np.full(images, UNKNOWN, np.int64)
        for image, name in given.items():
            if image not in place:
                raise DataError(f"targets: the data set has no image {image!r}{nearest(str(image), place)}")
            targets[place[image]] = find_class(name, names)
        return targets
    if given is not None:
        listed: Any = list(given) if isinstance(given, list | tuple) else np.asarray(given).tolist()
        if not isinstance(listed, list) or len(listed) != images:
            got = f"{len(listed)}" if isinstance(listed, list) else _short(given)
            raise SettingError(f"targets: expected a class for each of the {images} images; got {got}")
        return np.array([UNKNOWN if t == UNKNOWN else find_class(t, names) for t in listed], np.int64)
    return _own_targets(dataset, images, names)


def class_columns(dataset: Dataset, names: Sequence[str]) -> NDArray[np.int64]:
    """Return which of the network's classes each class of a data set is, found by name.

    Returns:
        int64 [the data set's classes]; -1: the network has none of that name. Where the network's classes have no
        names ("class 0", ...) and are as many, the numbers are the same.

    Raises:
        SettingError: the data set says nothing of classes, or has none of the network's.
    """
    classes = getattr(dataset, "classes", None)
    if classes is None or not hasattr(dataset, "target"):
        raise SettingError(
            f"{dataset.name}: the data set does not say which class each image is of; give targets: a number or "
            "name for each image, or {image name: class}"
        )
    number = {name: n for n, name in enumerate(names)}
    nameless = all(name == f"class {n}" for n, name in enumerate(names))
    if nameless and len(classes) == len(names):
        return np.arange(len(names), dtype=np.int64)
    column = np.array([number.get(name, UNKNOWN) for name in classes], np.int64)
    if (column == UNKNOWN).all():
        raise SettingError(
            f"{dataset.name}: none of its {len(classes)} classes is one of the network's {len(names)}"
            f"{_some(names)}; give targets, or the names of the network's classes"
        )
    return column


def _own_targets(dataset: Dataset, images: int, names: Sequence[str]) -> NDArray[np.int64]:
    column = class_columns(dataset, names)
    target: Any = getattr(dataset, "target", None)
    return column[np.array([int(target(i)) for i in range(images)], np.int64)]


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > 8 else ""
    return f"; there are {', '.join(names[:8])}{more}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
