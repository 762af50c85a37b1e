"""Which layer of which run stands beside which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastdissect.errors import LayerError, SettingError, nearest
from fastdissect.layer import LayerDissection
from fastdissect.results import Dissection

__all__ = ["Entry", "choose_entries"]


class Entry(NamedTuple):
    """One layer of one run."""

    run: str  # the run's name in the comparison
    layer: str
    depth: int  # its place among the run's layers, from 0
    slot: int  # entries of the same slot stand beside each other
    result: LayerDissection

    @property
    def title(self) -> str:
        return f"{self.run} · {self.layer or 'the network itself'}"


def choose_entries(
    runs: Mapping[str, Dissection], layers: Sequence[str] | Mapping[str, str | None] | None
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Return the layers to compare, and a sentence about each that was left out.

    Args:
        layers: names, in this order; a name for each run ({run: layer}; None, or no entry: its last layer); or
            None: the layers that all runs have, and each run's last layer where there are none.

    Raises:
        LayerError: a run has no such layer, or no layer asked for is in all runs.
        SettingError: layers of a run that is not compared.
    """
    if isinstance(layers, Mapping):
        for name in layers:
            if name not in runs:
                raise SettingError(
                    f"expected layers of the runs {', '.join(runs)}; got {name!r}{nearest(str(name), runs)}"
                )
        return _one_each(runs, layers), ()
    layers = [layers] if isinstance(layers, str) else layers
    present = list(dict.fromkeys(layer for run in runs.values() for layer in run))
    asked = list(dict.fromkeys(present if layers is None else layers))
    for layer in asked:
        if layer not in present:
            raise LayerError(
                f"expected layers of the runs, {', '.join(present)}; got {layer!r}{nearest(str(layer), present)}"
            )
    lacking = {layer: [name for name, run in runs.items() if layer not in run] for layer in asked}
    shared = [layer for layer in asked if not lacking[layer]]
    left = tuple(f"layer {layer!r} is not in {', '.join(names)}" for layer, names in lacking.items() if names)
    if shared:
        return tuple(
            _entry(name, run, layer, slot) for slot, layer in enumerate(shared) for name, run in runs.items()
        ), left
    if layers is not None:
        raise LayerError(
            f"expected a layer that all runs have; {'; '.join(left) or 'no layer was named'}; name other layers, or "
            "one for each run (RUN@LAYER)"
        )
    return _one_each(runs, {}), ("no layer is in all runs: each run's last layer is compared",)


def _one_each(runs: Mapping[str, Dissection], chosen: Mapping[str, str | None]) -> tuple[Entry, ...]:
    found = []
    for name, run in runs.items():
        layer = chosen.get(name)
        found.append(_entry(name, run, list(run)[-1] if layer is None else layer, 0))
    return tuple(found)


def _entry(name: str, run: Dissection, layer: str, slot: int) -> Entry:
    try:
        result = run[layer]
    except LayerError as error:
        raise LayerError(f"run {name!r}: {error}") from None
    return Entry(name, layer, list(run).index(layer), slot, result)
