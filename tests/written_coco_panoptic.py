"""The tiny scenes in COCO's panoptic form.

coco/annotations/panoptic_val2017.json, coco/annotations/panoptic_val2017/street.png, coco/val2017/street.png
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scene_cases import SCENES
from written_coco import box, images, write_images, write_json

LABELS = {"sky": "sky-other-merged", "car": "car", "cat": "cat"}

CATEGORIES = [
    {"supercategory": "vehicle", "isthing": 1, "id": 3, "name": "car"},
    {"supercategory": "animal", "isthing": 1, "id": 17, "name": "cat"},
    {"supercategory": "sky", "isthing": 0, "id": 187, "name": "sky-other-merged"},
]
IDS = {"car": 3, "cat": 17, "sky": 187}
SEGMENTS = {"car": 5, "cat": 7 + 256 * 3, "sky": 255 + 256 * 254 + 65536 * 253}


def write(folder: Path) -> str:
    annotations = []
    coco = folder / "coco"
    (coco / "annotations" / "panoptic_val2017").mkdir(parents=True)
    for scene, image in zip(SCENES, images(), strict=True):
        if not scene.objects:
            continue
        ids = np.zeros(scene.size, np.int64)
        for region in scene.objects:
            ids[region.mask(scene.size)] = SEGMENTS[region.label]
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(colours).save(coco / "annotations" / "panoptic_val2017" / f"{scene.name}.png")
        annotations.append(
            {
                "segments_info": [
                    {
                        "id": SEGMENTS[region.label],
                        "category_id": IDS[region.label],
                        "iscrowd": 0,
                        **box(region),
                    }
                    for region in scene.objects
                ],
                "file_name": f"{scene.name}.png",
                "image_id": image["id"],
            }
        )
    path = coco / "annotations" / "panoptic_val2017.json"
    write_json(path, {"images": images(), "annotations": annotations, "categories": CATEGORIES})
    write_images(coco / "val2017")
    return f"coco-panoptic:{path}"
