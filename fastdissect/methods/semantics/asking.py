"""Questions to the vectors, checked before these are found, which takes long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastdissect.errors import LayerError
from fastdissect.methods.classes import find_class
from fastdissect.methods.explanation.images import open_pictures
from fastdissect.methods.explanation.reading import open_network, read_layer, seen_images
from fastdissect.results import Dissection

__all__ = ["check_asked"]


def check_asked(
    d: Dissection,
    layer: str,
    *,
    images: Sequence[Any] = (),
    classes: Sequence[str | int] = (),
    versus: str | int | None = None,
    head: str | None = None,
    class_names: Sequence[str] | None = None,
    among: Sequence[str | int] | None = None,
    needs_head: bool = False,
    model: Any = None,
    data: Any = None,
    device: str = "auto",
) -> str:
    """Refuse what `explain_by_concepts` and `global_view` would refuse, before any vector is there.

    Args:
        images: to explain; () for the global view. needs_head: also where nothing here asks for one.
        others: as those functions take them.

    Returns:
        Why the classes will be left out of the global view; "" where the head was found.

    Raises:
        LayerError: no head, though something needs it. SettingError, ModelError, DataError: as those functions.
    """
    dataset = seen_images(d, data)
    pictures = open_pictures(images, dataset)[1] if images else None
    network = open_network(d, model, device)
    if pictures is not None:
        some = [next(pictures).pixels]
    else:
        some = [dataset().read_image(i)[0] for i in range(min(4, len(d.image_names)))]
    asked = bool(images or classes or class_names or among) or versus is not None or head is not None
    try:
        reading = read_layer(d, network, network.batch(some), layer, head, class_names, among)
    except LayerError as error:
        if asked or needs_head:
            raise
        return str(error)
    for name in (*classes, *([] if versus is None else [versus])):
        find_class(name, reading.names)
    return ""
