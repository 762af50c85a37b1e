"""The tiny scenes as annotations of Pascal-Part (.mat)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from scene_cases import SCENES
from written_voc import CLASSES

LABELS = {"car": "car", "cat": "cat", "wheel": "wheel"}


def write(folder: Path) -> str:
    for scene in SCENES:
        scene.save(folder / "VOC2010" / "JPEGImages" / f"{scene.name}.png")
        objects = [
            {
                "class": region.label,
                "class_ind": CLASSES[region.label],
                "mask": region.mask(scene.size),
                "parts": [
                    {"part_name": "wheel_1", "mask": part.mask(scene.size)}
                    for part in scene.parts
                    if region.label == "car"
                ],
            }
            for region in scene.objects
            if region.label in CLASSES
        ]
        save_annotation(folder / "Annotations_Part" / f"{scene.name}.mat", scene.name, objects)
    return f"voc-parts:{folder}"


def save_annotation(path: Path, name: str, objects: list[dict]) -> None:
    """Structs in arrays of one row, empty ones 0 x 0, masks of 0 and 1 as uint8, as MATLAB wrote them."""
    rows = [
        {
            "class": each["class"],
            "class_ind": each["class_ind"],
            "mask": each["mask"].astype(np.uint8),
            "parts": _row(
                [{"part_name": p["part_name"], "mask": p["mask"].astype(np.uint8)} for p in each["parts"]]
            ),
        }
        for each in objects
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"anno": {"imname": name, "objects": _row(rows)}}, do_compression=True)


def _row(structs: list[dict]) -> np.ndarray:
    if not structs:
        return np.zeros((0, 0))
    row = np.zeros((1, len(structs)), dtype=[(key, object) for key in structs[0]])
    for i, struct in enumerate(structs):
        row[0, i] = tuple(struct.values())
    return row
