"""What a run folder holds beside its layers: images.csv, and run.json, which comes last and makes it a finished run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastdissect.conventions import profile_record
from fastdissect.errors import SettingError
from fastdissect.files import write_bytes
from fastdissect.storage.layer_files import LayerEntry, digest
from fastdissect.types import Profile

__all__ = ["FORMAT", "write_images", "write_record"]

FORMAT = 1


def write_images(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Write images.csv, number and name of every image; returns what run.json says of it.

    Raises:
        OutputError: the file cannot be written.
    """
    images = io.StringIO(newline="")
    writer = csv.writer(images)
    writer.writerow(("image", "name"))
    writer.writerows(enumerate(names))
    write_bytes(folder / "images.csv", images.getvalue().encode(errors="surrogateescape"))
    return {"count": len(names), "digest": digest(folder / "images.csv")}


def write_record(
    folder: Path,
    layers: Mapping[str, LayerEntry],
    images: Mapping[str, Any],
    profile: Profile,
    run: Mapping[str, Any],
) -> None:
    """Write run.json, the last of a run's files.

    Args:
        layers: what `write_layer` returned of each, in the run's order. images: what `write_images` did.
        run: what run.json shall hold besides "format", "profile" and "files".

    Raises:
        OutputError: the file cannot be written. SettingError: what JSON cannot hold.
    """
    record = {
        **run,
        "format": FORMAT,
        "profile": profile_record(profile),
        "files": {
            "images": dict(images),
            "layers": {name: entry._asdict() for name, entry in layers.items()},
        },
    }
    try:
        text = json.dumps(record, indent=1)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"expected run settings that JSON can hold (text, numbers, lists); {error}"
        ) from error
    write_bytes(folder / "run.json", text.encode() + b"\n")
