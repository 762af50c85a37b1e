"""The tiny scenes as PASCAL Context's label maps (.mat), and as PNGs of the 59 labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from scene_cases import SCENES
from written_voc import object_map, save_palette, write_text

LABELS = {"sky": "sky", "car": "car", "cat": "cat"}

TABLE = {1: "accordion", 2: "aeroplane", 59: "car", 65: "cat", 360: "sky", 431: "unknown", 459: "wood"}
NUMBERS = {"sky": 360, "car": 59, "cat": 65}
NUMBERS_59 = {"sky": 47, "car": 14, "cat": 15}


def write(folder: Path) -> str:
    for scene in SCENES:
        scene.save(folder / "VOC2010" / "JPEGImages" / f"{scene.name}.png")
        mask = object_map(scene, NUMBERS)
        mask[-1, 24] = 431
        save_mat(folder / "trainval" / f"{scene.name}.mat", mask)
    write_text(folder / "labels.txt", [f"{number}: {name}" for number, name in TABLE.items()])
    return f"voc-context:{folder}"


def write_59(folder: Path) -> str:
    year = folder / "VOCdevkit" / "VOC2010"
    for scene in SCENES:
        scene.save(year / "JPEGImages" / f"{scene.name}.png")
        save_palette(year / "SegmentationClassContext" / f"{scene.name}.png", object_map(scene, NUMBERS_59))
    write_text(year / "ImageSets" / "SegmentationContext" / "val.txt", [SCENES[1].name, SCENES[0].name])
    return f"voc-context:{folder}"


def save_mat(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"LabelMap": labels.astype(np.uint16)}, do_compression=True)
