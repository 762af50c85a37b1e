"""`explain()`: why a network decided as it did about some images, by the units of a layer.

images -> logits and maps -> contributions of every unit to a class's logit -> ranked, labelled, segmented
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastdissect.errors import SettingError
from fastdissect.methods.classes import find_class
from fastdissect.methods.explanation.contributions import unit_columns
from fastdissect.methods.explanation.explained import Explanation
from fastdissect.methods.explanation.images import Picture, open_pictures
from fastdissect.methods.explanation.reading import Reading, open_network, read_layer, seen_images
from fastdissect.methods.explanation.segmentation import checked_mode
from fastdissect.methods.explanation.splitting import SplitBatch
from fastdissect.methods.explanation.truth import Targets, Truth
from fastdissect.methods.explanation.views import Wanted, views_of
from fastdissect.results import Dissection

__all__ = ["checked_top", "explain", "explain_each"]

_BATCH = 16


def explain(d: Dissection, images: Any, **options: Any) -> list[Explanation]:
    """Explain decisions about images; see `explain_each` for all arguments. Each explanation holds its image and maps.

    Example:
        >>> found = explain(d, "kitchen.jpg")                            # doctest: +SKIP
        >>> found[0].views[0].units.head(4)                              # doctest: +SKIP
    """
    return list(explain_each(d, images, **options))


def explain_each(
    d: Dissection,
    images: Any,
    *,
    layer: str | None = None,
    classes: str | int | Sequence[str | int] = (),
    versus: str | int | None = None,
    model: Any = None,
    data: Any = None,
    head: str | None = None,
    class_names: Sequence[str] | None = None,
    among: Sequence[str | int] | None = None,
    targets: Targets | None = None,
    device: str = "auto",
    segmentation: str = "relative",
    top: int = 4,
) -> Iterator[Explanation]:
    """Explain decisions one after the other, in bounded memory.

    The logit of a class is split over the units of a layer: contributions w x where a linear layer reads the layer's
    pooled map, else gradient times activation; all in float64. Under a linear head the contributions and the bias are
    held against the network's logit, for every image.

    Args:
        d: a finished run; its network runs again.
        images: one or several of: an image file, a folder of them, pixels uint8 [height, width, 3], a number of an
            image of the run.
        layer: of the run; default: its only layer, or the one that a linear head reads.
        classes: explain the logits of these too, by name or number.
        versus: explain the difference of the predicted class (or of each of `classes`) and this one.
        model, data: instead of what the run recorded; they must be the same.
        head: the module whose output are the logits.
        class_names: names of the classes, in the order of the outputs.
        among: the classes of which a prediction is one; default: all (of the built-in network, which tells 61
            concepts at once: the 16 classes of its data set).
        targets: {image name: class}; otherwise an image's class is the name of its folder, if that is a class, or the
            data set's.
        segmentation: "relative" (to the image's maximum) or "dataset" (the unit's threshold).
        top: units to show.

    Raises:
        SettingError: an unknown class (with the nearest), nothing to explain, an option that there is not.
        DataError: a file that is missing, damaged or no image; a folder without images.
        LayerError: no such layer, or the head cannot be found; the message lists what could be meant.
        ActivationError: logits that are not finite, or that the contributions do not add up to.

    Source: Zhou, Bau, Oliva and Torralba 2018, explained predictions (their score is a linear classifier's on pooled
    features); the segmentation's cut, the difference, the covered share and the gradient form are our formulation.
    """
    checked_mode(segmentation)
    checked_top(top)
    dataset = seen_images(d, data)
    image_names, pictures = open_pictures(images, dataset)
    network = open_network(d, model, device)
    first = list(itertools.islice(pictures, _BATCH))
    batch = network.batch(p.pixels for p in first)
    reading = read_layer(d, network, batch, layer, head, class_names, among)
    several = [classes] if isinstance(classes, str | int | np.integer) else classes
    wanted = Wanted(
        asked=tuple(dict.fromkeys(find_class(name, reading.names) for name in several)),
        versus=None if versus is None else find_class(versus, reading.names),
        top=int(top),
    )
    truth = Truth(reading.names, targets, image_names, dataset)
    return _explained(itertools.chain([first], _batched(pictures)), reading, wanted, truth, segmentation)


def checked_top(top: Any) -> None:
    """Refuse a number of units that cannot be shown."""
    if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
        raise SettingError(f"expected top to be a whole number of 1 or more; got {top!r}")


def _batched(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    while some := list(itertools.islice(pictures, _BATCH)):
        yield some


def _explained(
    batches: Iterator[list[Picture]],
    reading: Reading,
    wanted: Wanted,
    truth: Truth,
    mode: str,
) -> Iterator[Explanation]:
    units = unit_columns(reading.layer)
    for pictures in batches:
        split = SplitBatch(
            reading, reading.network.batch(p.pixels for p in pictures), [p.name for p in pictures]
        )
        predicted = split.predicted()
        true = [truth.of(picture) for picture in pictures]
        likely = split.probability(predicted)
        views = views_of(split, units, predicted, true, wanted)
        for i, picture in enumerate(pictures):
            yield Explanation(
                image=picture.name,
                pixels=picture.pixels,
                predicted=predicted[i],
                probability=likely[i],
                true=true[i],
                views=views[i],
                logits=split.logits[i],
                features=split.features[i],
                maps=split.maps[i],
                layer=reading.layer,
                head=reading.head,
                names=reading.names,
                among=reading.among,
                chosen=reading.chosen,
                mode=mode,
            )
