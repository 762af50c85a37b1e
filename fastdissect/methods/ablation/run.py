"""The passes of an ablation: the network and the data set of a run, opened again, and all conditions measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.forward_options import ForwardOptions
from fastdissect.layer import LayerDissection
from fastdissect.methods.ablation.edit import LayerReading
from fastdissect.methods.ablation.groups import Units
from fastdissect.methods.ablation.measures import Tally, targets_for
from fastdissect.methods.ablation.passes import EditedPasses
from fastdissect.methods.classes import class_names, decision_classes, find_class
from fastdissect.progress import progress_bar
from fastdissect.recorded import recorded_layout
from fastdissect.reopening import reopen
from fastdissect.results import Dissection

__all__ = ["MeasuredRun", "measure"]


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """What was measured; condition 0 is the network as it is."""

    names: tuple[str, ...]
    asked: int | None
    tally: Tally
    replayed: bool


def measure(
    d: Dissection,
    layer: LayerDissection,
    mode: str | float,
    wanted: Sequence[Units],
    targets: Any,
    classes: Sequence[str] | None,
    class_asked: str | int | None,
    model: Any,
    data: Any,
    device: str,
    replay: bool,
    progress: bool | None,
) -> MeasuredRun:
    """Run all batches: condition 0 is the network as it is, then those that are wanted."""
    opened = reopen(d, model=model, data=data, device=device)
    source = opened.source
    passes = EditedPasses(
        opened.loaded.module,
        LayerReading(layer.name, layer.units_count, *recorded_layout(d)),
        mode,
        opened.device,
        means=None if mode != "mean" else torch.from_numpy(_means(layer)),
        options=ForwardOptions((d.run.get("forward") or {}).get("dtype")),
        replay=replay,
    )
    run: MeasuredRun | None = None
    with progress_bar("ablating", source.images, show=progress) as advance:
        for batch in source.batches(0, False):
            for condition, logits in enumerate(passes.logits(batch.images, wanted)):
                if run is None:
                    names = class_names(opened.loaded.module, logits.shape[1], classes)
                    asked = None if class_asked is None else find_class(class_asked, names)
                    own = targets_for(getattr(source, "dataset", None), source.images, names, targets)
                    among = decision_classes(opened.loaded.module, names)
                    run = MeasuredRun(names, asked, Tally(own, len(wanted) + 1, among), False)
                run.tally.add(condition, batch.first, logits)
            advance(len(batch.images))
    assert run is not None  # a finished run has images
    return MeasuredRun(run.names, run.asked, run.tally, passes.recording is not None)


def _means(layer: LayerDissection) -> NDArray[np.float64]:
    """float64 [units]: over images of the means over positions.

    Raises:
        SettingError: a unit whose mean is no number (the run left cells out).
    """
    assert layer.means is not None
    means: NDArray[np.float64] = np.asarray(layer.means, np.float64).mean(0)
    if not np.isfinite(means).all():
        unit = int(np.flatnonzero(~np.isfinite(means))[0])
        raise SettingError(
            f"layer {layer.name!r}: expected finite means; unit {unit} has {means[unit]}; use mode 'zero'"
        )
    return means
