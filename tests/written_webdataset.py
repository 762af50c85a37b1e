"""The tiny scenes as shards of the webdataset library: two tars, objects and parts as two masks."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scene_cases import SCENES, Region, Scene

LABELS = {label: label for label in ("sky", "car", "cat", "wheel")}
NUMBERS = {"sky": 1, "car": 2, "cat": 300, "wheel": 4}  # 300 needs 16 bits
CSV = b"number,name,category\n1,sky,object\n2,car,object\n300,cat,object\n4,wheel,part\n"


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def label_map(scene: Scene, regions: tuple[Region, ...]) -> Any:
    found = np.zeros(scene.size, np.uint16)
    for region in regions:
        found[region.mask(scene.size)] = NUMBERS[region.label]
    return found


def members(scene: Scene) -> dict[str, bytes]:
    """The scene's members; one without objects has its image alone."""
    found = {f"a/{scene.name}.png": png(scene.pixels)}
    if scene.objects:
        found[f"a/{scene.name}.mask.png"] = png(label_map(scene, scene.objects))
    if scene.parts:
        found[f"a/{scene.name}.mask.parts.png"] = png(label_map(scene, scene.parts))
    return found


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def write(folder: Path) -> str:
    street, yard, empty = SCENES
    write_tar(folder / "data-000000.tar", {"labels.csv": CSV} | members(street))
    write_tar(folder / "data-000001.tar", members(yard) | members(empty))
    return f"webdataset:{folder}/data-{{000000..000001}}.tar"
