"""The tiny scenes in COCO's instance form: an outline, a crowd's list of run lengths, and run lengths as text.

coco/annotations/instances_val2017.json      coco/val2017/street.png ...
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scene_cases import SCENES, Region, Scene

LABELS = {"car": "car", "cat": "cat"}

CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "vehicle", "id": 3, "name": "car"},
    {"supercategory": "animal", "id": 17, "name": "cat"},
    {"supercategory": "outdoor", "id": 90, "name": "toothbrush"},  # the ids have holes
]
IDS = {"car": 3, "cat": 17}


def counts(mask: np.ndarray) -> list[int]:
    """Run lengths, pixel by pixel."""
    runs, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def text(runs: list[int]) -> str:
    """COCO's text of run lengths, number by number."""
    out = ""
    for i, run in enumerate(runs):
        x = run - runs[i - 2] if i > 2 else run
        while True:
            group, x = x & 31, x >> 5
            more = x != (-1 if group & 16 else 0)
            out += chr(48 + group + 32 * more)
            if not more:
                break
    return out


def outline(region: Region) -> list[list[float]]:
    top, bottom, left, right = region.box
    return [[float(left), float(top), right, float(top), right, bottom, left, bottom]]


def run_lengths(region: Region, size: tuple[int, int], *, as_text: bool) -> dict[str, Any]:
    runs = counts(region.mask(size))
    return {"size": list(size), "counts": text(runs) if as_text else runs}


def box(region: Region) -> dict[str, Any]:
    top, bottom, left, right = region.box
    return {"bbox": [left, top, right - left, bottom - top], "area": (bottom - top) * (right - left)}


def images(scenes: tuple[Scene, ...] = SCENES) -> list[dict[str, Any]]:
    return [
        {
            "license": 4,
            "file_name": f"{scene.name}.png",
            "coco_url": f"http://images.cocodataset.org/val2017/{scene.name}.png",
            "height": scene.size[0],
            "width": scene.size[1],
            "date_captured": "2013-11-14 17:02:52",
            "id": 1000 - 7 * number,  # in no order
        }
        for number, scene in enumerate(scenes)
    ]


def document() -> dict[str, Any]:
    annotations = []
    for scene, image in zip(SCENES, images(), strict=True):
        for region in scene.objects:
            if region.label not in IDS:
                continue
            crowd = region.label == "cat" and scene.name == "street"
            segmentation: Any = outline(region)
            if region.label == "cat":
                segmentation = run_lengths(region, scene.size, as_text=not crowd)
            annotations.append(
                {
                    "segmentation": segmentation,
                    "iscrowd": int(crowd),
                    "image_id": image["id"],
                    "category_id": IDS[region.label],
                    "id": 900_000 - 31 * len(annotations),
                    **box(region),
                }
            )
    # Annotations of an image do not follow each other in the published file.
    annotations = annotations[::2] + annotations[1::2]
    return {
        "info": {"description": "COCO 2017 Dataset"},
        "licenses": [{"id": 4, "name": "Attribution License"}],
        "images": images(),
        "annotations": annotations,
        "categories": CATEGORIES,
    }


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_images(folder: Path) -> None:
    for scene in SCENES:
        scene.save(folder / f"{scene.name}.png")


def write(folder: Path) -> str:
    path = folder / "coco" / "annotations" / "instances_val2017.json"
    write_json(path, document())
    write_images(folder / "coco" / "val2017")
    return f"coco:{path}"
