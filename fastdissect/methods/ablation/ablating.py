"""`ablate()`: what a network loses when units are taken out, against random groups of the same size."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdissect.errors import LayerError, SettingError
from fastdissect.methods.ablation.contrast import contrast_of
from fastdissect.methods.ablation.groups import Units, named_groups, random_groups_of
from fastdissect.methods.ablation.result import Ablation
from fastdissect.methods.ablation.tables import class_table, group_table, unit_table

if TYPE_CHECKING:
    from fastdissect.layer import LayerDissection
    from fastdissect.results import Dissection

__all__ = ["Ablation", "ablate"]

_DRAWS = 10_000


def ablate(
    d: Dissection,
    *,
    layer: str | None = None,
    groups: Mapping[str, Iterable[int]] | None = None,
    units: Iterable[int] | None = None,
    labels: Sequence[str] = (),
    categories: Sequence[str] = (),
    each_label: bool = False,
    under_cut: bool = False,
    each_unit: bool = False,
    mode: str | float = "zero",
    targets: Any = None,
    classes: Sequence[str] | None = None,
    class_asked: str | int | None = None,
    random_groups: int = 10,
    pool: str = "all",
    seed: int = 0,
    model: Any = None,
    data: Any = None,
    device: str = "auto",
    replay: bool = True,
    progress: bool | None = None,
) -> Ablation:
    """Run a dissected network with groups of units changed, and measure accuracies and logits.

    Images are read once. Each batch runs through the network once as it is, and then once for each group and random
    group from the layer on (a whole pass, where replaying does not give the same bits).

    Args:
        d: a finished run; its network and data set are opened again.
        layer: default: the run's only one.
        groups, units, labels, categories, each_label, under_cut: which units (`named_groups`); default: detectors, the
            others, and each category's detectors.
        each_unit: each unit alone too, and whether detectors matter more than others.
        mode: "zero"; "mean": each unit's mean over images of its mean over positions, as the run kept it; or a factor.
        targets: a class (name or number; -1: unknown) for each image, {image name: class}, or bool [images, classes]
            where each logit is a decision of its own; default: the data set's own. Without any there is no accuracy.
        classes: the classes' names; default: what the network says.
        class_asked: a class whose accuracy and logit the tables shall show.
        random_groups: for each size, how many. pool: drawn from "all" units, or from "others" than the group's.
        model, data: instead of what the run recorded; must be the same. device: "auto", "cpu", "cuda".
        replay: False: whole passes.

    Raises:
        SettingError: an unknown mode, label, category, class or unit; an empty group; a group of all units while random
            groups are asked for; targets of another length.
        LayerError: the layer is unknown, or made of directions, which a network has not.
        ModelError, DataError: the network or the data set cannot be opened, or is another.

    Example:
        >>> found = ablate(fd.load("out"), labels=["stripes"])               # doctest: +SKIP
        >>> found.table[["group", "drop", "random_drop", "p"]]               # doctest: +SKIP

    Source: ablation of units and of groups against random ones as in "Understanding the role of individual units in a
    deep neural network" (Bau, Zhu et al. 2020) and "Revisiting the Importance of Individual Units in CNNs via Ablation"
    (Zhou, Sun, Bau, Torralba 2018); the permutation tests are our formulation.
    """
    from fastdissect.methods.ablation.edit import checked_mode
    from fastdissect.methods.ablation.run import measure
    from fastdissect.settings import check_choices

    started, chosen = time.time(), checked_mode(mode)
    check_choices("error", "auto", random_groups=(random_groups, 0), seed=(seed, 0))
    if random_groups > _DRAWS:
        raise SettingError(
            f"expected at most {_DRAWS:,} random groups; got more; each is a run through the images"
        )
    if pool not in ("all", "others"):
        raise SettingError(f'expected pool to be "all" or "others"; got {pool!r}')
    found = _layer(d, layer)
    if chosen == "mean" and found.means is None:
        raise SettingError(
            f"layer {found.name!r}: mode 'mean' needs the means, which this run did not keep; dissect without "
            "--no-activations (activations=True)"
        )
    named = named_groups(
        found,
        labels=labels,
        categories=categories,
        each_label=each_label,
        units=units,
        groups=groups,
        under_cut=under_cut,
    )
    count = found.units_count
    random = {name: random_groups_of(own, count, random_groups, pool, seed) for name, own in named.items()}
    singles: list[Units] = [(unit,) for unit in range(count)] if each_unit else []
    wanted = list(dict.fromkeys([*named.values(), *(g for own in random.values() for g in own), *singles]))
    if not wanted:
        raise SettingError(
            f"layer {found.name!r}: expected groups; none of its units is a detector, or all are of one kind: name "
            "units (units=, --units), or ask for each (each_unit=True, --each-unit)"
        )
    run = measure(
        d, found, chosen, wanted, targets, classes, class_asked, model, data, device, replay, progress
    )
    of = {own: run.tally.measured(n) for n, own in enumerate(wanted, 1)}
    intact = run.tally.measured(0)
    drawn = {name: [of[own] for own in own_random] for name, own_random in random.items()}
    table = unit_table(found, intact, of, run.names, run.asked) if each_unit else None
    has_accuracy = not np.isnan(intact.accuracy)
    return Ablation(
        network=str(d.run.get("model", "a network")),
        data=str(d.run.get("data", "a data set")),
        layer=found.name,
        units_count=count,
        mode=chosen if isinstance(chosen, str) else f"times {chosen:g}",
        images=run.tally.images,
        class_names=run.names,
        targets=run.tally.targets.said,
        intact_accuracy=intact.accuracy,
        groups=named,
        table=group_table(named, intact, of, drawn, run.asked),
        classes=class_table(named, intact, of, drawn, run.names, run.tally.support(), has_accuracy),
        units=table,
        contrast=None if table is None else contrast_of(table, "drop" if has_accuracy else "shift", seed),
        class_asked=None if run.asked is None else run.names[run.asked],
        random_groups=random_groups,
        pool=pool,
        seed=seed,
        conditions=len(wanted),
        replayed=run.replayed,
        seconds=time.time() - started,
    )


def _layer(d: Dissection, name: str | None) -> LayerDissection:
    if name is None:
        if len(d) > 1:
            raise LayerError(f"expected a layer's name; the run has {', '.join(d)} (layer=, --layer)")
        name = next(iter(d))
    found = d[name]
    if name in (d.run.get("directions") or {}):
        own = d.run["directions"][name]["layer"]
        raise LayerError(
            f"layer {name!r} is made of directions in layer {own!r}; the network has no such units to ablate: dissect "
            f"and ablate {own!r} itself"
        )
    return found
