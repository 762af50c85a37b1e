"""The tiny scenes as COCO-Stuff's pixel maps: stuffthingmaps/val2017/street.png, coco/val2017/street.png."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scene_cases import SCENES
from written_coco import write_images

LABELS = {"sky": "sky-other", "car": "car", "cat": "cat"}

IDS = {"car": 3, "cat": 17, "sky": 157}


def write(folder: Path) -> str:
    masks = folder / "stuffthingmaps" / "val2017"
    masks.mkdir(parents=True)
    for scene in SCENES:
        if not scene.objects:
            continue
        values = np.full(scene.size, 255, np.uint8)
        for region in scene.objects:
            values[region.mask(scene.size)] = IDS[region.label] - 1
        Image.fromarray(values).save(masks / f"{scene.name}.png")
    write_images(folder / "coco" / "val2017")
    return f"coco-stuff:{masks}?images={folder / 'coco' / 'val2017'}"
