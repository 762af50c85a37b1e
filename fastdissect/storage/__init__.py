"""A run on disk (DESIGN section 6).

    OUT/run.json                                settings and versions, the layers and their checksums
    OUT/images.csv                              number and name of every image
    OUT/layers/<layer>/units.csv, .parquet      a row a unit
    OUT/layers/<layer>/tally.csv                NetDissect-Lite's columns
    OUT/layers/<layer>/counts.npz               thresholds, counts, vocabulary, upsampling tables
    OUT/layers/<layer>/activations.safetensors  sparse activations, means, maxima (memory-mapped)

run.json is written last: a folder without one is no finished run. All other files are the same byte for byte
whenever the results are.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.conventions import profile_from_record
from fastdissect.errors import OutputError
from fastdissect.layer import LayerDissection
from fastdissect.storage.folders import layer_folder
from fastdissect.storage.layer_files import LayerEntry, digest, read_layer, write_layer
from fastdissect.storage.run_record import FORMAT, write_images, write_record
from fastdissect.types import Profile

__all__ = ["FORMAT", "StoredRun", "layer_folder", "read_run", "write_run"]


class StoredRun(NamedTuple):
    """What a run folder holds."""

    layers: dict[str, LayerDissection]  # in the run's order
    profile: Profile
    image_names: tuple[str, ...]
    run: dict[
        str, Any
    ]  # run.json; "format", "profile" and "files" are written here, the rest is the caller's


def write_run(stored: StoredRun, path: str | Path) -> None:
    """Write a run folder; files of an earlier save of the same layers are replaced, others are left alone.

    Raises:
        OutputError: a file cannot be written, or the folder holds layers that this run has not.
    """
    folder = Path(path)
    names = {layer_folder(name): name for name in stored.layers}
    if (folder / "layers").is_dir():
        foreign = sorted(f.name for f in (folder / "layers").iterdir() if f.is_dir() and f.name not in names)
        if foreign:
            raise OutputError(
                f"{folder} holds layer {foreign[0]!r} of another run; choose another folder or move this one aside"
            )
    images = write_images(folder, stored.image_names)
    layers = {
        name: write_layer(layer, folder / "layers" / layer_folder(name))
        for name, layer in stored.layers.items()
    }
    write_record(folder, layers, images, stored.profile, stored.run)


def read_run(path: str | Path) -> StoredRun:
    """Read a run folder. The counts are checked; activations, means, maxima and large counts are memory-mapped.

    Raises:
        OutputError: a file is missing, truncated, damaged, or written by a newer version; the message names it.
    """
    folder = Path(path)
    run = _read_json(folder / "run.json")
    try:
        profile = profile_from_record(run["profile"])
        entries = {str(name): LayerEntry(**entry) for name, entry in run["files"]["layers"].items()}
        images = run["files"]["images"]
        count, seal = int(images["count"]), str(images["digest"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutputError(
            f"{folder / 'run.json'} is damaged: {error!r}; run again, or restore the file"
        ) from error
    names = _read_images(folder / "images.csv", count, seal)
    layers = {}
    for name, entry in entries.items():
        layer = read_layer(folder / "layers" / layer_folder(name), entry)
        if layer.name != name or layer.shape[0] != count:
            raise OutputError(
                f"{folder / 'layers' / layer_folder(name)} holds layer {layer.name!r} over {layer.shape[0]} images; "
                f"expected {name!r} over {count}; run again"
            )
        layers[name] = layer
    return StoredRun(layers, profile, names, run)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise OutputError(
            f"{path.parent} is no folder; expected one that dissect() or `fastdissect run` wrote"
        )
    try:
        run = json.loads(path.read_bytes())
    except FileNotFoundError:
        inside = sorted(run.parent.name for run in path.parent.glob("*/run.json"))
        remedy = f"it holds {', '.join(inside)}: name one" if inside else "finish it with the same command"
        raise OutputError(f"{path} is missing: {path.parent} is no finished run; {remedy}") from None
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise OutputError(
            f"{path} is truncated or damaged: {error}; run again, or restore the file"
        ) from error
    version = run.get("format") if isinstance(run, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise OutputError(f"{path} is damaged: it states no format number; run again, or restore the file")
    if version > FORMAT:
        raise OutputError(
            f"{path} was written by a newer fastdissect (format {version}; this one reads up to {FORMAT}); upgrade it"
        )
    return dict(run)


def _read_images(path: Path, count: int, seal: str) -> tuple[str, ...]:
    if digest(path) != seal:
        raise OutputError(f"{path} is truncated or damaged: not the file that run.json describes; restore it")
    try:
        text = path.read_bytes().decode(errors="surrogateescape")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]
        names = tuple(name for _, name in rows)
    except (OSError, ValueError, csv.Error) as error:
        raise OutputError(f"{path} cannot be read: {error}; run again, or restore the file") from error
    if len(names) != count:
        raise OutputError(
            f"{path} names {len(names)} images; expected {count}; run again, or restore the file"
        )
    return names
