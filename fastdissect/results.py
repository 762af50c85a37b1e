"""`Dissection`: the layers of one run, kept, saved and loaded together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from fastdissect.errors import LayerError, SettingError, nearest
from fastdissect.layer import LayerDissection
from fastdissect.storage import StoredRun, read_run, write_run
from fastdissect.types import Concepts, Profile

__all__ = ["Dissection", "LayerDissection", "load"]


_LISTED = 24  # layers whose names a message lists


class _UnknownLayer(LayerError, KeyError):
    """A LayerError that `Mapping.get` and `in` understand."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


class Dissection(Mapping[str, LayerDissection]):
    """The results of a run: layer names -> `LayerDissection`, in the run's order.

    Example:
        >>> d = load("out")                    # doctest: +SKIP
        >>> d["layer4"].summary().detectors    # doctest: +SKIP
    """

    def __init__(
        self,
        layers: Mapping[str, LayerDissection],
        profile: Profile,
        concepts: Concepts,
        image_names: tuple[str, ...],
        run: Mapping[str, Any],
    ) -> None:
        """Take the layers as they are; every one must be over the same images.

        Args:
            run: what run.json shall hold besides "format", "profile" and "files".

        Raises:
            SettingError: no layers, a layer under another name, or over another number of images.
        """
        if not layers:
            raise SettingError("expected the results of at least one layer; got none")
        for name, layer in layers.items():
            if layer.name != name or layer.shape[0] != len(image_names):
                raise SettingError(
                    f"expected layer {name!r} over {len(image_names)} images; "
                    f"got {layer.name!r} over {layer.shape[0]}"
                )
        self.layers = dict(layers)
        self.profile = profile
        self.concepts = concepts
        self.image_names = tuple(image_names)
        self.run = dict(run)

    def __getitem__(self, name: str) -> LayerDissection:
        try:
            return self.layers[name]
        except KeyError:
            raise _UnknownLayer(
                f"this run has no layer {name!r}; it has {self._names()}{nearest(str(name), self.layers)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def save(self, path: str | Path) -> None:
        """Write a run folder (DESIGN section 6): tables, counts, sparse activations.

        Raises:
            OutputError: a file cannot be written (disk full, no permission), or the folder is another run's.
        """
        write_run(StoredRun(self.layers, self.profile, self.image_names, self.run), path)

    def _names(self) -> str:
        """The layers' names; of hundreds the first, the last and their number."""
        names = list(self.layers)
        return (
            ", ".join(names) if len(names) <= _LISTED else f"{len(names)} layers, {names[0]} ... {names[-1]}"
        )

    def __repr__(self) -> str:
        return (
            f"<Dissection of {len(self.image_names)} images, {len(self.concepts)} concepts, "
            f"profile {self.profile.name!r}: {self._names()}>"
        )

    def _repr_html_(self) -> str:
        """A small table for notebooks; every name is escaped."""
        head = ("layer", "units", "map", "detectors", "unique detectors", "unique by category")
        rows = []
        for name, layer in self.items():
            _, units, height, width = layer.shape
            found = layer.summary()
            unique = (found.detectors, found.unique_detectors, found.unique_by_category_total)
            numbers = ("undetermined",) * 3 if found.undetermined else unique
            rows.append((name, units, f"{height} × {width}", *numbers))
        cells = "".join(f"<tr>{''.join(f'<td>{escape(str(v))}</td>' for v in row)}</tr>" for row in rows)
        header = "".join(f"<th>{h}</th>" for h in head)
        caption = escape(
            f"{len(self.image_names)} images, {len(self.concepts)} concepts, profile {self.profile.name}"
        )
        return f"<table><caption>{caption}</caption><thead><tr>{header}</tr></thead><tbody>{cells}</tbody></table>"


def load(path: str | Path) -> Dissection:
    """Load a run folder. Works without the network's code or weights; activations stay on disk until used.

    Raises:
        OutputError: a file is missing, truncated, damaged, or written by a newer version; the message names it.
    """
    stored = read_run(path)
    if not stored.layers:
        raise SettingError(f"{path} holds no layers; expected at least one")
    first = next(iter(stored.layers.values()))
    return Dissection(stored.layers, stored.profile, first.concepts, stored.image_names, stored.run)
