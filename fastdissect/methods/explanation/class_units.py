"""`class_units()`: the units that speak for a class over all images of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastdissect.datasets import Dataset
from fastdissect.errors import DataError, SettingError
from fastdissect.layer import LayerDissection
from fastdissect.methods.classes import find_class, targets_of
from fastdissect.methods.explanation.class_means import BATCH, class_means, network_parts, stored_parts
from fastdissect.methods.explanation.contributions import ClassView, class_view, unit_columns
from fastdissect.methods.explanation.explaining import checked_top
from fastdissect.methods.explanation.reading import open_network, read_layer, seen_images
from fastdissect.methods.heads import Head
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ClassUnits", "class_units"]


@dataclass(frozen=True, eq=False)
class ClassUnits:
    """The units of a class.

    Attributes:
        view: the mean contributions over the class's images: `view.units` ranks all units by them, with the mean
            activation; `view.logit` and `view.rest` are means too.
        images: int64, numbers of the class's images in the run.
        by: what made them the class's: "predicted" or "true".
        dataset: the run's images.
        right: share of them that are predicted (by "true") or true (by "predicted") as that class too; None where the
            true classes are not known.
    """

    number: int
    name: str
    by: str
    images: NDArray[np.int64]
    right: float | None
    view: ClassView
    layer: LayerDissection
    head: Head
    dataset: Dataset
    chosen: str  # why this layer; "" where it was asked for

    def by_weight(self) -> pd.DataFrame:
        """All units by the weight from them to the class, descending; under gradients, the effective mean weight."""
        return self.view.units.sort_values(["weight", "unit"], ascending=[False, True], ignore_index=True)


def class_units(
    d: Dissection,
    name: str | int,
    *,
    by: str = "predicted",
    layer: str | None = None,
    model: Any = None,
    data: Any = None,
    head: str | None = None,
    class_names: Sequence[str] | None = None,
    among: Sequence[str | int] | None = None,
    targets: ArrayLike | Mapping[str, str | int] | None = None,
    device: str = "auto",
    top: int = 8,
) -> ClassUnits:
    """Rank a layer's units by their weight for a class, and by their mean contribution over the class's images.

    Under a linear head the run's stored means are enough, where it kept them; else the network runs over all images.

    Args:
        name: the class, by name or number.
        by: "predicted": images that the network takes for that class; "true": images that are of it.
        targets: a class for each image of the run, or {image name: class}; default: what the data set says.
        top: units to show.
        others: as in `explain`.

    Raises:
        SettingError: an unknown class (with the nearest), or `by="true"` where nothing says the images' classes.
        DataError: no image of the run is of the class.
        LayerError, ActivationError: as `explain`.

    Example:
        >>> class_units(d, "kitchen").view.units.head(8)                # doctest: +SKIP

    Source: Zhou, Bau, Oliva and Torralba 2018, class-specific units (by weight); mean contributions are our formulation.
    """
    if by not in ("predicted", "true"):
        raise SettingError(f'expected by to be "predicted" or "true"; got {by!r}')
    checked_top(top)
    network = open_network(d, model, device)
    dataset, images = seen_images(d, data)(), len(d.image_names)

    def batch(first: int) -> Tensor:
        some = range(first, min(first + BATCH, images))
        return network.batch(dataset.read_image(i)[0] for i in some)

    reading = read_layer(d, network, batch(0), layer, head, class_names, among)
    number = find_class(name, reading.names)
    true = _targets(dataset, images, reading.names, targets, needed=by == "true" or targets is not None)
    parts = stored_parts(reading, number) or network_parts(reading, number, d.image_names, batch)
    weight = None if reading.head.weight is None else reading.head.weight[number]
    means = class_means(parts, reading.among, number, by, true, weight)
    if not len(means.images):
        other = "true" if by == "predicted" else "predicted"
        raise DataError(
            f"expected images whose {by} class is {reading.names[number]!r}; none of the run's {images:,} is: "
            f"take by={other!r} (--by {other}), or another class"
        )
    view = class_view(
        "asked", number, reading.names, means.terms, means.features, unit_columns(reading.layer), int(top)
    )
    return ClassUnits(
        number=number,
        name=reading.names[number],
        by=by,
        images=means.images,
        right=means.agreeing,
        view=view,
        layer=reading.layer,
        head=reading.head,
        dataset=dataset,
        chosen=reading.chosen,
    )


def _targets(
    dataset: Dataset, images: int, names: Sequence[str], given: Any, *, needed: bool
) -> NDArray[np.int64] | None:
    """The true classes; None where nothing says them and nobody asked."""
    try:
        return targets_of(dataset, images, names, given)
    except SettingError:
        if needed:
            raise
        return None
