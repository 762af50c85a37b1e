"""`roll_up`: a finished run's units under a hierarchy of labels, without running the network again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from fastdissect.errors import DataError, LayerError
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.planes import planes_of
from fastdissect.methods.hierarchy.building import build_hierarchy
from fastdissect.methods.hierarchy.choosing import check_shares, choose
from fastdissect.methods.hierarchy.graph import Hierarchy
from fastdissect.methods.hierarchy.parts import find_wholes
from fastdissect.methods.hierarchy.reading import check_relations, read_relations
from fastdissect.methods.hierarchy.result import LayerRollUp, RollUp
from fastdissect.methods.hierarchy.union_counts import count_unions
from fastdissect.progress import progress_bar
from fastdissect.reopening import reopen_data
from fastdissect.results import Dissection
from fastdissect.types import Planes

__all__ = ["roll_up", "roll_up_layer"]


def roll_up(
    d: Dissection,
    layers: str | Sequence[str] | None = None,
    *,
    data: Any = None,
    relations: str | Path | Iterable[Any] | None = None,
    tolerance: float = 0.1,
    least_share: float = 0.5,
    cache: str | Path | None = "auto",
    progress: bool | None = None,
) -> RollUp:
    """Find every unit's most specific adequate label, and what the parts that units detect belong to.

    Args:
        d: a finished run that kept its activations.
        layers: names; default: all.
        data: a data set or its name, instead of the one that the run recorded.
        relations: a CSV file (child, parent, kind), or (child, parent, kind) each, instead of the data set's own.
        tolerance: a more specific label is adequate whose IoU is at least (1 - tolerance) of the best node's.
        least_share: a whole is named that has at least this share of the part's pixels under the mask.
        cache: as `planes_of`.
        progress: show bars; default: on a terminal.

    Returns:
        RollUp: {layer: LayerRollUp} with `units()`, `nodes()`, `levels()`, `wholes()`; `save(folder)`.

    Raises:
        DataError: no relations, a circle of them, or an unknown child; a data set that cannot be opened or is another.
        SettingError: a tolerance that is none, or a layer without activations. LayerError: an unknown layer, or none.

    Example:
        >>> found = roll_up(fd.load("out"), relations="animals.csv")         # doctest: +SKIP
        >>> found["layer4"].units()[["unit", "label", "iou", "adequate", "adequate_iou"]]       # doctest: +SKIP

    Source: IoU of Network Dissection (Bau, Zhou et al. 2017); the rule is ours (choosing.py).
    """
    check_shares(tolerance, least_share)
    names = list(d) if layers is None else [layers] if isinstance(layers, str) else list(layers)
    chosen = {name: d[name] for name in names}
    if not chosen:
        raise LayerError(f"expected at least one layer of {', '.join(d)}; got none")
    dataset = reopen_data(d, data)
    if relations is None:
        own, source = dataset.relations, dataset.name
        if not own:
            raise DataError(
                f"{dataset.name} states no relations between its labels; give a file with the columns child,parent,kind "
                "(--relations FILE.csv, relations=)"
            )
        tree = build_hierarchy(d.concepts, own, known=False)
    elif isinstance(relations, (str, Path)):
        source = Path(relations).name
        tree = build_hierarchy(d.concepts, read_relations(relations))
    else:
        source = "given relations"
        tree = build_hierarchy(d.concepts, check_relations(relations))
    planes = planes_of(d, dataset, cache=cache, progress=progress)
    found = {}
    for name, layer in chosen.items():
        with progress_bar(name, layer.shape[0], show=progress) as advance:
            found[name] = roll_up_layer(
                layer, planes, tree, tolerance=tolerance, least_share=least_share, progress=advance
            )
    return RollUp(tree, found, source)


def roll_up_layer(
    layer: LayerDissection,
    planes: Planes,
    hierarchy: Hierarchy,
    *,
    tolerance: float = 0.1,
    least_share: float = 0.5,
    progress: Callable[[int], None] | None = None,
) -> LayerRollUp:
    """Do it for one layer.

    Args:
        planes: the label planes of its images (`planes_of`).
        progress: is told the number of images counted.

    Raises:
        SettingError, DataError, OutputError: as `roll_up`, and as `counting.count_planes`.
    """
    check_shares(tolerance, least_share)
    if hierarchy.concepts.names != layer.concepts.names:
        raise DataError(
            f"layer {layer.name!r}: expected a hierarchy of its {len(layer.concepts):,} concepts; got one of "
            f"{len(hierarchy.concepts):,} others; build it from the run's own (build_hierarchy(d.concepts, relations))"
        )
    counts = count_unions(layer, planes, hierarchy, progress)
    chosen = choose(layer, hierarchy, counts, tolerance)
    parts = find_wholes(layer, planes, hierarchy, chosen.node, tolerance, least_share)
    return LayerRollUp(layer, hierarchy, tolerance, least_share, counts, chosen, parts)
