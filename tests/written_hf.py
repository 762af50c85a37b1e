"""The tiny scenes as a table of the `datasets` library, saved to disk: two columns of masks, a file of names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image
from scene_cases import SCENES, Region, Scene

LABELS = {label: label for label in ("sky", "car", "cat", "wheel")}
NUMBERS = {"sky": 1, "car": 2, "cat": 300, "wheel": 4}  # 300 needs 16 bits
NAMES = {str(number): name for name, number in NUMBERS.items()}


def label_map(scene: Scene, regions: tuple[Region, ...]) -> Any:
    found = np.zeros(scene.size, np.uint16)
    for region in regions:
        found[region.mask(scene.size)] = NUMBERS[region.label]
    return found


def table(folder: Path) -> Any:
    """A row a scene; the one without objects has no masks. Images keep the names of their files."""
    rows: dict[str, list[Any]] = {"image": [], "objects": [], "parts": []}
    for scene in SCENES:
        scene.save(folder / f"{scene.name}.png")
        rows["image"].append(str(folder / f"{scene.name}.png"))
        for column, regions in (("objects", scene.objects), ("parts", scene.parts)):
            rows[column].append(Image.fromarray(label_map(scene, regions)) if regions else None)
    features = datasets.Features({name: datasets.Image() for name in rows})
    return datasets.Dataset.from_dict(rows, features=features)


def write(folder: Path) -> str:
    table(folder / "pictures").save_to_disk(str(folder / "table"))
    (folder / "names.json").write_text(json.dumps(NAMES))
    return f"hf:{folder / 'table'}?mask=objects;parts,names={folder / 'names.json'}"
